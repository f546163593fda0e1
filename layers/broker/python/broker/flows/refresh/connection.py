"""Refresh one connection: read, open, lease, look in the rescue store, post once; then keep or settle.

All that is remote is fetched before the lease, so that whatever fails there leaves the row untouched.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from broker import ninjaone, oauth, policy
from broker.adapters.client_secrets import ClientSecrets
from broker.adapters.clock import Clock, Entropy
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.queues import Trigger
from broker.adapters.rescue import RescueStore
from broker.adapters.rows import connection_state as read_hot
from broker.adapters.seal import DataKey, Seal
from broker.errors import AwsError, BrokerError, Busy, Misconfigured, SealBroken
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.failure import RecordFailure
from broker.flows.refresh.save import REVOKE_TIMEOUT, SaveTokens
from broker.model import Client, ConnectionRef, ConnectionState, Instant, Purpose, Seconds, Status
from broker.ninjaone import Meaning, Outcome
from broker.policy import Timing
from broker.secret import Secret

AHEAD = Seconds(60)
"""How much before its time a connection may be refreshed: a sweep orders what is due until the next one."""

LEASE_WAITS = (0.2, 1.0)
"""Seconds between attempts to write the lease; a lost acknowledgement shows by the attempt in the row."""


@dataclass(frozen=True)
class RefreshInputs:
    """What a refresh needs, in hand before the lease is taken."""

    token: Secret
    client: Client
    access_key: DataKey
    refresh_key: DataKey


class RefreshConnection:
    """Refreshes one connection at a time; a failure of one is no failure of another."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        *,
        credentials: ClientSecrets,
        rescue: RescueStore,
        keep: SaveTokens,
        settle: RecordFailure,
        timing: Timing,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._credentials = connections, seal, credentials
        self._rescue, self._keep, self._settle, self._timing = rescue, keep, settle, timing
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, seen: ConnectionState, context: BatchContext, web: HttpClient) -> None:
        """Refresh a connection that is wanted. What can't be done now stays due."""
        try:
            self._refresh(seen, context, web)
        except SealBroken:
            self._log.event("seal.broken", Level.ERROR, tenant=seen.tenant, connection=seen.connection)
            self._log.count("seal_broken")
        except BrokerError as error:
            cause = type(error).__name__
            self._log.event("refresh.put_off", Level.WARNING, connection=seen.connection, cause=cause)
            self._log.count("put_off")

    def _refresh(self, seen: ConnectionState, context: BatchContext, web: HttpClient) -> None:
        """Order   gate, brakes, open, lease, rescue, gate, post"""
        if context.left() < self._timing.whole:
            raise Busy("The time of this invocation is up.")
        if seen.status is Status.DISCONNECTED:
            self._revoke_spilled(seen, web)
            return
        if self._is_held(seen, context):
            return
        if not web.is_known(seen.host.name):
            raise SealBroken
        opened = self._open(seen)
        held = self._lease(seen, context)
        if held is None or self._restore_spilled(seen, held, context):
            return
        if context.left() < self._timing.after_gate:
            self._settle.release(held, context, retry_in=Seconds(0))
            raise Busy("The time of this invocation is up.")
        self._post(held, opened, context, web)

    def is_wanted(self, seen: ConnectionState, context: BatchContext) -> bool:
        """Say whether to go on: the row decides, never the index or the order."""
        now = context.now()
        if seen.status is Status.DISCONNECTED:
            return context.trigger is Trigger.RESCUE
        if seen.status not in {Status.ACTIVE, Status.NEEDS_REAUTH} or seen.refresh is None:
            return False
        if seen.epoch != context.epoch:
            self._log.event("refresh.other_epoch", Level.WARNING, connection=seen.connection, epoch=seen.epoch)
            return False
        if seen.lease_until is not None and seen.lease_until >= now - self._timing.skew:
            return False
        if seen.struck_at is not None and now - seen.struck_at < policy.STRIKE_GAP:
            return False
        if _is_cooling_down(seen, now) and context.trigger is not Trigger.RESCUE:
            return False
        return context.trigger is Trigger.RESCUE or _is_due(seen, context, now)

    def count_ended(self, rows: Sequence[ConnectionState], context: BatchContext) -> None:
        """Count the tokens that ended before they were renewed, whatever held that up."""
        late = sum(self._keep.is_late(row, context) for row in rows)
        if late:
            self._log.count("tokens_ended", late)

    def _is_held(self, seen: ConnectionState, context: BatchContext) -> bool:
        """Wait behind a brake, without coming back every minute."""
        resume_at = context.resume_at(seen)
        if resume_at is None:
            return False
        if seen.refresh_at is not None and seen.refresh_at < resume_at:
            self._connections.record_failure(seen, {"refresh_at": resume_at}, ())
        return True

    def _open(self, seen: ConnectionState) -> RefreshInputs:
        """Raises   SealBroken, Misconfigured, Busy"""
        spot = seen.aad
        return RefreshInputs(
            token=self._seal.open(seen.refresh or b"", Purpose.REFRESH, spot),
            client=self._client(seen),
            access_key=self._seal.data_key(Purpose.ACCESS),
            refresh_key=self._seal.data_key(Purpose.REFRESH),
        )

    def _client(self, seen: ConnectionState) -> Client:
        if not seen.customer_app:
            return self._credentials.client(seen.client_id)
        profile = self._connections.profile(seen.ref)
        spot = seen.ref.aad()
        sealed = profile.client if profile else None
        return Client(seen.client_id, self._seal.open(sealed or b"", Purpose.CLIENT, spot), customer_app=True)

    def _lease(self, seen: ConnectionState, context: BatchContext) -> ConnectionState | None:
        """Take the lease, or find that a lost acknowledgement was this very one. None when another holds it."""
        attempt = base64.urlsafe_b64encode(self._entropy(12)).decode("ascii")
        now = context.now()
        lease = partial(
            self._connections.lease,
            seen,
            attempt=attempt,
            now=now,
            until=Instant(now + self._timing.lease),
            ended=Instant(now - self._timing.skew),
        )
        for wait in LEASE_WAITS:
            try:
                return _own_write(lease(), attempt)
            except AwsError:
                self._clock.sleep(wait)
        return _own_write(lease(), attempt)

    def _restore_spilled(self, seen: ConnectionState, held: ConnectionState, context: BatchContext) -> bool:
        """Put a rescued token into the row instead of asking for another.

        Only after an attempt without a clear end can there be one; while the rescue store can't be read,
        the token in the row may be an old one, and must not be presented.
        """
        if not (seen.attempt or seen.outcome_unknown or context.trigger is Trigger.RESCUE):
            return False
        ref = held.ref
        try:
            rescued = self._rescue.get(ref, held.version)
        except AwsError:
            self._settle.release(held, context, retry_in=None)
            raise
        if rescued is not None:
            self._keep.restore_spilled(held, rescued, context)
            return True
        if context.trigger is Trigger.RESCUE:
            self._rescue.drop_older(ref, held.version)
            self._settle.release(held, context, retry_in=None)
            return True
        return False

    def _revoke_spilled(self, ended: ConnectionState, web: HttpClient) -> None:
        """Revoke, as well as NinjaOne lets us, what was rescued for a connection that ended, and drop it.

        Nobody can want it any more: such a row stays ended, and takes no tokens. Its end raised the version, so
        whatever was rescued is older, and what followed its last tokens is one version older.
        Raises   Busy: it waits on
        Source   RFC 7009 §2
        """
        ref = ended.ref
        try:
            form = self._revocation(ended, ref)
        except (SealBroken, Misconfigured):  # a customer's own app is forgotten with its connection
            form = None
        revoked = False
        if form is not None:
            answer = web.post(ninjaone.revocation_endpoint(ended.host), form, timeout=REVOKE_TIMEOUT)
            revoked = isinstance(answer, oauth.Reply) and answer.status == 200
        self._rescue.drop_older(ref, ended.version)
        self._log.event(
            "rescue.dropped", Level.WARNING, tenant=ref.tenant, connection=ref.connection, revoked=int(revoked)
        )

    def _revocation(self, ended: ConnectionState, ref: ConnectionRef) -> oauth.Form | None:
        """Raises   SealBroken, Misconfigured, Busy"""
        rescued = self._rescue.get(ref, ended.version - 1)
        if rescued is None:
            return None
        spot = ended.aad
        return oauth.revocation(self._client(ended), self._seal.open(rescued.refresh, Purpose.REFRESH, spot))

    def _post(self, held: ConnectionState, opened: RefreshInputs, context: BatchContext, web: HttpClient) -> None:
        """Present the token, once; again only when NinjaOne refused the client's secret and there is a newer.

        Order   between the answer and the save there is no other input or output
        """
        outcome, sent_at = self._ask(held, opened, web, context)
        if outcome.meaning is Meaning.CONFIG and outcome.code == "invalid_client" and not held.customer_app:
            fresh = self._newer(opened.client)
            if fresh is not None and context.left() >= self._timing.after_gate:
                opened = RefreshInputs(opened.token, fresh, opened.access_key, opened.refresh_key)
                outcome, sent_at = self._ask(held, opened, web, context)
        if outcome.tokens is None:
            self._settle(held, outcome, context)
            return
        keys = (opened.access_key, opened.refresh_key)
        sealed = self._keep.seal(held, opened.token, outcome.tokens, sent_at=sent_at, keys=keys)
        self._keep.save(held, sealed, context, web=web, client=opened.client)
        context.succeeded(held)

    def _newer(self, client: Client) -> Client | None:
        """Read the secret past the cache; trouble there is no reason to change the outcome."""
        try:
            fresh = self._credentials.newer(client)
        except BrokerError:
            return None
        if fresh is not None:
            self._log.event("secret.changed", client_id=client.id)
        return fresh

    def _ask(
        self, held: ConnectionState, opened: RefreshInputs, web: HttpClient, context: BatchContext
    ) -> tuple[Outcome, Instant]:
        """Source   RFC 6749 §6"""
        sent_at = context.now()
        form = oauth.refresh_grant(opened.client, opened.token)
        timeout = Seconds(self._timing.read)
        outcome = ninjaone.classify(web.post(ninjaone.token_endpoint(held.host), form, timeout=timeout), sent_at)
        self._log.count("attempts")
        self._log.count(_COUNTERS[outcome.meaning])
        level = Level.DEBUG if outcome.meaning is Meaning.GRANTED else Level.WARNING
        self._log.event(
            "refresh.answered",
            level,
            tenant=held.tenant,
            connection=held.connection,
            meaning=outcome.meaning.value,
            code=outcome.code,
            version=held.version,
            fence=held.fence,
        )
        return outcome, sent_at


