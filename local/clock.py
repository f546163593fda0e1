"""The time of the broker and of NinjaOne on this machine, which can be moved."""

import time


class Clock:
    """The machine's time, until it is moved."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.offset

    def sleep(self, seconds: float) -> None:
        """Wait for real."""
        time.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.offset += seconds
