"""How long each part of a refresh may take, so that an expired lease proves that its holder has ended."""

from dataclasses import dataclass

from broker.adapters.http import CONNECT_TIMEOUT
from broker.errors import Misconfigured
from broker.model import Seconds
from broker.policy import AWS_CALL, CLOCK_SKEW


@dataclass(frozen=True)
class Timing:
    """The bounds of one refresh in seconds, all derived from the function's timeout.

    Attributes:
        lease: so long that an expired lease proves its holder's end: it expires after the platform has killed the
            holder, after NinjaOne can still carry out its request, and later than any difference between clocks
    """

    function: int
    prepare: int = 10
    connect: int = CONNECT_TIMEOUT
    read: int = 65
    save: int = 30
    spill: int = AWS_CALL
    slack: int = 10
    quarantine: int = 60
    skew: int = CLOCK_SKEW

    def __post_init__(self) -> None:
        """Refuse settings under which a lease would prove nothing. Raises Misconfigured."""
        if self.min_to_start > self.function:
            raise Misconfigured(f"The refresh function needs a timeout of at least {self.min_to_start} seconds.")

    @property
    def min_to_send(self) -> int:
        """Seconds that must be left when the request is sent."""
        return self.connect + self.read + self.save + self.spill + self.slack

    @property
    def min_to_start(self) -> int:
        """Seconds that must be left when a refresh begins."""
        return self.prepare + self.min_to_send

    @property
    def min_to_retry_save(self) -> int:
        """Seconds that must be left to retry a save: it may hang, and the rescue store needs its time after that."""
        return AWS_CALL + self.spill + self.slack

    @property
    def min_to_retry_rescue(self) -> int:
        """Seconds that must be left to retry the rescue store: it may hang, and the log line needs time after that."""
        return AWS_CALL + self.slack

    @property
    def lease(self) -> Seconds:
        """Seconds that a lease lasts."""
        return Seconds(self.function + self.quarantine + self.skew)
