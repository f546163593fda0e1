"""What an outsider with a day to spare would try: odd addresses, headers, cookies and hurry."""

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from local.world import World
from tests.support.exits import header_faults
from tests.support.http_flow import Answers, Backend, Flow, row_of, slug
from tests.support.person import query_of
from tools.requirements import req

OURS = {"Sec-Fetch-Site": "same-origin"}


def raw(url: str, method: str, target: str, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    """Send a request line as it is: no library tidies it up."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in (headers or {}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


TARGETS = [
    "/connect/{session}/",
    "/connect/{session}/.",
    "/connect/{session}%00",
    "/connect/{session}%0d%0aSet-Cookie:%20a=b",
    "/connect/{session}%2fauthorize",
    "/connect/{session};jsessionid=1",
    "/connect/{session}.html",
    "/CONNECT/{session}",
    "/./connect/{session}",
    "/x/../connect/{session}",
    "/%63onnect/{session}%20",
    "/connect//{session}",
    "/connect\\{session}",
    "/callback/eu/../../connect/{session}x",
    "http://evil.example/connect/{session}/",
    "/" + "a" * 7000,
    "/callback/%2e%2e%2fconnect",
    "/callback/eu%0d%0aX:%20y",
    "/notice/used%0d%0aX:%20y",
    "/notice/../connect/x",
    "/$default",
    "/%ff%fe",
]


@req("F11", "A09", "P01")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_an_odd_address_shows_nothing_of_a_session(world: World, flow: Flow, target: str) -> None:
    flow.open()
    before = row_of(world, flow.session)

    status, headers, body = raw(world.connect_url, "GET", target.format(session=flow.session))

    assert status in {303, 404, 410}
    assert list(header_faults(headers, has_body=bool(body))) == []
    assert headers.keys().isdisjoint({"set-cookie", "x"})
    assert b"Acme MSP" not in body
    assert row_of(world, flow.session) == before


CHANGES_NOTHING = [
    {"Accept": "application/json"},
    {"Accept": "image/png"},
    {"Accept": "*/*;q=0"},
    {"Accept-Charset": "utf-7"},
    {"Accept-Encoding": "gzip, br, zstd"},
    {"Accept-Language": "<script>"},
    {"Range": "bytes=0-10"},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Fri, 31 Dec 2100 00:00:00 GMT"},
    {"X-HTTP-Method-Override": "POST"},
    {"X-Method-Override": "DELETE"},
    {"X-Original-URL": "/v1/tenants/a/connections"},
    {"X-Rewrite-URL": "/callback/eu"},
    {"X-Forwarded-Host": "evil.example"},
    {"X-Forwarded-Proto": "http"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "host=evil.example"},
    {"X-Amz-Security-Token": "x"},
    {"Authorization": "Basic YTpi"},
    {"Content-Encoding": "gzip"},
    {"Origin": "https://evil.example"},
    {"Sec-Fetch-Dest": "iframe"},
    {"Service-Worker": "script"},
    {"Cookie": "__Host-flow_00000000=x; __Secure-a=b; a=" + "c" * 500},
]


@req("A10", "F12", "C08")
@pytest.mark.parametrize("headers", CHANGES_NOTHING, ids=lambda headers: next(iter(headers)))
def test_no_header_changes_the_connect_page(flow: Flow, headers: dict[str, str]) -> None:
    flow.open()
    plain = httpx.get(flow.connect_url, trust_env=False)

    odd = httpx.get(flow.connect_url + "?region=us2&session=x#y", headers=headers, trust_env=False)

    mine = {name: held for name, held in odd.headers.items() if name not in {"date", "apigw-requestid", "set-cookie"}}
    assert (odd.status_code, odd.content) == (200, plain.content)
    assert mine == {name: plain.headers[name] for name in mine}


@req("A10", "A11")
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_look_does_not_become_a_start(world: World, flow: Flow, name: str) -> None:
    flow.open()
    before = row_of(world, flow.session)

    answer = httpx.get(f"{flow.connect_url}/authorize?region=eu&_method=POST", headers=OURS | {name: "POST"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/connect/{flow.session}")
    assert row_of(world, flow.session) == before


def cookie_of(flow: Flow) -> tuple[str, str]:
    return next((name, held) for name, held in flow.browser.cookies.items() if name.startswith("__Host-"))


TOSSED: dict[str, Callable[[str, str], str]] = {
    "quoted": lambda name, held: f'{name}="{held}"',
    "in capitals": lambda name, held: f"{name.upper()}={held}",
    "in small letters": lambda name, held: f"{name.lower()}={held}",
    "without its prefix": lambda name, held: f"{name.removeprefix('__Host-')}={held}",
    "with another prefix": lambda name, held: f"__Secure-{name}={held}",
    "twice, the right one first": lambda name, held: f"{name}={held}; {name}=x",
    "twice, the right one last": lambda name, held: f"{name}=x; {name}={held}",
    "twice the same": lambda name, held: f"{name}={held}; {name}={held}",
    "with a tail": lambda name, held: f"{name}={held}=",
    "with a comma": lambda name, held: f"a=b, {name}={held}",
    "percent-encoded": lambda name, held: f"{name}=%{ord(held[0]):02x}{held[1:]}",
    "an old one's way": lambda name, held: f'$Version=1; {name}="{held}"; $Path=/',
    "empty": lambda name, _held: f"{name}=",
}


@req("B05", "B06")
@pytest.mark.parametrize("how", TOSSED)
def test_a_cookie_counts_as_it_was_given_and_once(world: World, flow: Flow, how: str) -> None:
    """A neighbour may toss cookies of the same name; none may stand in, and none may spend the way."""
    callback = flow.back()

    refused = httpx.get(callback, headers={"Cookie": TOSSED[how](*cookie_of(flow))}, trust_env=False)

    assert refused.headers["location"].startswith("/notice/refused-callback?reference=")
    assert row_of(world, flow.session)["stage"]["S"] == "started"
    assert "ticket=" in flow.browser.get(callback).location


@req("C10", "C14")
def test_a_body_on_the_way_back_is_not_read(world: World, flow: Flow) -> None:
    sent = query_of(flow.back())
    name, held = cookie_of(flow)
    headers = {"Cookie": f"{name}={held}", "Content-Type": "application/x-www-form-urlencoded"}

    answer = httpx.request(
        "GET", f"{world.connect_url}/callback/eu", content=urlencode(sent), headers=headers, trust_env=False
    )

    assert answer.headers["location"].startswith("/notice/bad-request?reference=")
    assert row_of(world, flow.session)["stage"]["S"] == "started"


@req("C03", "C12", "I06")
def test_an_end_and_a_use_at_once_leave_nothing_usable(world: World, flow: Flow, answers: Answers) -> None:
    made = flow.connect()
    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection_id']}"

    def ask(number: int) -> httpx.Response:
        customer_app = Backend(world, answers)
        try:
            return customer_app.call("DELETE", path) if number % 2 else customer_app.post(f"{path}/token")
        finally:
            customer_app.close()

    with ThreadPoolExecutor(20) as crowd:
        found = list(crowd.map(ask, range(20)))

    ended = [each for number, each in enumerate(found) if number % 2 and each.status_code == 200]
    after = flow.backend.post(f"{path}/token")
    assert len(ended) == 1
    assert {each.status_code for each in found} <= {200, 409, 503}
    assert (after.status_code, slug(after)) == (409, "not-active")
