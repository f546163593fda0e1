"""The showroom: its switches do what they say, its pictures and figures say what happened, and no secret shows."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials
from selectolax.lexbor import LexborNode

from local.aws.lambda_runtime import Failed, Runtime
from local.browser import Browser, words
from local.product import create_app
from local.showroom.faults import FAULTS
from local.showroom.killer import Killed, Reaper
from local.showroom.pages import span
from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from ninjaone_emulator.wsgi_server import serve
from tests.support.product_user import connected
from tools.requirements import req

pytestmark = pytest.mark.slow

BELIEVED = ["10 minutes"] * 7
"""Alone on a host, a verdict is believed 30 minutes after the first, which a lease may put off by some minutes."""
TO_RENEWAL = "50 minutes"
DEAD = "calls good tokens dead"
FIGURES = {
    "given": "token",
    "waited": "token",  # a busy machine makes a caller wait; how long is not what these tests are about
    "needs_customer": "needs_customer",
    "not_yet": "not_yet",
    "otherwise": "otherwise",
}


@dataclass(frozen=True)
class Guest:
    """Somebody in the showroom of a world that works only when told."""

    world: World
    browser: Browser

    def press(self, *buttons: str) -> None:
        """Press one after the other; after each, all that is due is done."""
        for button in buttons:
            self.browser.submit(button)
            assert self.browser.arrive().status == 200
            self.world.run_event_sources()
        self.look()

    def look(self) -> None:
        assert self.browser.open(f"{self.world.product_url}/showroom").status == 200

    def happened(self) -> list[str]:
        """Read the first timeline's table, oldest first, without the guest's own doings and what time alone does."""
        rows = [words(row) for row in self.browser.page.html.css(".lane tbody tr td:nth-child(2)")]
        return [row for row in reversed(rows) if not row.startswith(("clock", "switch", "token ended"))]

    def drawn(self) -> list[str]:
        """Read the names under the first picture."""
        return [words(name) for name in self.browser.page.html.css(".lane svg .kind")]

    def status(self) -> str:
        return words(self.browser.page.html.css_first(".lane .chip"))

    def figures(self) -> dict[str, int]:
        """Give what the poller counted since the last switch, without zeros."""
        found = Counter[str]()
        for figures in self.world.showroom.poller.counts[-1].tenants.values():
            for name, kind in FIGURES.items():
                found[kind] += getattr(figures, name)
        return {kind: count for kind, count in found.items() if count}


@pytest.fixture
def ana(world: World) -> Iterator[Guest]:
    connected(world)
    world.run_event_sources()
    with Browser() as browser:
        browser.open(world.product_url)
        browser.submit("Ana")
        browser.arrive()
        guest = Guest(world, browser)
        guest.look()
        yield guest


def test_what_is_switched_on_is_shown_until_the_connection_has_recovered(ana: Guest) -> None:
    assert (ana.happened(), ana.status()) == (["issued"], "Active")

    ana.press(DEAD, TO_RENEWAL, *BELIEVED)
    assert set(ana.happened()) - {"issued"} == {"failed dead: invalid_token", "needs reauth revoked"}
    assert ana.status() == "Reconnect needed"

    ana.press("All is well", "1 day")
    assert ana.happened()[-2:] == ["refreshed version 2", "recovered"]
    assert ana.status() == "Active"


@req("Q05")
def test_calls_through_the_broker_are_shown_as_it_wrote_them_down(ana: Guest) -> None:
    page = ana.browser.open(ana.world.product_url)
    ana.browser.open(next(link for link in page.links if "/connections/con_" in link))
    listed = ana.browser.submit("Call through NinjaOne Connect")
    assert listed.status == 200
    assert "Bäckerei Krüger" in listed.text
    assert "Tidewater held no token" in listed.text

    ana.look()
    assert ana.happened() == ["issued", "called GET /v2/organizations: 200"]
    assert ana.drawn() == ["issued", "called"]


def test_every_event_of_a_connection_is_drawn_and_no_other(ana: Guest) -> None:
    schemas = Path(__file__).parents[2].glob("events/schemas/*.json")
    events = [json.loads(path.read_text())["examples"][0] for path in schemas]
    link = next(link for link in ana.browser.open(f"{ana.world.product_url}/integrations").links if "/con_" in link)
    for event in events:
        if "connection_id" in event["detail"]:
            event["detail"]["connection_id"] = link.rpartition("/")[2]
    entries = [
        {"Source": each["source"], "DetailType": each["detail-type"], "Detail": json.dumps(each["detail"])}
        for each in events
    ]
    ana.world.aws("events").put_events(Entries=entries)

    ana.look()

    concerned = [each for each in events if "connection_id" in each["detail"]]
    assert len(ana.happened()) == 1 + len(concerned)


def test_the_picture_says_what_the_table_beside_it_says(ana: Guest) -> None:
    ana.press("It fails inside", TO_RENEWAL, "All is well", "10 minutes")

    drawn = [name for name in ana.drawn() if name != "token ended"]  # within the same second as the clock's mark
    assert drawn == ["issued", "switch", "clock", "failed", "switch", "clock", "refreshed"]
    assert [row.split()[0] for row in ana.happened()] == ["issued", "failed", "refreshed"]
    [picture] = ana.browser.page.html.css(".lane svg")
    assert picture.attributes["aria-label"] == ", ".join(ana.drawn())
    assert [colour for colour, _ in groupby(bands(picture))] == ["active", "failing", "ended", "active"]


def bands(picture: LexborNode) -> list[str]:
    """Read what the line of a picture shows from each mark to the next."""
    return [(band.attributes["class"] or "").removeprefix("band ") for band in picture.css("line.band")]


def test_the_line_is_no_longer_green_once_the_token_has_ended_and_the_page_says_when_the_next_try_is(
    ana: Guest,
) -> None:
    ana.press("NinjaOne is down", TO_RENEWAL)
    assert re.search(r"The access token ends in \d+ min.* The next refresh is due in \d+", ana.browser.page.text)
    ana.press("10 minutes")
    assert "The access token ended" in ana.browser.page.text

    [picture] = ana.browser.page.html.css(".lane svg")
    assert (bands(picture)[0], bands(picture)[-1]) == ("active", "ended")
    assert ana.drawn().count("token ended") == 1
    ana.look()
    assert ana.drawn().count("token ended") == 1

    ana.press("All is well", "1 day")
    [picture] = ana.browser.page.html.css(".lane svg")
    assert (ana.drawn()[-1], bands(picture)[-1]) == ("refreshed", "active")


def test_counts_are_of_the_tenant_under_whose_name_they_stand(ana: Guest) -> None:
    ana.world.showroom.poller.ask()
    ana.look()
    assert re.search(r"until now (1 0|0 1) 0 0 0 3[56]\d\d s$", first_row(ana))

    ana.browser.open(f"{ana.world.product_url}/sign-in")
    ana.browser.submit("Chloe")
    ana.browser.arrive()
    ana.look()
    assert first_row(ana).endswith("until now 0 0 0 0 0 –")


def first_row(ana: Guest) -> str:
    return words(ana.browser.page.html.css_first(".figures tbody tr"))


def test_a_row_of_counts_ends_with_what_it_is_about(ana: Guest) -> None:
    ana.press("It throttles", "Kill the next refresh", "All is well", TO_RENEWAL)

    rows = ana.world.showroom.poller.counts
    assert [row.what for row in rows] == [
        "All is well",
        "It throttles",
        "It throttles; the next refresh is killed",
        "All is well; the next refresh is killed",
        "All is well",
    ]
    assert [row.until is None for row in rows] == [False] * 4 + [True]


def test_a_refresher_that_is_killed_takes_the_only_new_token_with_it_and_the_state_says_so(ana: Guest) -> None:
    ana.press("Kill the next refresh", TO_RENEWAL)
    assert ana.happened() == ["issued", "killed between NinjaOne’s answer and the save"]
    [grant] = ana.world.ninjaone.oracle.grants()
    assert len(grant.refresh_tokens) == 2
    assert list(ana.world.failures) == [("refresh", "Failed: ExitError")]

    ana.press(*BELIEVED)
    assert "needs reauth lost_in_rotation" in ana.happened()
    assert not ana.world.showroom.kills


def test_a_killed_refresher_costs_nothing_where_ninjaone_lets_the_old_token_live(ana: Guest) -> None:
    ana.world.ninjaone.switches.update({"rotation": "static_same_token"})
    ana.press("Kill the next refresh", TO_RENEWAL, "10 minutes")

    assert ana.happened() == ["issued", "killed between NinjaOne’s answer and the save", "refreshed version 2"]
    assert ana.status() == "Active"


@pytest.mark.parametrize(
    "name",
    [name for name, fault in FAULTS.items() if fault.kind and name != "slow"],
)
def test_each_trouble_lets_refreshes_fail_and_costs_a_caller_nothing_while_the_token_lasts(
    ana: Guest, name: str
) -> None:
    ana.press(FAULTS[name].title, TO_RENEWAL)
    ana.world.showroom.poller.ask()

    assert ana.happened()[1].startswith("failed")
    assert ana.figures() == {"token": 1}
    assert ana.world.showroom.poller.counts[-1].what == FAULTS[name].title


def test_a_slow_ninjaone_is_waited_for(ana: Guest) -> None:
    ana.press("It is slow", TO_RENEWAL)

    assert ana.happened() == ["issued", "refreshed version 2"]


def test_when_answers_are_lost_the_caller_is_told_to_reconnect(ana: Guest) -> None:
    ana.press("Answers get lost", TO_RENEWAL, "All is well", *BELIEVED)
    assert "needs reauth lost_in_rotation" in ana.happened()
    ana.press("1 day")
    ana.world.showroom.poller.ask()

    assert ana.figures() == {"needs_customer": 1}


def test_a_new_secret_that_nobody_told_pauses_the_connection_until_it_is_stored(ana: Guest) -> None:
    ana.press("The secret is wrong", TO_RENEWAL, "10 minutes")
    assert (ana.happened()[-1], ana.status()) == ("failed config: invalid_client", "Paused")

    ana.press("All is well", "10 minutes")
    assert ana.happened()[-1] == "refreshed version 2"
    assert ana.status() == "Active"


def control(ana: Guest, name: str, **fields: str) -> None:
    """Fill in a form of NinjaOne's own control page."""
    url = f"{ana.world.ninjaone_url}/control/{name}"
    assert httpx.post(url, data=fields, trust_env=False).status_code == 303


