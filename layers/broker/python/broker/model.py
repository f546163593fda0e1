"""The model: identifiers, instants, tokens, connect sessions, connections."""

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
"""The product's own id of its customer; make one of unverified text only with ``tenant_id``."""

SessionId = NewType("SessionId", str)
ConnectionId = NewType("ConnectionId", str)

_TENANT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
"""``.`` and ``..`` are excluded: as path segments they would lead to another path. See RFC 3986 §5.2.4."""
_SESSION = re.compile(r"ses_[a-z2-7]{26}")
_CONNECTION = re.compile(r"con_[a-z2-7]{26}")


def tenant_id(text: str) -> TenantId | None:
    """Read a tenant's id. Return None if the text is not a valid one."""
    return TenantId(text) if _TENANT.fullmatch(text) else None


def session_id(text: str) -> SessionId | None:
    """Read a connect session's id. Return None if the text is not a valid one."""
    return SessionId(text) if _SESSION.fullmatch(text) else None


def connection_id(text: str) -> ConnectionId | None:
    """Read a connection's id. Return None if the text is not a valid one."""
    return ConnectionId(text) if _CONNECTION.fullmatch(text) else None


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a random secret, which can be stored because it can't be presented."""
    return hashlib.sha256(text.encode()).hexdigest()


class Purpose(StrEnum):
    """What a sealed value is for; KMS lets a function use only the purposes that its role names."""

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
    """The one place where a sealed value may be stored; it is authenticated with the value, which opens nowhere else.

    Attributes:
        table: ``connections`` or ``sessions``: the logical name, which stays the same after a restore into a new table
        row: connection or session id
        version: token generation; 0 where there is only one
    """

    table: str
    tenant: str
    row: str
    version: int = 0

    def bytes(self, purpose: Purpose) -> bytes:
        """Encode the place so that no two places have the same encoding."""
        return unambiguous(str(SEAL_FORMAT), self.table, self.tenant, self.row, purpose.value, str(self.version))


def unambiguous(*parts: str) -> bytes:
    """Concatenate texts, each after its length, so that no two lists have the same encoding."""
    return b"".join(struct.pack(">H", len(part.encode())) + part.encode() for part in parts)


@dataclass(frozen=True)
class ConnectionRef:
    """Which connection: its tenant and its id, together the key of its row."""

    tenant: TenantId
    connection: ConnectionId

    def aad(self, version: int = 0) -> AssociatedData:
        """The associated data of a connection's tokens of one version; version 0 stands for its client secret."""
        return AssociatedData("connections", self.tenant, self.connection, version)


class Status(StrEnum):
    """The status of a connection."""

    ACTIVE = "active"
    NEEDS_REAUTH = "needs_reauth"
    DISCONNECTED = "disconnected"
    PENDING_APPROVAL = "pending_approval"


class Reason(StrEnum):
    """Why a connection needs its customer to reconnect it."""

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
    """What proves that the person who completes a connect session is the one who began it."""

    SESSION = "session"
    APPROVAL = "approval"


@dataclass(frozen=True)
class Host:
    """A NinjaOne host and its region key; the key is ``ninjaone.BRANDED`` for a customer's own host name."""

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
        refresh: None if the answer to a refresh had none: then the presented one stays valid (RFC 6749 §6)
        expires_at: counted from before the request was sent, so never too late
        scopes: empty if the answer did not name any
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
    """The state row: what refreshes and token requests read and write, within the 1,024 bytes of one write unit.

    Only with the longest possible names can it be larger, if it also needs its customer (then it is written once a
    day), if NinjaOne refused it and it is being retried, or if its account is connected twice.

    Attributes:
        tenant, connection: the key
        version: the generation of the stored tokens; every change of tokens raises it
        fence: how many leases were taken; a fencing token
        lease_until, lease_id: the write-ahead intent of the refresh that may be in flight; the id is random
        failures: attempts in a row that brought no tokens; while there are any, ``refresh_at`` is a wait that callers
            can't shorten either
        cause: why the last of them failed, by its name in ``ninjaone.Outcome.code``
        struck_at: when NinjaOne first rejected the tokens of this version
        sent_at: when the stored tokens were requested; for a new connection, when they were stored
        tried_at: when the last refresh took its lease
        epoch: the restore epoch under which the row may be presented
        access, refresh: sealed; absent once disconnected
        refresh_at, due_shard: the key of the sparse ``due`` index; absent while nothing is to be done
        customer_app: whether the client app is the customer's: then its secret is sealed in the profile row
        outcome_unknown: whether an attempt with the tokens of this version got no definite answer (a timeout, a 5xx):
            NinjaOne may have rotated them, so a later rejection means ``lost_in_rotation``, not ``revoked``
        needs_reauth_since: since when the connection needs its customer
        disconnected_at: when the connection was disconnected
        active_until: until then it is refreshed ahead of expiry under the adaptive policy
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
    lease_id: str | None = None
    tried_at: Instant | None = None
    failures: int = 0
    cause: str = ""
    struck_at: Instant | None = None
    outcome_unknown: bool = False
    needs_reauth_since: Instant | None = None
    disconnected_at: Instant | None = None
    active_until: Instant | None = None
    warned_at: Instant | None = None
    same_as: ConnectionId | None = None

    @property
    def ref(self) -> ConnectionRef:
        """Which connection this is."""
        return ConnectionRef(self.tenant, self.connection)

    @property
    def aad(self) -> AssociatedData:
        """The associated data of the tokens in this row."""
        return self.ref.aad(self.version)


@dataclass(frozen=True)
class Profile:
    """The profile row, which is read rarely: a connection's names, and what it was made with."""

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
    """A connection: its two rows."""

    state: ConnectionState
    profile: Profile


@dataclass(frozen=True)
class Session:
    """A connect session: one person's way from the product to NinjaOne and back.

    A ``…_hash`` is a SHA-256; what was hashed is stored nowhere. A sealed value is bound to this session.
    Times (``…_at``, ``…_until``) are 0 before their step, so that a step that has not begun counts as over.

    Attributes:
        code, code_expires_at: the sealed authorization code, and how long it can be completed; a session for a client
            secret has no code, but the same time limit
        exchanging_until: the instant after which the process that took the code has certainly ended
        account: names of the NinjaOne account that a reconnect expects
        exchanged: the tokens that the code was exchanged for, sealed, until the connection is stored
        form_digest: HMAC, keyed by the browser's cookie, of what the person chose in the form
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
    end_user_hash: str = ""
    binding_challenge: str = ""
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
    state_hash: str = ""
    cookie_hash: str = ""
    flow_nonce: str = ""  # state and code verifier are derived from it and the cookie
    form_digest: str = ""
    code_verifier: bytes | None = None
    flow_expires_at: Instant = field(default=Instant(0))
    code: bytes | None = None
    code_expires_at: Instant = field(default=Instant(0))
    authorized_at: Instant = field(default=Instant(0))
    ticket_hash: str = ""
    exchanging_until: Instant = field(default=Instant(0))
    exchanged: bytes | None = None
    failure: str = ""

    def redirect_uri(self, region: str) -> str:
        """Return the redirect URI, exactly as registered at NinjaOne: a different one for each region.

        See RFC 9700 §4.4.2 (mix-up), docs/understand/ninjaone.md §7 (exact match).
        """
        return f"{self.connect_url}/callback/{region}"
