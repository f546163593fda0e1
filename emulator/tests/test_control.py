"""The control page and its JSON twin, and the command that runs NinjaOne alone."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

import ninjaone_emulator
from ninjaone_emulator import NinjaOne, Switches, words
from ninjaone_emulator.control_panel import ACTIONS
from ninjaone_emulator.faults import ENDPOINTS, KINDS
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.seed import OPERATOR_APPS
from ninjaone_emulator.testing import ADA, START, Client, make_ninjaone
from ninjaone_emulator.wsgi_server import serve

APP = OPERATOR_APPS["eu"].client_id


class Controls:
    """A client of the control API, in process."""

    def __init__(self, core: NinjaOne) -> None:
        self.browser: FlaskClient = create_app(core).test_client()

    def api(self, method: str, name: str, body: object = None, status: int = 200) -> Any:
        reply = self.browser.open(f"/control/api/{name}", method=method, json=body)
        assert reply.status_code == status, reply.text
        return reply.get_json()

    def form(self, name: str, **fields: str) -> Any:
        return self.browser.post(f"/control/{name}", data=fields)


def test_the_state_shows_everything_but_tokens() -> None:
    core = make_ninjaone()
    first = Client(core).connect()

    state = Controls(core).api("GET", "state")

    assert state.keys() == {
        "now", "offset", "hosts", "switches", "faults", "people", "clients", "grants",
    }  # fmt: skip
    assert (state["now"], state["offset"]) == (START, 0)
    assert state["switches"] == Switches().values()
    assert {"email": ADA, "tenant": "Nordlicht Systemhaus", "host": "eu.ninjarmm.com"}.items() <= next(
        each.items() for each in state["people"] if each["email"] == ADA
    )
    assert state["grants"][0]["grant"] == first["refresh_token"][:36]
    assert state["grants"][0]["live"] is True
    assert first["refresh_token"] not in str(state)
    assert first["access_token"] not in str(state)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_switches_are_set_all_or_none(method: str) -> None:
    core = make_ninjaone()
    controls = Controls(core)

    values = controls.api(method, "switches", {"rotation": "rotate_grace", "grace_seconds": 5})
    refused = controls.api(method, "switches", {"iss": True, "deny": "no", "x": 1}, status=400)

    assert (values["rotation"], values["grace_seconds"]) == ("rotate_grace", 5)
    assert refused == {"faults": ["deny must be one of access_denied, no_redirect", "x is not a switch"]}
    assert core.switches.iss is False
    assert controls.api("DELETE", "switches") == Switches().values()


def test_every_switch_explains_itself_and_cites_the_evidence_page() -> None:
    described = Controls(make_ninjaone()).api("GET", "switches")

    assert [each["name"] for each in described] == list(Switches().values())
    for each in described:
        assert each["says"].endswith(".")
        assert each["section"].startswith("§")
        assert each["value"] == each["default"]
        assert each["value"] in each["choices"] or 0 <= each["value"] <= each["most"]


@pytest.mark.parametrize("body", [None, [], "text"])
def test_a_body_must_be_a_json_object(body: object) -> None:
    refused = Controls(make_ninjaone()).api("POST", "switches", body, status=400)

    assert refused == {"faults": ["the body must be a JSON object, sent as application/json"]}


def test_the_clock_moves_on_and_never_back() -> None:
    core = make_ninjaone()
    controls = Controls(core)

    assert controls.api("POST", "clock", {"advance": 86400}) == {"now": START + 86400, "offset": 86400}
    controls.api("POST", "clock", {"advance": -1}, status=400)
    controls.api("POST", "clock", {}, status=400)
    assert core.now() == START + 86400


def test_faults_are_planned_listed_and_cleared() -> None:
    controls = Controls(make_ninjaone())

    planned = controls.api("POST", "faults", {"fault": "slow", "times": None, "seconds": 5, "on": "api"})

    assert planned == [{"kind": "slow", "on": "api", "times": None, "host": None, "seconds": 5, "skip": 0}]
    assert controls.api("GET", "faults") == planned
    assert controls.api("DELETE", "faults") == []


def test_a_fault_that_makes_no_sense_is_refused_with_everything_that_is_wrong() -> None:
    wrong = {"fault": "fire", "on": "page", "times": 0, "seconds": "long", "host": "uk.ninjarmm.com", "x": 1}

    refused = Controls(make_ninjaone()).api("POST", "faults", wrong, status=400)

    assert len(refused["faults"]) == 6


def test_a_client_app_can_be_registered_and_used() -> None:
    core = make_ninjaone()
    wanted = {
        "name": "Another",
        "tenant": "Acme MSP",
        "redirects": ["http://127.0.0.1:8000/callback/eu"],
        "scopes": ["monitoring"],
        "grant_types": ["authorization_code", "refresh_token"],
        "official": True,
    }

    app = Controls(core).api("POST", "clients", wanted)

    assert (len(app["client_id"]), len(app["client_secret"])) == (27, 52)
    client = Client(core, client_id=app["client_id"], client_secret=app["client_secret"])
    assert client.connect(scope="monitoring offline_access")["refresh_token"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"tenant": "nobody's"},
        {"tenant": "Acme MSP", "platform": "toaster"},
        {"tenant": "Acme MSP", "redirects": "http://127.0.0.1"},
        {"tenant": "Acme MSP", "colour": "red", "size": 3},
    ],
)
def test_a_client_app_that_cannot_be_is_refused(wanted: dict[str, object]) -> None:
    core = make_ninjaone()

    assert Controls(core).api("POST", "clients", wanted, status=400)["faults"]
    assert len(core.state.apps) == 10


def test_every_administrators_action_can_be_done() -> None:
    core = make_ninjaone()
    controls = Controls(core)
    grant = Client(core).connect()["refresh_token"][:36]
    named = {"revoke_grant": (grant, ""), "delete_app": (APP, ""), "rotate_secret": (APP, "")}
    boxes = {"add_redirect": "http://127.0.0.1/x", "tick_scope": "control", "untick_scope": "control"}

    for action in ACTIONS:
        on_person = action.endswith(("user", "admin", "password"))
        target = named.get(action, (ADA if on_person else APP, boxes.get(action, "refresh_token")))
        done = controls.api("POST", "admin", {"action": action, "named": target[0], "box": target[1]})
        assert done["done"] == action
        assert ("client_secret" in done) is (action == "rotate_secret")

    app, person = core.app(APP), core.state.people[ADA]
    assert (app.deleted, person.enabled, person.admin) == (True, False, False)
    assert "refresh_token" not in app.grant_types
    assert "control" not in app.scopes
    assert "http://127.0.0.1/x" in app.redirects


def test_an_unknown_action_or_name_is_refused() -> None:
    controls = Controls(make_ninjaone())

    assert "revoke_grant" in controls.api("POST", "admin", {"action": "explode"}, status=400)["faults"][0]
    assert controls.api("POST", "admin", {"action": "delete_app", "named": "x"}, status=400) == {
        "faults": ["there is no 'x'"]
    }


def test_events_can_be_followed() -> None:
    core = make_ninjaone()
    controls = Controls(core)
    last = controls.api("GET", "events")[-1]["number"]

    Client(core).connect()

    names = [each["name"] for each in controls.api("GET", f"events?after={last}")]
    assert names == ["person.signed_in", "consent.given", "code.exchanged"]
    assert controls.api("GET", "grants")[0]["email"] == ADA


def test_unknown_controls_and_methods_are_not_found() -> None:
    controls = Controls(make_ninjaone())

    controls.api("GET", "nothing", status=404)
    controls.api("DELETE", "state", status=405)
    assert controls.form("nothing").status_code == 404


def test_the_page_lists_every_switch_fault_and_action() -> None:
    core = make_ninjaone()
    Client(core).connect()
    Client(core).token(grant_type="client_credentials")

    page = Controls(core).browser.get("/control").text

    for name in (*Switches().values(), *KINDS, *ACTIONS, ADA, "the app itself", "code.exchanged"):
        assert name in page


def test_the_forms_of_the_page_work_without_script() -> None:
    core = make_ninjaone()
    controls = Controls(core)

    replies = [
        controls.form("clock", advance="60"),
        controls.form("faults", fault="html_502", on="token", host="", times="", seconds="30"),
        controls.form("switches", rotation="static_same_token", iss="true"),
        controls.form("admin", action="disable_user", named=ADA, box=""),
    ]

    assert [(each.status_code, each.headers["Location"]) for each in replies] == [(303, "/control")] * 4
    assert core.now() == START + 60
    assert core.faults.planned[0].times is None
    assert (core.switches.rotation, core.switches.iss) == ("static_same_token", True)
    assert not core.state.people[ADA].enabled
    controls.form("faults", clear="1")
    controls.form("switches", defaults="1")
    assert core.faults.planned == []
    assert core.switches == Switches()


def test_the_page_groups_every_switch_and_names_it_in_words() -> None:
    named = [name for group in words.GROUPS.values() for name in group]
    values = {str(value).lower() for each in Switches().describe() for value in each["choices"]}

    assert sorted(named) == sorted(Switches().values())
    assert words.VALUES.keys() <= values
    assert words.ACTIONS.keys() == ACTIONS.keys()
    assert tuple(words.ENDPOINTS) == ENDPOINTS


def test_the_page_opens_the_group_whose_switches_were_changed() -> None:
    controls = Controls(make_ninjaone(rotation="rotate_grace"))
    page = controls.browser.get("/control").text

    assert page.count("<details open>") == 1
    assert "Tokens and refreshing <small>1 changed</small>" in page
    assert "a new one, and the old has a grace" in page


def test_a_mistake_in_a_form_is_shown_on_the_page() -> None:
    reply = Controls(make_ninjaone()).form("clock", advance="soon")

    assert reply.status_code == 400
    assert "advance must be a whole number of seconds" in reply.text


def test_pages_of_other_sites_cannot_press_the_buttons() -> None:
    core = make_ninjaone()
    browser = create_app(core).test_client()

    reply = browser.post("/control/clock", data={"advance": "60"}, headers={"Sec-Fetch-Site": "cross-site"})

    assert reply.status_code == 403
    assert core.now() == START


def test_the_index_lists_hosts_people_and_apps() -> None:
    page = Controls(make_ninjaone()).browser.get("/").text

    for text in ("acme.rmmservice.eu", "jp.ninjarmm.com", ADA, "さくら歯科", APP, "official"):
        assert text in page
    assert "Tidewater (eu)" not in page


def test_it_runs_alone_until_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ninjaone_emulator", "--port", "0", "--redirect-base", "http://127.0.0.1:9"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("ninjaone ").strip()
        clients = httpx.get(f"{url}/control/api/state").json()["clients"]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    finally:
        process.kill()
        process.communicate()

    assert "http://127.0.0.1:9/callback/eu" in clients[2]["redirects"]


def test_the_control_page_is_served_beside_the_hosts() -> None:
    with serve(create_app(make_ninjaone())) as server:
        assert httpx.get(f"{server.url}/control").status_code == 200
        assert httpx.get(f"{server.url}/").status_code == 200


def test_what_cites_the_evidence_page_cites_something_that_is_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "understand" / "ninjaone.md").read_text()
    sections = set(re.findall(r"^## (§\d+)", page, re.MULTILINE)) | set(re.findall(r"^\| (U\d+) ", page, re.MULTILINE))
    described = " ".join(each["section"] for each in Switches().describe())

    cited = set(re.findall(r"§\d+|U\d+", described + str(ninjaone_emulator.__doc__)))

    assert cited <= sections
    assert len(sections) == 10 + 29
