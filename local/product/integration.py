"""The NinjaOne integration: connect, come back, use, reconnect, approve, disconnect.

Every call names the signed-in person's tenant and never one from the request.
"""

import base64
import hashlib
import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

import httpx
from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from local.product.backend import Backend, Json, Problem, ninjaone_problem
from local.product.people import USERS, User

CONSENT_WARNING = 7 * 86_400
"""Seconds before the end of a consent at which its customer is asked to agree again."""

RETURN_KEY = "main"
"""The broker's name for our return page, as the operator put it into RETURN_URLS."""

BEGUN_AT_MOST = 5
"""Connect sessions one browser may have open; they live in the session cookie, which has 4 KB."""

pages = Blueprint("ninjaone", __name__)


@dataclass(frozen=True)
class Outside:
    """What the integration reaches: the broker, NinjaOne's hosts, the time."""

    backend: Backend
    ninjaone: Callable[[str], str]
    now: Callable[[], float]


def outside() -> Outside:
    found: Outside = current_app.extensions["ninjaone"]
    return found


def user() -> User:
    found: User = g.user
    return found


@pages.before_request
def need_sign_in() -> Response | str | None:
    """Ask for a sign-in; on the return page without leaving its address, which `session open --complete` asks for."""
    g.user = USERS.get(session.get("user", ""))
    if g.user:
        return None
    if request.endpoint == "ninjaone.came_back":
        flash("Nobody is signed in here: what NinjaOne agreed to was not used. Sign in and connect again.")
        return render_template("sign_in.html", users=USERS.values())
    return redirect(url_for("sign_in"))


@pages.get("/integrations")
def integrations() -> str:
    found = outside().backend.connections(user().tenant.id)
    return render_template("integrations.html", connections=found, control=control_page())


def control_page() -> str:
    """Return where the emulator's control page is; empty where NinjaOne is not the emulator."""
    found = outside().ninjaone("https://app.ninjarmm.com")
    return urljoin(found, "/control") if urlsplit(found).path == "/app.ninjarmm.com" else ""


@pages.post("/ninjaone/connect")
def connect() -> Response | str:
    """Open a connect session and go there, or show the link when somebody else is to open it."""
    session_request = asked_for()
    if request.form.get("binding") == "approval":
        opened = outside().backend.open_session(
            user().tenant.id, {**session_request, "binding": "approval", "link_days": 7}
        )
        return render_template("link.html", url=opened["connect_url"], expires_at=opened["expires_at"])
    return leave_for(session_request, "NinjaOne is connected.")


@pages.post("/connections/<connection>/secret")
def new_secret(connection: str) -> Response:
    """Let the person enter the new secret of their own client app; they come back as from connecting."""
    asked = {**person(), "purpose": "client_secret", "connection_id": connection}
    return leave_for(asked, "The new client secret is stored. NinjaOne is asked with it now.")


def leave_for(session_request: Json, done: str) -> Response:
    """Open a connect session of this person's and go there.

    Args:
        done: what to say when they come back
    """
    verifier = secrets.token_urlsafe(32)
    opened = outside().backend.open_session(user().tenant.id, {**session_request, "binding_challenge": s256(verifier)})
    remember(opened["session_id"], verifier, done)
    return redirect(opened["connect_url"], 303)


def person() -> Json:
    return {"end_user_id": user().id, "tenant_name": user().tenant.name, "return_to": RETURN_KEY}


def asked_for() -> Json:
    """Return what the form asks of the broker; a reconnect asks for what the connection has."""
    session_request = person()
    if kept := request.form.get("connection"):
        old = outside().backend.connection(user().tenant.id, kept)
        if old["status"] == "disconnected":  # the page was open when somebody ended it: spare them the way to NinjaOne
            raise Problem(409, {"type": "urn:tidewater:not-active"})
        host = {"host": old["host"]} if old["region"] == "branded" else {"region": old["region"]}
        scopes = [scope for scope in old["scopes"] if scope != "offline_access"]
        return session_request | host | {"connection_id": kept, "client": old["client"], "scopes": scopes}
    if label := request.form.get("label", "").strip():
        session_request["label"] = label
    return session_request | {
        "client": request.form.get("client"),
        "scopes": ["monitoring", *request.form.getlist("scope")],
    }


def s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def remember(connect_session: str, verifier: str, done: str) -> None:
    """Store the verifier in this person's session: later it proves that they are the one who began."""
    begun = list(session.get("begun", {}).items())[1 - BEGUN_AT_MOST :]
    session["begun"] = {**dict(begun), connect_session: [verifier, "switch" in request.form, done]}


@pages.get("/ninjaone/return")
def came_back() -> Response | str:
    """Complete at once: NinjaOne's code lives about a minute, and this URL holds a ticket.

    The verifier is kept: whose answer was lost comes again, and is shown the connection that was made.
    """
    connect_session = request.args.get("connect_session", "")
    if not connect_session:
        return redirect(url_for("ninjaone.integrations"), 303)
    begun = session.get("begun", {})
    verifier, switch, done = begun.get(connect_session, (None, False, ""))
    if "error" in request.args:
        raise Problem(200, NOT_AGREED.get(request.args["error"], NINJAONE_FAILED))
    if verifier is None:
        raise Problem(403, NOT_BEGUN_HERE)
    fields = {
        "end_user_id": user().id,
        "ticket": request.args.get("ticket", ""),
        "binding_verifier": verifier,
        "confirm_account_change": switch,
    }
    made = outside().backend.complete(user().tenant.id, connect_session, fields)
    flash(ENDED_SINCE if made["status"] == "disconnected" else done)
    if made["probably_same_as"]:
        other = outside().backend.connection(user().tenant.id, made["probably_same_as"])
        flash(f"This is probably the same NinjaOne account as {other['label']}. You may disconnect one of the two.")
    return redirect(url_for("ninjaone.connection", connection=made["connection_id"]), 303)


