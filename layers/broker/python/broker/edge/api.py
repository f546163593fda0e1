"""Entries for backends: JSON in, JSON or problem details out (RFC 9457)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from broker import ninjaone, policy
from broker.adapters.clock import instant
from broker.edge.handler import Context, Entry, Warm, log_refusal, preload
from broker.edge.http import BODY_LIMIT, Event, Request, Response, security_headers
from broker.edge.problems import error_response, problem
from broker.edge.rate_limit import PRINCIPAL, TENANT
from broker.edge.wiring import Broker
from broker.edge.worker import Message, messages
from broker.errors import BindingMismatch, BrokerError, Fault, InvalidRequest, UnknownConnection
from broker.model import (
    Connection,
    ConnectionId,
    ConnectionRef,
    SessionId,
    TenantId,
    connection_id,
    session_id,
    tenant_id,
)

if TYPE_CHECKING:
    from broker.flows.connections import ListedConnection
    from broker.flows.pause import Pause

__all__ = [
    "Broker",
    "Request",
    "Response",
    "answer",
    "api",
    "connection_json",
    "listed_connection_json",
    "passed_on",
    "ref_of",
    "session_of",
    "tenant_of",
    "with_queue",
]  # fmt: skip

View = Callable[[Broker, Request], Response]


def api(views: Mapping[str, View], *, warm: Warm, body_limit: int = BODY_LIMIT) -> Entry[dict[str, Any]]:
    """Make a Lambda entry of the views of one privilege, by route key.

    Args:
        body_limit: bytes of a request body that are read
    """
    name = next(iter(views.values())).__name__

    def work(broker: Broker, event: Event, _context: Context) -> dict[str, Any]:
        request = Request.from_event(event, body_limit=body_limit)
        named = _named(request)
        broker.log.about(principal=request.caller, reference=request.request_id, **named)
        broker.limits.acquire(f"principal {request.caller}", PRINCIPAL)
        broker.limits.acquire(f"tenant {named['tenant']}", TENANT)
        return views[request.route](broker, request).to_event()

    def failed(broker: Broker, event: Event, error: BrokerError) -> dict[str, Any]:
        request = Request.from_event(event)
        answer = error_response(error)
        log_refusal(broker.log, name, error, level=answer.level, status=answer.status)
        headers = {"content-type": "application/problem+json; charset=utf-8"}
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        return _respond(answer.status, problem(error, request.request_id), headers).to_event()

    return preload(Entry(name, work, failed), warm)


def with_queue(entry: Entry[dict[str, Any]], view: Message) -> Entry[dict[str, Any]]:
    """Let an entry also handle queue messages, for a function that an API and a queue invoke."""
    work_messages = messages(view)

    def work(broker: Broker, event: Event, context: Context) -> dict[str, Any]:
        return (work_messages if "Records" in event else entry.work)(broker, event, context)

    return replace(entry, work=work)


def answer(body: Mapping[str, Any], *, status: int = 200) -> Response:
    """Answer with JSON."""
    return _respond(status, json.dumps(body), {"content-type": "application/json; charset=utf-8"})


def passed_on(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    """Answer with what NinjaOne answered; a header distinguishes it from an answer of the broker's own."""
    return Response(status, body, {**security_headers(), **headers, "x-ninjaone-connect": "passed"})


def tenant_of(request: Request) -> TenantId:
    """Read the tenant out of the path. Raises InvalidRequest."""
    found = tenant_id(request.path_parameters.get("tenant", ""))
    if found is None:
        raise InvalidRequest(Fault("tenant", "Use 1 to 64 letters, digits, dots, underscores and hyphens."))
    return found


def session_of(request: Request) -> SessionId:
    """Read the id of the connect session. Raises BindingMismatch if it is malformed, as for one that is not proved."""
    found = session_id(request.path_parameters.get("session", ""))
    if found is None:
        raise BindingMismatch
    return found


def ref_of(request: Request) -> ConnectionRef:
    """Read which connection is meant. Raises UnknownConnection if an id is malformed, as for one that is unknown."""
    found = connection_id(request.path_parameters.get("connection", ""))
    if found is None:
        raise UnknownConnection
    return ConnectionRef(tenant_of(request), ConnectionId(found))


def connection_json(broker: Broker, whole: Connection, *, pause: "Pause | None" = None) -> dict[str, Any]:
    """Return the JSON of a connection: the OpenAPI document's ``Connection``, with times in Unix seconds.

    Nothing sealed and nothing about the person is in it.
    """
    state, profile, now = whole.state, whole.profile, instant(broker.ports.clock)
    return {
        "connection_id": state.connection,
        "tenant_id": state.tenant,
        "status": "paused" if pause else state.status.value,
        "reason": state.reason.value if state.reason else None,
        "paused": pause and {name: getattr(pause, name) for name in ("held_by", "cause", "until", "detail")},
        "region": state.host.region,
        "host": state.host.name,
        "api_base_url": ninjaone.api_base_url(state.host),
        "client": "customer" if state.customer_app else "operator",
        "client_id": state.client_id,
        "label": profile.label,
        "scopes": ninjaone.scope_text(state.scopes).split(),
        "organizations": [{"id": each.id, "name": each.name} for each in profile.organizations],
        "metadata": dict(profile.metadata),
        "created_at": profile.created_at,
        "connected_at": profile.connected_at,
        "token_expires_at": state.token_expires_at,
        "refresh_at": state.refresh_at,
        "consent_ends_at": policy.consent_ends_at(state.consented_at, now),
        "probably_same_as": state.same_as,
        "version": state.version,
    }


def listed_connection_json(broker: Broker, listed: "ListedConnection") -> dict[str, Any]:
    """Return the JSON of a connection, with what holds it."""
    return connection_json(broker, listed.connection, pause=listed.pause)


def _named(request: Request) -> Mapping[str, str | None]:
    """Return the ids in the path, None for each that is malformed."""
    return {
        "tenant": tenant_id(request.path_parameters.get("tenant", "")),
        "session": session_id(request.path_parameters.get("session", "")),
        "connection": connection_id(request.path_parameters.get("connection", "")),
    }


def _respond(status: int, body: str, headers: Mapping[str, str]) -> Response:
    return Response(status, body, {**security_headers(), **headers})
