"""Complete a connect session: prove the person, exchange the code once, check, seal, keep."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker import oauth, policy
from broker.adapters.client_secrets import ClientSecrets
from broker.adapters.clock import Clock, Entropy, instant, new_connection_id, random_secret
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.epoch import Epoch
from broker.adapters.log import Level, Log
from broker.adapters.rows import connection_state as read_hot
from broker.adapters.seal import DataKey, Seal, code_aad, session_aad
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.errors import (
    AccessDenied,
    AccountMismatch,
    AwsError,
    BindingMismatch,
    BrokerError,
    Busy,
    Misconfigured,
    NotActive,
    NotAuthorized,
    NotPending,
    SessionExpired,
    SessionSpent,
    UnknownConnection,
)
from broker.flows.consent import Consent, new_profile, new_state
from broker.flows.exchange import Exchange
from broker.model import (
    Binding,
    Client,
    Connection,
    ConnectionRef,
    ConnectionState,
    Host,
    Purpose,
    Session,
    SessionId,
    Stage,
    Status,
    TenantId,
    sha256_hex,
)
from broker.secret import Secret

STORE_WAITS = (0.1, 0.5, 1.0)
"""Seconds between attempts to store; a person is waiting, and the session's stage tells what came of them."""


@dataclass(frozen=True)
class CompleteRequest:
    """What only the backend that opened the session, serving the person who began, can bring."""

    tenant: TenantId
    end_user_id: str
    ticket: Secret
    verifier: Secret


