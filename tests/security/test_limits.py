"""How much one caller and one tenant may ask, and that nobody pays for another."""

import pytest

from broker.edge.rate_limit import CALLERS, PRINCIPAL, TENANT, Rate, RateLimits
from broker.errors import TooManyRequests
from tests.support.broker_world import Clock
from tools.requirements import req


@pytest.fixture
def limits(clock: Clock) -> RateLimits:
    return RateLimits(clock)


def taken(limits: RateLimits, name: str, rate: Rate, times: int) -> int:
    """Ask so many times; give how often that was too much."""
    refused = 0
    for _ in range(times):
        try:
            limits.acquire(name, rate)
        except TooManyRequests:
            refused += 1
    return refused


@req("H11", "O01")
@pytest.mark.parametrize(("name", "rate"), [("principal a", PRINCIPAL), ("tenant a", TENANT)])
def test_whoever_asks_too_much_is_refused_and_others_are_not(limits: RateLimits, name: str, rate: Rate) -> None:
    assert taken(limits, name, rate, rate.burst + 10) == 10
    assert taken(limits, f"{name} other", rate, 1) == 0


@req("H11")
def test_a_bucket_fills_again_with_time_and_no_further_than_full(limits: RateLimits, clock: Clock) -> None:
    taken(limits, "a", TENANT, TENANT.burst)

    clock.advance(1)
    after_a_second = taken(limits, "a", TENANT, TENANT.burst)
    clock.advance(3600)
    after_an_hour = taken(limits, "a", TENANT, 2 * TENANT.burst)

    assert (after_a_second, after_an_hour) == (TENANT.burst - TENANT.per_second, TENANT.burst)


@req("H11")
def test_a_refusal_says_how_long_to_wait(limits: RateLimits) -> None:
    taken(limits, "a", Rate(per_second=0.1, burst=1), 1)

    with pytest.raises(TooManyRequests) as refusal:
        limits.acquire("a", Rate(per_second=0.1, burst=1))

    assert refusal.value.retry_after == 10


@req("H11")
def test_a_clock_that_goes_back_fills_nothing(limits: RateLimits, clock: Clock) -> None:
    taken(limits, "a", TENANT, TENANT.burst)

    clock.advance(-3600)

    assert taken(limits, "a", TENANT, 1) == 1


@req("O01")
def test_a_crowd_of_names_costs_no_memory_without_end(limits: RateLimits) -> None:
    for number in range(CALLERS + 5):
        limits.acquire(f"tenant {number}", TENANT)

    assert len(limits._buckets) <= CALLERS  # what is held is the claim
