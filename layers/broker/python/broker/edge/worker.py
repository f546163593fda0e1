"""Entries for queues, streams and schedules: nobody reads an answer, so a failure is reported to the event source."""

from collections.abc import Callable
from typing import Any

from broker.adapters.log import Level
from broker.adapters.queues import RefreshBatch
from broker.adapters.queues import read_batch as parse_batch
from broker.adapters.stream import Change, read_change
from broker.edge.handler import Context, Entry, Warm, preload, whereabouts
from broker.edge.http import Event
from broker.edge.wiring import Broker
from broker.errors import BrokerError

__all__ = ["Broker", "Change", "Context", "messages", "queue", "read_batch", "schedule", "stream"]

Work = Callable[[Broker, Context], None]
Message = Callable[[Broker, str, Context], None]
Changes = Callable[[Broker, list[Change]], str | None]


def schedule(view: Work, *, warm: Warm) -> Entry[None]:
    """Make a Lambda entry of a view that runs on a schedule."""
    return preload(Entry(view.__name__, lambda broker, _event, context: view(broker, context), None), warm)


def queue(view: Message, *, warm: Warm) -> Entry[dict[str, Any]]:
    """Make a Lambda entry that handles messages one by one; SQS delivers those that failed again."""
    return preload(Entry(view.__name__, messages(view), None), warm)


def messages(view: Message) -> Callable[[Broker, Event, Context], dict[str, Any]]:
    """Handle each message of an event, and return the ids of those that failed."""

    def work(broker: Broker, event: Event, context: Context) -> dict[str, Any]:
        failed = [each["messageId"] for each in event["Records"] if not _worked(view, broker, each, context)]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    return work


def stream(view: Changes, *, warm: Warm) -> Entry[dict[str, Any]]:
    """Make a Lambda entry that handles a table's changes in order; from the first failure on, they are redelivered."""

    def work(broker: Broker, event: Event, _context: Context) -> dict[str, Any]:
        failed = view(broker, [read_change(record) for record in event["Records"]])
        return {"batchItemFailures": [{"itemIdentifier": failed}] if failed else []}

    return preload(Entry(view.__name__, work, None), warm)


def _worked(view: Message, broker: Broker, message: Event, context: Context) -> bool:
    """Handle one message. It catches everything, so that a failure affects no other message of the event."""
    try:
        view(broker, str(message["body"]), context)
    except BrokerError as error:
        broker.log.event("message.failed", Level.ERROR, message_id=message["messageId"], error=type(error).__name__)
        return False
    except Exception as error:  # noqa: BLE001  # the one place for messages
        broker.log.event("message.crashed", Level.ERROR, message_id=message["messageId"], **whereabouts(error))
        broker.log.count("internal_errors")
        return False
    return True


def read_batch(broker: Broker, body: str) -> RefreshBatch | None:
    """Read a refresh batch. A malformed message is logged and dropped, because it would fail again."""
    batch = parse_batch(body)
    if batch is None:
        broker.log.event("batch.unreadable", Level.ERROR)
        broker.log.count("batch_unreadable")
    return batch
