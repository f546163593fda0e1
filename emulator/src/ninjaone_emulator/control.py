"""The control page, and the same as JSON under /control/api."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from ninjaone_emulator import words
from ninjaone_emulator.control_panel import ControlPanel
from ninjaone_emulator.faults import KINDS
from ninjaone_emulator.pages import render
from ninjaone_emulator.rejected import Rejected

EVENTS_SHOWN = 100

API: dict[tuple[str, str], Callable[[ControlPanel], Any]] = {
    ("GET", "state"): ControlPanel.state,
    ("GET", "switches"): lambda panel: panel.core.switches.describe(),
    ("POST", "switches"): lambda panel: panel.set_switches(_json()),
    ("PATCH", "switches"): lambda panel: panel.set_switches(_json()),
    ("DELETE", "switches"): ControlPanel.reset_switches,
    ("POST", "clock"): lambda panel: panel.advance(_json()),
    ("GET", "faults"): ControlPanel.faults,
    ("POST", "faults"): lambda panel: panel.plan(_json()),
    ("DELETE", "faults"): ControlPanel.clear_faults,
    ("POST", "clients"): lambda panel: panel.register(_json()),
    ("GET", "grants"): ControlPanel.grants,
    ("POST", "admin"): lambda panel: panel.act(_json()),
    ("GET", "events"): lambda panel: panel.events(after=request.args.get("after", 0, int)),
}

FORMS: dict[str, Callable[[ControlPanel, Mapping[str, str]], object]] = {
    "clock": ControlPanel.advance,
    "faults": lambda panel, form: panel.clear_faults() if "clear" in form else panel.plan(form),
    "switches": lambda panel, form: panel.reset_switches() if "defaults" in form else panel.set_switches(form),
    "admin": ControlPanel.act,
}


def control(panel: ControlPanel, lock: Lock) -> Blueprint:
    """Make the routes; each one holds the lock of the core while it runs."""
    blueprint = Blueprint("control", __name__)

    @blueprint.before_request
    def refuse_strangers() -> None:
        """Refuse forms that another site's page sent."""
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method != "GET":
            abort(HTTPStatus.FORBIDDEN)

    @blueprint.get("/")
    def index() -> str:
        with lock:
            return _index(panel)

    @blueprint.get("/control")
    def page() -> str:
        with lock:
            return _page(panel)

    @blueprint.post("/control/<name>")
    def form(name: str) -> ResponseReturnValue:
        with lock:
            return _form(panel, name)

    @blueprint.route("/control/api/<name>", methods=["GET", "POST", "PATCH", "DELETE"])
    def api(name: str) -> ResponseReturnValue:
        with lock:
            return _api(panel, name)

    return blueprint


def _api(panel: ControlPanel, name: str) -> ResponseReturnValue:
    act = API.get((request.method, name))
    if act is None:
        known = name in {each for _, each in API}
        abort(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND)
    try:
        return jsonify(act(panel))
    except Rejected as rejected:
        return jsonify(faults=rejected.faults), HTTPStatus.BAD_REQUEST


def _json() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Rejected("the body must be a JSON object, sent as application/json")
    return body


def _form(panel: ControlPanel, name: str) -> ResponseReturnValue:
    if name not in FORMS:
        abort(HTTPStatus.NOT_FOUND)
    try:
        FORMS[name](panel, request.form.to_dict())
    except Rejected as rejected:
        return _page(panel, rejected.faults), HTTPStatus.BAD_REQUEST
    return redirect("/control", HTTPStatus.SEE_OTHER)


def _index(panel: ControlPanel) -> str:
    state = panel.core.state
    tenants = [
        (tenant, people)
        for tenant in state.tenants.values()
        if (people := [each for each in state.people.values() if each.tenant is tenant])
    ]
    return render("index.html", tenants=tenants, apps=state.apps.values())


def _page(panel: ControlPanel, faults: tuple[str, ...] = ()) -> str:
    return render(
        "control.html",
        faults=faults,
        time=datetime.fromtimestamp(panel.core.now(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        offset=panel.core.state.offset,
        planned=panel.faults(),
        kinds=KINDS,
        endpoints=words.ENDPOINTS,
        hosts=panel.core.state.hosts,
        groups=_groups(panel),
        value=words.value,
        actions=words.ACTIONS,
        named=[*panel.core.state.apps, *panel.core.state.people, *panel.core.state.grants],
        grants=panel.grants(),
        events=panel.events()[: -EVENTS_SHOWN - 1 : -1],
    )


def _groups(panel: ControlPanel) -> list[dict[str, Any]]:
    """Put the switches under their headings, with how many of each group are not as they are by default."""
    described = {each["name"]: each for each in panel.core.switches.describe()}
    groups = []
    for title, names in words.GROUPS.items():
        switches = [{**described[name], "title": named} for name, named in names.items()]
        changed = sum(each["value"] != each["default"] for each in switches)
        groups.append({"title": title, "switches": switches, "changed": changed})
    return groups
