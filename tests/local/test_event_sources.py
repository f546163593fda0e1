"""Queues, a stream and a schedule calling functions as AWS does."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.aws.account import AwsAccount
from local.aws.event_sources import EventSourceThread, QueueSource, ScheduleSource, StreamSource
from local.aws.lambda_runtime import Runtime
from local.aws.roles import PolicyUsage, Role
from local.clock import StillClock
from local.cloudformation.resources import EventSourceMapping
from local.cloudformation.template import Template

Answer = Callable[[dict[str, Any]], Any]
QUEUE, DEAD_LETTERS = "local-UrgentQueue", "local-DeadLetterQueue"
HIDDEN = 1081
"""Seconds after which a message that was received can be received again."""


class Worker:
    """A function whose answers a test chooses, and what it was called with."""

    def __init__(self, stack: Template, folder: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Answer = lambda _event: None
        self.failures: list[tuple[str, str]] = []
        self.runtime = Runtime(stack.functions[folder], lambda: self._handle, self._tell)

    def _handle(self, event: dict[str, Any], _context: object) -> Any:
        self.events.append(event)
        return self.answer(event)

    def _tell(self, folder: str, what: str) -> None:
        self.failures.append((folder, what))

    @property
    def records(self) -> list[list[Any]]:
        return [event["Records"] for event in self.events]


def mapping_of(stack: Template, name: str, **changes: Any) -> EventSourceMapping:
    found = next(mapping for mapping in stack.event_source_mappings if mapping.logical_id == name)
    return replace(found, **changes)


# Queues ----------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(stack: Template) -> Worker:
    return Worker(stack, "refresh")


@pytest.fixture
def source(stack: Template, aws: AwsAccount, worker: Worker) -> QueueSource:
    return queue_source(stack, aws, worker, mapping_of(stack, "UrgentFeed", batch_size=2))


def queue_source(stack: Template, aws: AwsAccount, worker: Worker, mapping: EventSourceMapping) -> QueueSource:
    role = Role(stack.functions["refresh"], stack, PolicyUsage())
    queue = stack.queue(mapping.source)
    return QueueSource(mapping, worker.runtime, queue=queue, aws=aws, role=role)


def send(stack: Template, aws: AwsAccount, *bodies: str) -> None:
    for body in bodies:
        aws.client("sqs").send_message(QueueUrl=stack.queue(QUEUE).url, MessageBody=body)


def bodies(aws: AwsAccount, stack: Template, queue: str) -> list[str]:
    url = stack.queue(queue).url
    received = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in received.get("Messages", [])]


def failing(*names: str) -> Answer:
    def answer(event: dict[str, Any]) -> Any:
        failed = [record["messageId"] for record in event["Records"] if record["body"] in names]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    return answer


def test_messages_come_in_batches_and_are_gone_when_worked(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource, clock: StillClock
) -> None:
    send(stack, aws, "a", "b", "c")

    worked = [source.work(), source.work(), source.work()]

    assert worked == [True, True, False]
    assert [len(batch) for batch in worker.records] == [2, 1]
    assert sorted(record["body"] for batch in worker.records for record in batch) == ["a", "b", "c"]
    clock.advance(HIDDEN)
    assert bodies(aws, stack, QUEUE) == []


def test_a_message_is_told_as_lambda_tells_it(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource
) -> None:
    send(stack, aws, "a")
    source.work()

    ((record,),) = worker.records
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", stack.queue(QUEUE).arn)
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageId"]


def test_only_what_failed_comes_again_after_its_time(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource, clock: StillClock
) -> None:
    send(stack, aws, "good", "bad")
    worker.answer = failing("bad")
    source.work()

    assert not source.work()
    clock.advance(HIDDEN)
    source.work()

    assert [record["body"] for record in worker.records[1]] == ["bad"]
    assert worker.records[1][0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_function_that_raises_fails_its_whole_batch(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource, clock: StillClock
) -> None:
    send(stack, aws, "a", "b")
    worker.answer = lambda _event: 1 / 0
    source.work()
    clock.advance(HIDDEN)

    assert worker.failures == [("refresh", "Failed: ZeroDivisionError")]
    assert sorted(bodies(aws, stack, QUEUE)) == ["a", "b"]


def test_a_failure_report_that_names_a_stranger_fails_the_whole_batch(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource, clock: StillClock
) -> None:
    send(stack, aws, "a", "b")
    worker.answer = lambda _event: {"batchItemFailures": [{"itemIdentifier": "somebody else's"}]}
    source.work()
    clock.advance(HIDDEN)

    assert sorted(bodies(aws, stack, QUEUE)) == ["a", "b"]


def test_without_failure_reports_an_answer_means_success(
    stack: Template, aws: AwsAccount, worker: Worker, clock: StillClock
) -> None:
    source = queue_source(stack, aws, worker, mapping_of(stack, "UrgentFeed", batch_size=2, reports_failures=False))
    send(stack, aws, "bad")
    worker.answer = failing("bad")
    source.work()
    clock.advance(HIDDEN)

    assert bodies(aws, stack, QUEUE) == []


def test_what_failed_too_often_becomes_a_dead_letter(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource, clock: StillClock
) -> None:
    send(stack, aws, "bad")
    worker.answer = failing("bad")
    for _ in range(4):
        source.work()
        clock.advance(HIDDEN)

    assert len(worker.events) == 3
    assert bodies(aws, stack, DEAD_LETTERS) == ["bad"]


# The stream ------------------------------------------------------------------------------------------------


class Hearing:
    """The stream's source with the function that hears it."""

    def __init__(self, stack: Template, aws: AwsAccount, mapping: EventSourceMapping) -> None:
        self.worker = Worker(stack, "notify")
        self.given_up: list[dict[str, Any]] = []
        self.source = StreamSource(
            mapping,
            self.worker.runtime,
            table=stack.tables[0],
            give_up=lambda told: self.given_up.append(json.loads(told)),
            aws=aws,
        )

    @property
    def heard(self) -> list[list[str]]:
        return [[record["dynamodb"]["Keys"]["connection"]["S"] for record in batch] for batch in self.worker.records]


