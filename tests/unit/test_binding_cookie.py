"""How long a browser keeps the cookie of a connect session."""

import re
from dataclasses import replace

import pytest

from broker.adapters.clock import instant
from broker.edge.browser import bind_browser
from broker.edge.http import Request, Response
from broker.edge.wiring import Broker
from broker.model import Instant
from broker.policy import CODE_LIFE, SESSION_LIFE
from tests.support.broker_world import Clock
from tests.support.events import event
from tests.support.full_rows import SESSION


@pytest.mark.parametrize(
    ("left", "life"),
    [
        (7 * 86400, SESSION_LIFE),
        (SESSION_LIFE + 1, SESSION_LIFE),
        (SESSION_LIFE - 1, SESSION_LIFE - 1),
        (0, 0),
        (-9, 0),
    ],
    ids=["a link for days", "a second more than a visit", "a second less", "over now", "over"],
)
def test_it_lives_as_long_as_a_visit_or_what_is_left_of_it_and_a_code_after_that(
    broker: Broker, clock: Clock, left: int, life: int
) -> None:
    session = replace(SESSION, expires_at=Instant(instant(clock) + left))

    bound = bind_browser(broker, Request.from_event(event("GET /connect/{session}")), Response(200, b""), session)

    assert [re.findall(r"Max-Age=(\d+)", cookie) for cookie in bound.cookies] == [[str(life + CODE_LIFE)]]
