"""The nouns: identifiers, instants, tokens, connect sessions, connections."""

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from broker.secret import Secret

Instant = NewType("Instant", int)
"""Unix seconds, UTC."""

Seconds = NewType("Seconds", int)

TenantId = NewType("TenantId", str)
"""The SaaS's own name of its customer; unverified text never becomes one without ``tenant_id``."""

SessionId = NewType("SessionId", str)
ConnectionId = NewType("ConnectionId", str)

_TENANT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
"""A path segment ``.`` or ``..`` names another path wherever an address is tidied up. See RFC 3986 §5.2.4."""
_SESSION = re.compile(r"ses_[a-z2-7]{26}")
_CONNECTION = re.compile(r"con_[a-z2-7]{26}")


def tenant_id(text: str) -> TenantId | None:
    """Read a tenant's name, or give None where the text is none."""
    return TenantId(text) if _TENANT.fullmatch(text) else None


def session_id(text: str) -> SessionId | None:
    """Read a connect session's id, or give None where the text is none."""
    return SessionId(text) if _SESSION.fullmatch(text) else None


def connection_id(text: str) -> ConnectionId | None:
    """Read a connection's id, or give None where the text is none."""
    return ConnectionId(text) if _CONNECTION.fullmatch(text) else None


def sha256_hex(text: str) -> str:
    """Name a random secret by its SHA-256, so that what is stored can't be presented."""
    return hashlib.sha256(text.encode()).hexdigest()


class Purpose(StrEnum):
    """What a sealed value is for; KMS lets a function use only the purposes its role names."""

    ACCESS = "access"
    REFRESH = "refresh"
    CLIENT = "client"
    CODE = "code"
    EXCHANGED = "exchanged"
    VERIFIER = "verifier"


SEAL_FORMAT = 1
"""The format of sealed values; it is bound into each of them."""


@dataclass(frozen=True)
class AssociatedData:
    """The one place where a sealed value may stand; authenticated with it, so that it opens nowhere else.

    Attributes:
        table: ``connections`` or ``sessions``: the logical name, the same after a restore into a new table
        row: connection or session id
        version: token generation; 0 where there is only one
    """

    table: str
    tenant: str
    row: str
    version: int = 0

    def bytes(self, purpose: Purpose) -> bytes:
        """Write the place so that no two places are written alike."""
        return unambiguous(str(SEAL_FORMAT), self.table, self.tenant, self.row, purpose.value, str(self.version))


def unambiguous(*parts: str) -> bytes:
    """Write texts one after the other, each behind its length."""
    return b"".join(struct.pack(">H", len(part.encode())) + part.encode() for part in parts)


@dataclass(frozen=True)
class ConnectionRef:
    """Which connection: its tenant and its id, together the key of its row."""

    tenant: TenantId
    connection: ConnectionId

    def aad(self, version: int = 0) -> AssociatedData:
        """The place of what a connection holds in one generation; the client secret has none, so its version is 0."""
        return AssociatedData("connections", self.tenant, self.connection, version)


class Status(StrEnum):
    """How a connection is."""

    ACTIVE = "active"
    NEEDS_REAUTH = "needs_reauth"
    DISCONNECTED = "disconnected"
    PENDING_APPROVAL = "pending_approval"


class Reason(StrEnum):
    """Why a connection needs its customer."""

    REVOKED = "revoked"
    LOST_IN_ROTATION = "lost_in_rotation"
    CONSENT_ENDED = "consent_ended"
    SCOPE_WITHDRAWN = "scope_withdrawn"


class Stage(StrEnum):
    """How far a connect session has come."""

    CREATED = "created"
    STARTED = "started"
    AUTHORIZED = "authorized"
    DENIED = "denied"
    EXCHANGING = "exchanging"
    EXCHANGED = "exchanged"
    COMPLETED = "completed"
    FAILED = "failed"


class SessionPurpose(StrEnum):
    """What a connect session is for: a consent, or the new secret of a customer's own client app."""

    CONNECT = "connect"
    CLIENT_SECRET = "client_secret"


class Binding(StrEnum):
    """What proves that the person who ends a connect session is the one who began it."""

    SESSION = "session"
    APPROVAL = "approval"


@dataclass(frozen=True)
class Host:
    """A NinjaOne host and the region key it is known by; ``branded`` for a customer's own host name."""

    region: str
    name: str


@dataclass(frozen=True)
class Client:
    """A NinjaOne client app: the operator's, or one that the customer registered."""

    id: str
    secret: Secret
    customer_app: bool = False  # the customer's own app


@dataclass(frozen=True)
class Tokens:
    """What NinjaOne granted.

    Attributes:
        refresh: absent when the answer to a refresh carried none: the one held stays good (RFC 6749 §6)
        expires_at: counted from before the request was sent
        scopes: empty when the answer did not say
    """

    access: Secret
    refresh: Secret | None
    expires_at: Instant
    scopes: frozenset[str]


@dataclass(frozen=True)
class Organization:
    """One organization in the connected NinjaOne account."""

    id: int
    name: str


