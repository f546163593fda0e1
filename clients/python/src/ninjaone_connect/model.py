"""What the broker gives: plain frozen values. Fields that a newer broker adds are left out. Times are Unix seconds."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Self, TypedDict

Json = Mapping[str, Any]
Region = Literal["app", "us2", "eu", "ca", "oc", "jp", "fed"]
Scope = Literal["monitoring", "management", "control"]


class ClientCredentials(TypedDict):
    """A NinjaOne client app that the customer registered."""

    client_id: str
    client_secret: str


class Opening(TypedDict):
    """What a connect session is asked for; None is as good as left out.

    end_user_id        your own name of the signed-in person; ``complete`` must name the same
    tenant_name        how the hosted page calls your customer
    return_to          the operator's key for where the person comes back to
    binding_challenge  ``new_verifier().challenge``; left out with binding approval
    region, host       the NinjaOne host, when you know it: one of them
    connection         the connection to reconnect; it keeps its id
    client             whose NinjaOne client app; by default the operator's where there is one
    """

    end_user_id: str
    tenant_name: str
    return_to: str
    binding_challenge: NotRequired[str | None]
    binding: NotRequired[Literal["session", "approval"] | None]
    region: NotRequired[Region | None]
    host: NotRequired[str | None]
    scopes: NotRequired[list[Scope] | None]
    label: NotRequired[str | None]
    metadata: NotRequired[Mapping[str, str] | None]
    connection: NotRequired[str | None]
    client: NotRequired[Literal["operator", "customer"] | None]
    client_credentials: NotRequired[ClientCredentials | None]


class Proof(TypedDict):
    """What proves that the person who came back is the one who began.

    ticket                  out of the return address
    binding_verifier        ``new_verifier().verifier``, kept in this person's session since
    confirm_account_change  a reconnect may bring another NinjaOne account
    """

    end_user_id: str
    ticket: str
    binding_verifier: str
    confirm_account_change: NotRequired[bool]


@dataclass(frozen=True)
class Verifier:
    """A secret for the person's session, and the challenge that may be shown. Source   RFC 7636 §4.1, §4.2"""

    verifier: str = field(repr=False)
    challenge: str


def new_verifier() -> Verifier:
    """Draw a verifier: keep it in the person's session, and open the connect session with its challenge."""
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
    def read(cls, held: Json) -> Self:
        """Read it out of an answer."""
        return cls(held["session_id"], held["connect_url"], held["expires_at"])


@dataclass(frozen=True)
class Organization:
    """One organization in the connected NinjaOne account."""

    id: int
    name: str


@dataclass(frozen=True)
class Connection:
    """A customer's NinjaOne account, connected.

    id               ``con_…``; a reconnect keeps it
    status           active, needs_reauth, paused, disconnected or pending_approval
    reason           why it needs its customer, else None
    api_base_url     what NinjaOne's paths (``/v2/…``) are appended to
    consent_ends_at  an estimate, or None
    version          how many generations of tokens there were
    """

    id: str
    tenant: str
    status: str
    reason: str | None
    region: str
    host: str
    api_base_url: str
    client: str
    client_id: str
    label: str
    scope: tuple[str, ...]
    organizations: tuple[Organization, ...]
    metadata: Mapping[str, str]
    created_at: int
    connected_at: int
    expires_at: int
    refresh_at: int | None
    consent_ends_at: int | None
    version: int

    @classmethod
    def read(cls, held: Json) -> Self:
        """Read it out of an answer."""
        special = {
            "id": held["connection"],
            "scope": tuple(held["scope"]),
            "organizations": tuple(Organization(each["id"], each["name"]) for each in held["organizations"]),
        }
        plain = {name: held[name] for name in cls.__dataclass_fields__ if name not in special}
        return cls(**plain, **special)


@dataclass(frozen=True)
class Disconnected:
    """A connection that was ended.

    revoked   NinjaOne confirmed that its tokens are void; else the customer should remove the access there too
    """

    connection: Connection
    revoked: bool

    @classmethod
    def read(cls, held: Json) -> Self:
        """Read it out of an answer."""
        return cls(Connection.read(held), held["revoked"])


@dataclass(frozen=True)
class Token:
    """An access token; it does not print.

    expires_in   seconds it lasted when the broker gave it
    """

    access_token: str = field(repr=False)
    expires_at: int
    expires_in: int
    api_base_url: str

    @classmethod
    def read(cls, held: Json) -> Self:
        """Read it out of an answer."""
        return cls(held["access_token"], held["expires_at"], held["expires_in"], held["api_base_url"])


@dataclass(frozen=True)
class Page:
    """Some of a tenant's connections, and where the next page begins."""

    connections: tuple[Connection, ...]
    cursor: str | None

    @classmethod
    def read(cls, held: Json) -> Self:
        """Read it out of an answer."""
        return cls(tuple(Connection.read(each) for each in held["connections"]), held["cursor"])
