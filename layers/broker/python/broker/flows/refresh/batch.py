"""Work an order: refresh its connections side by side. The protocol and its proofs: docs/understand/refresh.md."""

from collections import deque
from collections.abc import Callable, Sequence

from broker.adapters.breakers import Breakers
from broker.adapters.clock import Clock, Entropy, instant
from broker.adapters.connections import Connections
from broker.adapters.epoch import Epoch
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.queues import RefreshBatch
from broker.adapters.seal import Seal
from broker.adapters.workers import WorkerPool
from broker.errors import AwsError, BrokerError
from broker.flows.refresh.connection import RefreshConnection
from broker.flows.refresh.context import BatchContext
from broker.model import ConnectionState, Purpose

WIDTH = 50
"""Connections in flight at once: the work waits for NinjaOne, and a full order passes in four waves."""


class RefreshConnections:
    """Works orders; nothing of an order is in flight any more when the call returns."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        renewal: RefreshConnection,
        *,
        epoch: Epoch,
        breakers: Breakers,
        web: Callable[[], HttpClient],
        workers: WorkerPool,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._renewal = connections, seal, renewal
        self._epoch, self._brakes = epoch, breakers
        self._web, self._crew = web, workers
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, order: RefreshBatch, left: Callable[[], float]) -> None:
        """Refresh what is due of an order. What can't be done now stays due, and is ordered again.

        left     seconds until the platform kills this invocation
        Raises   Busy, Misconfigured: nothing of the order was begun
        """
        try:
            self._begin(order, left)
        except BrokerError:
            self._log.count("put_off", len(order.refs))
            raise

    def _begin(self, order: RefreshBatch, left: Callable[[], float]) -> None:
        """Order   epoch, rows, brakes, data keys; then the workers"""
        if order.faults:
            self._log.event("order.faulty", Level.WARNING, faults=order.faults)
        epoch = self._epoch.active()
        if epoch is None:
            self._log.event("epoch.inactive", Level.ERROR)
            self._log.count("epoch_inactive")
            return
        context = self._shift(order, epoch, left)
        waiting = deque(self._wanted(order, context))
        context.read_breakers(waiting)
        self._prepare(waiting)
        self._crew.run([lambda: self._work(waiting, context) for _ in range(min(WIDTH, len(waiting)))])
        if context.renewed:
            self._log.event("order.worked", why=context.trigger.value, renewed=" ".join(context.renewed))
        self._hand_in(context)

    def _wanted(self, order: RefreshBatch, context: BatchContext) -> list[ConnectionState]:
        """Read all rows, and leave out what there is nothing to do for."""
        found, unread = self._connections.many(order.refs)
        if len(found) < len(order.refs):
            self._log.event("order.unknown", Level.WARNING, missing=len(order.refs) - len(found), unread=unread)
        if unread:
            self._log.count("rows_unread", unread)
        self._renewal.count_ended(found, context)
        return [row for row in found if self._renewal.is_wanted(row, context)]

    def _prepare(self, rows: Sequence[ConnectionState]) -> None:
        """Get the data keys before the workers need them, each once: rows that were sealed together share one."""
        if rows:
            self._seal.unwrap_keys((row.refresh for row in rows if row.refresh), Purpose.REFRESH)
            for purpose in (Purpose.ACCESS, Purpose.REFRESH):
                self._seal.data_key(purpose)

    def _shift(self, order: RefreshBatch, epoch: int, left: Callable[[], float]) -> BatchContext:
        return BatchContext(
            trigger=order.trigger,
            min_ttl=order.min_ttl,
            epoch=epoch,
            began=instant(self._clock),
            jitter=self._entropy(1)[0] / 256,
            left=left,
            breakers=self._brakes,
            clock=self._clock,
            log=self._log,
        )

    def _work(self, waiting: deque[ConnectionState], context: BatchContext) -> None:
        """Take connections until none is left, with an HTTP client of this worker's own."""
        with self._web() as web:
            while waiting:
                try:
                    seen = waiting.popleft()
                except IndexError:  # another worker was faster
                    return
                self._renewal(seen, context, web)

    def _hand_in(self, context: BatchContext) -> None:
        if not context.has_counts:
            return
        try:
            context.store_counts()
        except AwsError:
            self._log.event("tally.lost", Level.WARNING)
