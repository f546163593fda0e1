"""What the worker threads of one batch share.

They need no lock. Its fields are set once, and of the two objects that change ``renewed`` is only appended to, which is
atomic, and ``Breakers`` says for itself why it is safe.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.adapters.clock import Clock, instant
from broker.adapters.queues import Trigger
from broker.flows.refresh.breakers import Breakers
from broker.model import ConnectionId, Instant, Seconds


@dataclass(frozen=True)
class BatchContext:
    """The state of one batch.

    Attributes:
        min_ttl: seconds that an urgent caller needs a token to last
        refused_version: the version of a token that NinjaOne refused, so that a caller needs another; 0: none
        epoch: the restore epoch whose rows may be presented
        began, jitter: an instant, and a number from 0 to 1, the same for all connections of the batch, so that those
            whose tokens are sealed together come due together
        seconds_left: returns the seconds until the platform kills this invocation
        renewed: the connections whose new tokens have been stored so far
    """

    trigger: Trigger
    min_ttl: Seconds
    refused_version: int
    epoch: int
    began: Instant
    jitter: float
    seconds_left: Callable[[], float]
    breakers: Breakers
    clock: Clock
    renewed: list[ConnectionId] = field(default_factory=list)

    def now(self) -> Instant:
        """The current second."""
        return instant(self.clock)
