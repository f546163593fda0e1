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


class StillClock(Clock):
    """Time that passes only when somebody moves it or sleeps, so that a slow machine changes nothing.

    Who sleeps waits for real, because others work meanwhile. Sleepers side by side do not add up.
    """

    def __init__(self) -> None:
        super().__init__()
        self._start = float(int(time.time()))

    def now(self) -> float:
        """Unix seconds."""
        return self._start + self.offset

    def sleep(self, seconds: float) -> None:
        """Wait for real, and let as much time have passed."""
        until = self.offset + seconds
        time.sleep(seconds)
        self.offset = max(self.offset, until)
