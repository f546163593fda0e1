"""Messages between functions: ids only, and nothing that is no id."""

import json

import pytest

from broker.adapters.aws import AwsClient
from broker.adapters.queues import BATCH_SIZE, Queue, RefreshBatch, Trigger, read_batch, read_completion
from broker.config import Config
from broker.model import ConnectionId, ConnectionRef, SessionId, TenantId
from local.aws.account import AwsAccount

ID = "abcdefghijklmnopqrstuvwx27"
CONNECTION = f"con_{ID}"
REF = ConnectionRef(TenantId("acme"), ConnectionId(CONNECTION))
OTHER = ConnectionRef(TenantId("globex"), ConnectionId(CONNECTION))


@pytest.fixture
def queue(aws: AwsAccount, config: Config) -> Queue:
    return Queue(AwsClient("sqs", aws.client("sqs")), config.refresh_queue)


def received(aws: AwsAccount, config: Config) -> list[str]:
    answer = aws.client("sqs").receive_message(QueueUrl=config.refresh_queue, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def written(**changes: object) -> str:
    return json.dumps({"trigger": "due", "min_ttl": 0, "connections": [["acme", CONNECTION]]} | changes)


def test_a_completion_arrives_as_it_was_given(queue: Queue, aws: AwsAccount, config: Config) -> None:
    queue.send_completion(SessionId(f"ses_{ID}"))

    assert [read_completion(body) for body in received(aws, config)] == [f"ses_{ID}"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "null",
        "[]",
        '"due"',
        "{}",
        written(trigger="sometimes"),
        written(trigger=None),
        written(trigger=["due"]),
        written(trigger={"due": 1}),
        written(connections=None),
        written(connections={"acme": CONNECTION}),
        written(connections=CONNECTION),
        written(min_ttl="300"),
        written(min_ttl=None),
        written(min_ttl=1.5),
        written(refused_version="7"),
        written(refused_version=None),
    ],
)
def test_what_is_no_batch_is_none(body: str) -> None:
    assert read_batch(body) is None


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "acme",
        7,
        [],
        ["acme"],
        ["acme", CONNECTION, "more"],
        ["acme", None],
        [None, CONNECTION],
        [["acme"], CONNECTION],
        ["acme", "con_x"],
        ["acme", f"{CONNECTION}#profile"],
        ["acme", f"ses_{ID}"],
        ["#breakers", CONNECTION],
        ["", CONNECTION],
        ["a" * 65, CONNECTION],
        {"tenant": "acme", "connection": CONNECTION},
    ],
)
def test_an_entry_that_names_no_connection_is_counted_and_its_neighbours_stay(entry: object) -> None:
    batch = read_batch(written(connections=[entry, ["acme", CONNECTION], entry]))

    assert batch == RefreshBatch(Trigger.DUE, (REF,), faults=2)


TWICE = [["acme", CONNECTION], ["globex", CONNECTION], ["acme", CONNECTION]]


@pytest.mark.parametrize(
    ("body", "batch"),
    [
        (written(connections=TWICE), RefreshBatch(Trigger.DUE, (REF, OTHER))),
        (written(connections=TWICE[2:] * (10 * BATCH_SIZE + 5)), RefreshBatch(Trigger.DUE, (REF,), faults=5)),
        ('{"trigger": "rescue", "connections": []}', RefreshBatch(Trigger.RESCUE, ())),
    ],
    ids=["named twice", "far too long", "without a lifetime"],
)
def test_a_batch_is_read(body: str, batch: RefreshBatch) -> None:
    assert read_batch(body) == batch


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"session": null}', '{"session": 7}', '{"session": "ses_x"}', '{"session": ["ses_x"]}']
)
def test_what_names_no_session_is_no_completion(body: str) -> None:
    assert read_completion(body) is None
