"""Find the connections that fall due, and request their refresh: the cost grows with those, not with all rows."""

from collections import Counter
from dataclasses import dataclass, field

from broker import policy
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.queues import BATCH_SIZE, Queue, Trigger
from broker.adapters.rescue import RescueStore
from broker.errors import AwsError
from broker.model import ConnectionRef, Instant, Seconds, TenantId

SWEEP_INTERVAL = Seconds(60)
"""Seconds from one sweep to the next: so far ahead a sweep looks."""
MAX_QUEUED_BATCHES = 200
"""Batches that may wait in the queue: about as many as are refreshed in a minute. More would only repeat those."""
MAX_PAGES_PER_SHARD = 200
"""Pages of one shard that a sweep reads; what is left is still due a minute later."""
MAX_CONNECTIONS_PER_TENANT = 2 * BATCH_SIZE
"""Connections of one tenant in one sweep, so that requests of one customer that hang can't occupy all executions.

It suffices for about 12,000 connections of one tenant whose tokens live an hour.
"""
RESCUE_INTERVAL = Seconds(900)
"""How often a sweep looks into the rescue store."""
MAX_RESCUES = 100
"""Rescued tokens that one look reads."""


@dataclass
class _Tick:
    """The state of one sweep.

    Attributes:
        rest: due connections that do not fill a batch, collected over the shards, so that few make one batch
        requested: how many were requested or are in ``rest``
        tenants: the same number for each tenant
        failure: the last error, raised when everything else is done
    """

    now: Instant
    rest: list[ConnectionRef] = field(default_factory=list)
    requested: int = 0
    tenants: Counter[TenantId] = field(default_factory=Counter)
    failure: AwsError | None = None


class Sweep:
    """Runs every minute."""

    def __init__(
        self, connections: Connections, batches: Queue, rescue: RescueStore, *, clock: Clock, log: Log
    ) -> None:
        self._connections, self._batches, self._rescue = connections, batches, rescue
        self._clock, self._log = clock, log

    def __call__(self) -> None:
        """Request the refresh of what falls due before the next sweep; stop early if the queue is too long.

        If a shard can't be read, its connections wait for the next sweep; those of the others are requested.

        Raises:
            AwsError: something could not be done, and everything else was; the next sweep runs in any case
        """
        tick = _Tick(instant(self._clock))
        first = (
            tick.now // SWEEP_INTERVAL
        )  # another shard each time, because while the queue is too long the last ones get nothing
        for number in range(policy.SHARDS):
            self._sweep((first + number) % policy.SHARDS, tick)
        for start in range(0, len(tick.rest), BATCH_SIZE):
            self._send(tick.rest[start : start + BATCH_SIZE], tick)
        rescued = self._rescues(tick)
        self._log.count("requested", tick.requested)
        self._log.event("sweep.done", requested=tick.requested, rescued=rescued)
        if tick.failure:
            raise tick.failure

    def _sweep(self, shard: int, tick: _Tick) -> None:
        """Request one shard, soonest first. Rows with one instant were sealed together and stay in one batch."""
        start = None
        try:
            for _ in range(MAX_PAGES_PER_SHARD):
                if self._batches.waiting() >= MAX_QUEUED_BATCHES:
                    self._log.event("sweep.behind", Level.WARNING, shard=shard, requested=tick.requested)
                    break
                found, start = self._connections.get_due(shard, Instant(tick.now + SWEEP_INTERVAL), start, BATCH_SIZE)
                self._request(found, tick)
                if start is None:
                    break
        except AwsError as failure:
            self._log.event("sweep.shard_failed", Level.ERROR, shard=shard)
            tick.failure = failure

    def _request(self, found: list[ConnectionRef], tick: _Tick) -> None:
        """Send a full page at once and collect a partial one; leave out what exceeds a tenant's share."""
        wanted = [ref for ref in found if self._has_room(ref, tick)]
        tick.requested += len(wanted)
        if len(wanted) == BATCH_SIZE:
            self._send(wanted, tick)
        else:
            tick.rest += wanted

    def _has_room(self, ref: ConnectionRef, tick: _Tick) -> bool:
        tick.tenants[ref.tenant] += 1
        return tick.tenants[ref.tenant] <= MAX_CONNECTIONS_PER_TENANT

    def _send(self, refs: list[ConnectionRef], tick: _Tick) -> None:
        try:
            self._batches.send_batch(Trigger.DUE, refs)
        except AwsError as failure:
            tick.requested -= len(refs)
            tick.failure = failure

    def _rescues(self, tick: _Tick) -> int:
        """Regularly request a refresh for what waits in the rescue store, so that nothing is left there."""
        if tick.now % RESCUE_INTERVAL >= SWEEP_INTERVAL:
            return 0
        try:
            waiting = [ref for ref, _version in self._rescue.waiting(MAX_RESCUES)]
            if waiting:
                self._log.count("rescue_waiting", len(waiting))
                self._batches.send_batch(Trigger.RESCUE, waiting)
        except AwsError:
            self._log.event("rescue.not_listed", Level.WARNING)
            return 0
        return len(waiting)