@dataclass(frozen=True)
class ConnectionState:
    """The row that refreshing and giving tokens touch: within 1,024 bytes, which one write unit pays for.

    Only the longest names of all go beyond, in a row that needs its customer too, which is written once a day, in one
    that NinjaOne refused and is being asked for again, or in one whose account is connected twice.

    Shape

    Attributes:
        tenant, connection: the key
        version: how many token generations were stored; every change of tokens adds one
        fence: how many leases were taken; a fencing token
        lease_until, attempt: the write-ahead intent of the refresh that may be in flight
        failures: attempts in a row that brought no tokens; while there are any, ``refresh_at`` is a wait that binds
            everybody, callers too
        cause: of the last of them, by its name in ``ninjaone.Outcome.code``
        struck_at: when NinjaOne first called the tokens of this version dead
        sent_at: when the held tokens were asked for; of a new connection, when they were stored
        tried_at: when the last refresh took its lease
        epoch: the restore epoch under which the row may be presented
        access, refresh: sealed; absent once disconnected
        refresh_at, due_shard: the sparse ``due`` index; absent while nothing is to be done
        customer_app: the client app is the customer's: its secret lies sealed in the profile row
        outcome_unknown: some attempt on this version ended without a clear answer
        ended_at: since when the connection needs its customer
        active_until: until then refreshed ahead of expiry under the adaptive policy
        warned_at: when the coming end of consent was last announced
        same_as: the active connection of this tenant that showed the same account when this one was made, if any
    """

    tenant: TenantId
    connection: ConnectionId
    status: Status
    host: Host
    client_id: str
    customer_app: bool
    version: int
    fence: int
    epoch: int
    token_expires_at: Instant
    sent_at: Instant
    consented_at: Instant
    scopes: frozenset[str]
    access: bytes | None = None
    refresh: bytes | None = None
    reason: Reason | None = None
    refresh_at: Instant | None = None
    due_shard: int | None = None
    lease_until: Instant | None = None
    attempt: str | None = None
    tried_at: Instant | None = None
    failures: int = 0
    cause: str = ""
    struck_at: Instant | None = None
    outcome_unknown: bool = False
    ended_at: Instant | None = None
    active_until: Instant | None = None
    warned_at: Instant | None = None
    same_as: ConnectionId | None = None

    @property
    def ref(self) -> ConnectionRef:
        """Which connection this is."""
        return ConnectionRef(self.tenant, self.connection)

    @property
    def aad(self) -> AssociatedData:
        """The place of the tokens that the row holds."""
        return self.ref.aad(self.version)


@dataclass(frozen=True)
class Profile:
    """The row that is read rarely: what a connection is called and what it was made with."""

    tenant: TenantId
    connection: ConnectionId
    label: str
    organizations: tuple[Organization, ...]
    metadata: Mapping[str, str]
    created_at: Instant
    connected_at: Instant
    client: bytes | None = None  # the customer's own client app, sealed


@dataclass(frozen=True)
class Connection:
    """A connection whole: its two rows."""

    state: ConnectionState
    profile: Profile


@dataclass(frozen=True)
class Session:
    """A connect session: one person's way from the SaaS to NinjaOne and back.

    State, cookie, ticket and the end user's id are held as SHA-256 only. A sealed value is bound to this session.
    Times (``…_at``, ``…_until``) are 0 before their step, so that what has not begun counts as over.

    Attributes:
        code, code_expires_at: of a session for a client secret there is no code: until then it waits to be completed
        exchanging_until: after this, whoever took the code is dead
        account: names of the NinjaOne account that a reconnect expects
        exchanged: what the code was exchanged for, sealed, until the connection is stored
        failure: the error that the session ended with, by its class's name
    """

    session: SessionId
    tenant: TenantId
    tenant_name: str
    connect_url: str
    stage: Stage
    binding: Binding
    return_to: str
    scopes: frozenset[str]
    label: str
    metadata: Mapping[str, str]
    created_at: Instant
    expires_at: Instant
    customer_app: bool
    end_user: str = ""
    challenge: str = ""
    purpose: SessionPurpose = SessionPurpose.CONNECT
    connection: ConnectionId | None = None  # a reconnect keeps this id
    account: str | None = None
    host: Host | None = None  # chosen by the backend, or by the person once started
    fixed_host: bool = False
    client_id: str = ""
    client: bytes | None = None
    fixed_client: bool = False
    starts: int = 0
    failures: int = 0
    state: str = ""
    cookie: str = ""
    flow: str = ""  # random; with the cookie it gives the state and the verifier again
    choice: str = ""
    verifier: bytes | None = None
    flow_expires_at: Instant = field(default=Instant(0))
    code: bytes | None = None
    code_expires_at: Instant = field(default=Instant(0))
    authorized_at: Instant = field(default=Instant(0))
    ticket: str = ""
    exchanging_until: Instant = field(default=Instant(0))
    exchanged: bytes | None = None
    failure: str = ""

    def redirect_uri(self, region: str) -> str:
        """The redirect URI to register at NinjaOne, to the letter: a different one for each region.

        See RFC 9700 §4.4.2 (mix-up), docs/understand/ninjaone.md §7 (exact match).
        """
        return f"{self.connect_url}/callback/{region}"