@pytest.fixture
def hearing(stack: Template, aws: AwsAccount) -> Hearing:
    return Hearing(stack, aws, mapping_of(stack, "NotifyFeed", batch_size=3, retries=2))


def write(stack: Template, aws: AwsAccount, *notes: str) -> None:
    for note in notes:
        item = {"tenant": {"S": "ann"}, "connection": {"S": note}}
        aws.client("dynamodb").put_item(TableName=stack.tables[0].name, Item=item)


def deaf_to(note: str) -> Answer:
    def answer(event: dict[str, Any]) -> Any:
        numbers = [
            record["dynamodb"]["SequenceNumber"]
            for record in event["Records"]
            if record["dynamodb"]["Keys"]["connection"]["S"] == note
        ]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}

    return answer


def test_changes_come_in_order_and_once(stack: Template, aws: AwsAccount, hearing: Hearing) -> None:
    write(stack, aws, "1", "2", "3", "4")

    worked = [hearing.source.work(), hearing.source.work(), hearing.source.work()]

    assert worked == [True, True, False]
    assert hearing.heard == [["1", "2", "3"], ["4"]]


def test_a_write_that_changes_nothing_is_not_heard(stack: Template, aws: AwsAccount, hearing: Hearing) -> None:
    write(stack, aws, "1", "1", "2")
    hearing.source.work()

    assert hearing.heard == [["1", "2"]]


def test_after_a_failure_the_stream_goes_on_from_there(stack: Template, aws: AwsAccount, hearing: Hearing) -> None:
    write(stack, aws, "1", "2", "3")
    hearing.worker.answer = deaf_to("2")

    assert not hearing.source.work()
    hearing.worker.answer = lambda _event: None
    hearing.source.work()

    assert hearing.heard == [["1", "2", "3"], ["2", "3"]]


def test_a_batch_that_fails_too_often_is_given_up(stack: Template, aws: AwsAccount, hearing: Hearing) -> None:
    write(stack, aws, "1", "2", "3", "4")
    hearing.worker.answer = deaf_to("2")
    for _ in range(3):
        hearing.source.work()
    hearing.worker.answer = lambda _event: None
    hearing.source.work()

    assert hearing.heard == [["1", "2", "3"], ["2", "3"], ["2", "3"], ["4"]]
    assert [told["batchSize"] for told in hearing.given_up] == [2]


def test_a_function_that_raises_is_called_again_with_all(stack: Template, aws: AwsAccount, hearing: Hearing) -> None:
    write(stack, aws, "1", "2")
    hearing.worker.answer = lambda _event: 1 / 0
    hearing.source.work()
    hearing.worker.answer = lambda _event: None
    hearing.source.work()

    assert hearing.worker.failures == [("notify", "Failed: ZeroDivisionError")]
    assert hearing.heard == [["1", "2"], ["1", "2"]]


# The schedule, and all at once -----------------------------------------------------------------------------


def test_a_schedule_ticks_by_the_worlds_clock_and_once_after_a_jump(stack: Template, clock: StillClock) -> None:
    worker = Worker(stack, "sweep")
    (schedule,) = stack.functions["sweep"].schedules
    source = ScheduleSource(schedule, worker.runtime, now=clock.now)

    assert not source.work()
    clock.advance(3600)
    assert [source.work(), source.work()] == [True, False]
    assert worker.events[0]["source"] == "aws.scheduler"


def test_a_failing_tick_is_told_and_the_next_one_comes(stack: Template, clock: StillClock) -> None:
    worker = Worker(stack, "sweep")
    worker.answer = lambda _event: 1 / 0
    (schedule,) = stack.functions["sweep"].schedules
    source = ScheduleSource(schedule, worker.runtime, now=clock.now)
    for _ in range(2):
        clock.advance(60)
        source.work()

    assert worker.failures == [("sweep", "Failed: ZeroDivisionError")] * 2


def test_in_threads_every_message_is_worked_once(
    stack: Template, aws: AwsAccount, worker: Worker, source: QueueSource
) -> None:
    done, left = threading.Event(), {str(number) for number in range(20)}

    def answer(event: dict[str, Any]) -> None:
        for record in event["Records"]:
            left.remove(record["body"])
        if not left:
            done.set()

    worker.answer = answer
    with EventSourceThread([source]):
        send(stack, aws, *sorted(left))
        done.wait(60)

    assert (left, worker.failures) == (set(), [])
