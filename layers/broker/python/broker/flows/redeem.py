"""Redeem an authorization code: send it once, and store the tokens before anything else is done.

From NinjaOne's answer until the first write this process holds the only copy of the tokens. So that write is retried
until the deadline is near, and then they are spilled into the rescue store. Another call that completes the same
session meanwhile waits for the outcome.

A session stores, sealed, the JSON object {client_id, access, refresh, expires_at, scopes}.
"""

import json
from contextlib import suppress

from broker import policy
from broker.adapters.aws import retry, while_left
from broker.adapters.clock import Clock, Entropy, instant, poll_until, random_secret
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.log import Level, Log
from broker.adapters.rescue import RescueStore
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import Sessions
from broker.errors import AwsError, BrokerError, Busy, ConsentLost, SealBroken, SessionSpent
from broker.flows.exchange import Exchange
from broker.model import Client, Instant, Purpose, Session, Stage, Tokens, sha256_hex
from broker.policy import AWS_CALL
from broker.secret import Secret


class RedeemCode:
    """Exchanges a session's code for tokens that are stored in the session."""

    def __init__(
        self,
        sessions: Sessions,
        seal: Seal,
        rescue: RescueStore,
        exchange: Exchange,
        *,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._sessions, self._seal, self._rescue, self._exchange = sessions, seal, rescue, exchange
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(
        self, session: Session, client: Client, code: Secret, code_verifier: Secret, *, until: float
    ) -> Session:
        """Send the code, unless another call does; return the session with the outcome.

        Args:
            until: when the time for this call is up

        The steps are: data key, remember the code, take it, exchange, save.

        Raises:
            SessionSpent
            AwsError: the code was not sent, or the tokens were saved
            BrokerError: what ``Exchange`` raises
        """
        key = self._seal.data_key(Purpose.EXCHANGED)
        self._check_code(session, code)
        if not self._take(session, until):
            return self.wait(session, until=until)
        try:
            tokens = self._exchange(session, client, code, code_verifier)
        except BrokerError as error:
            self._fail(session, error)
            raise
        exchanged = self._seal.seal(key, _serialized(client.id, tokens), code_aad(session, session.ticket_hash))
        return self._save(session, exchanged, until)

    def wait(self, session: Session, *, until: float) -> Session:
        """Read the session repeatedly until the call that took its code has finished or has certainly been killed.

        An error of AWS does not end the waiting, because the next read may succeed; the last read's error is raised.

        Raises:
            Busy: the other call is still at work
            AwsError: the session could not be read
        """
        busy = Busy("Another call is completing this session. Ask again.")
        last_error: BrokerError = busy
        for _ in poll_until(self._clock, min(until, self._clock.now() + policy.COMPLETE_WAIT)):
            try:
                found = self._read_session(session)
            except AwsError as error:
                last_error = error
                continue
            if found.stage is not Stage.EXCHANGING:
                return found
            last_error = busy
        raise last_error

    def opened(self, session: Session) -> tuple[str, Tokens]:
        """Open what the session stores: the client id that the tokens were issued to, and the tokens.

        Raises:
            SealBroken, AwsError
        """
        sealed = self._seal.open(session.exchanged or b"", Purpose.EXCHANGED, code_aad(session, session.ticket_hash))
        return _deserialized(sealed)

    def _check_code(self, session: Session, code: Secret) -> None:
        """Refuse a code that was sent before: NinjaOne may revoke the tokens of a reused code (RFC 6749 §4.1.2)."""
        if not self._sessions.is_first_use(sha256_hex(code.reveal()), session.session, instant(self._clock)):
            self._log.event("code.reused", Level.ERROR, session=session.session)
            raise SessionSpent

    def _take(self, session: Session, until: float) -> bool:
        """Take the code out of the session. It is retried, because after a lost answer the code would be gone."""
        exchange_id, now = random_secret(self._entropy).reveal(), instant(self._clock)
        certainly_ended = Instant(int(until) + policy.COMPLETE_SLACK + policy.CLOCK_SKEW)
        take = lambda: self._sessions.begin_exchange(session, exchange_id, now=now, until=certainly_ended)  # noqa: E731
        taken = retry(take, self._clock, while_left(lambda: now + policy.CODE_LIFE - self._clock.now()))
        return not isinstance(taken, ConditionFailed)

    def _save(self, session: Session, exchanged: bytes, until: float) -> Session:
        """Save the tokens in the session; if the table fails until the deadline, spill them into the rescue store."""
        save = lambda: self._sessions.save(session.session, exchanged)  # noqa: E731
        try:
            return retry(save, self._clock, while_left(lambda: until - self._clock.now() - 2 * AWS_CALL))
        except AwsError:
            self._spill(session, exchanged, until)
            raise

    def _spill(self, session: Session, exchanged: bytes, until: float) -> None:
        spill = lambda: self._rescue.put_consent(session.session, exchanged)  # noqa: E731
        try:
            retry(spill, self._clock, while_left(lambda: until - self._clock.now() - AWS_CALL))
        except AwsError:
            self._log.event("consent.unsaved", Level.ERROR, session=session.session, tenant=session.tenant)
            self._log.count("consents_unsaved")
        else:
            self._log.event("consent.spilled", Level.ERROR, session=session.session, tenant=session.tenant)

    def _read_session(self, session: Session) -> Session:
        """Read the session, and restore what was spilled for it. After its call has ended, tokens not found are lost.

        Raises ``AwsError``.
        """
        now = self._clock.now()
        found = self._sessions.get(session.session)
        if found is None:
            raise SessionSpent
        if found.stage is not Stage.EXCHANGING:
            return found
        spilled = self._rescue.consent(session.session)
        if spilled is not None:
            self._log.event("consent.rescued", Level.WARNING, session=session.session, tenant=session.tenant)
            return self._sessions.save(session.session, spilled)
        if now <= found.exchanging_until:
            return found
        self._log.event("consent.lost", Level.ERROR, session=session.session, tenant=session.tenant)
        return self._sessions.fail(session.session, Stage.EXCHANGING, ConsentLost.__name__)

    def _fail(self, session: Session, error: BrokerError) -> None:
        """Record why the exchange failed; if that fails too, later calls report the consent as lost."""
        with suppress(AwsError):
            retry(lambda: self._sessions.fail(session.session, Stage.EXCHANGING, type(error).__name__), self._clock)


def _serialized(client_id: str, tokens: Tokens) -> Secret:
    fields = {
        "client_id": client_id,
        "access": tokens.access.reveal(),
        "refresh": tokens.refresh.reveal() if tokens.refresh else "",
        "expires_at": tokens.expires_at,
        "scopes": sorted(tokens.scopes),
    }
    return Secret(json.dumps(fields))


def _deserialized(sealed: Secret) -> tuple[str, Tokens]:
    """Read the JSON object. Raises SealBroken if it has another form, as a later release may write."""
    try:
        fields = json.loads(sealed.reveal())
        return fields["client_id"], Tokens(
            access=Secret(fields["access"]),
            refresh=Secret(fields["refresh"]),
            expires_at=Instant(fields["expires_at"]),
            scopes=frozenset(fields["scopes"]),
        )
    except (ValueError, KeyError, TypeError):
        raise SealBroken from None
