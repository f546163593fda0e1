"""A person with a browser, as far as HTTP goes: cookies, one redirect at a time, forms, Sec-Fetch-Site.

Cookies are shared by the ports of a host, as in browsers. Secure cookies travel over http too, which browsers
allow on loopback only, where all of this runs. A ``__Host-`` cookie that breaks its rules is not kept.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit
from urllib.request import Request

import httpx
from selectolax.lexbor import LexborHTMLParser, LexborNode

REDIRECTS_AT_MOST = 10
SITES = ("none", "same-origin", "same-site", "cross-site")  # what Sec-Fetch-Site says, nearest first


@dataclass(frozen=True)
class Form:
    """A form of a page; ``action`` is absolute.

    Attributes:
        untouched: what it sends when nothing is filled in
        names: every field's name, also those that are not sent untouched
        buttons: (text, name, value) of what can be pressed
    """

    action: str
    method: str
    untouched: dict[str, str]
    names: frozenset[str]
    buttons: tuple[tuple[str, str, str], ...]

    def filled(self, press: str, fields: dict[str, str]) -> dict[str, str]:
        """Fill it in and press the first button whose text contains ``press``."""
        if unknown := fields.keys() - self.names:
            raise LookupError(f"the form has no field {', '.join(sorted(unknown))}")
        name, value = next((name, value) for text, name, value in self.buttons if press in text)
        return self.untouched | fields | ({name: value} if name else {})


@dataclass(frozen=True)
class Page:
    """One answer.

    Attributes:
        url: what was asked for
        site: the Sec-Fetch-Site it was asked with
    """

    url: str
    site: str
    answer: httpx.Response

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self.answer.headers

    @property
    def location(self) -> str:
        """Where the answer sends the browser by itself, absolute; empty when it sends them nowhere."""
        target = self.headers.get("location") or refresh_target(self.answer.text)
        return urljoin(self.url, target) if target else ""

    @cached_property
    def html(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.answer.text)

    @property
    def heading(self) -> str:
        return words(self.html.css_first("h1"))

    @property
    def text(self) -> str:
        """All that the page says, with single spaces."""
        return words(self.html.body)

    @property
    def links(self) -> list[str]:
        return [urljoin(self.url, node.attributes["href"] or "") for node in self.html.css("a[href]")]

    @property
    def forms(self) -> list[Form]:
        return [read_form(node, self.url) for node in self.html.css("form")]

    def form(self, press: str) -> Form:
        """Find the form with a button whose text contains ``press``."""
        for form in self.forms:
            if any(press in text for text, _, _ in form.buttons):
                return form
        raise LookupError(f"no button {press!r} on the page {self.heading!r} ({self.status})")


class Browser:
    """One browser profile.

    Attributes:
        pages: every answer, oldest first
        jar: the cookies with all their attributes, to be read, planted or removed
    """

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.jar = CookieJar(HostPrefix(secure_protocols=("https", "http")))
        self._cookies = httpx.Cookies(self.jar)
        self._client = httpx.Client(timeout=60, trust_env=False, verify=False)  # plain http, on loopback

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self.jar}

    @property
    def page(self) -> Page:
        """The latest answer."""
        return self.pages[-1]

    def get(self, url: str, headers: dict[str, str] | None = None) -> Page:
        """Type an address; follow no redirect."""
        return self._send("GET", url, site="none", headers=headers)

    def post(self, url: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> Page:
        """Send fields as the site's own page would; follow no redirect."""
        return self._send("POST", url, site="same-origin", fields=fields, headers=headers)

    def submit(self, press: str, **fields: str) -> Page:
        """Fill in the form of the latest page that has this button, and press it; follow no redirect."""
        form = self.page.form(press)
        sent = form.filled(press, fields)
        site = relation(self.page.url, form.action)
        if form.method == "get":
            return self._send("GET", str(httpx.URL(form.action, params=sent)), site=site)
        return self._send("POST", form.action, site=site, fields=sent, headers={"Origin": origin(self.page.url)})

    def follow(self) -> Page:
        """Follow the latest answer's redirect; Sec-Fetch-Site names the farthest site on the way, as in browsers."""
        here = self.page
        if not here.location:
            raise LookupError(f"{here.status} {here.heading!r} sends nowhere")
        step = relation(here.url, here.location)
        site = "none" if here.site == "none" else max(here.site, step, key=SITES.index)
        return self._send("GET", here.location, site=site)

    def arrive(self) -> Page:
        """Follow redirects until there is a page."""
        for _ in range(REDIRECTS_AT_MOST):
            if not self.page.location:
                return self.page
            self.follow()
        raise LookupError(f"more than {REDIRECTS_AT_MOST} redirects")

    def open(self, url: str) -> Page:
        """Type an address and follow redirects until there is a page."""
        self.get(url)
        return self.arrive()

    def _send(
        self,
        method: str,
        url: str,
        *,
        site: str,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Page:
        said = {
            "Accept": "text/html",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": site,
        }
        request = httpx.Request(method, url, data=fields, headers=said | (headers or {}))
        self._cookies.set_cookie_header(request)
        answer = self._client.send(request)
        self._cookies.extract_cookies(answer)
        self.pages.append(Page(url, site, answer))
        return self.page


class HostPrefix(DefaultCookiePolicy):
    """Keep a ``__Host-`` cookie only if it is Secure, has Path=/ and no Domain.

    See RFC 6265bis §4.1.3.2.
    """

    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        bound = cookie.secure and cookie.path_specified and cookie.path == "/" and not cookie.domain_specified
        return (bound or not cookie.name.startswith("__Host-")) and super().set_ok(cookie, request)


def refresh_target(html: str) -> str:
    """Return the address of a page's automatic refresh. See HTML §4.2.5.3."""
    found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', html)
    return unescape(found[1]) if found else ""


def origin(url: str) -> str:
    """Return a URL's scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def relation(here: str, there: str) -> str:
    """Return how far a navigation goes: ports of one host are different origins of the same site."""
    if origin(here) == origin(there):
        return "same-origin"
    return "same-site" if urlsplit(here).hostname == urlsplit(there).hostname else "cross-site"


def words(node: LexborNode | None) -> str:
    """Return the text below a node, with single spaces."""
    return " ".join(node.text(separator=" ").split()) if node else ""


def read_form(form: LexborNode, page_url: str) -> Form:
    """Read a form: untouched, it sends what is ticked or selected, and no button."""
    fields = [field for field in form.css("[name]") if field.tag in {"input", "select", "textarea"}]
    asked = [field for field in fields if field.attributes.get("type") != "submit"]
    presses = form.css("button, input[type=submit]")
    return Form(
        action=urljoin(page_url, form.attributes.get("action") or page_url),
        method=(form.attributes.get("method") or "get").lower(),
        untouched={attribute(field, "name"): value(field) for field in asked if is_sent(field)},
        names=frozenset(attribute(field, "name") for field in asked),
        buttons=tuple((face(press), attribute(press, "name"), attribute(press, "value")) for press in presses),
    )


def attribute(node: LexborNode, name: str) -> str:
    return node.attributes.get(name) or ""


def face(press: LexborNode) -> str:
    return words(press) or attribute(press, "value")


def is_sent(field: LexborNode) -> bool:
    return attribute(field, "type") not in {"checkbox", "radio"} or "checked" in field.attributes


def value(field: LexborNode) -> str:
    """Return what an untouched field sends."""
    if field.tag == "textarea":
        return field.text()
    if field.tag == "select":
        chosen = field.css_first("option[selected]") or field.css_first("option")
        return attribute(chosen, "value") if chosen else ""
    return attribute(field, "value") or ("on" if attribute(field, "type") == "checkbox" else "")