_COUNTERS = {
    Meaning.GRANTED: "renewed",
    Meaning.DEAD: "dead_verdict",
    Meaning.CONFIG: "config",
    Meaning.THROTTLED: "throttled",
    Meaning.UNAVAILABLE: "unavailable",
    Meaning.AMBIGUOUS: "ambiguous",
    Meaning.NOT_SENT: "not_sent",
}


def _own_write(found: ConnectionState | ConditionFailed, attempt: str) -> ConnectionState | None:
    """Give the row under the lease, also when it was this very attempt that had taken it."""
    if isinstance(found, ConnectionState):
        return found
    is_mine = found.found is not None and found.found.get("attempt") == {"S": attempt}
    return read_hot(found.found) if is_mine and found.found else None


def _is_cooling_down(seen: ConnectionState, now: Instant) -> bool:
    """Say whether the last attempt brought nothing, and was only just now."""
    return seen.tried_at is not None and seen.tried_at > seen.sent_at and now - seen.tried_at < policy.ATTEMPT_GAP


def _is_due(seen: ConnectionState, context: BatchContext, now: Instant) -> bool:
    if context.trigger is Trigger.URGENT:
        return seen.token_expires_at - now < context.min_ttl and now - seen.sent_at >= policy.ATTEMPT_GAP
    return seen.refresh_at is not None and seen.refresh_at <= now + AHEAD
