"""The web application: who is signed in, what every page carries, and what a refusal looks like."""

import json
import secrets
import time
from collections.abc import Callable

from botocore.credentials import Credentials
from flask import Flask, Response, abort, current_app, flash, redirect, render_template, request, session, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from local.product import integration
from local.product.backend import Backend, Problem, Refused
from local.product.people import PRODUCT_NAME, USERS
from local.product.words import title, to_do

RETURN_KEY = integration.RETURN_KEY


def create_app(
    api_url: str,
    connect_url: str,
    credentials: Credentials,
    ninjaone: Callable[[str], str] = str,
    *,
    now: Callable[[], float] = time.time,
) -> Flask:
    """Make the product.

    Args:
        ninjaone: where a real NinjaOne URL is found from here; ``str`` leaves it as it is
        now: the clock that "expires in" counts by
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_NAME="tidewater",  # cookies do not keep the ports of a host apart
        SESSION_COOKIE_SAMESITE="Lax",  # Strict would not be sent on the way back from NinjaOne
        SESSION_COOKIE_SECURE=not connect_url.startswith("http://127.0.0.1"),
    )
    app.extensions["ninjaone"] = integration.Outside(Backend(api_url, credentials), ninjaone, now)
    app.jinja_env.globals.update(
        product=PRODUCT_NAME, form_token=form_token, shown_status=integration.shown_status, day=integration.day
    )
    app.before_request(refuse_foreign_forms)
    app.after_request(lambda response: harden(response, connect_url))
    app.register_error_handler(Problem, show)
    app.register_error_handler(HTTPException, show_http)
    app.add_url_rule("/", view_func=home)
    app.add_url_rule("/sign-in", view_func=sign_in, methods=["GET", "POST"])
    app.add_url_rule("/sign-out", view_func=sign_out, methods=["POST"])
    app.register_blueprint(integration.pages)
    return app


def home() -> Answer:
    return redirect(url_for("ninjaone.integrations"))


def sign_in() -> Answer | str:
    if request.method == "GET":
        return render_template("sign_in.html", users=USERS.values())
    user = USERS.get(request.form.get("user", ""))
    if user is None:
        flash("Choose who you are.")
        return redirect(url_for("sign_in"), 303)
    session.clear()  # nothing that was begun by someone else lives on in this browser
    session["user"] = user.id
    return redirect(url_for("ninjaone.integrations"), 303)


def sign_out() -> Answer:
    session.clear()
    return redirect(url_for("sign_in"), 303)


def form_token() -> str:
    """Return the token that every form of this browser carries."""
    return str(session.setdefault("form_token", secrets.token_urlsafe(32)))


def refuse_foreign_forms() -> None:
    """Refuse a form that another site made the browser send."""
    sent = request.form.get("form_token", "")
    if request.method == "POST" and not secrets.compare_digest(sent.encode(), form_token().encode()):
        abort(400, "This form is out of date.")


def harden(response: Response, connect_url: str) -> Response:
    """Set what keeps a page private; form-action names the broker, for it also rules a form's redirects."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
        f"form-action 'self' {connect_url}; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"  # the return URL carries a ticket
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def show(problem: Problem) -> tuple[str, int]:
    if isinstance(problem, Refused):
        current_app.logger.warning("The broker refused: %s %s", problem.status, json.dumps(problem.said))
    page = render_template("problem.html", problem=problem, title=title(problem), to_do=to_do(problem))
    return page, problem.status


def show_http(error: HTTPException) -> tuple[str, int]:
    """Make a page of an error that is the product's own: an address that is none, an old form, a bug."""
    status = error.code or 500
    known = OWN_ERRORS.get(status, {"title": error.name, "detail": error.description})
    return show(Problem(status, {"type": f"urn:tidewater:{status}", "detail": error.description} | known))


OWN_ERRORS = {
    404: {"title": "There is no such page", "detail": "The address is wrong, or what it led to is gone."},
    500: {"title": "Something went wrong here", "detail": "It is Tidewater's fault, and it is in Tidewater's log."},
}
