"""Settle an attempt that brought no tokens: whose turn it is decides what happens to the row."""

from collections.abc import Mapping
from typing import Any

from broker import policy
from broker.adapters.breakers import app_breaker, host_breaker
from broker.adapters.clock import Entropy
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.rescue import RescueStore
from broker.errors import AwsError
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.save import SaveTokens
from broker.model import ConnectionState, Instant, Reason, Seconds, Status
from broker.ninjaone import Meaning, Outcome
from broker.policy import Timing

_FREE = ("lease_until", "attempt")
HOLD = Seconds(900)
"""How long a verdict is put off while the whole fleet gets such verdicts."""
RETRY = Seconds(60)


class RecordFailure:
    """Notes what came of an attempt. A note that is lost leaves the lease to run out by itself."""

    def __init__(
        self,
        connections: Connections,
        rescue: RescueStore,
        keep: SaveTokens,
        *,
        timing: Timing,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._rescue, self._keep, self._timing = connections, rescue, keep, timing
        self._entropy, self._log = entropy, log

    def __call__(self, held: ConnectionState, outcome: Outcome, context: BatchContext) -> None:
        """Settle every outcome but a grant. Raises   Busy"""
        if outcome.meaning is Meaning.DEAD:
            self._dead(held, context)
        elif outcome.meaning is Meaning.AMBIGUOUS:
            self._ambiguous(held, outcome, context)
        elif outcome.meaning is Meaning.CONFIG:
            self._config(held, outcome, context)
        elif outcome.meaning is Meaning.THROTTLED:
            self._throttled(held, outcome, context)
        else:
            self.release(held, context, retry_in=Seconds(outcome.retry_after or RETRY))
            context.failed(held, outcome.code)

    def release(self, held: ConnectionState, context: BatchContext, *, retry_in: Seconds | None) -> None:
        """Give the lease back. NinjaOne carried nothing out.

        retry_in   None leaves the schedule as it is
        """
        change = {} if retry_in is None else self._due(Instant(context.now() + retry_in))
        self._note(held, change, _FREE)

    def _ambiguous(self, held: ConnectionState, outcome: Outcome, context: BatchContext) -> None:
        """NinjaOne may have rotated the token: let nobody ask again before a late request has surely died.

        The token is presented again then: if the first request was lost, it must be; if the answer was lost,
        the token is dead anyway, and there is nothing left to break. See docs/understand/refresh.md, Ambiguity.
        """
        until = Instant(context.now() + self._timing.quarantine)
        free = Instant(until + self._timing.skew + 1)  # the first second in which the lease has surely ended
        self._note(held, {"lease_until": until, "outcome_unknown": True, **self._due(free)}, ())
        context.failed(held, outcome.code)

    def _config(self, held: ConnectionState, outcome: Outcome, context: BatchContext) -> None:
        """The client app or its secret is wrong: that is never the customer's consent, so it never strikes."""
        self._pulled(held, app_breaker(held.host.name, held.client_id), outcome, context)

    def _throttled(self, held: ConnectionState, outcome: Outcome, context: BatchContext) -> None:
        """Hold the whole host for as long as NinjaOne says. Source   RFC 6585 §4

        A customer's own app is throttled by itself: whoever wears theirs out must hold up nobody else.
        """
        app = app_breaker(held.host.name, held.client_id)
        self._pulled(held, app if held.customer_app else host_breaker(held.host.name), outcome, context)

    def _pulled(self, held: ConnectionState, breaker: str, outcome: Outcome, context: BatchContext) -> None:
        """Hold, and come back behind all whom this holds: they show whether it was this connection alone."""
        try:
            until = context.trip(breaker, outcome.code, at_least=outcome.retry_after, customer_app=held.customer_app)
        except AwsError:
            until = Instant(context.now() + max(policy.BREAKER_FIRST, outcome.retry_after or 0))
        self._note(held, self._due(until if held.customer_app else context.retry_last(breaker, until)), _FREE)

    def _dead(self, held: ConnectionState, context: BatchContext) -> None:
        """Believe a dead verdict only twice, on the token that is stored, with nothing in the rescue store.

        Order   read again; rescue store; strike; and with the last strike, whether the whole fleet is struck
        """
        ref = held.ref
        row = self._connections.state(ref)
        if row is None or (row.version, row.fence) != (held.version, held.fence):
            self._log.event("verdict.dropped", Level.WARNING, connection=held.connection)
            return
        rescued = self._rescue.get(ref, held.version)
        if rescued is not None:
            self._keep.restore_spilled(held, rescued, context)
            return
        strikes = held.strikes + 1
        if strikes < policy.STRIKES:
            soon = Instant(context.now() + policy.STRIKE_GAP)
            self._note(held, {"strikes": strikes, "struck_at": context.now(), **self._due(soon)}, _FREE)
            self._tally(held, context)
        elif self._tally(held, context):
            self._log.event("verdict.held", Level.ERROR, connection=held.connection)
            self._log.count("verdicts_held")
            self._note(held, {"struck_at": context.now(), **self._due(Instant(context.now() + HOLD))}, _FREE)
        else:
            self._give_up(held, strikes, context)

    def _tally(self, held: ConnectionState, context: BatchContext) -> bool:
        """Count a verdict; say whether so many fell lately that NinjaOne must be at fault."""
        try:
            fleet = context.verdict(first=held.strikes == 0)
        except AwsError:
            return True
        lately = policy.is_incident(fleet.tried, fleet.dead)
        return lately or policy.is_incident(fleet.tried_before, fleet.dead_before)

    def _give_up(self, held: ConnectionState, strikes: int, context: BatchContext) -> None:
        """The customer's turn. The tokens stay sealed and are tried daily: NinjaOne's mistakes heal."""
        now = context.now()
        ended_at = held.ended_at if held.reason is not Reason.SCOPE_WITHDRAWN else None  # the token was good until now
        if held.status is Status.NEEDS_REAUTH and ended_at and now - ended_at >= policy.PROBE_FOR:
            self._note(held, {}, (*_FREE, "access", "refresh", "refresh_at", "due_shard"))
            self._log.event("connection.forgotten", tenant=held.tenant, connection=held.connection)
            return
        reason = _kept(held) or policy.reason_for(
            outcome_unknown=held.outcome_unknown, consented_at=held.consented_at, now=now
        )
        change = {
            "status": Status.NEEDS_REAUTH.value,
            "reason": reason.value,
            "ended_at": ended_at or now,
            "strikes": strikes,
            "struck_at": now,
            **self._due(Instant(now + policy.PROBE_EVERY)),
        }
        self._note(held, change, _FREE)
        if held.status is not Status.NEEDS_REAUTH:
            self._log.event(
                "connection.needs_reauth",
                Level.WARNING,
                tenant=held.tenant,
                connection=held.connection,
                reason=reason.value,
            )
            self._log.count("needs_reauth")
            self._log.count("lost_in_rotation", int(reason is Reason.LOST_IN_ROTATION))

    def _due(self, at: Instant) -> Mapping[str, Any]:
        """Set when to come back, spread over some seconds."""
        return {"refresh_at": Instant(at + self._entropy(1)[0] % 16)}

    def _note(self, held: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...]) -> None:
        try:
            self._connections.record_failure(held, change, remove)
        except AwsError:
            self._log.event("lease.left", Level.WARNING, connection=held.connection)


def _kept(held: ConnectionState) -> Reason | None:
    """A probe that fails again learns nothing new; a scope withdrawn earlier is not why the token died."""
    return held.reason if held.reason is not Reason.SCOPE_WITHDRAWN else None
