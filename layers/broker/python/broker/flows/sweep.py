"""Find what falls due, and order its refresh: the cost grows with what is due, never with what is stored."""

from broker import policy
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.queues import BATCH_SIZE, Queue, Trigger
from broker.adapters.rescue import RescueStore
from broker.errors import AwsError
from broker.model import ConnectionRef, Instant, Seconds

HORIZON = Seconds(60)
"""How far ahead a sweep looks: to the next one."""
BEHIND = 200
"""Orders that wait: about as many as the refreshers work in a minute. More would only repeat what those hold."""
PAGES = 200
"""Pages of one shard in one sweep; what is left is still due a minute later."""
RESCUE_EVERY = Seconds(900)
RESCUES = 100


class Sweep:
    """Runs every minute."""

    def __init__(self, connections: Connections, orders: Queue, rescue: RescueStore, *, clock: Clock, log: Log) -> None:
        self._connections, self._orders, self._rescue = connections, orders, rescue
        self._clock, self._log = clock, log

    def __call__(self) -> None:
        """Order what is due until the next sweep; stop early when the queue is behind.

        Raises   Busy: the next tick comes anyway
        """
        now = instant(self._clock)
        rest: list[ConnectionRef] = []
        first = now // HORIZON  # another shard each time: while the queue is behind, the last ones get nothing
        ordered = sum(self._sweep((first + number) % policy.SHARDS, now, rest) for number in range(policy.SHARDS))
        for start in range(0, len(rest), BATCH_SIZE):
            self._orders.send_batch(Trigger.DUE, rest[start : start + BATCH_SIZE])
        rescued = self._rescues(now)
        self._log.count("ordered", ordered)
        self._log.event("sweep.done", ordered=ordered, rescued=rescued)

    def _sweep(self, shard: int, now: Instant, rest: list[ConnectionRef]) -> int:
        """Order one shard, soonest first. Rows with one instant were sealed together and stay in one order.

        rest   gets what does not fill an order: few connections make one order, not one for each shard
        """
        ordered, start = 0, None
        for _ in range(PAGES):
            if self._orders.waiting() >= BEHIND:
                self._log.event("sweep.behind", Level.WARNING, shard=shard, ordered=ordered)
                break
            found, start = self._connections.due(shard, Instant(now + HORIZON), start, BATCH_SIZE)
            if len(found) == BATCH_SIZE:
                self._orders.send_batch(Trigger.DUE, found)
            else:
                rest += found
            ordered += len(found)
            if start is None:
                break
        return ordered

    def _rescues(self, now: Instant) -> int:
        """Now and then, order what waits in the rescue store, so that nothing stays there unseen."""
        if now % RESCUE_EVERY >= HORIZON:
            return 0
        try:
            waiting = [ref for ref, _version in self._rescue.waiting(RESCUES)]
        except AwsError:
            self._log.event("rescue.not_listed", Level.WARNING)
            return 0
        if waiting:
            self._log.count("rescue_waiting", len(waiting))
            self._orders.send_batch(Trigger.RESCUE, waiting)
        return len(waiting)
