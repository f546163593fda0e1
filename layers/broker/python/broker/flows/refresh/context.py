"""What the workers of one batch share and none of them changes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.adapters.clock import Clock, instant
from broker.adapters.queues import Trigger
from broker.flows.refresh.breakers import Breakers
from broker.model import ConnectionId, Instant, Seconds


@dataclass(frozen=True)
class BatchContext:
    """One batch being worked.

    Attributes:
        min_ttl: an urgent caller needs a token that lasts so long,
        refused_version: or one of another version than this, which NinjaOne refused
        epoch: the restore epoch whose rows may be presented
        began: one instant for all, and
        jitter: 0 to 1, one for all: connections whose tokens are sealed together come due together
        left: seconds until the platform kills this invocation
        renewed: grows: the connections whose new tokens were stored
    """

    trigger: Trigger
    min_ttl: Seconds
    refused_version: int
    epoch: int
    began: Instant
    jitter: float
    left: Callable[[], float]
    breakers: Breakers
    clock: Clock
    renewed: list[ConnectionId] = field(default_factory=list)

    def now(self) -> Instant:
        """The current second."""
        return instant(self.clock)
