"""Whatever NinjaOne answers to one customer's connections, no neighbour's token ends."""

from typing import Any

import pytest

from broker.model import Client, ConnectionState
from tests.support.broker_world import Clock
from tests.support.fates import DEAD, Fates, Says, hangs, says, tenants
from tests.support.journey import OWN, Journey
from tests.support.refreshing import Refreshing
from tools.requirements import req

NEIGHBOURS = 5
MINUTES = 100

TROUBLES: dict[str, tuple[int, Client | None, Says]] = {
    "one is throttled for an hour": (1, None, says(429, retry_after="3600")),
    "three are throttled for a quarter of an hour": (3, None, says(429, retry_after="900")),
    "three are told that a scope is invalid": (3, None, says(400, "invalid_scope")),
    "six are refused with HTML": (6, None, says(403)),
    "six get no clear answer": (6, None, says(502)),
    "three hang": (3, None, hangs),
    "ten are called dead": (10, None, DEAD),
    "three are told that the operator's app is unknown": (3, None, says(401, "invalid_client")),
    "one whose own app is throttled for an hour": (1, OWN, says(429, retry_after="3600")),
    "three of an own app are refused oddly": (3, OWN, says(403, "access_denied")),
}


@req("O03", "O04", "K03")
@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_one_customer_is_answered_lets_no_neighbours_token_end(
    journey: Journey, clock: Clock, fates: Fates, trouble: str
) -> None:
    many, client, answer = TROUBLES[trouble]
    neighbours: list[ConnectionState] = []
    for number in range(NEIGHBOURS):
        neighbours += tenants(journey, fates, 1, first=number)
        clock.advance(150)
    opening: dict[str, Any] = {"customer_app": True, "client": client} if client else {}
    ill = [journey.connect(**opening)[0] for _ in range(many)]
    fates.watch(*ill)
    fates.give(answer, *ill)

    for _ in range(MINUTES):
        fates.pass_minute([*neighbours, *ill])
        assert min(row.token_expires_at for row in fates.rows(neighbours)) > clock.now()

    assert {state.connection for state in ill} <= {connection for _, connection in fates.asked}, "nobody was in trouble"
    assert all(row.version >= 3 for row in fates.rows(neighbours))


@req("O03")
@pytest.mark.parametrize(
    "answer", [says(429, retry_after="3600"), says(403), says(502), DEAD], ids=["429", "403", "502", "dead"]
)
def test_two_customers_in_trouble_let_no_neighbours_token_end(
    journey: Journey, clock: Clock, fates: Fates, answer: Says
) -> None:
    """Their failures open the breaker; then the neighbours pass it first, and the first who is served closes it."""
    everybody = tenants(journey, fates, 7)
    ill, neighbours = everybody[:2], everybody[2:]
    fates.give(answer, *ill)

    for _ in range(MINUTES):
        fates.pass_minute(everybody)
        assert min(row.token_expires_at for row in fates.rows(neighbours)) > clock.now()


def test_a_customer_whose_requests_hang_leaves_half_of_the_workers_to_the_others(
    journey: Journey, clock: Clock, refreshing: Refreshing, fates: Fates
) -> None:
    """Ten requests that hang show enough: the rest of that customer's connections stays due."""
    ill = [journey.connect()[0] for _ in range(14)]
    neighbours = tenants(journey, fates, 2)
    fates.watch(*ill)
    fates.give(hangs, *ill)
    clock.advance(2900)

    refreshing.refresh(*ill, *neighbours)

    assert len({connection for _, connection in fates.asked} & {state.connection for state in ill}) == 10
    assert {refreshing.row(state).version for state in neighbours} == {2}
    assert sum(refreshing.row(state).failures == 0 for state in ill) == 4
