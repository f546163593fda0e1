"""Everything NinjaOne remembers, as plain records, and the questions all its endpoints ask of them."""

from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from ninjaone_emulator.faults import Faults
from ninjaone_emulator.hosts import Host, known_hosts
from ninjaone_emulator.switches import Switches

DAY = 86400
REFRESH_LIFE = 30 * DAY
EVENTS_KEPT = 10_000

Platform = Literal["web", "native", "spa", "m2m"]
PLATFORMS = ("web", "native", "spa", "m2m")
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
SCOPES = ("monitoring", "management", "control")


@dataclass(frozen=True)
class Organization:
    """A customer of the tenant. NinjaOne numbers them per tenant, so that ids repeat between tenants."""

    id: int
    name: str


@dataclass(frozen=True)
class Tenant:
    """One NinjaOne account, living on one host."""

    name: str
    host: str
    organizations: tuple[Organization, ...] = ()


@dataclass
class Person:
    """Somebody who can sign in; any password does."""

    email: str
    tenant: Tenant
    admin: bool = False
    enabled: bool = True


@dataclass
class ClientApp:
    """A client app as an administrator registers it.

    Attributes:
        redirects: each exact URI, and since when it is accepted
        official: made by NinjaOne for a vendor: every tenant on its host may consent, not only its own
        has_unused_secret: its secret was made anew, and nobody has shown the new one yet
    """

    client_id: str
    name: str
    tenant: Tenant
    platform: Platform
    secret: str
    grant_types: set[str]
    scopes: set[str]
    redirects: dict[str, float] = field(default_factory=dict)
    official: bool = False
    deleted: bool = False
    has_unused_secret: bool = False

    @property
    def is_public(self) -> bool:
        """Native and Single Page apps hold no secret."""
        return self.platform in {"native", "spa"}


@dataclass
class RefreshToken:
    """One link of a grant's chain.

    Attributes:
        number: its place in the chain, from 1
        presented_at: every time an authenticated client showed it, accepted or not
    """

    value: str
    grant: "Grant"
    number: int
    expires_at: float
    superseded_at: float | None = None
    presented_at: list[float] = field(default_factory=list)


@dataclass
class AccessToken:
    """An opaque bearer token."""

    value: str
    grant: "Grant"
    scope: tuple[str, ...]
    expires_at: float
    revoked: bool = False


@dataclass
class Grant:
    """What one consent gave: the family of everything issued from it.

    Attributes:
        person: None for client credentials
        revoked: why the family is dead; empty while it lives
    """

    id: str
    app: ClientApp
    person: Person | None
    scope: tuple[str, ...]
    consented_at: float
    refresh_tokens: list[RefreshToken] = field(default_factory=list)
    access_tokens: list[AccessToken] = field(default_factory=list)
    revoked: str = ""

    @property
    def tenant(self) -> Tenant:
        """Whose data its tokens read."""
        return self.person.tenant if self.person else self.app.tenant


@dataclass
class Code:
    """An authorization code, bound to what the authorize request said."""

    value: str
    grant: Grant
    redirect_uri: str
    challenge: str
    issued_at: float
    used: bool = False


@dataclass
class Cursor:
    """A place in a list, kept on the server: each request with its name moves it on.

    Attributes:
        offset: rows given so far
    """

    name: str
    path: str
    expires_at: float
    offset: int = 0


@dataclass(frozen=True)
class Event:
    """One thing that happened; never a token, a code or a secret."""

    number: int
    at: float
    name: str
    fields: dict[str, str | int | float]


class State:
    """The memory of NinjaOne. Nothing here reads a wall clock or makes randomness of its own."""

    def __init__(self, clock: Callable[[], float], entropy: Callable[[int], bytes], switches: Switches) -> None:
        self._clock, self._entropy = clock, entropy
        self.switches = switches
        self.faults = Faults()
        self.offset = 0.0
        self.hosts: dict[str, Host] = known_hosts()
        self.tenants: dict[str, Tenant] = {}
        self.people: dict[str, Person] = {}
        self.apps: dict[str, ClientApp] = {}
        self.grants: dict[str, Grant] = {}
        self.codes: dict[str, Code] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.sessions: dict[str, Person] = {}
        self.cursors: dict[str, Cursor] = {}
        self.remembered: dict[tuple[str, str], frozenset[str]] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._recorded = 0

    def now(self) -> float:
        """Return NinjaOne's own time in Unix seconds."""
        return self._clock() + self.offset

    def record(self, name: str, **fields: str | float) -> None:
        """Note that something happened."""
        self._recorded += 1
        self.events.append(Event(self._recorded, self.now(), name, fields))

    def random_text(self, length: int) -> str:
        """Make base64url characters."""
        return urlsafe_b64encode(self._entropy(length)).decode()[:length]

    def random_uuid(self) -> str:
        """Make a version 4 UUID."""
        return str(UUID(bytes=self._entropy(16), version=4))

    def incident(self) -> str:
        """Make the id that NinjaOne's support asks for (docs/understand/ninjaone.md §8)."""
        letters = "".join(chr(65 + byte % 26) for byte in self._entropy(8))
        return f"WEB_MGMT_SERVICE-{self._entropy(16).hex()}-{int(self.now())}-{letters}"

    def place(self, host: str) -> str:
        """Name the host whose apps and tokens `host` serves."""
        alias = self.hosts[host].alias_of
        return host if alias is None or self.switches.branded_separate else alias

    def same_place(self, one: str, other: str) -> bool:
        """Return whether an app or a token of one host counts on the other."""
        return self.place(one) == self.place(other)

    def find_app(self, host: str, client_id: str) -> ClientApp | None:
        """Find a client app on this host, deleted ones included."""
        app = self.apps.get(client_id)
        return app if app and self.same_place(app.tenant.host, host) else None

    def revoke(self, grant: Grant, why: str) -> None:
        """End a grant with all its tokens; the first reason stays."""
        if not grant.revoked:
            grant.revoked = why
            self.record("family.revoked", grant=grant.id, why=why)
