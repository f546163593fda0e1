"""An answer that is sent again leads to the connection that it made, for as long as a code lives."""

import pytest

from broker import policy
from broker.errors import SessionSpent
from tests.support.broker_world import Clock
from tests.support.journey import Journey
from tools.requirements import req


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
