"""Map model objects to and from DynamoDB items, both directions from one table of attributes for each object.

A reader takes the attributes that it knows and gives a missing one its default, so that neighbouring releases can read
each other's rows; ``schema`` says which release wrote one.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from broker.model import (
    Binding,
    ConnectionId,
    ConnectionState,
    Host,
    Organization,
    Profile,
    Reason,
    Session,
    SessionPurpose,
    Stage,
    Status,
    TenantId,
)
from broker.ninjaone import scope_set, scope_text

Item = dict[str, dict[str, Any]]
SCHEMA = 1
PROFILE = "#profile"
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""The errors that reading a row raises when a later release wrote it or it is damaged."""

SEALED = ("access", "refresh", "client")
"""Attributes of connections that hold sealed values."""


def _unchanged(thing: Any) -> Any:
    return thing


def _object(text: str) -> dict[str, str]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    return found


def _json(mapping: Mapping[str, str]) -> str:
    return json.dumps(dict(mapping))


def _organizations(text: str) -> tuple[Organization, ...]:
    return tuple(Organization(number, name) for number, name in json.loads(text))


def _pairs(organizations: tuple[Organization, ...]) -> str:
    return json.dumps([[each.id, each.name] for each in organizations])


REQUIRED = object()
"""In place of a default: a row without the attribute is unreadable."""


class _Attribute(NamedTuple):
    """How one attribute is stored, and what a row without it means.

    Attributes:
        kind: DynamoDB's letter for its type; a value of another type makes the row unreadable when it is read, not in
            the middle of a refresh
        default: the value for a row without it; None is never stored
        sparse: whether the default is not stored either
    """

    kind: str
    default: Any = None
    read: Callable[[Any], Any] = _unchanged
    write: Callable[[Any], Any] = _unchanged
    sparse: bool = False


_Table = Mapping[str, _Attribute]

_ID = _Attribute("S", REQUIRED)
_TEXT, _SPARSE_TEXT, _OPTIONAL_TEXT = _Attribute("S", ""), _Attribute("S", "", sparse=True), _Attribute("S")
_NUMBER, _SPARSE_NUMBER, _OPTIONAL_NUMBER = _Attribute("N", 0), _Attribute("N", 0, sparse=True), _Attribute("N")
_FLAG, _SPARSE_FLAG = _Attribute("BOOL", False), _Attribute("BOOL", False, sparse=True)
_BYTES = _Attribute("B")
_SCOPES = _Attribute("S", frozenset(), scope_set, scope_text)
_METADATA = _Attribute("S", {}, _object, _json)

_STATE: _Table = {
    **dict.fromkeys(("tenant", "connection"), _ID),
    "status": _Attribute("S", REQUIRED, Status),
    "reason": _Attribute("S", None, Reason),
    **dict.fromkeys(("region", "host", "client_id"), _TEXT),
    **dict.fromkeys(("version", "fence", "epoch", "token_expires_at", "sent_at", "consented_at"), _NUMBER),
    "scopes": _SCOPES,
    **dict.fromkeys(("access", "refresh"), _BYTES),
    **dict.fromkeys(("refresh_at", "due_shard", "lease_until", "tried_at", "struck_at"), _OPTIONAL_NUMBER),
    **dict.fromkeys(("needs_reauth_since", "disconnected_at", "active_until", "warned_at"), _OPTIONAL_NUMBER),
    **dict.fromkeys(("lease_id", "same_as"), _OPTIONAL_TEXT),
    "failures": _SPARSE_NUMBER,
    "cause": _SPARSE_TEXT,
    **dict.fromkeys(("customer_app", "outcome_unknown"), _SPARSE_FLAG),
}
_PROFILE: _Table = {
    **dict.fromkeys(("tenant", "connection"), _ID),
    "label": _TEXT,
    "organizations": _Attribute("S", (), _organizations, _pairs),
    "metadata": _METADATA,
    **dict.fromkeys(("created_at", "connected_at"), _NUMBER),
    "client": _BYTES,
}
_SESSION: _Table = {
    "session": _ID,
    **dict.fromkeys(
        ("tenant", "tenant_name", "connect_url", "return_to", "label", "end_user_hash", "binding_challenge"), _TEXT
    ),
    "stage": _Attribute("S", Stage.FAILED, Stage),
    "binding": _Attribute("S", Binding.SESSION, Binding),
    "purpose": _Attribute("S", SessionPurpose.CONNECT, SessionPurpose, sparse=True),
    "scopes": _SCOPES,
    "metadata": _METADATA,
    **dict.fromkeys(("created_at", "expires_at", "failures"), _NUMBER),
    "customer_app": _FLAG,
    **dict.fromkeys(("fixed_host", "fixed_client"), _SPARSE_FLAG),
    **dict.fromkeys(("connection", "account", "region", "host"), _OPTIONAL_TEXT),
    **dict.fromkeys(("client", "code_verifier", "code", "exchanged"), _BYTES),
    **dict.fromkeys(
        ("client_id", "state_hash", "cookie_hash", "flow_nonce", "form_digest", "ticket_hash", "failure"), _SPARSE_TEXT
    ),
    **dict.fromkeys(("flow_expires_at", "code_expires_at", "authorized_at", "exchanging_until"), _SPARSE_NUMBER),
}


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
    """Return an item of the fields; those that are None are left out."""
    return {name: value(thing) for name, thing in fields.items() if thing is not None}


