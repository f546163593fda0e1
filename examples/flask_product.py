"""A Flask product whose users connect NinjaOne: flask --app flask_product run. Your sign-in sets the session's user."""

import os
from functools import cache
from typing import Any

import httpx
from flask import Flask, abort, redirect, request, session
from werkzeug.wrappers import Response

from ninjaone_connect import Connect, NeedsReauth, NinjaOneAuth, Problem, new_verifier

TENANTS = {"ana": "northwind", "ben": "southgate"}  # who works for which of your customers
RETURN_TO = os.environ.get("RETURN_TO", "main")
connect = Connect(os.environ["BACKEND_API_URL"])
auth = cache(lambda tenant, connection: NinjaOneAuth(connect, tenant, connection))  # keeps tokens between requests
app = Flask(__name__)
app.config.update(SECRET_KEY=os.environ["SECRET"], SESSION_COOKIE_SAMESITE="Lax")


def signed_in() -> tuple[str, str]:
    if (user := session.get("user")) not in TENANTS:
        abort(401, "Sign in first.")
    return user, TENANTS[user]


@app.post("/ninjaone/connect")
def begin() -> Response:
    (user, tenant), mine = signed_in(), new_verifier()
    opened = connect.open_session(
        tenant,
        end_user_id=user,
        tenant_name=tenant.title(),
        return_to=RETURN_TO,
        binding_challenge=mine.challenge,
        connection_id=request.args.get("connection"),  # to reconnect that one
    )
    session[opened.session_id] = mine.verifier
    return redirect(opened.connect_url, 303)


@app.get("/ninjaone/return")
def come_back() -> Response:
    (user, tenant), query = signed_in(), request.args
    if "connect_session" not in query:  # the button of a page that could not say which
        return redirect("/", 303)
    verifier = session.get(query["connect_session"])
    if "error" in query or verifier is None:
        abort(400, query.get("error", "This connection was not begun here."))
    made = connect.complete(
        tenant, query["connect_session"], end_user_id=user, ticket=query.get("ticket", ""), binding_verifier=verifier
    )
    return redirect(f"/ninjaone/{made.connection_id}", 303)


@app.get("/ninjaone/<connection>")
def organizations(connection: str) -> Any:
    _, tenant = signed_in()
    base_url = connect.connection(tenant, connection).api_base_url
    with httpx.Client(auth=auth(tenant, connection), base_url=base_url) as ninjaone:
        return ninjaone.get("/v2/organizations").raise_for_status().json()


@app.post("/ninjaone/<connection>/disconnect")
def disconnect(connection: str) -> dict[str, bool]:
    return {"revoked": connect.disconnect(signed_in()[1], connection).revoked}


@app.errorhandler(Problem)
def refused(problem: Problem) -> tuple[dict[str, str | None], int]:
    again = f"/ninjaone/connect?connection={problem.connection_id}" if isinstance(problem, NeedsReauth) else None
    return {"detail": problem.detail, "reconnect": again}, problem.status
