"""SQS in memory: standard queues, at least once, in any order the world likes."""

# ruff: noqa: N803
# The parameters bear the API's own names.

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.verification.simulation.aws import Answer, Exceptions, error, ok

LARGEST = 1_048_576  # bytes of one message, and of a batch


@dataclass
class Message:
    """One message: hidden until `visible_at`, gone once a receipt deletes it."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    attributes: dict[str, Any] = field(default_factory=dict)
    received: int = 0
    receipt: str = ""


@dataclass
class SQS:
    """An SQS client over named queues."""

    queues: dict[str, list[Message]]
    now: Callable[[], float]
    visibility: float = 30.0
    count: int = 0
    arrived: Callable[[str, float], None] = lambda _url, _visible_at: None
    exceptions = Exceptions()

    def send_message(
        self,
        *,
        QueueUrl: str,
        MessageBody: str,
        DelaySeconds: int = 0,
        MessageAttributes: dict[str, Any] | None = None,
    ) -> Answer:
        queue = self._queue(QueueUrl, "SendMessage")
        if len(MessageBody.encode()) > LARGEST or not 0 <= DelaySeconds <= 900:
            raise error("InvalidParameterValue", "SendMessage")
        self.count += 1
        message = Message(
            f"m-{self.count}", MessageBody, self.now(), self.now() + DelaySeconds, MessageAttributes or {}
        )
        queue.append(message)
        self.arrived(QueueUrl, message.visible_at)
        digest = hashlib.md5(MessageBody.encode(), usedforsecurity=False).hexdigest()
        return ok(MessageId=message.id, MD5OfMessageBody=digest)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Answer:
        operation = "SendMessageBatch"
        self._queue(QueueUrl, operation)
        if not Entries:
            raise error("AWS.SimpleQueueService.EmptyBatchRequest", operation)
        if len(Entries) > 10:
            raise error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", operation)
        if len({entry["Id"] for entry in Entries}) != len(Entries):
            raise error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", operation)
        sent = []
        for entry in Entries:
            rest = {name: value for name, value in entry.items() if name != "Id"}
            done = self.send_message(QueueUrl=QueueUrl, **rest)
            sent.append({"Id": entry["Id"], **{k: v for k, v in done.items() if k != "ResponseMetadata"}})
        return ok(Successful=sent)

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        VisibilityTimeout: float | None = None,
        WaitTimeSeconds: int = 0,
        MessageAttributeNames: list[str] | None = None,
        MessageSystemAttributeNames: list[str] | None = None,
    ) -> Answer:
        hidden = self.visibility if VisibilityTimeout is None else VisibilityTimeout
        queue = self._queue(QueueUrl, "ReceiveMessage")
        found = [each for each in queue if each.visible_at <= self.now()][:MaxNumberOfMessages]
        for each in found:
            self.count += 1
            each.received += 1
            each.receipt = f"r-{self.count}"
            each.visible_at = self.now() + hidden
        return ok(Messages=[_shown(each) for each in found]) if found else ok()

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> Answer:
        queue = self._queue(QueueUrl, "DeleteMessage")
        queue[:] = [each for each in queue if each.receipt != ReceiptHandle]
        return ok()

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> Answer:
        queue, now = self._queue(QueueUrl, "GetQueueAttributes"), self.now()
        flying = [each for each in queue if each.visible_at > now and each.received]
        delayed = [each for each in queue if each.visible_at > now and not each.received]
        counts = {
            "ApproximateNumberOfMessages": str(len(queue) - len(flying) - len(delayed)),
            "ApproximateNumberOfMessagesNotVisible": str(len(flying)),
            "ApproximateNumberOfMessagesDelayed": str(len(delayed)),
        }
        wanted = counts if "All" in AttributeNames else {name: counts[name] for name in AttributeNames}
        return ok(Attributes=wanted)

    def _queue(self, url: str, operation: str) -> list[Message]:
        if url not in self.queues:
            raise error("AWS.SimpleQueueService.NonExistentQueue", operation)
        return self.queues[url]


def _shown(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "MD5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "Attributes": {
            "ApproximateReceiveCount": str(message.received),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        },
    }
