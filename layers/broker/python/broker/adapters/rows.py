"""Rows as DynamoDB holds them: the nouns of the model, to items and back.

A reader takes what it knows and gives the rest its default, so that the release before and the release
after read each other's rows; ``schema`` says which release wrote one.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from broker.model import (
    Binding,
    ConnectionId,
    ConnectionState,
    Host,
    Instant,
    Organization,
    Profile,
    Reason,
    Session,
    SessionId,
    SessionPurpose,
    Stage,
    Status,
    TenantId,
)

Item = dict[str, dict[str, Any]]
SCHEMA = 1
PROFILE = "#profile"
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a row raises that a later release wrote, or that was damaged."""

SEALED = ("access", "refresh", "client")
"""Attributes of connections that hold sealed values."""

_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("tenant", "connection", "status", "reason", "region", "host", "client_id", "scopes"), "S"),
    **dict.fromkeys(("attempt", "cause", "same_as", "label", "organizations", "metadata"), "S"),
    **dict.fromkeys(("version", "fence", "epoch", "token_expires_at", "sent_at", "consented_at", "refresh_at"), "N"),
    **dict.fromkeys(("due_shard", "lease_until", "tried_at", "failures", "struck_at", "ended_at"), "N"),
    **dict.fromkeys(("active_until", "warned_at", "created_at", "connected_at"), "N"),
    **dict.fromkeys(SEALED, "B"),
    **dict.fromkeys(("customer_app", "outcome_unknown"), "BOOL"),
}
"""What kind of value each attribute of a connection is; one of another kind makes its row unreadable, here and now,
not in the middle of a refresh."""


def value(thing: Any) -> dict[str, Any]:
    """Write one attribute value."""
    if isinstance(thing, bool):
        return {"BOOL": thing}
    if isinstance(thing, int):
        return {"N": str(thing)}
    if isinstance(thing, bytes):
        return {"B": thing}
    if isinstance(thing, frozenset):
        return {"SS": sorted(thing)}
    return {"S": str(thing)}


def item(fields: Mapping[str, Any]) -> Item:
    """Write an item; what is None is left out."""
    return {name: value(thing) for name, thing in fields.items() if thing is not None}


def plain(row: Item) -> dict[str, Any]:
    """Read an item's scalars."""
    return {name: _READ[kind](text) for name, cell in row.items() for kind, text in cell.items() if kind in _READ}


def _checked(row: Item) -> dict[str, Any]:
    """Read a connection's scalars. Raises   UNREADABLE"""
    for name, cell in row.items():
        if _KINDS.get(name) not in (None, *cell):
            raise TypeError(name)
    return plain(row)


_READ: Mapping[str, Callable[[Any], Any]] = {"S": str, "N": int, "B": bytes, "BOOL": bool, "SS": frozenset}


def key(tenant: TenantId, connection: str) -> Item:
    """The key of a connection's row."""
    return {"tenant": {"S": tenant}, "connection": {"S": connection}}


def connection_state_item(row: ConnectionState) -> Item:
    """Write a hot row."""
    return item(
        {
            "tenant": row.tenant,
            "connection": row.connection,
            "status": row.status.value,
            "reason": row.reason and row.reason.value,
            "region": row.host.region,
            "host": row.host.name,
            "client_id": row.client_id,
            "customer_app": row.customer_app or None,
            "version": row.version,
            "fence": row.fence,
            "epoch": row.epoch,
            "token_expires_at": row.token_expires_at,
            "sent_at": row.sent_at,
            "consented_at": row.consented_at,
            "scopes": _words(row.scopes),
            "access": row.access,
            "refresh": row.refresh,
            "refresh_at": row.refresh_at,
            "due_shard": row.due_shard,
            "lease_until": row.lease_until,
            "attempt": row.attempt,
            "tried_at": row.tried_at,
            "failures": row.failures or None,
            "cause": row.cause or None,
            "struck_at": row.struck_at,
            "outcome_unknown": row.outcome_unknown or None,
            "ended_at": row.ended_at,
            "active_until": row.active_until,
            "warned_at": row.warned_at,
            "same_as": row.same_as,
            "schema": SCHEMA,
        }
    )


def connection_state(row: Item) -> ConnectionState:
    """Read a hot row, whole or projected. Raises   UNREADABLE"""
    fields = _checked(row)
    return ConnectionState(
        tenant=TenantId(fields["tenant"]),
        connection=ConnectionId(fields["connection"]),
        status=Status(fields["status"]),
        reason=Reason(fields["reason"]) if "reason" in fields else None,
        host=Host(fields.get("region", ""), fields.get("host", "")),
        client_id=fields.get("client_id", ""),
        customer_app=fields.get("customer_app", False),
        version=fields.get("version", 0),
        fence=fields.get("fence", 0),
        epoch=fields.get("epoch", 0),
        token_expires_at=Instant(fields.get("token_expires_at", 0)),
        sent_at=Instant(fields.get("sent_at", 0)),
        consented_at=Instant(fields.get("consented_at", 0)),
        scopes=frozenset(fields.get("scopes", "").split()),
        access=fields.get("access"),
        refresh=fields.get("refresh"),
        refresh_at=fields.get("refresh_at"),
        due_shard=fields.get("due_shard"),
        lease_until=fields.get("lease_until"),
        attempt=fields.get("attempt"),
        tried_at=fields.get("tried_at"),
        failures=fields.get("failures", 0),
        cause=fields.get("cause", ""),
        struck_at=fields.get("struck_at"),
        outcome_unknown=fields.get("outcome_unknown", False),
        ended_at=fields.get("ended_at"),
        active_until=fields.get("active_until"),
        warned_at=fields.get("warned_at"),
        same_as=fields.get("same_as"),
    )


