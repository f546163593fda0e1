"""What every Lambda entry does around its view: wire the broker, log the outcome, answer whatever happens."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Generic, Self, TypeVar

from broker.adapters.log import Level, Log
from broker.edge import wiring
from broker.edge.http import Event
from broker.edge.wiring import Broker
from broker.errors import BrokerError, InternalError

Answer = TypeVar("Answer")
Warm = Callable[[Broker], object]


@dataclass(frozen=True)
class Context:
    """What Lambda says about the invocation.

    Attributes:
        seconds_left: returns the seconds until the platform kills it
    """

    request_id: str
    seconds_left: Callable[[], float]


@dataclass(frozen=True)
class Entry(Generic[Answer]):
    """A Lambda handler: callable with an event and Lambda's context.

    Attributes:
        work: the view, from an event to an answer
        failed: returns the answer to an error; if None, the error is raised to the queue or the schedule
    """

    name: str
    work: Callable[[Broker, Event, Context], Answer]
    failed: Callable[[Broker, Event, BrokerError], Answer] | None
    broker: Broker | None = None

    def bind(self, broker: Broker) -> Self:
        """Bind the entry to a broker other than the process's own."""
        return replace(self, broker=broker)

    def __call__(self, event: Event, context: Any) -> Answer:
        """Handle one event. Everything is caught, because the text of another library's exception may quote a token."""
        broker = self.broker or wiring.broker()
        request_id = str(getattr(context, "aws_request_id", ""))
        broker.log.begin(self.name, request_id)
        try:
            return self.work(broker, event, Context(request_id, _seconds_left(context)))
        except BrokerError as error:
            return self._failed(broker, event, error)
        except Exception as error:  # noqa: BLE001  # the one place for people and backends
            broker.log.event(f"{self.name}.crashed", Level.ERROR, **whereabouts(error))
            broker.log.count("internal_errors")
            return self._failed(broker, event, InternalError())
        finally:
            broker.log.flush()

    def _failed(self, broker: Broker, event: Event, error: BrokerError) -> Answer:
        if self.failed is None:
            broker.log.event(f"{self.name}.failed", Level.ERROR, error=type(error).__name__)
            raise error from None
        return self.failed(broker, event, error)


def preload(entry: Entry[Answer], warm: Warm) -> Entry[Answer]:
    """On Lambda, create the broker and what the function uses during initialization; elsewhere do nothing."""
    if wiring.is_lambda():
        warm(wiring.broker())
    return entry


def log_refusal(log: Log, name: str, error: BrokerError, *, level: Level, status: int) -> None:
    """Log a request that was answered with an error."""
    log.event(f"{name}.refused", level, error=type(error).__name__, status=status)


def whereabouts(error: BaseException) -> Mapping[str, str]:
    """Return where an exception was raised, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    hosts = [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)]
    return {"error": type(error).__name__, "at": " < ".join(hosts)}


def _seconds_left(context: Any) -> Callable[[], float]:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return (lambda: remaining() / 1000) if remaining else (lambda: 0.0)
