"""The calls of the broker's API as values: what to send, how to read the answer, whether it may be sent again.

A function of this module bears the operation's name in the OpenAPI document.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Never, TypeVar
from urllib.parse import quote, urlencode

from ninjaone_connect.model import (
    CompleteRequest,
    Connection,
    ConnectSession,
    Disconnected,
    Json,
    Page,
    SessionRequest,
    Token,
    TokenRequest,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call.

    Attributes:
        path: with its query, below the API's address
        read: turns the answer's JSON into a value
        repeatable: whether sending it twice has the same effect as sending it once
    """

    method: str
    path: str
    read: Callable[[Json], T]
    body: Json | None = field(default=None, repr=False)  # it may hold a client secret, a ticket, a verifier
    repeatable: bool = False


def session(tenant_id: str, request: SessionRequest) -> Call[ConnectSession]:
    body = {name: value for name, value in request.items() if value is not None}
    return Call("POST", _path(tenant_id, "connect-sessions"), ConnectSession.read, body)


def complete(tenant_id: str, session_id: str, request: CompleteRequest) -> Call[Connection]:
    """Repeatable although it is a POST: the code is exchanged once, and a repeated call continues from there."""
    path = _path(tenant_id, "connect-sessions", session_id, "complete")
    return Call("POST", path, Connection.read, request, repeatable=True)


def connections(tenant_id: str, cursor: str | None, limit: int) -> Call[Page]:
    query = urlencode({"limit": limit} | ({"cursor": cursor} if cursor else {}))
    return Call("GET", f"{_path(tenant_id, 'connections')}?{query}", Page.read, repeatable=True)


def connection(tenant_id: str, connection_id: str) -> Call[Connection]:
    return Call("GET", _path(tenant_id, "connections", connection_id), Connection.read, repeatable=True)


def token(tenant_id: str, connection_id: str, request: TokenRequest) -> Call[Token]:
    """Repeatable although it is a POST: it changes nothing for its caller."""
    path = _path(tenant_id, "connections", connection_id, "token")
    return Call("POST", path, Token.read, request, repeatable=True)


def approve(tenant_id: str, connection_id: str) -> Call[Connection]:
    return Call("POST", _path(tenant_id, "connections", connection_id, "approve"), Connection.read)


def disconnect(tenant_id: str, connection_id: str) -> Call[Disconnected]:
    return Call("DELETE", _path(tenant_id, "connections", connection_id), Disconnected.read)


def proxy(tenant_id: str, connection_id: str) -> Call[Never]:
    """NinjaOne's own paths follow this path. NinjaOne's answer is not read here but returned to the caller as it is."""
    return Call("GET", _path(tenant_id, "connections", connection_id, "ninjaone"), _nothing)


def _nothing(_: Json) -> Never:
    raise KeyError


def _path(*names: str) -> str:
    """Write a path. Raises ValueError: a name that would lead to another path (RFC 3986 §5.2.4), or is no text."""
    if {".", "..", ""} & {*names}:
        raise ValueError("tenant_id and the other ids must not be empty, `.` or `..`.")
    try:
        return "/v1/tenants/" + "/".join(quote(name, safe="") for name in names)
    except UnicodeEncodeError:  # such as an argument of a command that was no UTF-8
        raise ValueError("tenant_id and the other ids must not hold half a character (a lone surrogate).") from None
