"""Complete a connect session: prove the person, redeem the code once, and store the connection.

Every call continues from the session's current stage. So a call that was killed, cut off or refused is simply made
again, and every caller gets the same result.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from broker import errors, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.client_secrets import ClientSecrets
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Log
from broker.adapters.seal import Seal, code_aad, session_aad
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.errors import (
    AccessDenied,
    BindingMismatch,
    BrokerError,
    ClientAppError,
    Misconfigured,
    NotAuthorized,
    NotPending,
    SessionExpired,
    SessionSpent,
    UnknownConnection,
)
from broker.flows.redeem import RedeemCode
from broker.flows.store_connection import StoreConnection
from broker.flows.store_secret import StoreSecret
from broker.model import (
    Binding,
    Client,
    Connection,
    ConnectionRef,
    ConnectionState,
    Host,
    Instant,
    Purpose,
    Session,
    SessionId,
    SessionPurpose,
    Stage,
    Status,
    TenantId,
    sha256_hex,
)
from broker.secret import Secret

FAILURES: Mapping[str, type[BrokerError]] = {
    kind.__name__: kind
    for kind in (
        errors.AccountMismatch, errors.CodeRefused, errors.ConsentLost, errors.GrantNotTicked, errors.InsufficientScope,
        errors.InvalidScope, errors.NoRefreshToken, errors.NotActive, errors.OutcomeUnknown, errors.ProviderDown,
        errors.UnexpectedAnswer, errors.UnknownClient, errors.WrongClientSecret,
    )
}  # fmt: skip
"""The errors with which a session can end; for any other it answers ``SessionSpent``."""


@dataclass(frozen=True)
class CompleteRequest:
    """The proof that only the backend that opened the session can present, and only for the person who began."""

    tenant: TenantId
    end_user_id: str
    ticket: Secret
    binding_verifier: Secret


class Complete:
    """Completes a session, which makes its connection."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        connections: Connections,
        seal: Seal,
        *,
        client_secrets: ClientSecrets,
        redeem: RedeemCode,
        store: StoreConnection,
        store_secret: StoreSecret,
        clock: Clock,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._connections = config, sessions, connections
        self._seal, self._client_secrets, self._redeem, self._store = seal, client_secrets, redeem, store
        self._store_secret = store_secret
        self._clock, self._log = clock, log

    def __call__(self, session: SessionId, proof: CompleteRequest, *, confirm_account_change: bool) -> Connection:
        """Complete for the person whose login the backend has just checked.

        Called again with the same proof, it continues, and finally returns the same connection again.

        Raises:
            BindingMismatch: the proof is wrong; NinjaOne was not called
            BrokerError: what ``advance`` raises

        See draft-ietf-oauth-security-topics-update: the initiating session is checked before the token request.
        """
        found = self._sessions.get(session)
        if found is None or not _proved(found, proof):
            self._log.event("session.binding_mismatch", session=session, tenant=proof.tenant)
            raise BindingMismatch
        return self.advance(found, deadline(self._clock), confirmed=confirm_account_change)

    def approve(self, ref: ConnectionRef) -> Connection:
        """Approve a connection that was made without proof of the person.

        Raises:
            UnknownConnection, NotPending, AwsError
        """
        seen = self._connections.get_state(ref)
        if seen is None:
            raise UnknownConnection
        now = instant(self._clock)
        due = {
            "refresh_at": policy.refresh_at(now, seen.token_expires_at, 0.0),
            "due_shard": policy.shard(ref.connection),
        }
        if seen.status is not Status.PENDING_APPROVAL:
            raise NotPending
        approve = lambda: self._connections.approve(seen, {"status": Status.ACTIVE.value, **due}, now)  # noqa: E731
        if not retry(approve, self._clock) and not self._is_approved(seen):
            raise NotPending
        self._log.event("connection.approved", tenant=ref.tenant, connection=ref.connection)
        return self._store.made(ref)

    def _is_approved(self, seen: ConnectionState) -> bool:
        """Return whether the connection has been approved meanwhile, perhaps by this call, whose answer was lost."""
        now = self._connections.get_state(seen.ref)
        return now is not None and (now.status, now.consented_at) == (Status.ACTIVE, seen.consented_at)

    def advance(self, session: Session, until: float, *, confirmed: bool) -> Connection:
        """Continue from the session's stage, whichever call brought it there.

        Args:
            until: when the time for this call is up
            confirmed: whether a reconnect may bring another NinjaOne account

        Raises:
            BrokerError: the error with which the session ended, the same for every caller
            AwsError: call again
        """
        if session.purpose is SessionPurpose.CLIENT_SECRET and session.stage is Stage.AUTHORIZED:
            return self._store.made(self._store_secret(session, until=until))
        if session.stage is Stage.AUTHORIZED:
            session = self._redeem_code(session, until)
        elif session.stage is Stage.EXCHANGING:
            session = self._redeem.wait(session, until=until)
        if session.stage is Stage.EXCHANGED:
            return self._store(session, until=until, confirmed=confirmed)
        if session.stage is Stage.COMPLETED and session.connection:
            return self._store.made(ConnectionRef(session.tenant, session.connection))
        raise end_of(session, instant(self._clock))

    def _redeem_code(self, session: Session, until: float) -> Session:
        """Redeem the code. What may fail is checked first, while another call could still use the code."""
        if session.code_expires_at <= instant(self._clock):
            raise SessionExpired
        self._store.check(session)
        client, code, code_verifier = self._open_code(session)
        return self._redeem(session, client, code, code_verifier, until=until)

    def _open_code(self, session: Session) -> tuple[Client, Secret, Secret]:
        if session.code is None or session.code_verifier is None or session.host is None:
            raise SessionSpent
        code = self._seal.open(session.code, Purpose.CODE, code_aad(session, session.ticket_hash))
        code_verifier = self._seal.open(session.code_verifier, Purpose.VERIFIER, session_aad(session.session))
        return self._client(session, session.host), code, code_verifier

    def _client(self, session: Session, host: Host) -> Client:
        if session.customer_app:
            return self._store.customer_app(session)
        client_id = self._config.client_ids.get(host.region)
        if client_id is None:
            raise Misconfigured("The parameter ClientIds names no client app for this region.")
        return self._client_secrets.client(client_id)


def deadline(clock: Clock) -> float:
    """Return when the time for a call that begins now is up, in Unix seconds."""
    return clock.now() + policy.COMPLETE_TIMEOUT - policy.COMPLETE_SLACK


def end_of(session: Session, now: Instant) -> BrokerError:
    """Return why a session makes no connection, or none yet."""
    if session.stage is Stage.DENIED:
        return AccessDenied()
    if session.stage in {Stage.CREATED, Stage.STARTED}:
        return NotAuthorized() if session.expires_at > now else SessionExpired()
    if session.stage is Stage.AUTHORIZED:
        return SessionExpired()
    kind = FAILURES.get(session.failure, SessionSpent)
    return kind(customer_app=session.customer_app) if issubclass(kind, ClientAppError) else kind()


def _proved(session: Session, proof: CompleteRequest) -> bool:
    """Return whether session, tenant and person belong together; secrets are compared in constant time."""
    return (
        session.tenant == proof.tenant
        and session.binding is Binding.SESSION
        and all(
            [
                hmac.compare_digest(session.end_user_hash, sha256_hex(proof.end_user_id)),
                hmac.compare_digest(session.binding_challenge, oauth.challenge(proof.binding_verifier)),
                hmac.compare_digest(session.ticket_hash, sha256_hex(proof.ticket.reveal())) or not session.ticket_hash,
            ]
        )
    )
