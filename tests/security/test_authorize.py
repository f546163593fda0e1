"""The connect page and its form: foreign pages, two browsers, host tricks, hurried and tired visitors."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.browser import Browser, refresh_target
from local.world import World
from tests.support.http_flow import Backend, Flow, row_of
from tests.support.person import query_of
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
    assert len(flow.browser.cookies) == 1
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


@req("A12")
def test_a_second_browser_is_told_nothing_but_where_to_go(flow: Flow, browser: OpenBrowser) -> None:
    flow.open()
    flow.leave()

    second = flow.leave(browser=browser())

    assert (second.status, second.heading) == (409, "This link is in use in another browser")
    assert "Acme MSP" not in second.answer.text
    assert "set-cookie" not in second.headers


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


@req("B01", "B04", "A15")
def test_the_cookie_is_bound_to_this_host_and_this_way(flow: Flow) -> None:
    flow.open()

    pages = [flow.browser.get(flow.connect_url), flow.leave()]

    lines = [line for page in pages for line in page.headers.get_list("set-cookie")]
    assert len(set(lines)) == 1  # the page sets it, and the form keeps it
    name, *attributes = lines[0].split("; ")
    assert name.startswith("__Host-flow_")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=1845", "Path=/", "SameSite=Lax", "Secure"]


@req("A12", "B03")
def test_a_form_sent_twice_goes_on_whichever_answer_arrives(world: World, flow: Flow, browser: OpenBrowser) -> None:
    flow.open()
    flow.browser.get(flow.connect_url)
    cookies = cookie_header(flow.browser)
    lost = httpx.post(
        f"{flow.connect_url}/authorize", data={"region": "eu"}, headers=OURS | {"Cookie": cookies}, trust_env=False
    )

    assert flow.leave().location == refresh_target(lost.text)
    assert flow.leave(browser=browser()).status == 409
    flow.browser.get(flow.agree())
    assert row_of(world, flow.session)["stage"]["S"] == "authorized"


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
