"""The calls of the broker's API as values: what to send, how to read the answer, whether it may be sent again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from ninjaone_connect.model import Connection, ConnectSession, Disconnected, Json, Opening, Page, Proof, Token

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call.

    path         with its query, below the API's address
    read         turns the answer's JSON into a value
    repeatable   sent twice, it does what it does sent once
    """

    method: str
    path: str
    read: Callable[[Json], T]
    body: Json | None = None
    repeatable: bool = False


def open_session(tenant: str, wish: Opening) -> Call[ConnectSession]:
    named = {name: held for name, held in wish.items() if held is not None}
    return Call("POST", _path(tenant, "connect-sessions"), ConnectSession.read, named)


def complete(tenant: str, session_id: str, proof: Proof) -> Call[Connection]:
    """A code is good for one exchange: this is sent once, whatever comes of it."""
    return Call("POST", _path(tenant, "connect-sessions", session_id, "complete"), Connection.read, proof)


def page(tenant: str, cursor: str | None, size: int) -> Call[Page]:
    asked = urlencode({"limit": size} | ({"cursor": cursor} if cursor else {}))
    return Call("GET", f"{_path(tenant, 'connections')}?{asked}", Page.read, repeatable=True)


def connection(tenant: str, connection: str) -> Call[Connection]:
    return Call("GET", _path(tenant, "connections", connection), Connection.read, repeatable=True)


def token(tenant: str, connection: str, min_ttl: int) -> Call[Token]:
    """A POST that changes nothing for its caller: asked again, it gives the token again."""
    path = _path(tenant, "connections", connection, "token")
    return Call("POST", path, Token.read, {"min_ttl": min_ttl}, repeatable=True)


def approve(tenant: str, connection: str) -> Call[Connection]:
    return Call("POST", _path(tenant, "connections", connection, "approve"), Connection.read)


def disconnect(tenant: str, connection: str) -> Call[Disconnected]:
    return Call("DELETE", _path(tenant, "connections", connection), Disconnected.read)


def _path(*names: str) -> str:
    return "/v1/tenants/" + "/".join(quote(name, safe="") for name in names)
