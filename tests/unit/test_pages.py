"""The hosted pages as text: escaping, headers, and what each must say."""

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.edge import pages
from broker.edge.http import security_headers
from broker.edge.pages import Choice, HostProblem, Notice, Page
from broker.errors import Fault
from local.browser import refresh_target
from tests.support.sample_pages import (
    BRANDED,
    CHOICES,
    CONNECT,
    FAULTY,
    NEW_SECRET,
    OPERATORS_APP,
    OWN_APP,
    PLAIN,
    connect_pages,
    notices,
)
from tools.requirements import req

LONGEST_ENTERED = 256
"""Characters of a client id or a secret that the forms take."""
VOID = {"meta", "input", "img"}
LEAVE = pages.leave(PLAIN, "https://eu.ninjarmm.com/ws/oauth/authorize?response_type=code&state=a", "eu.ninjarmm.com")
BACK = pages.back(PLAIN, "https://app.example/return?connect_session=ses_a&ticket=b")
EVERY_PAGE = connect_pages() | notices() | {"leave": LEAVE, "back": BACK}

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus='",
    "</title><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    "</textarea></select></form><form action=https://evil.example>",
    "<!-- <b>",
    "]]><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}{{ brand }}",
    "{product} {0} %s %(x)s",
    "&lt;script&gt; &amp; &#x3c;",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066",
    "line\r\nset-cookie: a=b",
]