OPERATOR = OPERATOR_APPS["eu"].client_id


SHOWN = [
    ("faults", {"fault": "reset", "times": ""}, "NinjaOne is down"),
    ("faults", {"fault": "html_502"}, "502 with HTML: the token endpoint"),
    ("faults", {"fault": "slow", "seconds": "9", "times": ""}, "It is slow: the token endpoint"),
    (
        "faults",
        {"fault": "429", "on": "api", "host": "eu.ninjarmm.com"},
        "429 without Retry-After: the API at eu.ninjarmm.com",
    ),
    ("switches", {"ws_path": "false"}, "/ws/oauth is there: no"),
    ("admin", {"action": "rotate_secret", "named": OPERATOR}, "The secret is wrong"),
    (
        "admin",
        {"action": "untick_grant_type", "named": OPERATOR, "box": "refresh_token"},
        "Tidewater lacks refresh_token",
    ),
    (
        "admin",
        {"action": "disable_user", "named": "ada@nordlicht.example"},
        "ada@nordlicht.example is disabled",
    ),
]


@pytest.mark.parametrize(("form", "fields", "said"), SHOWN)
def test_what_is_switched_on_at_the_control_page_is_shown_until_all_is_well_again(
    ana: Guest, form: str, fields: dict[str, str], said: str
) -> None:
    control(ana, form, **fields)
    ana.look()

    assert f". {said}." in words(ana.browser.page.html.css_first("[data-show=now]"))
    assert ana.world.showroom.poller.counts[-1].what == said
    assert ana.drawn()[-1] == "switch"
    assert pressed(ana) == [said] * (said in {fault.title for fault in FAULTS.values()})
    known_from = words(ana.browser.page.html.css_first(".lane tbody tr td:nth-child(3)"))
    assert known_from == "switched here or on NinjaOne’s control page"
    assert bar(ana) == "said warn"

    ana.press("All is well")
    assert ". All is well." in words(ana.browser.page.html.css_first("[data-show=now]"))
    assert bar(ana) == "said"
    assert pressed(ana) == ["All is well"]


