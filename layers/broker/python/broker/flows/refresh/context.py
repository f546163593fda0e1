"""What the workers of one order share: the deadline, the jitter, the brakes, the tally."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from broker import policy
from broker.adapters.breakers import Breaker, Breakers, FailureWindow, app_breaker, host_breaker
from broker.adapters.clock import Clock, instant
from broker.adapters.log import Level, Log
from broker.adapters.queues import Trigger
from broker.errors import AwsError
from broker.model import ConnectionId, ConnectionState, Instant, Seconds

FAILURES_IN_A_ROW = 3
"""So many failures of one host without a success between: more requests would only be lost as well."""


@dataclass
class BatchContext:
    """One order being worked.

    left     seconds until the platform kills this invocation
    began    one instant for all, and
    jitter   0 to 1, one for all: what is sealed together comes due together
    renewed  the connections whose new tokens were stored
    """

    trigger: Trigger
    min_ttl: Seconds
    epoch: int
    began: Instant
    jitter: float
    left: Callable[[], float]
    breakers: Breakers
    clock: Clock
    log: Log
    renewed: list[ConnectionId] = field(default_factory=list)
    _known: dict[str, Breaker | None] = field(default_factory=dict)
    _failures: dict[str, set[str]] = field(default_factory=dict)
    _tried: int = 0
    _dead: int = 0

    def now(self) -> Instant:
        """The current second."""
        return instant(self.clock)

    def read_breakers(self, rows: Iterable[ConnectionState]) -> None:
        """Read the brakes before the workers need them, each once; trouble shows when a row is worked."""
        with suppress(AwsError):
            for name in sorted({name for row in rows for name in _names(row)}):
                self._read(name)

    def resume_at(self, row: ConnectionState) -> Instant | None:
        """Say when to come back to a row whose host or client app is held; None when neither is. Raises   Busy"""
        found = [breaker for breaker in (self._read(name) for name in _names(row)) if breaker]
        held = max(found, key=lambda breaker: breaker.until, default=None)
        if held is None or held.until <= self.now():
            return None
        return policy.resume_at(held.until, held.level, self.jitter)

    def trip(self, name: str, cause: str, *, at_least: Seconds | None = None, customer_app: bool = False) -> Instant:
        """Hold refreshes, longer each time in a row; say until when. A brake that can't be stored holds this order, and
        one that another order pulled for longer stands.

        own   it is a customer's own client app that is held: nobody of the operator's is woken
        """
        old, now = self._known.get(name), self.now()
        if old and old.until >= now + (at_least or 0) and old.until > now:
            return old.until
        level = old.level + (old.until <= now) if old else 0
        until = Instant(now + max(policy.breaker_hold(level), at_least or 0))
        self._known[name] = breaker = Breaker(until, level, cause)
        self.log.event(
            "brake.pulled", Level.WARNING if customer_app else Level.ERROR, breaker=name, cause=cause, until=until
        )
        self.log.count("own_app_held" if customer_app else "brake_pulled")
        stands = self.breakers.trip(name, breaker)
        if stands.until > until:
            self._known[name] = stands
        return stands.until

    def retry_last(self, name: str, until: Instant) -> Instant:
        """Say when all that a brake held have been tried again. Whoever pulled it comes then: were it sooner, one
        connection that fails for reasons of its own would hold the others again and again."""
        breaker = self._known.get(name)
        return Instant(policy.resume_at(until, breaker.level if breaker else 0, 1.0) + policy.ATTEMPT_GAP)

    def succeeded(self, row: ConnectionState) -> None:
        """Note a success: what held this row's host or app until it was tried is over.

        A brake that holds now was pulled after the request had left, by this order or another: it has to wear off.
        """
        self._tried += 1
        self._failures.pop(row.host.name, None)
        now = self.now()
        for name in _names(row):
            breaker = self._known.get(name)
            if breaker and breaker.until <= now:
                self._known[name] = None
                with suppress(AwsError):  # it wears off by itself
                    self._known[name] = self.breakers.reset(name, breaker) or self._known[name]

    def failed(self, row: ConnectionState, cause: str) -> None:
        """Note that the host did not serve a request; several in a row pull its brake.

        Those of customers' own apps count once for each tenant: one customer's trouble holds up nobody else.
        """
        seen = self._failures.setdefault(row.host.name, set())
        seen.add(f"tenant {row.tenant}" if row.customer_app else row.connection)
        if len(seen) >= FAILURES_IN_A_ROW:
            self.trip(host_breaker(row.host.name), cause)

    def verdict(self, *, first: bool) -> FailureWindow:
        """Note a dead verdict, and tell what the whole fleet saw lately. Raises   Busy

        first   the connection's first: it counts, and those that follow it do not
        """
        self._dead += first
        self._tried += first
        return self.store_counts()

    def store_counts(self) -> FailureWindow:
        """Hand the tally in. Raises   Busy"""
        tried, dead = self._tried, self._dead
        self._tried = self._dead = 0
        return self.breakers.count(tried=tried, dead=dead, now=self.now())

    @property
    def has_counts(self) -> bool:
        """Say whether there is something to hand in."""
        return self._tried > 0

    def _read(self, name: str) -> Breaker | None:
        if name not in self._known:
            self._known[name] = self.breakers.read(name)
        return self._known[name]


def _names(row: ConnectionState) -> tuple[str, str]:
    return host_breaker(row.host.name), app_breaker(row.host.name, row.client_id)