class Complete:
    """Makes the connection."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        connections: Connections,
        seal: Seal,
        *,
        credentials: ClientSecrets,
        epoch: Epoch,
        exchange: Exchange,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._connections = config, sessions, connections
        self._seal, self._credentials, self._epoch, self._exchange = seal, credentials, epoch, exchange
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, session: SessionId, proof: CompleteRequest, *, confirm_account_change: bool) -> Connection:
        """Complete for the person whose login the backend has just checked.

        Called again after it succeeded, with the same proof, it gives the connection again.

        Raises   BindingMismatch: nothing was asked of NinjaOne; and what ``_make`` raises
        Source   draft-ietf-oauth-security-topics-update: the initiating session is checked before the token request
        """
        found = self._sessions.get(session)
        if found is None or not _proved(found, proof):
            self._log.event("session.unproved", session=session, tenant=proof.tenant)
            raise BindingMismatch
        if found.stage is Stage.COMPLETED and found.connection:
            return self._made(ConnectionRef(found.tenant, found.connection))
        return self._make(found, confirm_account_change=confirm_account_change)

    def unattended(self, session: SessionId) -> None:
        """Complete a session whose connection then waits for its approval, where the operator allows that."""
        found = self._sessions.get(session)
        if found is None or found.binding is not Binding.APPROVAL or not self._config.approval_binding:
            raise BindingMismatch
        if found.stage is Stage.COMPLETED:
            return  # ordered again by a callback that came again
        try:
            self._make(found, confirm_account_change=False)
        except (SessionSpent, AwsError):  # done already; comes again
            raise
        except BrokerError:  # nobody waits for an answer who could be told
            self._log.count("completions_failed")
            raise

    def approve(self, ref: ConnectionRef) -> Connection:
        """Let a connection be used that was made without proof of the person.

        Raises   UnknownConnection, NotPending, Busy
        """
        seen = self._connections.state(ref)
        if seen is None:
            raise UnknownConnection
        now = instant(self._clock)
        due = {
            "refresh_at": policy.refresh_at(now, seen.token_expires_at, 0.0),
            "due_shard": policy.shard(ref.connection),
        }
        done = self._connections.approve(seen, {"status": Status.ACTIVE.value, **due})
        if isinstance(done, ConditionFailed) and not _is_approved(seen, done):
            raise NotPending
        self._log.event("connection.approved", tenant=ref.tenant, connection=ref.connection)
        return self._made(ref)

    def _make(self, session: Session, *, confirm_account_change: bool) -> Connection:
        """Everything that may fail is fetched before the code is spent.

        Order   old row, client secret, epoch, data keys; spend; exchange; look; keep
        """
        self._check_stage(session)
        old = self._replaced(session)
        host, client, code, verifier = self._opened(session)
        epoch = self._active_epoch()
        purposes = (Purpose.ACCESS, Purpose.REFRESH, *([Purpose.CLIENT] if client.customer_app else []))
        keys = {purpose: self._seal.data_key(purpose) for purpose in purposes}
        attempt = random_secret(self._entropy).reveal()
        if isinstance(self._sessions.begin_exchange(session.session, attempt, instant(self._clock)), ConditionFailed):
            raise SessionSpent
        try:
            self._check_code(session, code)
            consent = Consent(session, host, client, old, *self._exchange(session, client, code, verifier))
            self._check_account(consent, confirmed=confirm_account_change)
        except BrokerError:
            self._sessions.fail(session.session)
            raise
        made = self._sealed(consent, epoch, keys)
        self._keep(made, replaces=old.state if old else None, session=session.session)
        state = made.state
        self._log.event("connection.made", tenant=state.tenant, connection=state.connection, region=state.host.region)
        return made

    def _check_code(self, session: Session, code: Secret) -> None:
        """Refuse a code that was sent before: sent twice, NinjaOne may end what it gave for it (RFC 6749 §4.1.2)."""
        if not self._sessions.is_first_use(sha256_hex(code.reveal()), session.session, instant(self._clock)):
            self._log.event("code.injected", Level.ERROR, session=session.session)
            raise SessionSpent

    def _sealed(self, consent: Consent, epoch: int, keys: Mapping[Purpose, DataKey]) -> Connection:
        """Make the rows and seal what was granted. No input or output."""
        now, jitter = instant(self._clock), self._entropy(1)[0] / 256
        connection = consent.session.connection or new_connection_id(self._entropy)
        state = new_state(consent, connection, epoch=epoch, now=now, jitter=jitter)
        spot = state.aad
        refresh = consent.tokens.refresh
        state = replace(
            state,
            access=self._seal.seal(keys[Purpose.ACCESS], consent.tokens.access, spot),
            refresh=self._seal.seal(keys[Purpose.REFRESH], refresh, spot) if refresh else None,
        )
        profile = new_profile(consent, connection, now)
        if consent.client.customer_app:
            secret = self._seal.seal(keys[Purpose.CLIENT], consent.client.secret, state.ref.aad())
            profile = replace(profile, client=secret)
        return Connection(state, profile)

    def _keep(self, made: Connection, *, replaces: ConnectionState | None, session: SessionId) -> None:
        """Store at last; an acknowledgement that was lost shows in the session."""
        for wait in STORE_WAITS:
            try:
                self._connections.put(made, replaces=replaces, session=session)
                return
            except AwsError:
                self._clock.sleep(wait)
        stored = self._sessions.get(session)
        if stored is None or stored.stage is not Stage.COMPLETED:
            self._log.event("connection.not_kept", Level.ERROR, session=session, tenant=made.state.tenant)
            raise Busy("The tokens could not be stored. Let the person start again.")

    def _check_stage(self, session: Session) -> None:
        now = instant(self._clock)
        if session.stage is Stage.DENIED:
            raise AccessDenied
        if session.stage in {Stage.CREATED, Stage.STARTED}:
            raise NotAuthorized if session.expires_at > now else SessionExpired
        if session.stage is not Stage.AUTHORIZED:
            raise SessionSpent
        if session.code_expires_at <= now:
            raise SessionExpired

    def _replaced(self, session: Session) -> Connection | None:
        """Find what a reconnect replaces."""
        if session.connection is None:
            return None
        found = self._made(ConnectionRef(session.tenant, session.connection))
        if found.state.status is Status.DISCONNECTED:
            raise NotActive
        return found

    def _opened(self, session: Session) -> tuple[Host, Client, Secret, Secret]:
        if session.code is None or session.verifier is None or session.host is None:
            raise SessionSpent
        code = self._seal.open(session.code, Purpose.CODE, code_aad(session, session.ticket))
        verifier = self._seal.open(session.verifier, Purpose.VERIFIER, session_aad(session.session))
        return session.host, self._client(session, session.host), code, verifier

    def _client(self, session: Session, host: Host) -> Client:
        if not session.customer_app:
            return self._credentials.client(self._operators(host))
        if session.client is None:
            raise SessionSpent
        spot = session_aad(session.session)
        return Client(session.client_id, self._seal.open(session.client, Purpose.CLIENT, spot), customer_app=True)

    def _operators(self, host: Host) -> str:
        client_id = self._config.client_ids.get(host.region)
        if client_id is None:
            raise Misconfigured("The parameter ClientIds names no client app for this region.")
        return client_id

    def _active_epoch(self) -> int:
        epoch = self._epoch.active()
        if epoch is None:
            raise Misconfigured("The connections table was restored and is not activated; see README, Restore.")
        return epoch

    def _check_account(self, consent: Consent, *, confirmed: bool) -> None:
        """Compare by id and name: ids alone start at 1 in every NinjaOne account. One that shows none is no match."""
        if consent.replaces is None or confirmed:
            return
        state, profile = consent.replaces.state, consent.replaces.profile
        known, found = set(profile.organizations), set(consent.organizations)
        if consent.host.name != state.host.name or (known and not known & found):
            self._log.event("session.other_account", session=consent.session.session, connection=state.connection)
            raise AccountMismatch

    def _made(self, ref: ConnectionRef) -> Connection:
        found = self._connections.get(ref)
        if found is None:
            raise UnknownConnection
        return found


def _is_approved(seen: ConnectionState, refusal: ConditionFailed) -> bool:
    """Say whether what waited a moment ago is approved by now: perhaps by this call, whose answer was lost."""
    if refusal.found is None or seen.status is not Status.PENDING_APPROVAL:
        return False
    now = read_hot(refusal.found)
    return (now.status, now.consented_at) == (Status.ACTIVE, seen.consented_at)


def _proved(session: Session, proof: CompleteRequest) -> bool:
    """Check that session, tenant and person belong together; what is secret takes the same time, whichever fails."""
    return (
        session.tenant == proof.tenant
        and session.binding is Binding.SESSION
        and all(
            [
                hmac.compare_digest(session.end_user, sha256_hex(proof.end_user_id)),
                hmac.compare_digest(session.challenge, oauth.challenge(proof.verifier)),
                hmac.compare_digest(session.ticket, sha256_hex(proof.ticket.reveal())) or not session.ticket,
            ]
        )
    )