class Reading(HTMLParser):
    """A page taken apart: its elements in order, its text, and the rules of nesting."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is given twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.text += " " if tag in {"dt", "title"} else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def structure(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(attrs)) for tag, attrs in self.elements]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def policy(page: Page) -> dict[str, list[str]]:
    directives = (part.split() for part in page.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in directives}


def filled_with(text: str) -> list[Page]:
    """Put one text wherever a value from outside can come to stand."""
    view = replace(
        FAULTY,
        tenant_name=text,
        label=text,
        typed={"subdomain": text, "suffix": text, "client_id": text},
        faults=(Fault("subdomain", text), Fault("client_id", text)),
    )
    brand = replace(PLAIN, product=text)
    return [
        pages.connect_page(brand, view),
        pages.host_problem(brand, view, HostProblem.UNKNOWN_CLIENT, text),
        pages.host_problem(brand, replace(view, needs_credentials=False), HostProblem.UNREACHABLE, text),
        pages.notice(brand, Notice.BROKEN, reference=text),
    ]


@req("A16")
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_changes_nothing(text: str) -> None:
    calm, hostile = filled_with("calm"), filled_with(text)

    for before, after in zip(calm, hostile, strict=True):
        assert Reading(after).structure == Reading(before).structure
        assert " ".join(text.split()) in Reading(after).words


@req("A16")
@settings(deadline=None)
@given(st.text(min_size=1, max_size=80))
def test_no_text_can_change_the_structure_of_a_page(text: str) -> None:
    for before, after in zip(filled_with("calm"), filled_with(text), strict=True):
        assert Reading(after).structure == Reading(before).structure


def test_a_session_id_cannot_lead_the_form_elsewhere() -> None:
    page = pages.connect_page(PLAIN, replace(OPERATORS_APP, session='x/../y?"><b>#'))

    [form] = Reading(page).all("form")
    assert form["action"] == "/connect/x/../y%3F%22%3E%3Cb%3E%23/authorize"


@req("F15", "F01")
@pytest.mark.parametrize("name", EVERY_PAGE)
def test_a_page_has_no_script_no_foreign_file_and_one_link(name: str) -> None:
    page = Reading(EVERY_PAGE[name])

    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "template", "video", "audio"}
    assert not [attr for _, attrs in page.elements for attr in attrs if attr.startswith("on") or attr == "style"]
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))
    assert [link["href"] for link in page.all("a") if link.get("class") != "button"] in (
        ["mailto:help@acme-psa.example"],
        ["https://yellow.example/help"],
    )
    assert "url(" not in EVERY_PAGE[name].html
    assert "@import" not in EVERY_PAGE[name].html


def test_without_a_support_address_there_is_no_link() -> None:
    assert Reading(pages.notice(replace(PLAIN, support=""), Notice.NOT_FOUND)).all("a") == []


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_a_page_is_built_for_every_reader(name: str) -> None:
    page = Reading(EVERY_PAGE[name])

    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    described = {word for _, attrs in page.elements for word in (attrs.get("aria-describedby") or "").split()}
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert len(set(ids)) == len(ids)
    assert described <= set(ids)
    assert {label["for"] for label in page.all("label") if "for" in label} <= set(ids)
    assert "{" not in page.text.replace(style_of(EVERY_PAGE[name]), "")


def style_of(page: Page) -> str:
    [style] = re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL)
    return str(style)


@req("F02", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10")
@pytest.mark.parametrize("name", EVERY_PAGE)
def test_every_page_carries_every_header(name: str) -> None:
    headers = EVERY_PAGE[name].headers

    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert headers["x-content-type-options"] == "nosniff"
    has_form = "<form" in EVERY_PAGE[name].html
    assert headers["referrer-policy"] == ("same-origin" if has_form else "no-referrer")
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert re.fullmatch(r"([a-z-]+=\(\)(, )?)+", headers["permissions-policy"])
    assert not [header for header in headers if header.startswith("access-control-")]
    assert all(value.isascii() and value.isprintable() for value in headers.values())


@req("F01", "E02")
@pytest.mark.parametrize("name", EVERY_PAGE)
def test_the_policy_allows_the_one_stylesheet_and_a_page_s_own_form_and_nothing_else(name: str) -> None:
    page = EVERY_PAGE[name]

    digest = base64.b64encode(hashlib.sha256(style_of(page).encode()).digest()).decode()
    closed = {"default-src", "base-uri", "frame-ancestors", "object-src"}
    assert policy(page)["style-src"] == [f"'sha256-{digest}'"]
    assert policy(page)["img-src"] == (["data:"] if "<img" in page.html else ["'none'"])
    assert policy(page)["form-action"] == (["'self'"] if "<form" in page.html else ["'none'"])
    assert all(policy(page)[directive] == ["'none'"] for directive in closed)
    assert set(policy(page)) == closed | {"style-src", "img-src", "form-action"}


def test_each_accent_has_a_stylesheet_and_a_hash_of_its_own() -> None:
    plain, other = (pages.notice(brand, Notice.USED) for brand in (PLAIN, replace(PLAIN, accent="#ffd400")))

    assert "--accent: #0b5fff" in style_of(plain)
    assert "--accent: #ffd400" in style_of(other)
    assert policy(plain)["style-src"] != policy(other)["style-src"]


def test_the_page_for_a_new_secret_names_the_connection_and_asks_for_the_secret_alone() -> None:
    page = Reading(pages.secret_page(PLAIN, NEW_SECRET))

    for said in ("Main account", "Contoso, Fabrikam and 3 more", "Europe: eu.ninjarmm.com", "Xr6YAvcfxC", "30 minutes"):
        assert said in page.words
    assert [(each["name"], each["type"], "value" in each) for each in page.all("input")] == [
        ("client_secret", "password", False)
    ]


@pytest.mark.parametrize("page", [pages.connect_page(PLAIN, OWN_APP), pages.secret_page(PLAIN, NEW_SECRET)])
def test_a_browser_cuts_nothing_that_was_pasted(page: Page) -> None:
    """A secret that is cut silently looks as if NinjaOne refused it; one that is too long is told as such."""
    asked = [each for each in Reading(page).all("input") if each["name"] in {"client_id", "client_secret"}]

    assert asked
    assert all(int(each["maxlength"] or 0) > LONGEST_ENTERED for each in asked)


def test_the_page_that_goes_back_to_the_product_goes_by_itself() -> None:
    assert refresh_target(BACK.html) == "https://app.example/return?connect_session=ses_a&ticket=b"


@req("E02", "F01")
def test_the_page_that_goes_on_to_ninjaone_needs_neither_script_nor_form() -> None:
    there = "https://eu.ninjarmm.com/ws/oauth/authorize?response_type=code&state=a"

    assert refresh_target(LEAVE.html) == there
    assert [link["href"] for link in Reading(LEAVE).all("a")][:1] == [there]
    assert "<form" not in LEAVE.html


@req("F01")
def test_an_answer_that_is_no_page_is_closed_altogether() -> None:
    headers = security_headers()

    directives = headers["content-security-policy"].split("; ")
    assert directives[0] == "default-src 'none'"
    assert "frame-ancestors 'none'" in directives
    assert all(directive.endswith(" 'none'") for directive in directives)
    assert set(headers) == set(EVERY_PAGE["used"].headers) - {"content-type"}


def test_the_backend_api_does_not_load_the_pages() -> None:
    program = "import sys, broker.edge.api; print({'broker.edge.pages', 'jinja2'} & set(sys.modules))"

    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert result.stdout == "set()\n"


@req("A14")
def test_the_connect_page_says_who_asks_for_whom_and_that_it_must_be_expected() -> None:
    words = Reading(pages.connect_page(PLAIN, OWN_APP)).words

    assert "Connect NinjaOne to Acme PSA" in words
    assert "Who asks Acme PSA" in words
    assert "For Contoso Managed Services" in words
    assert "Connection Main account" in words
    assert "Only continue if you asked for this." in words
    assert "You should be signed in to Acme PSA" in words


@pytest.mark.parametrize(
    ("account", "said"), [(None, ""), ("Hafen <Nord> and 2 more", ": the one with Hafen <Nord> and 2 more.")]
)
def test_a_reconnect_says_so_and_names_the_account_that_it_expects(account: str | None, said: str) -> None:
    words = Reading(pages.connect_page(PLAIN, replace(OWN_APP, reconnect=True, account=account))).words

    assert "Reconnect NinjaOne to Acme PSA" in words
    assert f"same NinjaOne account as before{said}" in words


@req("A14")
def test_each_scope_asked_for_is_put_in_plain_words_and_no_other() -> None:
    words = {
        "monitoring": "See your devices and organizations",
        "management": "Change things and run scripts on your devices",
        "control": "Connect to your devices remotely",
        "offline_access": "Keep this access while you are away",
    }

    for scope, sentence in words.items():
        text = Reading(pages.connect_page(PLAIN, replace(OPERATORS_APP, scopes=(scope,)))).words
        assert [said for said in words.values() if said in text] == [sentence]


def test_a_scope_without_words_is_shown_by_its_name() -> None:
    """A page that breaks would stop every customer; one that left the scope out would hide what is asked for."""
    page = pages.connect_page(PLAIN, replace(OPERATORS_APP, scopes=("monitoring", "everything")))

    assert page.status == 200
    assert "<strong>everything</strong>" in page.html


def test_the_regions_are_radio_buttons_in_one_question() -> None:
    page = Reading(pages.connect_page(PLAIN, replace(OPERATORS_APP, choices=CHOICES, chosen="ca")))

    radios = [attrs for attrs in page.all("input") if attrs["type"] == "radio"]
    assert [radio["value"] for radio in radios] == [choice.key for choice in CHOICES]
    assert [radio["value"] for radio in radios if "checked" in radio] == ["ca"]
    assert {radio["name"] for radio in radios} == {"region"}
    assert "Choose the host in your browser’s address bar when you use NinjaOne." in page.words
    assert len(page.all("fieldset")) == len(page.all("legend")) == 1


def test_a_region_that_is_settled_is_no_question() -> None:
    page = Reading(pages.connect_page(PLAIN, OPERATORS_APP))

    assert page.all("input") == [{"type": "hidden", "name": "region", "value": "eu"}]
    assert "Europe: eu.ninjarmm.com" in page.words


def test_a_branded_host_that_is_settled_is_named_once() -> None:
    host = "acme.rmmservice.eu"

    page = Reading(pages.connect_page(PLAIN, replace(OPERATORS_APP, choices=(Choice("branded", host, host),))))

    assert {each["name"]: each["value"] for each in page.all("input") if each["type"] == "hidden"} == {
        "region": "branded",
        "subdomain": "acme",
        "suffix": "rmmservice.eu",
    }
    assert page.words.count(host) == 1


def test_a_host_of_ones_own_is_one_label_and_an_allowed_domain() -> None:
    page = Reading(pages.connect_page(PLAIN, replace(OWN_APP, chosen="branded", typed={"suffix": "rmmservice.ca"})))

    options = page.all("option")
    assert [option["value"] for option in options] == list(OWN_APP.branded_suffixes)
    assert [option["value"] for option in options if "selected" in option] == ["rmmservice.ca"]


def test_the_customer_s_own_app_comes_with_every_step_of_its_registration() -> None:
    page = pages.connect_page(PLAIN, replace(OWN_APP, scopes=("monitoring", "control", "offline_access")))

    words = Reading(page).words
    assert "Administration > Apps > API > Client app IDs" in words
    assert "As application platform, choose Web." in words
    assert "As scopes, tick Monitoring and Control. If Offline access is in the list" in words
    assert "tick both Authorization code and Refresh token" in words
    for key in OWN_APP.redirect_uris:
        assert f"<code>{CONNECT}/callback/{key}</code>" in page.html


def test_the_operator_s_app_asks_for_no_credentials() -> None:
    page = pages.connect_page(PLAIN, replace(OPERATORS_APP, choices=CHOICES))

    assert "client_secret" not in page.html
    assert "Client app IDs" not in page.html


def test_credentials_that_were_passed_already_are_not_asked_for() -> None:
    assert "client_secret" not in pages.connect_page(PLAIN, replace(OWN_APP, needs_credentials=False)).html


@req("K05")
def test_the_credential_fields_are_not_kept_by_the_browser() -> None:
    fields = {attrs.get("name"): attrs for attrs in Reading(pages.connect_page(PLAIN, OWN_APP)).all("input")}

    assert fields["client_id"]["autocomplete"] == fields["client_secret"]["autocomplete"] == "off"
    assert fields["client_secret"]["type"] == "password"


def test_a_form_with_faults_is_shown_again_with_what_was_typed() -> None:
    page = pages.connect_page(PLAIN, FAULTY)

    reading = Reading(page)
    fields = {attrs.get("name"): attrs for attrs in reading.all("input")}
    assert page.status == 400
    assert "<title>Error: " in page.html
    assert [attrs for _, attrs in reading.elements if attrs.get("role") == "alert"]
    assert reading.words.count("Enter the client secret.") == 2
    assert fields["client_secret"]["aria-describedby"] == "client_secret-complaint"
    assert fields["client_secret"]["aria-invalid"] == "true"
    assert fields["client_id"]["value"] == "Xr6YAvcfxC"
    assert fields["subdomain"]["value"] == "our host"
    assert "aria-invalid" not in fields["client_id"]


def test_a_fault_of_no_field_is_named_too() -> None:
    page = pages.connect_page(PLAIN, replace(OPERATORS_APP, faults=(Fault("", "Send the form once."),)))

    assert "Send the form once." in Reading(page).words


@req("K05")
def test_a_client_secret_never_comes_back() -> None:
    canary = "S3cretS3cretS3cret"
    view = replace(FAULTY, typed={"client_id": "id", "client_secret": canary})

    shown = [
        pages.connect_page(PLAIN, view),
        *(pages.host_problem(PLAIN, view, p, "eu.ninjarmm.com") for p in HostProblem),
    ]

    assert not [page for page in shown if canary in page.html]


def test_long_text_is_cut() -> None:
    text = "y" * 100_000
    view = replace(OWN_APP, tenant_name=text, label=text, typed={"client_id": text, "subdomain": text})

    html = pages.connect_page(PLAIN, view).html

    assert max(map(len, re.findall("y+", html))) == 299
    assert len(html) < 40_000


def test_an_unknown_own_app_is_traced_to_region_client_id_or_platform() -> None:
    page = pages.host_problem(PLAIN, OWN_APP, HostProblem.UNKNOWN_CLIENT, "us2.ninjarmm.com")

    words = Reading(page).words
    assert page.status == 400
    assert "NinjaOne does not know this client app at us2.ninjarmm.com" in words
    assert "Region." in words
    assert "Client id." in words
    assert "Application platform. It must be Web." in words
    assert "enter the client secret again" in words
    assert "go_anyway" not in page.html


def test_an_app_that_the_product_named_is_not_to_be_corrected_here() -> None:
    view = replace(OWN_APP, needs_credentials=False)

    words = Reading(pages.host_problem(PLAIN, view, HostProblem.UNKNOWN_CLIENT, "eu.ninjarmm.com")).words

    assert "The client app was named in Acme PSA, and can’t be changed here." in words
    assert "Was it copied completely" not in words


@pytest.mark.parametrize("problem", [None, *HostProblem])
def test_a_host_that_is_settled_is_not_to_be_corrected_here(problem: HostProblem | None) -> None:
    settled = replace(OPERATORS_APP, choices=CHOICES[:1], branded_suffixes=())

    one, several = (
        Reading(
            pages.host_problem(PLAIN, view, problem, "eu.ninjarmm.com") if problem else pages.connect_page(PLAIN, view)
        ).words
        for view in (settled, replace(settled, choices=CHOICES))
    )

    assert "tell Acme PSA what it says" in one
    assert "check that you sign in at the right host" not in one
    assert "check that you sign in at the right host" in several
    assert ("this link is for that host alone" in one) is (problem is HostProblem.UNKNOWN_CLIENT)
    assert "this link is for that host alone" not in several


def test_whoever_opens_the_link_of_another_is_given_advice_that_needs_no_account() -> None:
    own, others = (Reading(pages.connect_page(PLAIN, replace(OWN_APP, approval=each))).words for each in (False, True))

    assert "go back to Acme PSA for a new link" in own
    assert "in Acme PSA or in NinjaOne under" in own
    assert "ask Contoso Managed Services for a new link" in others
    assert "in Acme PSA or in NinjaOne under" not in others


def test_an_unknown_operator_s_app_is_for_the_operator_to_mend() -> None:
    page = pages.host_problem(PLAIN, OPERATORS_APP, HostProblem.UNKNOWN_CLIENT, "eu.ninjarmm.com")

    assert "Only Acme PSA can change that" in Reading(page).words
    assert "client secret" not in page.html


def test_an_unreachable_host_may_be_tried_anyway() -> None:
    page = pages.host_problem(PLAIN, OWN_APP, HostProblem.UNREACHABLE, "eu.ninjarmm.com")

    reading = Reading(page)
    assert page.status == 502
    assert "eu.ninjarmm.com does not answer" in reading.words
    assert reading.all("button")[1] == {"class": "second", "name": "go_anyway", "value": "yes"}
    assert reading.all("form") == Reading(pages.connect_page(PLAIN, OWN_APP)).all("form")


@pytest.mark.parametrize("kind", Notice)
def test_a_notice_says_what_happened_and_where_to_go(kind: Notice) -> None:
    page = pages.notice(BRANDED, kind, back="https://yellow.example/return")

    assert next(link["href"] for link in Reading(page).all("a")) == "https://yellow.example/return"
    assert page.status == kind.status
    assert BRANDED.product in Reading(page).words.partition("Questions?")[0]
    assert "Reference" not in page.html


@pytest.mark.parametrize(
    "kind",
    [
        Notice.UNKNOWN_LINK,
        Notice.EXPIRED,
        Notice.USED,
        Notice.ELSEWHERE_OPEN,
        Notice.RETURN_TO_PRODUCT,
        Notice.REFUSED_CALLBACK,
        Notice.BAD_REQUEST,
        Notice.TOO_MANY,
        Notice.BROKEN,
    ],
)
def test_a_notice_about_a_link_has_advice_for_whom_it_was_sent_to(kind: Notice) -> None:
    """They may have no account at the product: starting again there is no way for them."""
    assert re.search("sent (you the link|to you)|whoever sent", Reading(pages.notice(PLAIN, kind)).words)


@pytest.mark.parametrize("kind", [Notice.DENIED, Notice.REFUSED_AT_NINJAONE, Notice.TRY_AGAIN_LATER])
def test_a_link_that_still_works_is_not_called_over(kind: Notice) -> None:
    """The notice has an address of its own: loading that again tries nothing."""
    assert "open the link again" in Reading(pages.notice(PLAIN, kind)).words


def test_whose_browser_does_not_say_where_a_form_comes_from_is_told_to_use_another() -> None:
    """Without Fetch Metadata and without an origin it is refused however often it tries."""
    assert "use another browser" in Reading(pages.notice(PLAIN, Notice.WRONG_ORIGIN)).words


def test_no_two_notices_have_the_same_heading() -> None:
    assert len({kind.heading for kind in Notice}) == len(Notice)


def test_a_notice_may_be_given_another_status_and_a_reference() -> None:
    page = pages.notice(PLAIN, Notice.UNKNOWN_LINK, status=404, reference="a1b2")

    assert page.status == 404
    assert "Reference for support: a1b2" in Reading(page).words


@req("A14")
def test_the_link_for_somebody_else_does_not_tell_its_reader_to_close_the_page() -> None:
    own, others = (
        Reading(pages.connect_page(PLAIN, replace(OPERATORS_APP, approval=each))).words for each in (False, True)
    )

    assert "If somebody else sent you this link, close the page." in own
    assert "close the page" not in others
    assert "You need no account at Acme PSA." in others
    approver = "othing is used until it has been approved in Acme PSA."
    assert approver in others
    assert approver in Reading(pages.notice(PLAIN, Notice.AWAITING_APPROVAL)).words


def test_nobody_unnamed_estimates_how_long_the_access_lasts() -> None:
    lasts = pages.SCOPES["offline_access"].detail

    assert "about thirty days (an estimate)" in lasts
    assert not re.search(r"\bwe\b", lasts)


def test_the_connect_page_says_where_in_ninjaone_the_access_is_ended() -> None:
    shown = Reading(pages.connect_page(PLAIN, OPERATORS_APP)).words

    assert "in Acme PSA or in NinjaOne under Administration > Apps > API > OAuth Tokens." in shown
