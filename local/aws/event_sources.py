"""What calls functions besides the gateway: queues, a table's stream, the schedule.

Each source does one step when called, so that a test can run them one after the other and see when nothing is left;
`EventSourceThread` runs them in threads.
"""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Any, Protocol, Self

from local.aws.account import AwsAccount, Record
from local.aws.lambda_runtime import Failed, Runtime, Throttled
from local.aws.roles import Role
from local.cloudformation.arns import ACCOUNT, REGION, arn
from local.cloudformation.resources import EventSourceMapping, Queue, Schedule, Table

POLLED = {
    "sqs": ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"),
    "dynamodb": ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"),
}
"""What a function's role must allow on the source of an event source mapping."""

BATCHES_AT_ONCE = 5
"""Workers of a queue, unless its mapping allows fewer."""

PAUSE = 0.05


class EventSource(Protocol):
    """One source of calls."""

    workers: int

    def work(self) -> bool:
        """Do the next step; return False if there is none now."""


class QueueSource:
    """Calls a function with the messages of a queue, and deletes those that succeeded."""

    def __init__(
        self, mapping: EventSourceMapping, runtime: Runtime, *, queue: Queue, aws: AwsAccount, role: Role
    ) -> None:
        self._mapping, self._runtime, self._queue = mapping, runtime, queue
        self._aws = aws
        self._sqs = aws.client("sqs", role)
        self.workers = min(mapping.concurrency or BATCHES_AT_ONCE, BATCHES_AT_ONCE)

    def work(self) -> bool:
        """Receive one batch, if a message is visible. What failed stays hidden for its time, then is received again."""
        if not self._aws.visible(self._queue):
            return False
        received = self._sqs.receive_message(
            QueueUrl=self._queue.url,
            MaxNumberOfMessages=min(self._mapping.batch_size, 10),
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = received.get("Messages", [])
        if messages:
            failed = self._failed(messages)
            self._delete([message for message in messages if message["MessageId"] not in failed])
        return bool(messages)

    def _failed(self, messages: list[dict[str, Any]]) -> set[str]:
        every = {message["MessageId"] for message in messages}
        try:
            answer = self._runtime.invoke({"Records": [self._record(message) for message in messages]})
        except (Failed, Throttled):
            return every
        failed = set(failures(answer)) if self._mapping.reports_failures else set()
        return failed if failed.issubset(every) else every

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.arn,
            "awsRegion": REGION,
        }

    def _delete(self, messages: list[dict[str, Any]]) -> None:
        if messages:
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
            ]
            self._sqs.delete_message_batch(QueueUrl=self._queue.url, Entries=entries)


class StreamSource:
    """Calls a function with the changes of a table, in their order."""

    workers = 1

    def __init__(
        self,
        mapping: EventSourceMapping,
        runtime: Runtime,
        *,
        table: Table,
        give_up: Callable[[str], None],
        aws: AwsAccount,
    ) -> None:
        """Read from the beginning.

        Args:
            give_up: called with a description of each batch that failed too often
        """
        self._mapping, self._runtime, self._table, self._told = mapping, runtime, table, give_up
        self._aws = aws
        self._position = self._left = self._attempts = 0

    def work(self) -> bool:
        """Deliver the next batch, or the rest of one that failed, which blocks all after it until it is given up."""
        batch = self._aws.changes(self._table, self._position)[: self._left or self._mapping.batch_size]
        changed = [record for record in batch if not _is_same(record)]
        worked = self._worked(changed) if changed else 0
        done = batch.index(changed[worked]) if worked < len(changed) else len(batch)
        self._position, self._left = self._position + done, len(batch) - done
        if not self._left:
            self._attempts = 0
            return bool(batch)
        self._attempts += 1
        if 0 <= self._mapping.retries < self._attempts:
            self._give_up(changed[worked:])
        return False

    def _worked(self, records: list[Record]) -> int:
        """Call the function; return how many records are done with."""
        try:
            answer = self._runtime.invoke({"Records": records})
        except (Failed, Throttled):
            return 0
        failed = set(failures(answer)) if self._mapping.reports_failures else set()
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        if not failed.issubset(numbers):
            return 0
        return min((numbers.index(number) for number in failed), default=len(records))

    def _give_up(self, records: list[Record]) -> None:
        first = records[0]["dynamodb"]["SequenceNumber"]
        told = {"function": self._mapping.function, "startSequenceNumber": first, "batchSize": len(records)}
        self._told(json.dumps(told))
        self._position, self._left, self._attempts = self._position + self._left, 0, 0


def _is_same(record: Record) -> bool:
    """Recognize a write that changed nothing: DynamoDB puts none of those on a stream."""
    change = record["dynamodb"]
    return bool(record["eventName"] == "MODIFY" and change.get("OldImage") == change.get("NewImage"))


class ScheduleSource:
    """Calls a function at a rate, by the world's clock."""

    workers = 1

    def __init__(self, schedule: Schedule, runtime: Runtime, *, now: Callable[[], float]) -> None:
        self._schedule, self._runtime = schedule, runtime
        self._now = now
        self._next = now() + schedule.seconds

    def work(self) -> bool:
        """Call the function when it is time; only once, however far the clock was moved."""
        if self._now() < self._next:
            return False
        self.tick()
        return True

    def tick(self) -> None:
        """Call the function now. A failure is not retried before the next tick."""
        self._next = self._now() + self._schedule.seconds
        with suppress(Failed, Throttled):
            self._runtime.invoke(self._event())

    def _event(self) -> dict[str, Any]:
        return {
            "version": "0",
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now())),
            "region": REGION,
            "resources": [arn("scheduler", f"schedule/default/{self._schedule.name}")],
            "detail": "{}",
        }


def failures(answer: Any) -> Iterable[str]:
    """Read the items that a batch's answer names as failed; an empty one names none."""
    return [str(item["itemIdentifier"]) for item in (answer or {}).get("batchItemFailures") or []]


class EventSourceThread:
    """Runs event sources in threads until its `with` block ends."""

    def __init__(self, sources: Iterable[EventSource]) -> None:
        self._stop = Event()
        self._threads = [
            Thread(target=self._run, args=(source,), daemon=True) for source in sources for _ in range(source.workers)
        ]

    def _run(self, source: EventSource) -> None:
        while not self._stop.is_set():
            if not source.work():
                self._stop.wait(PAUSE)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for steps that have begun, but not for long."""
        self._stop.set()
        until = time.monotonic() + 10
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
