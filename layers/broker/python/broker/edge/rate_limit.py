"""Rate limits for each caller and each tenant: token buckets in the memory of one execution environment.

API Gateway throttles a whole route, so one noisy caller would use up the rate of all. These buckets cost no I/O; with
n environments running, a caller gets up to n times the rate.
"""

from dataclasses import dataclass

from broker.adapters.clock import Clock
from broker.errors import TooManyRequests

CALLERS = 10_000
"""Buckets kept; beyond that, all are dropped and begin again full."""


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
        """Take one token from a bucket. Raises TooManyRequests if it is empty."""
        now = self._clock.now()
        left, since = self._buckets.get(name, (float(rate.burst), now))
        left = min(float(rate.burst), left + max(0.0, now - since) * rate.per_second)
        if left < 1:
            raise TooManyRequests(retry_after=max(1, round((1 - left) / rate.per_second)))
        if len(self._buckets) >= CALLERS:
            self._buckets.clear()
        self._buckets[name] = (left - 1, now)
