"""The HTML pages: values in, one page out, with the headers that belong to it.

The text of a notice is chosen by an enum; every other value is escaped by the templates and cut to a length. A page
has no script and loads no file.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from broker.edge.colour import accent
from broker.edge.http import security_headers
from broker.errors import Fault

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_SHOWN_CHARACTERS = 300
"""Characters of a value that a page shows; what the contract allows is shorter."""


@dataclass(frozen=True)
class Brand:
    """The operator's branding; ``Config`` has validated each value.

    Attributes:
        support: a mail address, an https address, or empty
        accent: ``#rrggbb``
        logo: a data URI, or empty
    """

    product: str
    support: str
    accent: str
    logo: str

    @property
    def support_link(self) -> str:
        return self.support if self.support.startswith("https://") else f"mailto:{self.support}"


@dataclass(frozen=True)
class Choice:
    """A region that may be chosen: ``Choice("eu", "Europe", "eu.ninjarmm.com")``."""

    key: str
    name: str
    host: str


@dataclass(frozen=True)
class ScopeWords:
    """How the connect page describes a scope.

    Attributes:
        allows: what it lets the product do
        detail: one more sentence
        box: the label of its box in NinjaOne's form of a client app
    """

    allows: str
    detail: str
    box: str


SCOPES: Mapping[str, ScopeWords] = {
    "monitoring": ScopeWords(
        "See your devices and organizations",
        "Inventory, health, alerts and activity.",
        "Monitoring",
    ),
    "management": ScopeWords(
        "Change things and run scripts on your devices",
        "Create, change and delete records, and run scripts with NinjaOne’s rights.",
        "Management",
    ),
    "control": ScopeWords(
        "Connect to your devices remotely",
        "Open remote sessions, as a technician does.",
        "Control",
    ),
    "offline_access": ScopeWords(
        "Keep this access while you are away",
        "Nobody has to sign in again for about thirty days (an estimate); then NinjaOne asks for your consent again.",
        "Offline access",
    ),
}
"""Scope → its words; a test compares the keys with ``ninjaone.SCOPES``."""


@dataclass(frozen=True)
class ConnectPage:
    """What the connect page shows.

    Attributes:
        scopes: in NinjaOne's order
        choices: the hosts to choose from; a single one is stated, not asked for
        branded_suffixes: domains under which the person may name a host of their own; empty for none
        chosen: the region key to preselect
        own_app: whether the client app is the customer's
        needs_credentials: whether its id and secret are to be entered here
        redirect_uris: region key → what to register at NinjaOne; needed for each choice with credentials
        account: names of the NinjaOne account that a reconnect expects
        faults: of the form that was sent
        typed: form field → what the person entered, never the secret
        approval: whether the link is for somebody else, and its owner approves the connection afterwards
        life: how long the link works after it was made, in words
    """

    session: str
    tenant_name: str
    label: str
    scopes: tuple[str, ...]
    choices: tuple[Choice, ...]
    branded_suffixes: tuple[str, ...] = ()
    chosen: str | None = None
    own_app: bool = False
    needs_credentials: bool = False
    redirect_uris: Mapping[str, str] = field(default_factory=dict)
    reconnect: bool = False
    account: str | None = None
    faults: tuple[Fault, ...] = ()
    typed: Mapping[str, str] = field(default_factory=dict)
    life: str = "30 minutes"
    approval: bool = False


@dataclass(frozen=True)
class SecretPage:
    """What the page for the new secret of a customer's own client app shows; the old secret is never shown.

    Attributes:
        account: names of the NinjaOne account that is connected
        region: its name; empty for a host of the customer's own
        life: how long the link works after it was made, in words
        faults: of the form that was sent, or NinjaOne's reason to refuse the secret
    """

    session: str
    tenant_name: str
    label: str
    account: str | None
    region: str
    host: str
    client_id: str
    life: str = "30 minutes"
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Page:
    """A complete answer to a browser."""

    status: int
    html: str
    headers: Mapping[str, str]


class HostProblem(Enum):
    """Why the check before leaving for NinjaOne failed."""

    UNKNOWN_CLIENT = 400
    UNREACHABLE = 502


_NEW_LINK = "Start again in {product}, or ask whoever sent you the link for a new one."
"""For the person who opened a link that somebody else requested: they may have no account at the product."""


class Notice(Enum):
    """A page that only informs: status, heading, text."""

    UNKNOWN_LINK = (
        410,
        "This link does not work",
        f"It is incomplete or no longer valid. {_NEW_LINK}",
    )
    EXPIRED = (
        410,
        "This link has expired",
        f"Nothing was connected or changed. {_NEW_LINK}",
    )
    USED = (
        410,
        "This link was already used",
        (
            "Each link works once, even if the attempt failed. {product} shows the result. "
            "If the link was sent to you, ask whoever sent it."
        ),
    )
    ELSEWHERE_OPEN = (
        409,
        "This link is in use in another browser",
        "Continue in the browser where you began; ten minutes after that you can open the link here as well. "
        "If it was not you who began, do not use this link. " + _NEW_LINK,
    )
    RETURN_TO_PRODUCT = (
        409,
        "Go back to {product} to finish",
        (
            "You have already agreed at NinjaOne. Open {product}, signed in as the person who began, and go on there. "
            "If somebody sent you the link, your part is done."
        ),
    )
    REFUSED_CALLBACK = (
        400,
        "This answer from NinjaOne can’t be used",
        (
            "It was used before, or was not begun in this browser, or the browser does not keep cookies. "
            "{product} shows whether it worked. If it did not, start there again, or ask whoever sent you the link."
        ),
    )
    REFUSED_AT_NINJAONE = (
        400,
        "NinjaOne did not allow the connection",
        "Most often the client app there lacks a scope. Have it checked, then open the link again while it works.",
    )
    DENIED = (
        200,
        "Nothing was connected",
        "You chose not to give access at NinjaOne. If you change your mind, open the link again while it works.",
    )
    AWAITING_APPROVAL = (
        200,
        "Thank you, your part is done",
        "Nothing is used until it has been approved in {product}. You can close this page.",
    )
    BAD_REQUEST = (
        400,
        "This request can’t be understood",
        f"Nothing was changed. {_NEW_LINK}",
    )
    WRONG_ORIGIN = (
        400,
        "This request did not come from our page",
        (
            "To protect you, it was ignored. Open the link from {product} again and use the button there. "
            "If this page comes again, use another browser."
        ),
    )
    NOT_FOUND = (404, "There is no such page", "To connect NinjaOne, start in {product}.")
    WAY_AROUND = (403, "This address is not for visitors", "To connect NinjaOne, start in {product}.")
    METHOD = (405, "This address can’t be used that way", "To connect NinjaOne, start in {product}.")
    TOO_MANY = (429, "Too many attempts", f"Wait a minute. {_NEW_LINK}")
    TRY_AGAIN_LATER = (
        503,
        "Not possible right now",
        "A service that this needs does not answer. Nothing was lost. Wait a minute, then open the link again.",
    )
    BROKEN = (
        500,
        "Something went wrong on our side",
        f"It was recorded, and nothing was connected. {_NEW_LINK}",
    )

    def __init__(self, status: int, heading: str, text: str) -> None:
        self.status = status
        self.heading = heading
        self.text = text

    @property
    def slug(self) -> str:
        """Its name in an address."""
        return self.name.lower().replace("_", "-")


def connect_page(brand: Brand, view: ConnectPage) -> Page:
    """Ask the person to agree to a connection: who asks, for what, at which host."""
    return _render_connect_page(brand, view, status=400 if view.faults else 200)


def secret_page(brand: Brand, view: SecretPage) -> Page:
    """Ask the person for the new secret of the client app that they registered."""
    messages = {fault.field: fault.message for fault in view.faults}
    html = _render("secret.html", brand, view=view, messages=messages)
    return Page(400 if view.faults else 200, html, _page_headers(brand, forms=True))


def back(brand: Brand, location: str) -> Page:
    """Take the person back to the product, by a page instead of a redirect for the same reason as ``leave``."""
    return Page(200, _render("back.html", brand, location=location), _page_headers(brand))


def host_problem(brand: Brand, view: ConnectPage, problem: HostProblem, host: str) -> Page:
    """Ask again, because the chosen host does not know the client app or does not answer.

    An unreachable host may be tried anyway (``go_anyway``): the browser may reach what the broker can't.
    """
    return _render_connect_page(brand, view, status=problem.value, problem=problem, host=host)


def leave(brand: Brand, location: str, host: str) -> Page:
    """Take the person on to NinjaOne, by a page instead of a redirect.

    Chromium applies the ``form-action`` policy of the form's page to every redirect that follows, up to wherever the
    product sends the person in the end. A page that continues by itself ends that chain, so that no policy has to name
    the addresses after it.

    See CSP3 §6.4.1.1; HTML §4.2.5.3 (refresh).
    """
    return Page(200, _render("leave.html", brand, location=location, host=host), _page_headers(brand))


def notice(
    brand: Brand,
    kind: Notice,
    *,
    status: int | None = None,
    reference: str = "",
    back: str = "",
    reason: str = "",
) -> Page:
    """Return the page that says what happened and what to do now.

    Args:
        reference: the request's name for the person to read out; never text from a request
        back: where a button leads: the product's return address, without a session
        reason: a sentence of our own more
    """
    heading, text = (words.format(product=brand.product) for words in (kind.heading, kind.text))
    html = _render("notice.html", brand, heading=heading, text=text, reference=reference, back=back, reason=reason)
    return Page(status or kind.status, html, _page_headers(brand))


def _render_connect_page(
    brand: Brand, view: ConnectPage, *, status: int, problem: HostProblem | None = None, host: str = ""
) -> Page:
    messages = {fault.field: fault.message for fault in view.faults}
    html = _render(
        "connect.html",
        brand,
        view=view,
        messages=messages,
        problem=problem and problem.name,
        host=host,
        scope_words=_scope_words,
    )
    return Page(status, html, _page_headers(brand, forms=True))


def _scope_words(name: str) -> ScopeWords:
    """Return the words for a scope; one without words is shown by its name, because the person must see it."""
    return SCOPES.get(name, ScopeWords(name, "", name))


def _page_headers(brand: Brand, *, forms: bool = False) -> dict[str, str]:
    headers = security_headers(
        forms=forms, styles=_stylesheet_source(brand.accent), images="data:" if brand.logo else "'none'"
    )
    return headers | {"content-type": "text/html; charset=utf-8"}


@cache
def _stylesheet_source(colour: str) -> str:
    """Return the CSP source of the inline stylesheet: its hash, which depends on the brand's accent colour."""
    light, dark = accent(colour)
    sheet = _templates().get_template("style.css").render(accent_light=light, accent_dark=dark)
    return f"'sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}'"


def _render(template: str, brand: Brand, **values: object) -> str:
    light, dark = accent(brand.accent)
    return _templates().get_template(template).render(brand=brand, accent_light=light, accent_dark=dark, **values)


@cache
def _templates() -> "Environment":
    """Load the templates once, at the first page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # 60 ms that JSON answers save

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters["cut"] = _cut
    return templates


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"
