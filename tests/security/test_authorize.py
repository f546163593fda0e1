"""The connect page and its form: foreign pages, two browsers, host tricks, hurried and tired visitors."""

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from broker import ninjaone
from local.browser import Browser
from local.world import World
from tests.security.exits import is_ninjaone
from tests.support.outsider import Backend, Flow, query_of, row_of
from tools.requirements import req

OpenBrowser = Callable[[], Browser]
OURS = {"Sec-Fetch-Site": "same-origin"}
OWN = {"client_id": "x" * 27, "client_secret": "y" * 52}
SUFFIXES = ("rmmservice.com", "rmmservice.eu", "rmmservice.ca")


def post(flow: Flow, form: dict[str, str] | bytes, headers: dict[str, str]) -> httpx.Response:
    """Send the form with nothing but these headers."""
    data: dict[str, Any] = {"content": form} if isinstance(form, bytes) else {"data": form}
    return httpx.post(f"{flow.connect_url}/authorize", headers=headers, trust_env=False, **data)


@req("A10")
def test_a_hundred_looks_change_nothing_and_see_the_same_bytes(world: World, flow: Flow) -> None:
    flow.open()
    before = row_of(world, flow.session)

    pages = {flow.browser.get(flow.connect_url).answer.content for _ in range(100)}

    assert len(pages) == 1
    assert row_of(world, flow.session) == before
    assert "set-cookie" not in flow.browser.page.headers
    assert flow.connect()["status"] == "active"


@req("A10", "C14")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE"])
def test_other_methods_do_not_open_or_start_a_session(world: World, flow: Flow, method: str) -> None:
    flow.open()
    before = row_of(world, flow.session)

    answers = [
        httpx.request(method, flow.connect_url + path, headers=OURS, trust_env=False) for path in ("", "/authorize")
    ]

    assert [each.status_code for each in answers] == [405, 405]
    assert row_of(world, flow.session) == before


@req("A11")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
        {"Sec-Fetch-Site": "Same-Origin"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
        {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
    ],
    ids=str,
)
def test_a_form_from_a_foreign_page_is_ignored(world: World, flow: Flow, headers: dict[str, str]) -> None:
    flow.open()
    before = row_of(world, flow.session)

    answer = post(flow, {"region": "eu"}, headers)

    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
    assert row_of(world, flow.session) == before


@req("A11")
def test_a_browser_without_fetch_metadata_is_known_by_its_origin(flow: Flow) -> None:
    flow.open()
    host = urlsplit(flow.connect_url).netloc

    answer = post(flow, {"region": "eu"}, {"Origin": f"https://{host}"})

    assert answer.status_code == 303


@req("A12")
def test_of_two_browsers_at_once_one_starts(flow: Flow) -> None:
    flow.open()

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda _: post(flow, {"region": "eu"}, OURS), range(2)))

    assert sorted(each.status_code for each in answers) == [303, 409]


@req("A12")
def test_a_second_browser_is_told_nothing_but_where_to_go(flow: Flow, browser: OpenBrowser) -> None:
    flow.open()
    flow.leave()

    second = flow.leave(browser=browser())

    assert (second.status, second.heading) == (409, "This link is in use in another browser")
    assert "Acme MSP" not in second.answer.text
    assert "set-cookie" not in second.headers


@req("O01", "A12")
def test_a_session_starts_five_times(flow: Flow) -> None:
    flow.open()

    statuses = [flow.leave().status for _ in range(7)]

    assert statuses == [303] * 5 + [429] * 2


@req("O02")
def test_faulty_forms_end_a_session_too(flow: Flow) -> None:
    flow.open()

    statuses = [flow.leave("nowhere").status for _ in range(6)]

    assert statuses == [400] * 5 + [429]


@req("A13")
def test_half_an_hour_after_it_was_opened_a_link_is_dead(world: World, flow: Flow) -> None:
    flow.open()

    world.clock.advance(1801)
    looked, pressed = flow.browser.get(flow.connect_url), flow.leave()

    assert (looked.status, pressed.status, looked.heading) == (410, 410, "This link has expired")
    assert row_of(world, flow.session)["stage"]["S"] == "created", "the row is still there: time alone refused it"


