"""The showroom: what happens behind the integration, as a picture, with switches that make it fail.

A real product does not need it: only the local world mounts it, and only there can anything be switched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from local.product.backend import Json
from local.product.integration import need_sign_in, outside, user
from local.showroom.faults import FAULTS
from local.showroom.poller import Figures
from local.showroom.timeline import STEPS, Mark, Showroom

SHOWN = 14
"""Marks of one timeline."""
SLOT, EDGE = 92, 52
"""Units between two marks, and before the first."""

SHAPES = {
    "connected": "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0z",
    "refreshed": "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z",
    "called": "M-8-2h9v-4l7 6l-7 6v-4h-9z",
    "rescued": "M-8-3h5v-5h6v5h5v6h-5v5h-6v-5h-5z",
    "failed": "M-7-4l3-3l4 4l4-4l3 3l-4 4l4 4l-3 3l-4-4l-4 4l-3-3l4-4z",
    "killed": "M2-10l-8 12h5l-2 8l9-12h-5z",
    "needs_reauth": "M0-9l9 16h-18z",
    "recovered": "M-8 0l3-3l3 3l6-7l3 3l-9 10z",
    "consent_ending": "M-6-8h12l-5 8l5 8h-12l5-8z",
    "disconnected": "M-7-7h14v14h-14z",
    "pending_approval": "M0-9l9 9l-9 9l-9-9z",
    "paused": "M-6-8h4v16h-4zM2-8h4v16h-4z",
    "client_app_refused": "M-8 0l4-7h8l4 7l-4 7h-8z",
    "resumed": "M-5-8l12 8l-12 8z",
    "moved": "M-9-6l8 6l-8 6zM1-6l8 6l-8 6z",
    "switched": "M-1-18h2v36h-2z",
    "ended": "M-8-2h16v4h-16z",
}
NAMES = {
    "connected": "issued",
    "needs_reauth": "needs reauth",
    "consent_ending": "consent ending",
    "pending_approval": "to be approved",
    "client_app_refused": "app refused",
    "moved": "clock",
    "switched": "switch",
    "ended": "token ended",
}
BECOMES = {
    "connected": "active",
    "recovered": "active",
    "resumed": "active",
    "needs_reauth": "needs_reauth",
    "paused": "paused",
    "client_app_refused": "paused",
    "disconnected": "disconnected",
    "pending_approval": "pending_approval",
}
"""Event → the connection's status after it."""

pages = Blueprint("showroom", __name__, url_prefix="/showroom")
pages.before_request(need_sign_in)


def mount(app: Flask, showroom: Showroom) -> None:
    """Add the showroom's pages to a product."""
    app.extensions["showroom"] = showroom
    app.jinja_env.globals["has_showroom"] = True
    app.register_blueprint(pages)


def showroom() -> Showroom:
    found: Showroom = current_app.extensions["showroom"]
    return found


@dataclass(frozen=True)
class Spot:
    """A mark in the picture.

    Attributes:
        gap: how long after the one before
        status: from here on: the connection's, or `failing` and `ended` while it is active without success or token;
            empty before anything is known
    """

    mark: Mark
    x: int
    shape: str
    name: str
    gap: str
    status: str


@dataclass(frozen=True)
class Lane:
    """One connection with its picture."""

    connection: Json
    spots: list[Spot]
    now: int

    @property
    def width(self) -> int:
        return 2 * EDGE + SLOT * max(len(self.spots) - 1, 0)

    @property
    def plan(self) -> str:
        """Return when the token expires, and when NinjaOne is called again."""
        if self.connection["status"] == "disconnected":
            return "Nothing more happens: it is disconnected."
        token, due = self.connection["token_expires_at"], self.connection["refresh_at"]
        ends = (
            f"The access token {'ends' if token > self.now else 'ended'} {distance(token - self.now)}" if token else ""
        )
        what = "NinjaOne is asked again" if self.connection["status"] == "needs_reauth" else "The next refresh is due"
        asks = f"{what} {distance(due - self.now)}, at {clock(due)}" if due else "No refresh is planned"
        return ". ".join(part for part in (ends, asks) if part) + "."


@pages.get("")
def page() -> str:
    showroom().watch()
    panel = showroom().panel
    switches = {"faults": FAULTS, "on": panel.on, "short": panel.is_short, "steps": STEPS}
    return render_template("showroom.html", **seen(), **switches)


@pages.get("/live")
def live() -> str:
    """Return to the page's script what changes on it."""
    return render_template("showroom_live.html", **seen())


def seen() -> dict[str, Any]:
    here, found = showroom(), outside().backend.connections(user().tenant.id)
    here.notice()
    return {
        "now": int(here.now()),
        "switched_on": here.switched_on(),
        "is_well": not (here.panel.what() or here.kills),
        "counts": [(each, each.tenants.get(user().tenant.id, Figures())) for each in here.poller.counts[::-1][:8]],
        "lanes": [lane(each) for each in found],
    }


def lane(connection: Json) -> Lane:
    """Draw the latest of a connection, from when it was made."""
    now, ends = int(showroom().now()), connection["token_expires_at"]
    if ends and ends <= now and connection["status"] != "disconnected":
        showroom().note_ended(connection["connection_id"], ends)
    marks = showroom().marks(connection["connection_id"], connection["client_id"])
    begun = next((place for place, mark in enumerate(marks) if mark.about == connection["connection_id"]), len(marks))
    return Lane(connection, spots(marks[begun:]), now)


def spots(marks: list[Mark]) -> list[Spot]:
    """Place the latest marks side by side: a clock that is moved by days leaves no room for a scale."""
    found: list[Spot] = []
    status, before = "", marks[0].at if marks else 0.0
    for number, mark in enumerate(marks):
        status = after(status, mark.kind)
        x = EDGE + SLOT * (number - max(len(marks) - SHOWN, 0))
        name = NAMES.get(mark.kind, mark.kind)
        found.append(Spot(mark, x, SHAPES[mark.kind], name, span(mark.at - before), status))
        before = mark.at
    return found[-SHOWN:]


def after(status: str, kind: str) -> str:
    """Return what a mark makes of a status."""
    if kind in {"failed", "killed"} and status == "active":
        return "failing"
    if kind == "ended" and status in {"active", "failing", "paused"}:
        return "ended"
    if kind in {"refreshed", "rescued"} and status in {"failing", "ended"}:
        return "active"
    return BECOMES.get(kind, status)


def distance(seconds: float) -> str:
    """Write how far a time is from now, either way."""
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def span(seconds: float) -> str:
    """Write how long something took, in its two greatest units."""
    left, words = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


@pages.app_template_filter()
def clock(instant: float) -> str:
    """Write a time of day."""
    return f"{datetime.fromtimestamp(instant, UTC):%-d %b %H:%M:%S}"


@pages.post("/fault")
def fault() -> Response:
    showroom().turn(chosen("fault", FAULTS))
    return back()


@pages.post("/tokens")
def tokens() -> Response:
    showroom().shorten(short=request.form.get("short") == "yes")
    return back()


@pages.post("/kill")
def kill() -> Response:
    showroom().kill()
    return back()


@pages.post("/travel")
def travel() -> Response:
    showroom().travel(chosen("step", STEPS))
    return back()


def chosen(field: str, known: Mapping[str, object]) -> str:
    """Read which one of these the form names."""
    name = request.form.get(field, "")
    if name not in known:
        abort(400, "There is no such switch.")
    return name


def back() -> Response:
    return redirect(url_for("showroom.page", _anchor="happened"), 303)
