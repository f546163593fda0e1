"""How much one caller and one tenant may ask of one execution environment: token buckets in memory.

API Gateway's throttles hold for a whole route, so one noisy caller would use them up for all. These buckets cost no
input or output; with n environments at work a caller gets up to n times as much.
"""

from dataclasses import dataclass

from broker.adapters.clock import Clock
from broker.errors import TooManyRequests

CALLERS = 10_000
"""Buckets remembered; beyond that all begin anew, full."""


@dataclass(frozen=True)
class Rate:
    """``burst`` requests at once, then ``per_second``."""

    per_second: float
    burst: int


PRINCIPAL = Rate(per_second=100, burst=300)
TENANT = Rate(per_second=20, burst=100)


class RateLimits:
    """Buckets by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def acquire(self, name: str, rate: Rate) -> None:
        """Take one out of a bucket. Raises TooManyRequests."""
        now = self._clock.now()
        left, since = self._buckets.get(name, (float(rate.burst), now))
        left = min(float(rate.burst), left + max(0.0, now - since) * rate.per_second)
        if left < 1:
            raise TooManyRequests(retry_after=max(1, round((1 - left) / rate.per_second)))
        if len(self._buckets) >= CALLERS:
            self._buckets.clear()
        self._buckets[name] = (left - 1, now)