NOT_AGREED = {
    "access_denied": {
        "type": "urn:tidewater:access-denied",
        "detail": "Access was denied at NinjaOne, so nothing was stored.",
    },
    "invalid_scope": {"type": "urn:tidewater:invalid-scope"},
    "unauthorized_client": {"type": "urn:tidewater:grant-not-ticked"},
}
"""What the broker says of an authorization without a code; its other values mean that NinjaOne failed."""
NINJAONE_FAILED = {"type": "urn:tidewater:ninjaone-fails", "title": "NinjaOne could not finish this"}
ENDED_SINCE = "This connection was made, and has been disconnected since. Connect again if you need it."
NOT_BEGUN_HERE = {
    "type": "urn:tidewater:binding-mismatch",
    "detail": "The link belongs to somebody else, or was used already. It connected nothing now.",
}


@pages.get("/connections/<connection>")
def connection(connection: str) -> str:
    return page(outside().backend.connection(user().tenant.id, connection))


def page(found: Json, **more: object) -> str:
    return render_template("connection.html", connection=found, now=int(outside().now()), **more)


@pages.get("/connections/<connection>/state")
def state(connection: str) -> Json:
    """Return to the page's script what may have changed."""
    found = outside().backend.connection(user().tenant.id, connection)
    facts = {name: found[name] for name in ("reason", "version", "token_expires_at")}
    return facts | {
        "status": shown_status(found),
        "now": int(outside().now()),
        "expires": utc(found["token_expires_at"]),
        "renewal": utc(found["refresh_at"]),
    }


def shown_status(connection: Json) -> str:
    """Return a connection's status; for an active one that is not simply well, what is the matter."""
    if connection["status"] != "active":
        return str(connection["status"])
    left = (connection["consent_ends_at"] or math.inf) - outside().now()
    if left <= 0:
        return "consent_over"
    if 0 < connection["token_expires_at"] <= outside().now():
        return "without_token"
    return "consent_ending" if left <= CONSENT_WARNING else "active"


def day(instant: int) -> str:
    """Write the day of an instant of the broker's (Unix seconds, shown in UTC)."""
    return f"{datetime.fromtimestamp(instant, UTC):%-d %b %Y}"


@pages.app_template_filter()
def utc(instant: int | None) -> str:
    """Write an instant of the broker's (Unix seconds) as people read it."""
    return f"{datetime.fromtimestamp(instant, UTC):%-d %b %Y, %H:%M:%S} UTC" if instant else "none planned"


@pages.post("/connections/<connection>/use")
def use(connection: str) -> str:
    """Ask for an access token and call NinjaOne with it; the token stays on the server."""
    token = outside().backend.token(user().tenant.id, connection)
    listed = organizations(token)
    found = outside().backend.connection(user().tenant.id, connection)
    return page(found, listed=listed, usable_until=token["expires_at"])


@pages.post("/connections/<connection>/call")
def call(connection: str) -> str:
    """Call NinjaOne through the broker: no token comes to this product."""
    listed = entries(outside().backend.through(user().tenant.id, connection, "/v2/organizations"))
    return page(outside().backend.connection(user().tenant.id, connection), listed=listed)


def organizations(token: Json) -> list[Json]:
    url = outside().ninjaone(token["api_base_url"] + "/v2/organizations")
    try:
        answer = httpx.get(
            url, headers={"Authorization": f"Bearer {token['access_token']}"}, timeout=10, trust_env=False
        )
        return entries(answer.raise_for_status().json())
    except httpx.HTTPStatusError as error:
        raise ninjaone_problem(error.response.status_code) from error
    except (httpx.HTTPError, ValueError) as error:
        raise ninjaone_problem(None) from error


def entries(answer: object) -> list[Json]:
    """Return a list of NinjaOne's. Raises Problem if the answer is something else."""
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise ninjaone_problem(None)
    return answer


@contextmanager
def done_already(slug: str) -> Iterator[None]:
    """Let a button be pressed twice: if the first press succeeded, the page shows its result.

    Args:
        slug: of the problem that says so
    """
    try:
        yield
    except Problem as problem:
        if problem.slug != slug:
            raise


@pages.post("/connections/<connection>/approve")
def approve(connection: str) -> Response:
    with done_already("not-pending"):
        outside().backend.approve(user().tenant.id, connection)
        flash("Approved: Tidewater may use this connection now.")
    return redirect(url_for("ninjaone.connection", connection=connection), 303)


@pages.post("/connections/<connection>/disconnect")
def disconnect(connection: str) -> Response:
    with done_already("not-active"):
        revoked = outside().backend.disconnect(user().tenant.id, connection)["revoked"]
        flash(
            "Disconnected, and NinjaOne has revoked the access."
            if revoked
            else "Disconnected here. NinjaOne did not confirm: remove the access there too, "
            "under Administration, Apps, API, OAuth Tokens."
        )
    return redirect(url_for("ninjaone.connection", connection=connection), 303)