_READ: Mapping[str, Callable[[Any], Any]] = {"S": str, "N": int, "B": bytes, "BOOL": bool, "SS": frozenset}


def plain(row: Item) -> dict[str, Any]:
    """Read an item's scalars."""
    return {name: _READ[kind](text) for name, cell in row.items() for kind, text in cell.items() if kind in _READ}


def _read(row: Item, table: _Table) -> dict[str, Any]:
    """Read the attributes that a table names out of a whole or projected item. Raises one of UNREADABLE."""
    fields = {}
    for name, attribute in table.items():
        if name in row:
            fields[name] = attribute.read(_READ[attribute.kind](row[name][attribute.kind]))
        elif attribute.default is not REQUIRED:
            fields[name] = attribute.default
    return fields


def _write(fields: Mapping[str, Any], table: _Table) -> Item:
    """Return an item with the attributes that a table names."""
    return {
        name: value(attribute.write(fields[name]))
        for name, attribute in table.items()
        if fields[name] is not None and not (attribute.sparse and fields[name] == attribute.default)
    }


def key(tenant: TenantId, connection: str) -> Item:
    """The key of a connection's row."""
    return {"tenant": {"S": tenant}, "connection": {"S": connection}}


def connection_state_item(row: ConnectionState) -> Item:
    """Return a state row as an item."""
    return _write({**vars(row), "region": row.host.region, "host": row.host.name}, _STATE) | item({"schema": SCHEMA})


def connection_state(row: Item) -> ConnectionState:
    """Read a whole or projected state row. Raises one of UNREADABLE."""
    fields = _read(row, _STATE)
    return ConnectionState(**fields | {"host": Host(fields.pop("region"), fields["host"])})


def profile_item(row: Profile) -> Item:
    """Return a profile row as an item."""
    return _write({**vars(row), "connection": row.connection + PROFILE}, _PROFILE) | item({"schema": SCHEMA})


def profile(row: Item) -> Profile:
    """Read a whole or projected profile row. Raises one of UNREADABLE."""
    fields = _read(row, _PROFILE)
    return Profile(**fields | {"connection": ConnectionId(fields["connection"].removesuffix(PROFILE))})


def session_item(row: Session) -> Item:
    """Return a connect session as an item."""
    host = row.host
    return _write({**vars(row), "region": host and host.region, "host": host and host.name}, _SESSION)


def session(row: Item) -> Session:
    """Read a whole or projected connect session. Raises one of UNREADABLE."""
    fields = _read(row, _SESSION)
    region = fields.pop("region")
    starts = sum(int(cell["N"]) for name, cell in row.items() if name.startswith("starts_"))
    return Session(**fields | {"host": Host(region, fields["host"]) if region else None, "starts": starts})