def bar(ana: Guest) -> str | None:
    """Give the classes of the line that says what is switched on."""
    return ana.browser.page.html.css("[data-show=now]")[0].attributes["class"]


def test_each_fault_that_the_token_endpoint_alone_has_says_so_on_its_button(ana: Guest) -> None:
    buttons = {words(each.css_first("b")): words(each) for each in ana.browser.page.html.css(".switches button")}

    limited = {title for title, says in buttons.items() if "Only the token endpoint does this." in says}
    assert limited == {fault.title for fault in FAULTS.values() if fault.kind}
    assert "NinjaOne is down" in limited


def pressed(ana: Guest) -> list[str]:
    return [words(button.css_first("b")) for button in ana.browser.page.html.css("button[aria-pressed=true]")]


def test_a_fault_that_is_over_by_itself_is_no_longer_shown(ana: Guest) -> None:
    control(ana, "faults", fault="500", times="1")
    ana.look()
    ana.press(TO_RENEWAL)

    assert ". All is well." in words(ana.browser.page.html.css_first("[data-show=now]"))
    assert [row.what for row in ana.world.showroom.poller.counts][-2:] == [
        "It fails inside: the token endpoint",
        "All is well",
    ]


def test_a_new_secret_of_a_customer_s_app_is_named_until_it_is_used(ana: Guest) -> None:
    app = CUSTOMER_APPS["eu"].client_id
    control(ana, "admin", action="rotate_secret", named=app)
    ana.press("All is well")
    assert "app has a new secret that nobody used yet" in words(ana.browser.page.html.css_first("[data-show=now]"))

    core = ana.world.ninjaone
    form = {"grant_type": "client_credentials", "client_id": app, "client_secret": core.app(app).secret}
    assert core.token("eu.ninjarmm.com", {}, form).status == 200
    ana.look()
    assert ". All is well." in words(ana.browser.page.html.css_first("[data-show=now]"))


