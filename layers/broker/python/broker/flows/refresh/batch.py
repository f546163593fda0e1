"""Refresh a batch of connections concurrently. The protocol and its proofs: docs/understand/refresh.md."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence

from broker.adapters.breakers import BreakerStore
from broker.adapters.clock import Clock, Entropy, instant, jitter
from broker.adapters.connections import Connections
from broker.adapters.epoch import Epoch
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.queues import RefreshBatch, Trigger
from broker.adapters.workers import WorkerPool
from broker.errors import BrokerError
from broker.flows.refresh.breakers import Breakers
from broker.flows.refresh.connection import RefreshConnection
from broker.flows.refresh.context import BatchContext
from broker.model import ConnectionState, Status
from broker.ninjaone import Meaning

MAX_IN_FLIGHT = 50
"""Connections in flight at once: the work waits for NinjaOne, and a full batch passes in four waves."""

MAX_IN_FLIGHT_PER_TENANT = 25
"""Connections of one tenant on one host in flight at once, so that half of the workers stay free for everybody else."""

MAX_FAILURES_PER_TENANT = 10
"""After so many failures in a row the rest of a tenant's connections stays due: a request that hangs takes 65 s, and
one customer's requests must not occupy the executions that all others need."""


class ProcessBatch:
    """Refreshes batches; when a call returns, no request of its batch is in flight any more."""

    def __init__(
        self,
        connections: Connections,
        refresh: RefreshConnection,
        *,
        epoch: Epoch,
        breakers: BreakerStore,
        web: Callable[[], HttpClient],
        workers: WorkerPool,
        adaptive: bool,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._refresh = connections, refresh
        self._epoch, self._breakers = epoch, breakers
        self._web, self._workers, self._adaptive = web, workers, adaptive
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, message: RefreshBatch, seconds_left: Callable[[], float]) -> None:
        """Refresh the connections of a batch that are due. What can't be done now stays due for a later batch.

        Args:
            seconds_left: returns the seconds until the platform kills this invocation

        Raises:
            AwsError, Misconfigured: nothing of the batch was begun
        """
        try:
            self._begin(message, seconds_left)
        except BrokerError:
            self._log.count("put_off", len(message.refs))
            raise

    def _begin(self, message: RefreshBatch, seconds_left: Callable[[], float]) -> None:
        """Read the epoch, the rows and the breakers, fetch the data keys, then run the workers."""
        if message.faults:
            self._log.event("batch.faulty", Level.WARNING, faults=message.faults)
        epoch = self._epoch.active()
        if epoch is None:
            self._log.event("epoch.inactive", Level.ERROR)
            self._log.count("epoch_inactive")
            return
        batch = self._context(message, epoch, seconds_left)
        rows = self._wanted(message, batch)
        batch.breakers.read(rows)
        if batch.trigger is Trigger.DUE:
            batch.breakers.choose_trials(rows)
        if rows:
            self._refresh.unwrap_keys(rows)
        self._work(sorted(rows, key=lambda row: _urgency(row, batch)), batch)
        if batch.renewed:
            self._log.event("batch.done", trigger=batch.trigger.value, renewed=" ".join(batch.renewed))

    def _wanted(self, message: RefreshBatch, batch: BatchContext) -> list[ConnectionState]:
        """Read all rows, and return those that there is something to do for."""
        found, unread = self._connections.get_states(message.refs)
        if len(found) < len(message.refs):
            self._log.event("batch.unknown_rows", Level.WARNING, missing=len(message.refs) - len(found), unread=unread)
        if unread:
            self._log.count("rows_unreadable", unread)
        self._count_expired(found, batch)
        return [row for row in found if self._refresh.is_wanted(row, batch)]

    def _count_expired(self, rows: Sequence[ConnectionState], batch: BatchContext) -> None:
        """Count the tokens of the operator's apps that expired before they were refreshed, for whatever reason."""
        if self._adaptive:  # then the tokens of idle connections are meant to expire
            return
        expired = sum(
            row.status is Status.ACTIVE
            and row.epoch == batch.epoch
            and not row.customer_app
            and row.access is not None
            and row.token_expires_at <= batch.began
            for row in rows
        )
        if expired:
            self._log.count("tokens_expired", expired)

    def _context(self, message: RefreshBatch, epoch: int, seconds_left: Callable[[], float]) -> BatchContext:
        return BatchContext(
            trigger=message.trigger,
            min_ttl=message.min_ttl,
            refused_version=message.refused_version,
            epoch=epoch,
            began=instant(self._clock),
            jitter=jitter(self._entropy),
            seconds_left=seconds_left,
            breakers=Breakers(self._breakers, self._clock, self._log),
            clock=self._clock,
        )

    def _work(self, rows: Sequence[ConnectionState], batch: BatchContext) -> None:
        waiting = _WorkQueue(rows)
        self._workers.run([lambda: self._take_all(waiting, batch) for _ in range(min(MAX_IN_FLIGHT, len(rows)))])

    def _take_all(self, waiting: "_WorkQueue", batch: BatchContext) -> None:
        """Refresh connections until none is left, with an HTTP client of this worker's own."""
        with self._web() as web:
            while row := waiting.take():
                waiting.finish(row, self._refresh(row, batch, web))


class _WorkQueue:
    """The rows of a batch, handed out so that no tenant occupies more than its share of the workers."""

    def __init__(self, rows: Sequence[ConnectionState]) -> None:
        self._rows = list(rows)
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def take(self) -> ConnectionState | None:
        """Return the next row whose tenant may have one more in flight; None if there is none for now.

        A worker that gets None can end: the workers that have that tenant's rows in flight will take the others.
        """
        with self._lock:
            row = next((row for row in self._rows if self._has_room(_share(row))), None)
            if row:
                self._rows.remove(row)
                self._in_flight[_share(row)] += 1
            return row

    def finish(self, row: ConnectionState, meaning: Meaning | None) -> None:
        """Record NinjaOne's answer for a row; None if NinjaOne was not called."""
        with self._lock:
            self._in_flight[_share(row)] -= 1
            if meaning is Meaning.GRANTED:
                self._failures[_share(row)] = 0
            elif meaning:
                self._failures[_share(row)] += 1

    def _has_room(self, share: tuple[str, str]) -> bool:
        return self._in_flight[share] < MAX_IN_FLIGHT_PER_TENANT and self._failures[share] < MAX_FAILURES_PER_TENANT


def _share(row: ConnectionState) -> tuple[str, str]:
    return row.host.name, row.tenant


def _urgency(row: ConnectionState, batch: BatchContext) -> tuple[bool, bool, int]:
    """Return a sort key: the trial of an open breaker first, then by the token's expiry, expired tokens last.

    If NinjaOne is too slow for all, beginning with expired tokens would let one valid token after another expire too.
    """
    return not batch.breakers.is_trial(row), row.token_expires_at <= batch.began, row.token_expires_at
