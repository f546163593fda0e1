"""The part of the public API that a broker needs, and its errors (docs/understand/ninjaone.md §6, §8)."""

import re
from dataclasses import replace

from ninjaone_emulator import family, lists
from ninjaone_emulator.errors import api_failure, api_json, api_refused
from ninjaone_emulator.message import RepeatedParameter, Reply, Request
from ninjaone_emulator.state import AccessToken, State

_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)


def answer(state: State, request: Request) -> Reply:
    """Answer an API request.

    Order: the header, the token, the resource, what the token may do.
    """
    header = request.headers.get("authorization", "")
    if not header:
        return api_refused(state, "missing_header")
    bearer = _BEARER.fullmatch(header)
    if bearer is None:
        return api_refused(state, "invalid_header")
    token = state.access_tokens.get(bearer[1])
    if token is None or not family.accepts(state, request.host, token):
        return api_refused(state, "not_authenticated")
    return _resource(state, request, token)


def _resource(state: State, request: Request, token: AccessToken) -> Reply:
    path = request.path.removeprefix("/api")
    if list_of := lists.find(request.method, path):
        return _list(state, replace(request, path=path), token, list_of)
    if (request.method, path) == ("POST", "/v2/ticketing/ticket"):
        return _ticket(state, token)
    return api_failure(state, 404)


def _list(state: State, request: Request, token: AccessToken, list_of: lists.Family) -> Reply:
    """Answer one page of a list, if the token may read it."""
    person = token.grant.person
    kept_out = state.switches.organizations_need_admin and person is not None and not person.admin
    if kept_out or "monitoring" not in token.scope:
        return api_refused(state, "insufficient_privileges")
    try:
        return list_of(state, request, lists.organizations(state, token.grant.tenant))
    except (RepeatedParameter, TypeError, ValueError):
        return api_failure(state, 400)


def _ticket(state: State, token: AccessToken) -> Reply:
    """Write a ticket, which needs a person behind the token and the management scope."""
    if token.grant.person is None:
        return api_refused(state, "user_context_required")
    if "management" not in token.scope:
        return api_refused(state, "insufficient_privileges")
    state.record("ticket.written", grant=token.grant.id)
    return api_json(state, 200, {"id": 1001, "status": {"name": "NEW"}})