def test_an_app_that_was_deleted_stays_so_and_is_named(ana: Guest) -> None:
    control(ana, "admin", action="delete_app", named=OPERATOR)
    ana.press("All is well")

    assert "Tidewater is deleted" in words(ana.browser.page.html.css_first("[data-show=now]"))
    assert pressed(ana) == []


def test_tokens_of_a_minute_are_refreshed_again_and_again(ana: Guest) -> None:
    ana.press("Tokens of 60 seconds", TO_RENEWAL, "2 minutes", "2 minutes")
    ana.world.showroom.poller.ask()

    assert ana.happened() == ["issued", *(f"refreshed version {number}" for number in (2, 3, 4))]
    assert ana.world.showroom.poller.counts[-1].tenants["northwind"].least in range(50, 61)
    ana.press("Tokens of an hour", "2 minutes")
    ana.world.showroom.poller.ask()
    assert ana.world.showroom.poller.counts[-1].tenants["northwind"].least in range(3000, 3601)


def test_the_end_of_consent_is_announced_as_days_go_by(ana: Guest) -> None:
    ana.press(*["7 days"] * 3)

    assert ana.happened()[-2:] == ["refreshed version 4", "consent ending"]


def test_a_timeline_begins_with_its_connection_and_ends_with_it(ana: Guest) -> None:
    ana.press("1 day")
    connection = connected(ana.world)
    ana.browser.open(f"{ana.world.product_url}/connections/{connection}")
    ana.browser.submit("Disconnect")
    ana.browser.arrive()
    ana.world.run_event_sources()
    ana.look()

    lanes = [[words(name) for name in lane.css("svg .kind")] for lane in ana.browser.page.html.css(".lane")]
    assert ["issued", "disconnected"] in lanes
    assert any(lane[0] == "issued" and "clock" in lane for lane in lanes)
    ana.world.showroom.poller.ask()
    assert sum(ana.figures().values()) == 1


