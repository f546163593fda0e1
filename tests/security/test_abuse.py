"""Too much, too long, too often: what a crowd costs, and what hostile text leaves behind."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest

from local.browser import Browser
from local.world import World
from tests.support.http_flow import Backend, Flow, slug
from tools.requirements import req


@req("G10", "P01")
@pytest.mark.parametrize("field", ["tenant_name", "end_user_id", "label", "return_to", "binding_challenge"])
@pytest.mark.parametrize("text", ['x\r\n{"message":"forged"}', "x\x00y", "x\x1b[2Jy", "x\u2028y", "\ud800"])
def test_text_that_could_break_a_line_is_refused_and_logged_nowhere(
    world: World, flow: Flow, field: str, text: str
) -> None:
    before = len(world.log_lines)

    answer = flow.backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions", flow.opening(**{field: text}))

    assert answer.status_code == 400
    for line in list(world.log_lines)[before:]:
        assert json.loads(line).get("message", "session.refused") == "session.refused"
        assert "forged" not in line


@req("G10")
def test_what_a_browser_says_of_itself_is_logged_nowhere(world: World, flow: Flow) -> None:
    before = len(world.log_lines)
    headers = {"User-Agent": "forged-agent", "X-Forwarded-For": "forged-address", "Referer": "https://forged.example"}

    flow.open(metadata={"forged-key": "forged value"})
    for path in ("/connect/forged", "/forged", f"/callback/forged?state=forged&code=forged&{flow.session}"):
        httpx.get(world.connect_url + path, headers=headers, trust_env=False)

    lines = list(world.log_lines)[before:]
    assert len(lines) >= 3
    assert not [line for line in lines if "forged" in line or "\n" in line]


@req("O01", "B06")
def test_a_session_cannot_be_worn_out_by_a_crowd_without_its_cookie(world: World, flow: Flow) -> None:
    """Forged callbacks, foreign starts and faulty forms of whoever holds the link; its own person still finishes."""
    callback = flow.back()
    forged = f"{world.connect_url}/callback/eu?code=x&state={flow.session}.{'s' * 43}"

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(lambda _: httpx.get(forged, trust_env=False), range(30)))
        starts = list(crowd.map(lambda _: flow_start(flow, "eu"), range(10)))
        faulty = list(crowd.map(lambda _: flow_start(flow, "nowhere"), range(10)))
    assert {*starts, *faulty} == {409}

    home = flow.browser.get(callback)
    assert (home.status, "ticket=" in home.location) == (303, True)


def flow_start(flow: Flow, region: str) -> int:
    return httpx.post(
        f"{flow.connect_url}/authorize",
        data={"region": region},
        headers={"Sec-Fetch-Site": "same-origin"},
        trust_env=False,
    ).status_code


@req("O04", "M04")
def test_while_people_flood_the_public_routes_tokens_are_refreshed(
    world: World, backend: Backend, browser: Callable[[], Browser], tenant: str
) -> None:
    made = [Flow(world, backend, browser(), tenant).connect() for _ in range(3)]
    over = Event()
    answered: list[int] = []

    def flood(number: int) -> None:
        paths = ("/connect/ses_" + "a" * 26, "/callback/eu?code=x&state=y", "/nothing", "/connect/x")
        while not over.is_set() and len(answered) < 20_000:
            answered.append(httpx.get(world.connect_url + paths[number % 4], trust_env=False, timeout=60).status_code)

    with ThreadPoolExecutor(6) as crowd:
        for number in range(6):
            crowd.submit(flood, number)
        world.clock.advance(2900)
        world.run_event_sources()
        over.set()

    shown = {
        each["connection_id"]: each for each in backend.get(f"/v1/tenants/{tenant}/connections").json()["connections"]
    }
    assert [shown[each["connection_id"]]["version"] for each in made] == [2] * 3
    assert answered
    assert list(world.failures) == []


@req("H08", "P01")
def test_a_stranger_learns_nothing_from_a_session_that_exists(flow: Flow) -> None:
    flow.open()
    other = flow.session[:-1] + ("a" if flow.session[-1] != "a" else "b")

    known = flow.complete("t" * 43, end_user_id="other")
    flow.session = other
    unknown = flow.complete("t" * 43, end_user_id="other")

    assert (known.status_code, slug(known)) == (unknown.status_code, slug(unknown)) == (403, "binding-mismatch")
