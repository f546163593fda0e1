"""Finding what falls due: the cost grows with what is due, and a queue that is behind gets no more."""

import pytest

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.connections import Connections
from broker.adapters.queues import Queue, RefreshBatch, Trigger, read_batch
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable
from broker.flows import sweep as sweeping
from broker.model import ConnectionRef, ConnectionState, Instant, TenantId
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines
from tests.support.journey import Journey, ref
from tools.requirements import req

RESCUED = SealedTokens(b"a", b"r", Instant(0), frozenset(), Instant(0))


@pytest.fixture
def five(journey: Journey, connections: Connections) -> list[ConnectionState]:
    """Five connections, due in five hundred seconds each a minute after the other."""
    made = [journey.connect()[0] for _ in range(5)]
    for number, state in enumerate(made):
        connections.record_failure(state, {"refresh_at": START + 500 + 60 * number, "due_shard": number % 2}, ())
    return made


def batches(aws: AwsAccount, config: Config) -> list[RefreshBatch]:
    found = []
    while messages := aws.client("sqs").receive_message(QueueUrl=config.refresh_queue).get("Messages"):
        found += [read_batch(message["Body"]) for message in messages]
    return [batch for batch in found if batch]


def named(found: list[RefreshBatch]) -> list[ConnectionRef]:
    return [ref for batch in found for ref in batch.refs]


def test_what_falls_due_before_the_next_sweep_is_ordered_and_nothing_else(
    broker: Broker, five: list[ConnectionState], aws: AwsAccount, config: Config, clock: Clock, lines: LogLines
) -> None:
    clock.advance(560)

    broker.sweep()

    assert sorted(named(batches(aws, config)), key=repr) == sorted((ref(state) for state in five[:3]), key=repr)
    (line,) = lines.named("sweep.done")
    assert (line["requested"], line["rescued"]) == (3, 0)


def test_many_connections_make_batches_of_a_limited_size(
    broker: Broker,
    five: list[ConnectionState],
    aws: AwsAccount,
    config: Config,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "BATCH_SIZE", 2)
    clock.advance(1000)

    broker.sweep()

    found = batches(aws, config)
    assert {len(batch.refs) for batch in found} <= {1, 2}
    assert len(set(named(found))) == len(named(found)) == 5


