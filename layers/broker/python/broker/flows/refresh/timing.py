"""How long each part of a refresh may take, so that an expired lease proves its holder dead."""

from dataclasses import dataclass

from broker.errors import Misconfigured
from broker.model import Seconds
from broker.policy import AWS_CALL, CLOCK_SKEW


@dataclass(frozen=True)
class Timing:
    """The bounds of one refresh, all from the function's timeout.

    Units    seconds

    Attributes:
        lease: an expired lease proves its holder dead: it ran out after the platform killed the holder, after the last
            instant at which NinjaOne may still carry out its request, and after clocks that differ
    """

    function: int
    before: int = 10
    connect: int = 5
    read: int = 65
    save: int = 30
    spill: int = AWS_CALL
    slack: int = 10
    quarantine: int = 60
    skew: int = CLOCK_SKEW

    def __post_init__(self) -> None:
        """Refuse settings under which a lease would prove nothing. Raises Misconfigured."""
        if self.whole > self.function:
            raise Misconfigured(f"The refresh function needs a timeout of at least {self.whole} seconds.")

    @property
    def after_gate(self) -> int:
        """What must be left when the request is sent."""
        return self.connect + self.read + self.save + self.spill + self.slack

    @property
    def whole(self) -> int:
        """What must be left when a refresh is begun."""
        return self.before + self.after_gate

    @property
    def saving(self) -> int:
        """What must be left to try one more save: it may hang, and the rescue store has its time after it."""
        return AWS_CALL + self.spill + self.slack

    @property
    def spilling(self) -> int:
        """What must be left to try the rescue store once more: it may hang, and one log line has its time after it."""
        return AWS_CALL + self.slack

    @property
    def lease(self) -> Seconds:
        """How long a lease is."""
        return Seconds(self.function + self.quarantine + self.skew)
