"""The broker's answers as frozen values. Fields that a newer broker adds are left out. Times are Unix seconds."""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypedDict

Json = Mapping[str, Any]
Region = Literal["app", "us2", "eu", "ca", "oc", "jp", "fed"]
Scope = Literal["monitoring", "management", "control"]
Binding = Literal["session", "approval"]
SessionPurpose = Literal["connect", "client_secret"]
ClientChoice = Literal["operator", "customer"]


class ClientCredentials(TypedDict):
    """A NinjaOne client app that the customer registered."""

    client_id: str
    client_secret: str


class SessionRequest(TypedDict):
    """The body of ``open_session``; what is None is not sent. ``Connect.open_session`` describes the fields."""

    end_user_id: str
    tenant_name: str
    return_to: str
    binding: Binding | None
    binding_challenge: str | None
    region: Region | None
    host: str | None
    scopes: Sequence[Scope] | None
    label: str | None
    metadata: Mapping[str, str] | None
    connection_id: str | None
    link_days: int | None
    client: ClientChoice | None
    client_credentials: ClientCredentials | None
    purpose: SessionPurpose | None


class CompleteRequest(TypedDict):
    """The body of ``complete``: the proof that the person who came back is the one who began."""

    end_user_id: str
    ticket: str
    binding_verifier: str
    confirm_account_change: bool


class TokenRequest(TypedDict):
    """The body of ``token``."""

    min_ttl: int
    refused_version: int


@dataclass(frozen=True)
class Verifier:
    """A secret for the person's session, and its challenge, which is not secret. See RFC 7636 §4.1, §4.2."""

    verifier: str = field(repr=False)
    challenge: str


def new_verifier() -> Verifier:
    """Create a verifier: store it in the person's session, and open the connect session with its challenge."""
    drawn = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(drawn.encode()).digest()).rstrip(b"=").decode()
    return Verifier(drawn, challenge)


@dataclass(frozen=True)
class ConnectSession:
    """Where to send the person, until ``expires_at``."""

    session_id: str
    connect_url: str
    expires_at: int

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        return cls(body["session_id"], body["connect_url"], body["expires_at"])


@dataclass(frozen=True)
class Organization:
    """One organization in the connected NinjaOne account."""

    id: int
    name: str


@dataclass(frozen=True)
class Pause:
    """What holds a connection that is paused.

    Attributes:
        held_by: connection (its own last failure), customer_app (NinjaOne refuses the app that the customer
            registered), client_app or host (a circuit breaker)
        cause: the name of that failure; with customer_app, ``invalid_client`` is a refused secret
        until: when the connection is refreshed again (Unix seconds); None while only one connection a minute is tried
        detail: all of this as a sentence for people
    """

    held_by: str
    cause: str
    until: int | None
    detail: str

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Connection:
    """A customer's NinjaOne account, connected.

    Attributes:
        connection_id: ``con_…``; a reconnect keeps it
        status: active, needs_reauth, paused, disconnected or pending_approval
        reason: why it needs its customer, else None
        paused: what holds it while it is paused, else None
        api_base_url: what NinjaOne's paths (``/v2/…``) are appended to
        token_expires_at: when the stored access token expires
        refresh_at: when it is refreshed next, or None
        consent_ends_at: an estimate, or None
        probably_same_as: another connection that showed the same account when this one was made, or None
        version: the generation of its tokens
    """

    connection_id: str
    tenant_id: str
    status: str
    reason: str | None
    paused: Pause | None
    region: str
    host: str
    api_base_url: str
    client: str
    client_id: str
    label: str
    scopes: tuple[str, ...]
    organizations: tuple[Organization, ...]
    metadata: Mapping[str, str]
    created_at: int
    connected_at: int
    token_expires_at: int
    refresh_at: int | None
    consent_ends_at: int | None
    probably_same_as: str | None
    version: int

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        special: dict[str, Any] = {
            "paused": Pause.read(body["paused"]) if body.get("paused") else None,
            "probably_same_as": body.get("probably_same_as"),
            "scopes": tuple(body["scopes"]),
            "organizations": tuple(Organization(each["id"], each["name"]) for each in body["organizations"]),
        }
        plain = {name: body[name] for name in cls.__dataclass_fields__ if name not in special}
        return cls(**plain, **special)


@dataclass(frozen=True)
class Disconnected:
    """A connection that was ended.

    Attributes:
        revoked: whether NinjaOne confirmed the revocation; if not, the customer should remove the access there too
    """

    connection: Connection
    revoked: bool

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        return cls(Connection.read(body), body["revoked"])


@dataclass(frozen=True)
class Token:
    """An access token; its ``repr`` does not show it.

    Attributes:
        expires_in: seconds until its expiry when the broker returned it
        version: the generation of the connection's tokens that it belongs to
    """

    access_token: str = field(repr=False)
    expires_at: int
    expires_in: int
    api_base_url: str
    version: int

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Page:
    """A page of a tenant's connections, and where the next one begins."""

    connections: tuple[Connection, ...]
    cursor: str | None

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read it out of an answer."""
        return cls(tuple(Connection.read(each) for each in body["connections"]), body["cursor"])
