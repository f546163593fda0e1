"""The control page, and the same as JSON under /control/api."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from ninjaone_emulator.desk import ACTIONS, ControlPanel
from ninjaone_emulator.faults import ENDPOINTS, KINDS
from ninjaone_emulator.pages import render
from ninjaone_emulator.rejected import Rejected

EVENTS_SHOWN = 100

API: dict[tuple[str, str], Callable[[ControlPanel], Any]] = {
    ("GET", "state"): ControlPanel.state,
    ("GET", "switches"): lambda desk: desk.core.switches.describe(),
    ("POST", "switches"): lambda desk: desk.set_switches(_json()),
    ("PATCH", "switches"): lambda desk: desk.set_switches(_json()),
    ("DELETE", "switches"): ControlPanel.reset_switches,
    ("POST", "clock"): lambda desk: desk.advance(_json()),
    ("GET", "faults"): ControlPanel.faults,
    ("POST", "faults"): lambda desk: desk.plan(_json()),
    ("DELETE", "faults"): ControlPanel.clear_faults,
    ("POST", "clients"): lambda desk: desk.register(_json()),
    ("GET", "grants"): ControlPanel.grants,
    ("POST", "admin"): lambda desk: desk.act(_json()),
    ("GET", "events"): lambda desk: desk.events(after=request.args.get("after", 0, int)),
}

FORMS: dict[str, Callable[[ControlPanel, Mapping[str, str]], object]] = {
    "clock": ControlPanel.advance,
    "faults": lambda desk, form: desk.clear_faults() if "clear" in form else desk.plan(form),
    "switches": lambda desk, form: desk.reset_switches() if "defaults" in form else desk.set_switches(form),
    "admin": ControlPanel.act,
}


def control(desk: ControlPanel, lock: Lock) -> Blueprint:
    """Make the routes; each one holds the lock of the core while it runs."""
    blueprint = Blueprint("control", __name__)

    @blueprint.before_request
    def refuse_strangers() -> None:
        """Let no page of another site press these buttons."""
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method != "GET":
            abort(HTTPStatus.FORBIDDEN)

    @blueprint.get("/")
    def index() -> str:
        with lock:
            return _index(desk)

    @blueprint.get("/control")
    def page() -> str:
        with lock:
            return _page(desk)

    @blueprint.post("/control/<name>")
    def form(name: str) -> ResponseReturnValue:
        with lock:
            return _form(desk, name)

    @blueprint.route("/control/api/<name>", methods=["GET", "POST", "PATCH", "DELETE"])
    def api(name: str) -> ResponseReturnValue:
        with lock:
            return _api(desk, name)

    return blueprint


def _api(desk: ControlPanel, name: str) -> ResponseReturnValue:
    act = API.get((request.method, name))
    if act is None:
        known = name in {each for _, each in API}
        abort(HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND)
    try:
        return jsonify(act(desk))
    except Rejected as rejected:
        return jsonify(faults=rejected.faults), HTTPStatus.BAD_REQUEST


def _json() -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Rejected("the body must be a JSON object, sent as application/json")
    return body


def _form(desk: ControlPanel, name: str) -> ResponseReturnValue:
    if name not in FORMS:
        abort(HTTPStatus.NOT_FOUND)
    try:
        FORMS[name](desk, request.form.to_dict())
    except Rejected as rejected:
        return _page(desk, rejected.faults), HTTPStatus.BAD_REQUEST
    return redirect("/control", HTTPStatus.SEE_OTHER)


def _index(desk: ControlPanel) -> str:
    state = desk.core.state
    tenants = [
        (tenant, people)
        for tenant in state.tenants.values()
        if (people := [each for each in state.people.values() if each.tenant is tenant])
    ]
    return render("index.html", tenants=tenants, apps=state.apps.values())


def _page(desk: ControlPanel, faults: tuple[str, ...] = ()) -> str:
    return render(
        "control.html",
        faults=faults,
        time=datetime.fromtimestamp(desk.core.now(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        offset=desk.core.state.offset,
        planned=desk.faults(),
        kinds=KINDS,
        endpoints=ENDPOINTS,
        hosts=desk.core.state.hosts,
        switches=desk.core.switches.describe(),
        actions=ACTIONS,
        grants=desk.grants(),
        events=desk.events()[: -EVENTS_SHOWN - 1 : -1],
    )