@req("H08")
def test_unknown_links_look_alike(world: World, flow: Flow) -> None:
    flow.open()
    strange = ["ses_" + "a" * 26, "ses_x", "x", "..%2f..%2fadmin", flow.session.upper(), "con_" + "a" * 26]

    pages = [httpx.get(f"{world.connect_url}/connect/{each}", trust_env=False) for each in strange]

    shown = {without_reference(each.text) for each in pages if each.status_code == 410}
    assert {each.status_code for each in pages} == {410, 404}
    assert len(shown) == 1
    assert not [each for each, page in zip(strange, pages, strict=True) if each in page.text and len(each) > 5]


def without_reference(html: str) -> str:
    """Leave out what differs from answer to answer."""
    return re.sub(r"<code>[^<]+</code>", "", html)


# Hosts ----------------------------------------------------------------------------------------------------------------

TRICKS = [
    "eu.ninjarmm.com@evil.example",
    "evil.example#",
    "evil.example\\",
    "evil.example/.eu",
    "eu\u3002ninjarmm\u3002com",
    "eu.",
    "eu:8443",
    "eu\r\nHost: evil.example",
    "eu%00",
    "127.0.0.1",
    "[::1]",
    "0x7f000001",
    "169.254.169.254",
    "-eu",
    "eu-",
    "a" * 64,
    "xn--",
    "ｅｕ",
    "eu.evil",
    "*",
    "",
    "EU",
    "%65u",
]


@req("A09")
@pytest.mark.parametrize("trick", TRICKS)
def test_a_host_trick_sends_nobody_anywhere(flow: Flow, trick: str) -> None:
    flow.open(client="customer", region=None)

    as_region = flow.leave(trick, OWN)
    as_label = flow.leave("branded", OWN | {"subdomain": trick, "suffix": "rmmservice.eu"})
    as_suffix = flow.leave("branded", OWN | {"subdomain": "acme", "suffix": trick})

    assert (as_region.status, as_suffix.status) == (400, 400)
    assert as_label.status == 400
    assert {page.location for page in (as_region, as_label, as_suffix)} == {""}


@req("A09")
@pytest.mark.parametrize("trick", [*TRICKS, "evil.example", "acme.rmmservice.eu.evil.example", "acme.b.rmmservice.eu"])
def test_a_backend_cannot_name_a_foreign_host_either(flow: Flow, trick: str) -> None:
    wish = flow.opening(host=trick, client="customer")
    path = f"/v1/tenants/{flow.tenant}/connect-sessions"

    assert flow.backend.post(path, wish).status_code == 400
    assert flow.backend.post(path, flow.opening(region=trick)).status_code == 400


@req("A09")
def test_of_a_hundred_thousand_texts_only_the_table_leads_anywhere() -> None:
    draw = random.Random(9)
    letters = "euapsocajpfd2.-@:/#%\\ \r\n\x00é。brn"
    known = {"app", "us2", "eu", "ca", "oc", "jp", "fed"}

    for _ in range(100_000):
        text = "".join(draw.choices(letters, k=draw.randint(0, 8)))
        host = ninjaone.regional_host(text)
        assert (host is not None) == (text in known)
        branded = ninjaone.branded_host(text, "rmmservice.eu", SUFFIXES)
        assert branded is None or is_ninjaone(branded.name, SUFFIXES)


@req("A09", "E02", "E01")
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Server", "Forwarded", "X-Original-URL"])
def test_a_header_that_names_a_host_changes_no_address(world: World, flow: Flow, header: str) -> None:
    value = "for=1;host=evil.example" if header == "Forwarded" else "evil.example"
    sent = flow.backend.call(
        "POST",
        f"/v1/tenants/{flow.tenant}/connect-sessions",
        flow.opening(),
        headers={} if header == "Host" else {header: value},
    )
    flow.session, flow.connect_url = sent.json()["session_id"], sent.json()["connect_url"]
    callback = flow.back()

    answer = httpx.get(callback, headers={header: value, "Cookie": cookie_header(flow.browser)}, trust_env=False)

    assert flow.connect_url.startswith(world.connect_url)
    assert answer.headers["location"].startswith(f"{world.product_url}/ninjaone/return?")
    assert "evil" not in str(answer.headers)