def profile_item(row: Profile) -> Item:
    """Write a profile row."""
    return item(
        {
            "tenant": row.tenant,
            "connection": row.connection + PROFILE,
            "label": row.label,
            "organizations": json.dumps([[each.id, each.name] for each in row.organizations]),
            "metadata": json.dumps(dict(row.metadata)),
            "created_at": row.created_at,
            "connected_at": row.connected_at,
            "client": row.client,
            "schema": SCHEMA,
        }
    )


def profile(row: Item) -> Profile:
    """Read a profile row, whole or projected. Raises   UNREADABLE"""
    fields = _checked(row)
    metadata = json.loads(fields.get("metadata", "{}"))
    if not isinstance(metadata, dict):
        raise TypeError("metadata")
    return Profile(
        tenant=TenantId(fields["tenant"]),
        connection=ConnectionId(fields["connection"].removesuffix(PROFILE)),
        label=fields.get("label", ""),
        organizations=tuple(
            Organization(number, name) for number, name in json.loads(fields.get("organizations", "[]"))
        ),
        metadata=metadata,
        created_at=Instant(fields.get("created_at", 0)),
        connected_at=Instant(fields.get("connected_at", 0)),
        client=fields.get("client"),
    )


def session_item(row: Session) -> Item:
    """Write a connect session."""
    return item(
        {
            "session": row.session,
            "tenant": row.tenant,
            "tenant_name": row.tenant_name,
            "connect_url": row.connect_url,
            "stage": row.stage.value,
            "binding": row.binding.value,
            "purpose": None if row.purpose is SessionPurpose.CONNECT else row.purpose.value,
            "return_to": row.return_to,
            "scopes": _words(row.scopes),
            "label": row.label,
            "metadata": json.dumps(dict(row.metadata)),
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "customer_app": row.customer_app,
            "end_user": row.end_user,
            "challenge": row.challenge,
            "connection": row.connection,
            "account": row.account or None,
            "region": row.host and row.host.region,
            "host": row.host and row.host.name,
            "fixed_host": row.fixed_host or None,
            "client_id": row.client_id or None,
            "client": row.client,
            "fixed_client": row.fixed_client or None,
            "failures": row.failures,
        }
    )


def session(row: Item) -> Session:
    """Read a connect session, whole or projected."""
    fields = plain(row)
    host = Host(fields["region"], fields["host"]) if "region" in fields else None
    return Session(
        session=SessionId(fields["session"]),
        tenant=TenantId(fields.get("tenant", "")),
        tenant_name=fields.get("tenant_name", ""),
        connect_url=fields.get("connect_url", ""),
        stage=Stage(fields.get("stage", "failed")),
        binding=Binding(fields.get("binding", "session")),
        purpose=SessionPurpose(fields.get("purpose", "connect")),
        return_to=fields.get("return_to", ""),
        scopes=frozenset(fields.get("scopes", "").split()),
        label=fields.get("label", ""),
        metadata=json.loads(fields.get("metadata", "{}")),
        created_at=Instant(fields.get("created_at", 0)),
        expires_at=Instant(fields.get("expires_at", 0)),
        customer_app=fields.get("customer_app", False),
        end_user=fields.get("end_user", ""),
        challenge=fields.get("challenge", ""),
        connection=fields.get("connection"),
        account=fields.get("account", ""),
        host=host,
        fixed_host=fields.get("fixed_host", False),
        client_id=fields.get("client_id", ""),
        client=fields.get("client"),
        fixed_client=fields.get("fixed_client", False),
        starts=sum(count for name, count in fields.items() if name.startswith("starts_")),
        failures=fields.get("failures", 0),
        state=fields.get("state", ""),
        cookie=fields.get("cookie", ""),
        flow=fields.get("flow", ""),
        choice=fields.get("choice", ""),
        verifier=fields.get("verifier"),
        flow_expires_at=Instant(fields.get("flow_expires_at", 0)),
        code=fields.get("code"),
        code_expires_at=Instant(fields.get("code_expires_at", 0)),
        authorized_at=Instant(fields.get("authorized_at", 0)),
        ticket=fields.get("ticket", ""),
        exchanging_until=Instant(fields.get("exchanging_until", 0)),
        exchanged=fields.get("exchanged"),
        failure=fields.get("failure", ""),
    )


def _words(scope: frozenset[str]) -> str:
    return " ".join(sorted(scope))
