"""A FastAPI product whose users connect NinjaOne: uvicorn fastapi_product:app. Your sign-in sets the session's user."""

import os
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from ninjaone_connect import AsyncConnect, NeedsReauth, NinjaOneAuth, Problem, new_verifier

TENANTS = {"ana": "northwind", "ben": "southgate"}  # who works for which of your customers
RETURN_TO = os.environ.get("RETURN_TO", "main")
connect = AsyncConnect(os.environ["BACKEND_API_URL"])
auth = cache(lambda tenant, connection: NinjaOneAuth(connect, tenant, connection))  # keeps tokens between requests
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET"])


def signed_in(request: Request) -> tuple[str, str]:
    if (user := request.session.get("user")) not in TENANTS:
        raise HTTPException(401, "Sign in first.")
    return user, TENANTS[user]


@app.post("/ninjaone/connect")
async def begin(request: Request, connection: str | None = None) -> RedirectResponse:
    (user, tenant), mine = signed_in(request), new_verifier()
    opened = await connect.open_session(
        tenant,
        end_user_id=user,
        tenant_name=tenant.title(),
        return_to=RETURN_TO,
        binding_challenge=mine.challenge,
        connection_id=connection,  # to reconnect that one
    )
    request.session[opened.session_id] = mine.verifier
    return RedirectResponse(opened.connect_url, 303)


@app.get("/ninjaone/return")
async def come_back(request: Request, connect_session: str = "", ticket: str = "", error: str = "") -> RedirectResponse:
    if not connect_session:  # the button of a page that could not say which
        return RedirectResponse("/", 303)
    (user, tenant), verifier = signed_in(request), request.session.get(connect_session)
    if error or verifier is None:
        raise HTTPException(400, error or "This connection was not begun here.")
    made = await connect.complete(tenant, connect_session, end_user_id=user, ticket=ticket, binding_verifier=verifier)
    return RedirectResponse(f"/ninjaone/{made.connection_id}", 303)


@app.get("/ninjaone/{connection}")
async def organizations(request: Request, connection: str) -> Any:
    _, tenant = signed_in(request)
    base_url = (await connect.connection(tenant, connection)).api_base_url
    async with httpx.AsyncClient(auth=auth(tenant, connection), base_url=base_url) as ninjaone:
        return (await ninjaone.get("/v2/organizations")).raise_for_status().json()


@app.post("/ninjaone/{connection}/disconnect")
async def disconnect(request: Request, connection: str) -> dict[str, bool]:
    return {"revoked": (await connect.disconnect(signed_in(request)[1], connection)).revoked}


@app.exception_handler(Problem)
async def refused(_: Request, problem: Problem) -> JSONResponse:
    again = f"/ninjaone/connect?connection={problem.connection_id}" if isinstance(problem, NeedsReauth) else None
    return JSONResponse({"detail": problem.detail, "reconnect": again}, problem.status)
