"""A person whose answer was lost takes the step again: the journey goes on and there is one connection."""

import pytest

from broker import policy
from broker.errors import SessionSpent
from ninjaone_emulator import NinjaOne
from tests.support.broker_world import Clock
from tests.support.journey import Journey
from tools.requirements import req


def test_every_step_taken_twice_makes_one_connection(journey: Journey, ninjaone: NinjaOne) -> None:
    opened = journey.open()
    journey.leave(opened)
    query = journey.agree(journey.leave(opened))
    homes = [journey.arrive(query) for _ in range(2)]

    connections = {journey.complete(home)[0].connection for home in homes}

    assert len(connections) == 1
    assert len(ninjaone.oracle.grants()) == 1


@req("C04")
def test_after_the_completion_the_answer_still_leads_home_to_the_same_connection(journey: Journey) -> None:
    query = journey.agree(journey.leave(journey.open()))
    made, _ = journey.complete(journey.arrive(query))

    again, _ = journey.complete(journey.arrive(query))

    assert again == made


@req("C04")
def test_an_answer_of_a_connection_that_was_made_a_while_ago_is_used_up(journey: Journey, clock: Clock) -> None:
    query = journey.agree(journey.leave(journey.open()))
    journey.complete(journey.arrive(query))
    clock.advance(policy.CODE_LIFE)

    with pytest.raises(SessionSpent):
        journey.arrive(query)
