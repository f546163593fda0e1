"""Store the new secret of a customer's own client app from its connect session, and request a refresh with it."""

from broker import policy
from broker.adapters.clock import Clock, instant, poll_until
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.queues import Queue, Trigger
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import Sessions
from broker.errors import AwsError, Busy, NotActive, SessionExpired, SessionSpent, UnknownConnection
from broker.model import ConnectionRef, ConnectionState, Instant, Purpose, Session, Stage, Status

SUPERSEDED = "This connection was connected again meanwhile, and the client app of that consent is kept."


class StoreSecret:
    """Replaces a client secret."""

    def __init__(
        self,
        sessions: Sessions,
        connections: Connections,
        seal: Seal,
        urgent: Queue,
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self._sessions, self._connections, self._seal, self._urgent = sessions, connections, seal, urgent
        self._clock, self._log = clock, log

    def __call__(self, session: Session, *, until: float) -> ConnectionRef:
        """Store it when no refresh is at work, so that a refusal of the old secret can't delay the new one.

        Args:
            until: when the time for this call is up

        Returns:
            the connection that it belongs to

        Raises:
            SessionExpired, UnknownConnection, NotActive, SessionSpent
            SealBroken, AwsError: call again
        """
        if session.connection is None:
            raise SessionSpent
        if session.code_expires_at <= instant(self._clock):
            raise SessionExpired
        ref = ConnectionRef(session.tenant, session.connection)
        place = code_aad(session, session.ticket_hash)
        secret = self._seal.open(session.client or b"", Purpose.CLIENT, place)
        client = self._seal.seal(self._seal.data_key(Purpose.CLIENT), secret, ref.aad())
        self._store(session, ref, client, min(until, self._clock.now() + policy.COMPLETE_WAIT))
        self._log.event("secret.replaced", tenant=ref.tenant, connection=ref.connection, session=session.session)
        self._request_refresh(ref)
        return ref

    def _store(self, session: Session, ref: ConnectionRef, client: bytes, until: float) -> None:
        """Retry until it is stored, by this call or by one whose answer was lost."""
        for _ in poll_until(self._clock, until):
            if self._stored(session, self._found(session, ref), client) or self._is_completed(session):
                return
        raise Busy("This connection is being refreshed right now. Ask again.")

    def _found(self, session: Session, ref: ConnectionRef) -> ConnectionState:
        """Find the session's connection; it must still have the same client app and the same consent."""
        found = self._connections.get_state(ref)
        if found is None:
            raise UnknownConnection
        if found.status is Status.DISCONNECTED:
            raise NotActive
        host = session.host.name if session.host else ""
        is_same_app = (found.client_id, found.host.name) == (session.client_id, host)
        if not is_same_app or found.consented_at > session.authorized_at:
            raise SessionSpent(SUPERSEDED)
        return found

    def _stored(self, session: Session, seen: ConnectionState, client: bytes) -> bool:
        now = instant(self._clock)
        expired = Instant(now - policy.CLOCK_SKEW)
        return self._connections.store_secret(seen, client, session=session.session, now=now, expired_before=expired)

    def _is_completed(self, session: Session) -> bool:
        found = self._sessions.get(session.session)
        if found is None:
            raise SessionSpent
        return found.stage is Stage.COMPLETED

    def _request_refresh(self, ref: ConnectionRef) -> None:
        """Request a refresh at once, the trial of an open breaker included; the next sweep would find it too."""
        try:
            self._urgent.send_batch(Trigger.DUE, [ref])
        except AwsError:
            self._log.event("refresh.not_requested", Level.WARNING, tenant=ref.tenant, connection=ref.connection)