def test_a_full_page_of_a_shard_makes_a_batch_of_its_own(
    broker: Broker, five: list[ConnectionState], aws: AwsAccount, config: Config, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Rows of one instant, sealed under one key, are in one shard; that key is then opened once."""
    monkeypatch.setattr(sweeping, "BATCH_SIZE", 3)
    clock.advance(1000)
    while int(clock.now()) // sweeping.SWEEP_INTERVAL % policy.SHARDS != 1:  # the shard with two rows is read first
        clock.advance(sweeping.SWEEP_INTERVAL)

    broker.sweep()

    assert {frozenset(batch.refs) for batch in batches(aws, config)} == {
        frozenset(ref(state) for state in five[shard::2]) for shard in (0, 1)
    }


def test_nothing_due_requests_nothing_and_reads_one_page_of_each_shard(
    broker: Broker, five: list[ConnectionState], aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    aws_faults.watch("dynamodb.Query")
    aws_faults.watch("dynamodb.Scan")

    broker.sweep()

    assert batches(aws, config) == []
    assert (aws_faults.asked["dynamodb.Query"], aws_faults.asked["dynamodb.Scan"]) == (policy.SHARDS, 0)


def test_a_queue_that_is_behind_gets_no_more(
    broker: Broker, five: list[ConnectionState], aws: AwsAccount, config: Config, clock: Clock, lines: LogLines
) -> None:
    queue = Queue(AwsClient("sqs", aws.client("sqs")), config.refresh_queue)
    for _ in range(sweeping.MAX_QUEUED_BATCHES):
        queue.send_batch(Trigger.DUE, [ref(five[0])])
    clock.advance(1000)

    broker.sweep()

    assert queue.waiting() == sweeping.MAX_QUEUED_BATCHES
    assert len(lines.named("sweep.behind")) >= 1
    assert [line["requested"] for line in lines.named("sweep.done")] == [0]


def test_a_shard_that_is_never_done_ends_after_so_many_pages(
    broker: Broker,
    five: list[ConnectionState],
    aws: AwsAccount,
    config: Config,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "BATCH_SIZE", 1)
    monkeypatch.setattr(sweeping, "MAX_PAGES_PER_SHARD", 1)
    clock.advance(1000)

    broker.sweep()

    assert len(named(batches(aws, config))) == 2


def test_while_the_queue_is_behind_no_shard_is_always_the_one_left_out(
    broker: Broker,
    five: list[ConnectionState],
    aws: AwsAccount,
    config: Config,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "BATCH_SIZE", 1)
    monkeypatch.setattr(sweeping, "MAX_QUEUED_BATCHES", 1)
    clock.advance(1000)

    found = []
    for _ in range(policy.SHARDS):
        broker.sweep()
        found += named(batches(aws, config))
        clock.advance(60)

    shards = {ref(state): number % 2 for number, state in enumerate(five)}
    assert {shards[each] for each in found} == {0, 1}


@pytest.mark.parametrize("shard", range(2))
def test_a_shard_that_can_not_be_read_costs_its_own_connections_only(
    broker: Broker, five: list[ConnectionState], aws: AwsAccount, config: Config, clock: Clock, aws_faults: AwsFaults,
    lines: LogLines, shard: int,
) -> None:  # fmt: skip
    clock.advance(1000)
    is_of_shard = lambda body: body.get("ExpressionAttributeValues", {}).get(":shard") == {"N": str(shard)}  # noqa: E731
    aws_faults.refuse("dynamodb.Query", times=9, only=is_of_shard)

    with pytest.raises(AwsUnavailable):
        broker.sweep()

    others = {ref(state) for number, state in enumerate(five) if number % 2 != shard}
    assert set(named(batches(aws, config))) == others
    assert [line["shard"] for line in lines.named("sweep.shard_failed")] == [shard]
    assert [line["requested"] for line in lines.named("sweep.done")] == [len(others)]


@req("O04")
def test_one_tenant_has_its_share_of_a_sweep_and_the_others_theirs(
    broker: Broker, five: list[ConnectionState], journey: Journey, aws: AwsAccount, config: Config, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """However many connections of one customer fall due, what they hang in takes a part of the executions only."""
    other, _ = Journey(journey.broker, journey.ninjaone, tenant=TenantId("globex")).connect()
    monkeypatch.setattr(sweeping, "MAX_CONNECTIONS_PER_TENANT", 2)
    clock.advance(4000)

    broker.sweep()

    found = named(batches(aws, config))
    assert ref(other) in found
    assert len(set(found) & {ref(state) for state in five}) == 2


# The rescue store -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rescue(aws: AwsAccount, config: Config) -> RescueStore:
    return RescueStore(AwsClient("s3", aws.client("s3")), config.rescue_bucket)


def test_what_waits_in_the_rescue_store_is_ordered_every_quarter_of_an_hour(
    broker: Broker,
    five: list[ConnectionState],
    rescue: RescueStore,
    aws: AwsAccount,
    config: Config,
    clock: Clock,
    lines: LogLines,
) -> None:
    rescue.put(ref(five[0]), 1, RESCUED)
    rescue.put(ref(five[1]), 7, RESCUED)

    requested = []
    for _ in range(15):
        broker.sweep()
        requested.append([batch.refs for batch in batches(aws, config) if batch.trigger is Trigger.RESCUE])
        clock.advance(60)

    assert [bool(found) for found in requested] == [True] + [False] * 14
    assert set(requested[0][0]) == {ref(five[0]), ref(five[1])}
    assert lines.named("sweep.done")[0]["rescued"] == 2


def test_a_rescue_store_that_can_not_be_listed_holds_up_nothing(
    broker: Broker,
    five: list[ConnectionState],
    aws: AwsAccount,
    config: Config,
    clock: Clock,
    aws_faults: AwsFaults,
    lines: LogLines,
) -> None:
    clock.advance(900)
    aws_faults.refuse("s3.ListObjectsV2")

    broker.sweep()

    assert len(named(batches(aws, config))) == 5
    assert len(lines.named("rescue.not_listed")) == 1
