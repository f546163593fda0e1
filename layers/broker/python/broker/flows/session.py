"""Open a connect session for a user of a tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker import policy
from broker.adapters.clock import Clock, Entropy, instant, new_session_id
from broker.adapters.connections import Connections
from broker.adapters.log import Log
from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.errors import Fault, InvalidRequest, NotActive, ReturnNotListed, UnknownConnection
from broker.flows.usable import require_consent, require_usable
from broker.model import (
    Binding,
    Client,
    ConnectionId,
    ConnectionRef,
    Host,
    Instant,
    Profile,
    Purpose,
    Seconds,
    Session,
    SessionId,
    SessionPurpose,
    Stage,
    Status,
    TenantId,
    sha256_hex,
)
from broker.ninjaone import OFFLINE_ACCESS

MAX_NAMED_ORGANIZATIONS = 3
"""Organizations that name an account."""

OPERATORS_APP = "This connection uses the operator's client app, whose secret the operator stores. Leave purpose out."


@dataclass(frozen=True)
class SessionRequest:
    """What the backend asks for, validated.

    Attributes:
        challenge: S256 of the verifier that the backend keeps in this user's session; empty with ``approval``
        host: the NinjaOne host; None lets the person choose
        life: seconds that the link works
        customer_app: whether to use the customer's own client app; ``client`` may then hold its credentials
        client_id: the app whose new secret is asked for, read from the connection
    """

    tenant: TenantId
    tenant_name: str
    end_user_id: str
    binding: Binding
    binding_challenge: str
    return_to: str
    scopes: frozenset[str]
    host: Host | None
    customer_app: bool
    client: Client | None
    label: str
    metadata: Mapping[str, str]
    connection: ConnectionId | None
    life: Seconds = policy.SESSION_LIFE
    purpose: SessionPurpose = SessionPurpose.CONNECT
    client_id: str = ""


class OpenSession:
    """Opens connect sessions."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        connections: Connections,
        seal: Seal,
        *,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._connections, self._seal = config, sessions, connections, seal
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, asked: SessionRequest) -> Session:
        """Store a new session, which serves for one connection or one client secret.

        Raises:
            ReturnNotListed, AwsError
            UnknownConnection, NotActive: only for a reconnect or a client secret
            NotApproved, NeedsReauth, InvalidRequest: only for a client secret
        """
        if asked.return_to not in self._config.return_urls:
            raise ReturnNotListed
        if asked.purpose is SessionPurpose.CLIENT_SECRET:
            asked = self._for_secret(asked)
        elif asked.connection:
            self._check_reconnect(ConnectionRef(asked.tenant, asked.connection))
        now = instant(self._clock)
        session = self._session(new_session_id(self._entropy), asked, now)
        self._sessions.put(session)
        self._log.event("session.opened", session=session.session, tenant=session.tenant, binding=session.binding.value)
        return session

    def _for_secret(self, asked: SessionRequest) -> SessionRequest:
        """Add the customer's own client app of the connection, which must be active for a new secret to be of use."""
        ref = ConnectionRef(asked.tenant, asked.connection or ConnectionId(""))
        found = require_usable(self._connections.get_client_app(ref))
        require_consent(found)
        if not found.customer_app:
            raise InvalidRequest(Fault("connection_id", OPERATORS_APP))
        return replace(asked, host=found.host, customer_app=True, client_id=found.client_id)

    def _check_reconnect(self, ref: ConnectionRef) -> None:
        """Refuse a connection that is missing or ended: its customer would agree at NinjaOne, and nothing be stored."""
        found = self._connections.get_client_app(ref)
        if found is None:
            raise UnknownConnection
        if found.status is Status.DISCONNECTED:
            raise NotActive

    def _session(self, session: SessionId, asked: SessionRequest, now: Instant) -> Session:
        old = self._connections.get_names(ConnectionRef(asked.tenant, asked.connection)) if asked.connection else None
        return Session(
            session=session,
            tenant=asked.tenant,
            tenant_name=asked.tenant_name,
            connect_url=self._config.connect_url,
            stage=Stage.CREATED,
            binding=asked.binding,
            return_to=asked.return_to,
            scopes=asked.scopes | {OFFLINE_ACCESS},
            label=asked.label or (old.label if old else ""),
            metadata=asked.metadata,
            created_at=now,
            expires_at=Instant(now + asked.life),
            customer_app=asked.customer_app,
            end_user_hash=sha256_hex(asked.end_user_id),
            binding_challenge=asked.binding_challenge,
            connection=asked.connection,
            account=_account(old) if old else None,
            host=asked.host,
            fixed_host=asked.host is not None,
            purpose=asked.purpose,
            client_id=asked.client.id if asked.client else asked.client_id,
            client=self._sealed(session, asked),
            fixed_client=asked.client is not None,
        )

    def _sealed(self, session: SessionId, asked: SessionRequest) -> bytes | None:
        if asked.client is None:
            return None
        return self._seal.seal(self._seal.data_key(Purpose.CLIENT), asked.client.secret, session_aad(session))


def _account(profile: Profile) -> str | None:
    """Describe an account by its first organizations, which people know; in NinjaOne it has no name of its own."""
    names = [each.name for each in profile.organizations]
    more = len(names) - MAX_NAMED_ORGANIZATIONS
    return ", ".join(names[:MAX_NAMED_ORGANIZATIONS]) + (f" and {more} more" if more > 0 else "") or None
