"""Orders between functions: ids only, and nothing that is no id."""

import json

import pytest

from broker.adapters.connections import Ref
from broker.adapters.queues import ORDER_SIZE, Order, Queue, Why, read_completion, read_order
from broker.config import Config
from broker.errors import Busy
from broker.model import ConnectionId, Seconds, SessionId, TenantId
from local.aws.account import Aws
from tests.support.surroundings import Trouble, unreachable

ID = "abcdefghijklmnopqrstuvwx27"
CONNECTION = f"con_{ID}"
REF = Ref(TenantId("acme"), ConnectionId(CONNECTION))
OTHER = Ref(TenantId("globex"), ConnectionId(CONNECTION))


@pytest.fixture
def queue(aws: Aws, config: Config) -> Queue:
    return Queue(aws.client("sqs"), config.refresh_queue)


def received(aws: Aws, config: Config) -> list[str]:
    answer = aws.client("sqs").receive_message(QueueUrl=config.refresh_queue, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def written(**changes: object) -> str:
    return json.dumps({"why": "due", "min_ttl": 0, "connections": [["acme", CONNECTION]]} | changes)


def test_an_order_arrives_as_it_was_given(queue: Queue, aws: Aws, config: Config) -> None:
    queue.order(Why.URGENT, [REF, OTHER], min_ttl=Seconds(300))

    assert [read_order(body) for body in received(aws, config)] == [Order(Why.URGENT, (REF, OTHER), Seconds(300))]


def test_a_completion_arrives_as_it_was_given(queue: Queue, aws: Aws, config: Config) -> None:
    queue.complete(SessionId(f"ses_{ID}"))

    assert [read_completion(body) for body in received(aws, config)] == [f"ses_{ID}"]


def test_waiting_orders_are_counted(queue: Queue) -> None:
    for _ in range(3):
        queue.order(Why.DUE, [REF])

    assert queue.waiting() == 3


@pytest.mark.parametrize("error", [None, unreachable()], ids=["throttled", "down"])
def test_a_queue_that_does_not_answer_is_busy(queue: Queue, trouble: Trouble, error: Exception | None) -> None:
    trouble.never_done("sqs.SendMessage", error=error)
    trouble.never_done("sqs.GetQueueAttributes", error=error)

    with pytest.raises(Busy):
        queue.order(Why.DUE, [REF])
    with pytest.raises(Busy):
        queue.waiting()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "null",
        "[]",
        '"due"',
        "{}",
        written(why="sometimes"),
        written(why=None),
        written(why=["due"]),
        written(why={"due": 1}),
        written(connections=None),
        written(connections={"acme": CONNECTION}),
        written(connections=CONNECTION),
        written(min_ttl="300"),
        written(min_ttl=None),
        written(min_ttl=1.5),
    ],
)
def test_what_is_no_order_is_none(body: str) -> None:
    assert read_order(body) is None


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
        ["#brakes", CONNECTION],
        ["", CONNECTION],
        ["a" * 65, CONNECTION],
        {"tenant": "acme", "connection": CONNECTION},
    ],
)
def test_an_entry_that_names_no_connection_is_counted_and_its_neighbours_stay(entry: object) -> None:
    order = read_order(written(connections=[entry, ["acme", CONNECTION], entry]))

    assert order == Order(Why.DUE, (REF,), faults=2)


def test_a_connection_that_is_named_twice_is_refreshed_once() -> None:
    order = read_order(written(connections=[["acme", CONNECTION], ["globex", CONNECTION], ["acme", CONNECTION]]))

    assert order == Order(Why.DUE, (REF, OTHER))


def test_an_order_that_is_far_too_long_is_cut_and_the_rest_counted() -> None:
    order = read_order(written(connections=[["acme", CONNECTION]] * (10 * ORDER_SIZE + 5)))

    assert order == Order(Why.DUE, (REF,), faults=5)


def test_an_order_needs_no_lifetime() -> None:
    assert read_order(json.dumps({"why": "rescue", "connections": []})) == Order(Why.RESCUE, ())


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"session": null}', '{"session": 7}', '{"session": "ses_x"}', '{"session": ["ses_x"]}']
)
def test_what_names_no_session_is_no_completion(body: str) -> None:
    assert read_completion(body) is None
