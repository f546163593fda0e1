"""How much one caller and one tenant may ask, and that nobody pays for another."""

import pytest

from broker.edge.api import answer, api
from broker.edge.rate_limit import CALLERS, PRINCIPAL, TENANT, Rate, RateLimits
from broker.edge.wiring import Broker
from broker.errors import TooManyRequests
from tests.support.broker_world import Clock
from tests.support.events import CALLER, event
from tests.support.invoke import invoke
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
@pytest.mark.parametrize(("per_second", "after", "wait"), [(0.1, 0, 10), (0.1, 4, 6), (100, 0, 1)])
def test_a_refusal_says_how_long_to_wait(
    limits: RateLimits, clock: Clock, per_second: float, after: float, wait: int
) -> None:
    rate = Rate(per_second=per_second, burst=1)
    taken(limits, "a", rate, 1)
    clock.advance(after)

    with pytest.raises(TooManyRequests) as refusal:
        limits.acquire("a", rate)

    assert refusal.value.retry_after == wait


@req("H11")
def test_a_clock_that_goes_back_takes_and_fills_nothing(limits: RateLimits, clock: Clock) -> None:
    taken(limits, "a", TENANT, TENANT.burst - 1)

    clock.advance(-3600)

    assert taken(limits, "a", TENANT, 2) == 1


@req("O01")
def test_a_crowd_of_names_costs_no_memory_without_end(limits: RateLimits) -> None:
    for number in range(CALLERS):
        limits.acquire(f"tenant {number}", TENANT)
    remembered = len(limits._buckets)  # what is held is the claim

    limits.acquire("tenant more", TENANT)

    assert (remembered, len(limits._buckets)) == (CALLERS, 1)


@req("H11", "O01")
@pytest.mark.parametrize(("name", "rate"), [(f"principal {CALLER}", PRINCIPAL), ("tenant acme", TENANT)])
def test_a_request_beyond_either_limit_is_refused(broker: Broker, name: str, rate: Rate) -> None:
    route = "GET /v1/tenants/{tenant}/things"
    things = api({route: lambda *_: answer({})}, warm=lambda _: None).bind(broker)
    statuses = [invoke(things, event(route, tenant="acme"))["statusCode"]]

    taken(broker.limits, name, rate, rate.burst - 1)
    statuses.append(invoke(things, event(route, tenant="acme"))["statusCode"])

    assert statuses == [200, 429]