def test_nothing_secret_is_on_the_page(ana: Guest) -> None:
    for fault in FAULTS.values():
        if not fault.seconds:
            ana.press(fault.title, TO_RENEWAL)
    ana.browser.open(f"{ana.world.product_url}/showroom/live")

    state = ana.world.ninjaone.state
    known = {*state.refresh_tokens, *state.access_tokens, *state.codes}
    known |= {app.secret for app in state.apps.values() if app.secret}
    known |= {app.client_secret for app in OPERATOR_APPS.values()} | {ana.world.credentials.secret_key}
    shown = "".join(page.answer.text for page in ana.browser.pages)
    assert len(known) > 10
    assert [secret for secret in known if secret in shown] == []


def test_a_tenant_sees_its_own_connections_only(ana: Guest) -> None:
    ana.browser.open(f"{ana.world.product_url}/sign-in")
    ana.browser.submit("Chloe")
    ana.browser.arrive()
    ana.look()

    assert "Nothing is connected yet" in ana.browser.page.text
    assert "Main account" not in ana.browser.page.text


def test_nobody_gets_in_before_signing_in(world: World) -> None:
    with Browser() as stranger:
        assert stranger.open(f"{world.product_url}/showroom").heading == "Sign in"
        assert stranger.open(f"{world.product_url}/showroom/live").heading == "Sign in"


@pytest.mark.parametrize(("form", "field"), [("fault", "fault"), ("travel", "step")])
def test_a_switch_that_does_not_exist_is_refused_and_changes_nothing(ana: Guest, form: str, field: str) -> None:
    token = ana.browser.page.form("All is well").untouched["form_token"]
    before = ana.world.clock.offset, len(ana.world.showroom.poller.counts)

    page = ana.browser.post(f"{ana.world.product_url}/showroom/{form}", {"form_token": token, field: "mischief"})

    assert page.status == 400
    assert (ana.world.clock.offset, len(ana.world.showroom.poller.counts)) == before


def test_a_product_by_itself_has_no_showroom() -> None:
    with serve(create_app("http://127.0.0.1:9", "http://127.0.0.1:9", Credentials("AKIDEXAMPLE", "secret"))) as server:
        assert httpx.get(f"{server.url}/showroom", trust_env=False).status_code == 404


def test_behind_the_ports_of_a_dead_environment_nothing_happens_any_more(world: World) -> None:
    lines: list[str] = []
    reaper = Reaper()
    inner = httpx.MockTransport(lambda _: httpx.Response(200, text="an answer"))
    outside = replace(world.broker_for("token").ports, transport=lambda: lambda: inner, write=lines.append)
    ports, other = reaper.ports(outside), reaper.ports(outside)
    dynamodb = ports.aws("dynamodb")
    reaper.wait()

    with httpx.Client(transport=ports.transport()()) as client:
        for _ in range(2):
            with pytest.raises(Killed):
                client.get("https://eu.ninjarmm.com/")
    with pytest.raises(Killed):
        ports.clock.now()
    with pytest.raises(Killed):
        dynamodb.list_tables()
    with pytest.raises(Killed):
        ports.write("late")
    other.write("alive")
    with httpx.Client(transport=other.transport()()) as client:
        assert client.get("https://eu.ninjarmm.com/").text == "an answer"
    assert lines == ["alive"]


def test_an_environment_whose_process_ended_is_not_used_again(world: World) -> None:
    started: list[int] = []

    def start() -> Any:
        started.append(len(started))

        def entry(_event: dict[str, Any], _context: object) -> int:
            if started == [0]:
                raise Killed
            return started[-1]

        return entry

    runtime = Runtime(world.template.functions["token"], start)

    with pytest.raises(Failed, match="ExitError"):
        runtime.invoke({})
    assert [runtime.invoke({}), runtime.invoke({})] == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, ""), (59, "59 s"), (3661, "1 h 1 min"), (86_400 * 21, "21 d"), (90_000, "1 d 1 h")]
)
def test_how_long_it_took_is_written_in_its_two_greatest_units(seconds: int, written: str) -> None:
    assert span(seconds) == written
