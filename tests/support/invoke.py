"""Functions called as Lambda calls them, and what every answer of theirs owes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.edge.handler import Entry
from tests.support.broker_world import Clock
from tests.support.exits import faults


@dataclass(frozen=True)
class Context:
    """What Lambda passes beside an event.

    Attributes:
        left: milliseconds until the function is stopped
    """

    aws_request_id: str = "lambda-1"
    left: Callable[[], int] = lambda: 29_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left()


CONTEXT = Context()


def context(clock: Clock, seconds: float) -> Context:
    """Make what Lambda passes to a call that may take so many seconds of a clock that is moved by hand."""
    left = clock.left(seconds)
    return Context(left=lambda: int(left() * 1000))


def invoke(entry: Entry[Any], event: Any, context: Any = CONTEXT) -> Any:
    """Call a function that has its broker.

    Raises:
        AssertionError: an answer lacks a header or redirects elsewhere than it may
        names the route
    """
    answer = entry(event, context)
    if isinstance(answer, dict) and "statusCode" in answer and entry.broker is not None:
        wrong = faults(answer, entry.broker.config)
        assert not wrong, f"{_route(event)} answered {answer['statusCode']}: {', '.join(wrong)}"
    return answer


def _route(event: Any) -> str:
    return str(event.get("routeKey")) if isinstance(event, dict) else type(event).__name__
