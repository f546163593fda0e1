"""Store a connection from the consent in its session, and complete the session with it."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

from broker import policy
from broker.adapters.aws import retry, while_left
from broker.adapters.clock import Clock, Entropy, instant, jitter, new_connection_id
from broker.adapters.connections import Connections
from broker.adapters.epoch import Epoch
from broker.adapters.log import Level, Log
from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import Sessions
from broker.errors import (
    AccountMismatch,
    AwsError,
    BrokerError,
    Misconfigured,
    NotActive,
    ProviderDown,
    SessionSpent,
    UnknownConnection,
)
from broker.flows.consent import Consent, new_profile, new_state
from broker.flows.exchange import Exchange
from broker.flows.redeem import RedeemCode
from broker.model import (
    Client,
    Connection,
    ConnectionId,
    ConnectionRef,
    Host,
    Instant,
    Organization,
    Purpose,
    Session,
    Stage,
    Status,
)
from broker.secret import Secret

SUPERSEDED = "This connection was connected again in a later session meanwhile, and that one is kept."


class StoreConnection:
    """Makes connections out of consents."""

    def __init__(
        self,
        sessions: Sessions,
        connections: Connections,
        seal: Seal,
        *,
        epoch: Epoch,
        exchange: Exchange,
        redeem: RedeemCode,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._sessions, self._connections, self._seal, self._epoch = sessions, connections, seal, epoch
        self._exchange, self._redeem = exchange, redeem
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, session: Session, *, until: float, confirmed: bool) -> Connection:
        """Read which account was connected, and store the connection; retry until the time is up.

        Only a consent that can never be stored is dropped. Any other stays in its session, so that ``complete`` can be
        called again, for example when the table failed or waits to be activated.

        Args:
            until: when the time for this call is up
            confirmed: whether a reconnect may bring another NinjaOne account

        Raises:
            AccountMismatch, NotActive, SessionSpent
            ProviderDown, UnknownConnection, Misconfigured, AwsError
        """
        if session.host is None:
            raise SessionSpent
        client_id, tokens = self._redeem.opened(session)
        organizations = self._exchange.organizations(session.host, tokens.access)
        client = self.customer_app(session) if session.customer_app else Client(client_id, Secret(""))
        same_as = self._same_account(session, session.host, organizations)
        consent = Consent(session, session.host, client, None, tokens, organizations, same_as)
        make = partial(self._make, consent, confirmed=confirmed)
        try:
            made = retry(make, self._clock, while_left(lambda: until - self._clock.now() - policy.AWS_CALL))
        except (AccountMismatch, NotActive, SessionSpent) as error:
            self._drop(session, error)
            raise
        state = made.state
        self._log.event("connection.stored", tenant=state.tenant, connection=state.connection, region=state.host.region)
        return made

    def check(self, session: Session) -> None:
        """Check, before the code is used, that its connection could be stored at all.

        Raises:
            UnknownConnection, NotActive, Misconfigured, AwsError
        """
        self._replaced(session)
        self._active_epoch()

    def made(self, ref: ConnectionRef) -> Connection:
        """Read a connection that was stored. Raises UnknownConnection or AwsError."""
        found = self._connections.get(ref)
        if found is None:
            raise UnknownConnection
        return found

    def customer_app(self, session: Session) -> Client:
        """Open the client app that the customer entered. Raises SessionSpent, SealBroken or AwsError."""
        if session.client is None:
            raise SessionSpent
        secret = self._seal.open(session.client, Purpose.CLIENT, session_aad(session.session))
        return Client(session.client_id, secret, customer_app=True)

    def _same_account(
        self, session: Session, host: Host, organizations: tuple[Organization, ...] | None
    ) -> ConnectionId | None:
        """Find another active connection of the tenant with the same host and organizations: probably the same account.

        In NinjaOne an account has no name of its own, so this is a guess. It must not hold anything up: if the
        connections can't be read, the result is None.
        """
        if not organizations:
            return None
        try:
            others = self._connections.get_accounts(session.tenant)
        except AwsError:
            self._log.event("account.not_compared", Level.WARNING, session=session.session, tenant=session.tenant)
            self._log.count("accounts_not_compared")
            return None
        for other in others:
            state, seen = other.state, set(other.profile.organizations)
            is_same = state.host.name == host.name and seen == set(organizations)
            if is_same and state.status is Status.ACTIVE and state.connection != session.connection:
                self._log.event("account.connected_twice", tenant=state.tenant, connection=state.connection)
                return state.connection
        return None

    def _make(self, consent: Consent, *, confirmed: bool) -> Connection:
        """Try once. Whether another call stored it, or this one whose answer was lost, shows in the session."""
        session = consent.session
        old = self._replaced(session)
        consent = replace(consent, replaces=old)
        self._check_account(consent, confirmed=confirmed)
        made = self._sealed(consent, self._active_epoch())
        pending = made.state.status is Status.PENDING_APPROVAL
        forget_at = Instant(instant(self._clock) + policy.APPROVAL_LIFE) if pending else None
        replaced = old.state if old else None
        try:
            self._connections.put(made, replaces=replaced, session=session.session, forget_at=forget_at)
        except AwsError:
            stored = self._sessions.get(session.session)
            if stored is None or stored.stage is not Stage.COMPLETED or not stored.connection:
                raise
            return self.made(ConnectionRef(stored.tenant, stored.connection))
        return made

    def _sealed(self, consent: Consent, epoch: int) -> Connection:
        """Build the rows, and seal the tokens."""
        now = instant(self._clock)
        connection = consent.session.connection or new_connection_id(self._entropy)
        state = new_state(consent, connection, epoch=epoch, now=now, jitter=jitter(self._entropy))
        refresh = consent.tokens.refresh
        state = replace(
            state,
            access=self._seal.seal(self._seal.data_key(Purpose.ACCESS), consent.tokens.access, state.aad),
            refresh=self._seal.seal(self._seal.data_key(Purpose.REFRESH), refresh, state.aad) if refresh else None,
        )
        profile = new_profile(consent, connection, now)
        if consent.client.customer_app:
            secret = self._seal.seal(self._seal.data_key(Purpose.CLIENT), consent.client.secret, state.ref.aad())
            profile = replace(profile, client=secret)
        return Connection(state, profile)

    def _replaced(self, session: Session) -> Connection | None:
        """Find the connection that a reconnect replaces: never a disconnected one, nor one of a later consent."""
        if session.connection is None:
            return None
        found = self.made(ConnectionRef(session.tenant, session.connection))
        if found.state.status is Status.DISCONNECTED:
            raise NotActive
        if found.state.consented_at > session.authorized_at:
            raise SessionSpent(SUPERSEDED)
        return found

    def _active_epoch(self) -> int:
        epoch = self._epoch.active()
        if epoch is None:
            raise Misconfigured("The connections table was restored and is not activated; see docs/operate/restore.md.")
        return epoch

    def _check_account(self, consent: Consent, *, confirmed: bool) -> None:
        """Compare by id and name: ids alone start at 1 in every NinjaOne account. One that shows none is no match.

        Where NinjaOne did not say which account it is, the consent waits for the next call.

        Raises:
            AccountMismatch, ProviderDown
        """
        if consent.replaces is None or confirmed:
            return
        state, profile = consent.replaces.state, consent.replaces.profile
        known, is_same_host = set(profile.organizations), consent.host.name == state.host.name
        if is_same_host and known and consent.organizations is None:
            raise ProviderDown
        if not is_same_host or (known and known.isdisjoint(consent.organizations or ())):
            self._log.event("session.account_mismatch", session=consent.session.session, connection=state.connection)
            raise AccountMismatch

    def _drop(self, session: Session, error: BrokerError) -> None:
        """Record the error, so that later calls get the same, and drop the tokens."""
        with suppress(AwsError):
            retry(lambda: self._sessions.fail(session.session, Stage.EXCHANGED, type(error).__name__), self._clock)
