"""The part of the public API that a broker needs, and its ways of saying no (docs/understand/ninjaone.md §6, §8)."""

import re
from typing import Any

from ninjaone_emulator import family
from ninjaone_emulator.errors import api_failure, api_json, api_refused
from ninjaone_emulator.message import RepeatedParameter, Reply, Request
from ninjaone_emulator.state import AccessToken, State, Tenant

_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_CLASSES = ("WINDOWS_SERVER", "WINDOWS_WORKSTATION", "MAC")


def answer(state: State, request: Request) -> Reply:
    """Answer an API request.

    Order   the header, the token, the resource, what the token may do
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
    match (request.method, request.path.removeprefix("/api")):
        case ("GET", "/v2/organizations"):
            return _list(state, request, token, _organizations(token.grant.tenant))
        case ("GET", "/v2/devices"):
            return _list(state, request, token, _devices(token.grant.tenant))
        case ("POST", "/v2/ticketing/ticket"):
            return _ticket(state, token)
        case _:
            return api_failure(state, 404)


def _list(state: State, request: Request, token: AccessToken, rows: list[dict[str, Any]]) -> Reply:
    """Answer one page of a list: a bare array, after the last id of the page before."""
    person = token.grant.person
    kept_out = state.switches.organizations_need_admin and person is not None and not person.admin
    if kept_out or "monitoring" not in token.scope:
        return api_refused(state, "insufficient_privileges")
    try:
        params = request.params()
        size, after = int(params.get("pageSize", "1000")), int(params.get("after", "0"))
    except (RepeatedParameter, ValueError):
        return api_failure(state, 400)
    return api_json(state, 200, [row for row in rows if row["id"] > after][:size])


def _organizations(tenant: Tenant) -> list[dict[str, Any]]:
    return [{"id": each.id, "name": each.name} for each in tenant.organizations]


def _devices(tenant: Tenant) -> list[dict[str, Any]]:
    """Give every organization one device of each class."""
    pairs = [(each, kind) for each in tenant.organizations for kind in _CLASSES]
    return [
        {
            "id": number,
            "organizationId": organization.id,
            "nodeClass": kind,
            "systemName": f"{kind.replace('_', '-')}-{organization.id}",
            "offline": number % 4 == 0,
        }
        for number, (organization, kind) in enumerate(pairs, start=1)
    ]


def _ticket(state: State, token: AccessToken) -> Reply:
    """Write a ticket, which needs a person behind the token and the management scope."""
    if token.grant.person is None:
        return api_json(state, 403, {"resultCode": "user_context_required", "incidentId": state.incident()})
    if "management" not in token.scope:
        return api_refused(state, "insufficient_privileges")
    state.record("ticket.written", grant=token.grant.id)
    return api_json(state, 200, {"id": 1001, "status": {"name": "NEW"}})
