"""Work an order: refresh its connections side by side. The protocol and its proofs: docs/refresh.md."""

from collections import deque
from collections.abc import Callable

from broker.adapters.brakes import Brakes
from broker.adapters.clock import Clock, Entropy
from broker.adapters.connections import Ref
from broker.adapters.crew import Crew
from broker.adapters.epoch import Epoch
from broker.adapters.http import Web
from broker.adapters.log import Level, Log
from broker.adapters.queues import Order
from broker.errors import Busy
from broker.flows.renewal import Renewal
from broker.flows.shift import Shift

WIDTH = 32
"""Connections in flight at once: the work waits for NinjaOne, not for the processor."""


class Refresh:
    """Works orders; nothing of an order is in flight any more when the call returns."""

    def __init__(
        self,
        renewal: Renewal,
        epoch: Epoch,
        brakes: Brakes,
        *,
        web: Callable[[], Web],
        crew: Crew,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._renewal, self._epoch, self._brakes = renewal, epoch, brakes
        self._web, self._crew = web, crew
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, order: Order, left: Callable[[], float]) -> None:
        """Refresh what is due of an order. What can't be done now stays due, and is ordered again.

        left     seconds until the platform kills this invocation
        Raises   Busy, Misconfigured: nothing of the order was begun
        """
        if order.faults:
            self._log.event("order.faulty", Level.WARNING, faults=order.faults)
        epoch = self._epoch.active()
        if epoch is None:
            self._log.event("epoch.inactive", Level.ERROR)
            self._log.count("epoch_inactive")
            return
        shift = self._shift(order, epoch, left)
        waiting = deque(order.refs)
        self._crew.run([lambda: self._work(waiting, shift) for _ in range(min(WIDTH, len(waiting)))])
        self._hand_in(shift)

    def _shift(self, order: Order, epoch: int, left: Callable[[], float]) -> Shift:
        return Shift(
            why=order.why,
            min_ttl=order.min_ttl,
            epoch=epoch,
            jitter=self._entropy(1)[0] / 256,
            left=left,
            brakes=self._brakes,
            clock=self._clock,
            log=self._log,
        )

    def _work(self, waiting: deque[Ref], shift: Shift) -> None:
        """Take connections until none is left, with an HTTP client of this worker's own."""
        with self._web() as web:
            while waiting:
                try:
                    ref = waiting.popleft()
                except IndexError:  # another worker was faster
                    return
                self._renewal(ref, shift, web)

    def _hand_in(self, shift: Shift) -> None:
        if not shift.has_tally:
            return
        try:
            shift.report()
        except Busy:
            self._log.event("tally.lost", Level.WARNING)
