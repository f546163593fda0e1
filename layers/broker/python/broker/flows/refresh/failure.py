"""Record an attempt that brought no tokens: how long the connection waits, or that its customer must reconnect it.

``RecordFailure._give_up`` sets ``needs_reauth``. The only other place that does is ``SaveTokens``, when a grant lacks
scopes that the customer had agreed to (``scope_withdrawn``).
"""

from collections.abc import Mapping
from typing import Any

from broker import policy
from broker.adapters.clock import Entropy, jitter
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.rescue import RescueStore
from broker.errors import AwsError
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.save import SaveTokens
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionState, Instant, Reason, Status
from broker.ninjaone import Meaning, Outcome

_LEASE = ("lease_until", "lease_id")


class RecordFailure:
    """Records the outcome of an attempt. If a record can't be written, the lease expires by itself."""

    def __init__(
        self,
        connections: Connections,
        rescue: RescueStore,
        save: SaveTokens,
        *,
        timing: Timing,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._rescue, self._save, self._timing = connections, rescue, save, timing
        self._entropy, self._log = entropy, log

    def __call__(self, leased: ConnectionState, outcome: Outcome, batch: BatchContext) -> None:
        """Record any outcome but a grant. Raises AwsError."""
        if outcome.meaning is Meaning.DEAD:
            self._dead(leased, outcome, batch)
        elif outcome.meaning is Meaning.AMBIGUOUS:
            self._ambiguous(leased, outcome, batch)
        else:
            self._refused(leased, outcome, batch)

    def release(self, leased: ConnectionState, batch: BatchContext, *, is_due: bool = False) -> None:
        """Release the lease without having called NinjaOne.

        Args:
            is_due: whether to make the connection due at once; otherwise its time stays as it is
        """
        self._write(leased, {"refresh_at": batch.now()} if is_due else {}, _LEASE)

    def _refused(self, leased: ConnectionState, outcome: Outcome, batch: BatchContext) -> None:
        """Record that NinjaOne refused and did nothing. It delays this connection; only a breaker delays others."""
        if outcome.is_about_app and not leased.customer_app:
            self._log.count("app_refused")
        self._write(leased, self._wait(leased, outcome, batch), _LEASE)
        batch.breakers.failed(leased, outcome)

    def _ambiguous(self, leased: ConnectionState, outcome: Outcome, batch: BatchContext) -> None:
        """Record that NinjaOne may have rotated the token, and quarantine it until a delayed request can't arrive.

        Then the token is presented again: if the first request was lost, that is necessary; if the answer was lost,
        the token is dead already, so that it can do no harm. See docs/understand/refresh.md, Ambiguity.
        """
        until = Instant(batch.now() + self._timing.quarantine)
        free = until + self._timing.skew + 1  # the first second in which the lease has certainly expired
        wait = self._wait(leased, outcome, batch)
        change = {"lease_until": until, "outcome_unknown": True, "refresh_at": max(free, wait["refresh_at"])}
        self._write(leased, {**wait, **change}, ())
        batch.breakers.failed(leased, outcome)

    def _dead(self, leased: ConnectionState, outcome: Outcome, batch: BatchContext) -> None:
        """Count a dead verdict only if it is about the stored token and the rescue store holds no newer one.

        The row is read again, then the rescue store; then the connection waits for another attempt, or is given up.
        """
        ref = leased.ref
        row = self._connections.get_state(ref)
        if row is None or (row.version, row.fence) != (leased.version, leased.fence):
            self._log.event("refresh.verdict_outdated", Level.WARNING, connection=leased.connection)
            return
        spilled = self._rescue.get(ref, leased.version)
        if spilled is not None:
            self._save.restore_spilled(leased, spilled, batch)
        elif self._is_believed(leased, batch):
            self._give_up(leased, batch)
        else:
            struck_at = leased.struck_at or batch.now()
            self._write(leased, {"struck_at": struck_at, **self._wait(leased, outcome, batch)}, _LEASE)
            batch.breakers.failed(leased, outcome)

    def _is_believed(self, leased: ConnectionState, batch: BatchContext) -> bool:
        """Return whether NinjaOne's verdict is believed; not if the breaker that would confirm it can't be read."""
        if leased.status is Status.NEEDS_REAUTH and leased.reason is not Reason.SCOPE_WITHDRAWN:
            return True  # it was believed before
        if leased.struck_at is None:
            return False
        try:
            host = batch.breakers.latest(leased)
        except AwsError:
            return False
        believed = policy.is_believed(
            struck_at=leased.struck_at,
            now=batch.now(),
            others_granted=host.others_granted(leased.tenant, leased.struck_at),
            others_failing=host.others_failing(leased.tenant),
        )
        if not believed:
            self._log.event(
                "refresh.verdict_doubted", Level.WARNING, connection=leased.connection, since=leased.struck_at
            )
        return believed

    def _give_up(self, leased: ConnectionState, batch: BatchContext) -> None:
        """Set ``needs_reauth``. The tokens stay sealed and are retried, in case NinjaOne's verdict was a mistake."""
        now = batch.now()
        is_first = leased.reason is Reason.SCOPE_WITHDRAWN  # until now the tokens were accepted
        since = (None if is_first else leased.needs_reauth_since) or now
        if now - since >= policy.REJECTED_RETRY_FOR:
            self._forget(leased, now)
            return
        reason = _known_reason(leased) or policy.reason_for(
            outcome_unknown=leased.outcome_unknown, consented_at=leased.consented_at, now=now
        )
        change = {
            "status": Status.NEEDS_REAUTH.value,
            "reason": reason.value,
            "needs_reauth_since": since,
            "failures": leased.failures + 1,
            "refresh_at": now + policy.rejected_retry_wait(since, now),
        }
        self._write(leased, change, _LEASE)
        if leased.status is not Status.NEEDS_REAUTH:
            self._tell(leased, reason)

    def _forget(self, leased: ConnectionState, now: Instant) -> None:
        try:
            self._connections.forget(leased, Instant(now + policy.FORGOTTEN_KEPT))
        except AwsError:
            self._log.event("lease.not_released", Level.WARNING, connection=leased.connection)
        else:
            self._log.event("connection.forgotten", tenant=leased.tenant, connection=leased.connection)

    def _tell(self, leased: ConnectionState, reason: Reason) -> None:
        self._log.event(
            "connection.needs_reauth",
            Level.WARNING,
            tenant=leased.tenant,
            connection=leased.connection,
            reason=reason.value,
        )
        self._log.count("needs_reauth")
        self._log.count("lost_in_rotation", int(reason is Reason.LOST_IN_ROTATION))

    def _wait(self, leased: ConnectionState, outcome: Outcome, batch: BatchContext) -> Mapping[str, Any]:
        """Count a failure, and set when to retry. An open breaker does not lengthen a connection's own wait."""
        failures, now = leased.failures, batch.now()
        if not batch.breakers.is_open(leased) or not failures:
            failures += 1
        wait = policy.retry_wait(
            failures,
            leased.token_expires_at - now,
            jitter=jitter(self._entropy),
            retry_after=outcome.retry_after,
            longest=policy.RETRY_REFUSED_APP if outcome.is_about_app else policy.RETRY_LONGEST,
        )
        return {"failures": failures, "cause": outcome.code, "refresh_at": now + wait}

    def _write(self, leased: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...]) -> None:
        try:
            self._connections.record_failure(leased, change, remove)
        except AwsError:
            self._log.event("lease.not_released", Level.WARNING, connection=leased.connection)


def _known_reason(leased: ConnectionState) -> Reason | None:
    """Return the stored reason if it still holds: another failed retry adds nothing, but a withdrawn scope is no reason
    for a dead token.
    """
    return leased.reason if leased.reason is not Reason.SCOPE_WITHDRAWN else None