def cookie_header(browser: Browser) -> str:
    return "; ".join(f"{name}={held}" for name, held in browser.cookies.items())


# Where people return to -----------------------------------------------------------------------------------------------


@req("E01")
@pytest.mark.parametrize(
    "wanted", ["other", "https://evil.example/", "main ", "MAIN", "//evil.example", "main,https://evil.example"]
)
def test_a_return_address_is_a_key_of_the_list(flow: Flow, wanted: str) -> None:
    answer = flow.backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions", flow.opening(return_to=wanted))

    assert answer.status_code == 403


@req("A07")
@pytest.mark.parametrize(
    "scopes",
    [["control"], ["monitoring", "control"], ["admin"], [], "monitoring", [1], ["monitoring "], [["monitoring"]]],
)
def test_nobody_asks_for_more_than_the_operator_allows(flow: Flow, scopes: object) -> None:
    answer = flow.backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions", flow.opening(scopes=scopes))

    assert answer.status_code == 400


@req("A07", "A01")
def test_nothing_that_a_form_adds_reaches_ninjaone(flow: Flow) -> None:
    flow.open()

    asked_for = {"scope": "control", "response_type": "token", "redirect_uri": "https://evil.example", "state": "x"}
    page = flow.leave("eu", asked_for)

    asked = query_of(page.location)
    assert (asked["scope"], asked["response_type"]) == ("monitoring offline_access", "code")
    assert "evil" not in page.location


@req("A14", "A16")
def test_the_page_says_who_asks_for_whom_and_what_and_escapes_it(flow: Flow) -> None:
    name = '"><script>alert(1)</script>{{ 7*7 }}'
    flow.open(tenant_name=name, label="<b>Main</b>", scopes=["monitoring", "management"])

    page = flow.browser.get(flow.connect_url)

    for words in (
        "Tidewater",
        name,
        "<b>Main</b>",
        "run scripts on your devices",
        "Only continue if you asked for this",
    ):
        assert words in page.text
    assert page.html.css("script, b, img, link, iframe, object, embed") == []


@req("B01", "B04", "A15")
def test_the_cookie_is_bound_to_this_host_and_this_way(flow: Flow) -> None:
    flow.open()

    page = flow.leave()

    [line] = page.headers.get_list("set-cookie")
    name, *attributes = line.split("; ")
    assert name.startswith("__Host-flow_")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax", "Secure"]
    assert page.status == 303


@req("B07")
def test_a_browser_with_many_flows_loses_the_oldest(
    world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    shared = browser()
    flows = [Flow(world, backend, shared, tenant).open() for _ in range(14)]

    for each in flows:
        each.leave()

    held = [name for name in shared.cookies if name.startswith("__Host-flow_")]
    size = sum(len(name) + len(value) + 3 for name, value in shared.cookies.items())
    assert len(held) == 10
    assert size < 4096
    flows[-1].leave()
    assert query_of(shared.get(flows[-1].agree()).location).keys() == {"connect_session", "ticket"}


# What is slow, long or broken -----------------------------------------------------------------------------------------


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@req("P01", "C01")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"region=eu&region=us2",
        b"\xff\xfe\x00",
        b"region=%",
        b"&" * 16_000,
        b"region=" + b"e" * 16_300,
        b"a=b&" * 65 + b"region=eu",
        b"region=eu&" + b"a" * 20_000,
        b'{"region": "eu"}',
    ],
    ids=lambda body: f"{len(body)} bytes {body[:12]!r}",
)
def test_a_form_that_is_none_starts_nothing(world: World, flow: Flow, body: bytes) -> None:
    flow.open()

    answer = post(flow, body, OURS | FORM)

    assert (answer.status_code, row_of(world, flow.session)["stage"]["S"]) == (400, "created")


@req("P01")
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
def test_a_body_of_another_type_starts_nothing(flow: Flow, kind: str) -> None:
    flow.open()

    answer = post(flow, b"region=eu", OURS | {"Content-Type": kind})

    assert answer.status_code == 400
