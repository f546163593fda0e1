"""Giving access tokens: never one that ended, never a failure while the held one is valid."""

import pytest

from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, app_breaker, host_breaker
from broker.adapters.connections import Connections
from broker.adapters.queues import RefreshBatch, Trigger, read_batch
from broker.adapters.seal import Seal
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    ConnectionPaused,
    NeedsReauth,
    NotActive,
    NoTokenYet,
)
from broker.flows.token import IssuedToken
from broker.model import ConnectionState, Instant, Purpose, Seconds, TenantId
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import TENANT, ref
from tools.requirements import req

TTL = Seconds(300)


@pytest.fixture
def breakers(aws: AwsAccount, config: Config) -> BreakerStore:
    return BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table)


def batches(aws: AwsAccount, config: Config) -> list[RefreshBatch | None]:
    answer = aws.client("sqs").receive_message(QueueUrl=config.urgent_queue, MaxNumberOfMessages=10)
    return [read_batch(message["Body"]) for message in answer.get("Messages", [])]


def refresh_soon(broker: Broker, state: ConnectionState, clock: Clock, *, after: float = 3) -> None:
    """Let the refresh function work the order while the caller waits."""
    batch = RefreshBatch(Trigger.URGENT, (ref(state),), TTL)
    clock.plan(after, lambda: broker.refresh(batch, clock.left(180)))


def token(seal: Seal, state: ConnectionState) -> str:
    assert state.access is not None
    spot = state.aad
    return seal.open(state.access, Purpose.ACCESS, spot).reveal()


# The held token -------------------------------------------------------------------------------------------------------


@req("H05")
def test_the_held_token_is_given_when_it_lasts(
    broker: Broker,
    state: ConnectionState,
    seal: Seal,
    network: NinjaOneTransport,
    aws: AwsAccount,
    config: Config,
    clock: Clock,
) -> None:
    clock.advance(100)

    issued = broker.get_token(ref(state), min_ttl=TTL)

    assert issued == IssuedToken(issued.access, Instant(START + 3600), Seconds(3500), "https://eu.ninjarmm.com", 1)
    assert issued.access.reveal() == token(seal, state)
    assert network.requests == []
    assert batches(aws, config) == []
    assert clock.slept == []


def test_a_token_that_lasts_exactly_long_enough_is_given_at_once(
    broker: Broker, state: ConnectionState, clock: Clock
) -> None:
    clock.advance(3300)

    assert broker.get_token(ref(state), min_ttl=TTL).expires_in == 300
    assert clock.slept == []


# A token that NinjaOne refused ----------------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_however_long_it_lasts(
    broker: Broker, state: ConnectionState, aws: AwsAccount, config: Config, clock: Clock
) -> None:
    clock.advance(60)
    batch = RefreshBatch(Trigger.URGENT, (ref(state),), Seconds(6), 1)
    clock.plan(3, lambda: broker.refresh(batch, clock.left(180)))

    issued = broker.get_token(ref(state), min_ttl=Seconds(0), refused_version=1)

    assert (issued.version, issued.expires_in > 3500) == (2, True)
    assert batches(aws, config) == [batch]


@req("H07", "H11")
@pytest.mark.parametrize(
    ("age", "min_ttl", "refused"),
    [(60, 300, 7), (59, 300, 1), (59, 3600, 0)],
    ids=["replaced already", "refused within the minute", "never lasts that long"],
)
def test_nobody_waits_where_a_refresh_would_bring_nothing_newer(
    broker: Broker, state: ConnectionState, aws: AwsAccount, config: Config, clock: Clock, *,
    age: int, min_ttl: int, refused: int,
) -> None:  # fmt: skip
    """The token is already another one, or came within the last minute, in which no other is asked for."""
    clock.advance(age)

    assert broker.get_token(ref(state), min_ttl=Seconds(min_ttl), refused_version=refused).version == 1
    assert (batches(aws, config), clock.slept) == ([], [])


@req("H10")
def test_a_token_that_was_given_is_logged_without_it(
    broker: Broker, state: ConnectionState, seal: Seal, lines: LogLines
) -> None:
    broker.get_token(ref(state), min_ttl=TTL)
    broker.log.flush()

    (line,) = lines.named("token.issued")
    assert (line["tenant"], line["connection"], line["left"], line["version"]) == (TENANT, state.connection, 3600, 1)
    assert token(seal, state) not in "".join(lines.text)
    assert any(each.get("token_left") == [3600.0] for each in lines)


@req("H09")
def test_a_disconnected_connection_gives_nothing(broker: Broker, state: ConnectionState) -> None:
    broker.disconnect(ref(state))

    with pytest.raises(NotActive):
        broker.get_token(ref(state), min_ttl=TTL)


# Too short: request a refresh, and wait ------------------------------------------------------------------------------


@req("H07")
def test_a_token_that_ends_soon_is_refreshed_first(
    broker: Broker, state: ConnectionState, clock: Clock, aws: AwsAccount, config: Config, ninjaone: NinjaOne
) -> None:
    clock.advance(3400)
    refresh_soon(broker, state, clock)

    issued = broker.get_token(ref(state), min_ttl=TTL)

    assert batches(aws, config) == [RefreshBatch(Trigger.URGENT, (ref(state),), TTL)]
    assert issued.expires_in > 3500
    assert ninjaone.oracle.accepts("eu.ninjarmm.com", issued.access.reveal())
    assert 3 <= sum(clock.slept) < 5


@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_token_in_its_last_seconds_is_refreshed_whatever_lifetime_is_asked_for(
    broker: Broker, state: ConnectionState, clock: Clock, left: int
) -> None:
    clock.advance(3600 - left)
    refresh_soon(broker, state, clock)

    assert broker.get_token(ref(state), min_ttl=Seconds(0)).expires_in > 3500


def test_whoever_waits_looks_again_a_little_later_each_time_and_for_eight_seconds_at_most(
    broker: Broker, state: ConnectionState, clock: Clock, aws_faults: AwsFaults
) -> None:
    clock.advance(3400)
    aws_faults.watch("dynamodb.GetItem")

    broker.get_token(ref(state), min_ttl=TTL)

    assert clock.slept[:4] == [0.25, 0.5, 1.0, 1.0]
    assert 6.5 < sum(clock.slept) < 8
    assert aws_faults.asked["dynamodb.GetItem"] == 1 + len(clock.slept)


@req("H07")
def test_a_token_that_ended_while_its_refresh_does_not_come_through_is_not_given(
    broker: Broker, state: ConnectionState, clock: Clock
) -> None:
    clock.advance(3600)
    waits = set()

    for _ in range(20):
        with pytest.raises(NoTokenYet) as later:
            broker.get_token(ref(state), min_ttl=TTL)
        waits.add(later.value.retry_after)

    assert waits == {1, 2}


@req("H07")
@pytest.mark.parametrize("left", [6, 7, 7.75, 9, 10, 12])
def test_nobody_waits_past_the_end_of_a_token_that_is_still_valid(
    broker: Broker, state: ConnectionState, clock: Clock, left: float
) -> None:
    """``min_ttl`` decides whether to wait, never whether to fail."""
    clock.advance(3600 - left)

    given = broker.get_token(ref(state), min_ttl=TTL)

    assert given.expires_in >= 6
    assert sum(clock.slept) <= left - 6
    assert sum(clock.slept) < 1.75 or left > 7.75, "a look at the very end would come too late"


def failed(connections: Connections, state: ConnectionState, clock: Clock, *, again: int) -> None:
    """Let the row say that an attempt just failed, and when the next one comes."""
    now = int(clock.now())
    connections.record_failure(
        state, {"tried_at": now, "failures": 1, "cause": "throttled", "refresh_at": now + again}, ()
    )


@req("H07")
@pytest.mark.parametrize(("left", "given"), [(200, 200), (6, 6), (5, None)])
def test_nobody_waits_for_a_row_that_is_held(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock, aws: AwsAccount, config: Config,
    left: int, given: int | None,
) -> None:  # fmt: skip
    clock.advance(3600 - left)
    failed(connections, state, clock, again=90)

    if given is None:
        with pytest.raises(ConnectionPaused) as paused:
            broker.get_token(ref(state), min_ttl=TTL)
        assert (paused.value.held_by, paused.value.cause) == ("connection", "throttled")
        assert paused.value.until == int(clock.now()) + 90
        assert paused.value.retry_after in {91, 92}
    else:
        assert broker.get_token(ref(state), min_ttl=TTL).expires_in == given

    assert clock.slept == []
    assert batches(aws, config) == []


@pytest.mark.parametrize("again", [3, 8])
def test_a_row_whose_hold_ends_in_time_is_waited_for(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock, again: int
) -> None:
    clock.advance(3700)
    failed(connections, state, clock, again=again)

    with pytest.raises(NoTokenYet):
        broker.get_token(ref(state), min_ttl=TTL)

    assert sum(clock.slept) > 6


@pytest.mark.parametrize(("again", "error"), [(8, NoTokenYet), (9, ConnectionPaused)])
def test_a_hold_that_a_caller_would_wait_for_is_no_pause(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock, again: int, error: type[Exception]
) -> None:
    """Here nobody waits, for NinjaOne was asked within the last minute."""
    clock.advance(3700)
    failed(connections, state, clock, again=again)
    connections.record_failure(state, {"sent_at": int(clock.now())}, ())

    with pytest.raises(error):
        broker.get_token(ref(state), min_ttl=TTL)
    assert clock.slept == []


def test_a_newer_token_is_given_however_long_ago_it_was_asked_for(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock
) -> None:
    """Such as one that the rescue store kept."""

    def renewed() -> None:
        broker.refresh(RefreshBatch(Trigger.URGENT, (ref(state),), TTL), clock.left(180))
        row = connections.get_state(ref(state))
        assert row
        connections.record_failure(row, {"sent_at": state.sent_at}, ())

    clock.advance(3400)
    clock.plan(1, renewed)

    assert broker.get_token(ref(state), min_ttl=TTL).version == 2
    assert sum(clock.slept) < 3


@pytest.mark.parametrize("held_by", ["host", "client_app"])
def test_a_connection_behind_an_open_breaker_says_so(
    broker: Broker, state: ConnectionState, breakers: BreakerStore, clock: Clock, held_by: str
) -> None:
    names = {"host": host_breaker(state.host.name), "client_app": app_breaker(state.host.name, state.client_id)}
    seen = breakers.add_failure(names[held_by], TenantId("another"), Instant(START), "status_503")
    breakers.open(names[held_by], seen, Instant(START), "status_503")
    clock.advance(3700)

    with pytest.raises(ConnectionPaused) as paused:
        broker.get_token(ref(state), min_ttl=TTL)

    assert (paused.value.held_by, paused.value.cause, paused.value.until) == (held_by, "status_503", None)
    assert paused.value.retry_after in {61, 62}


def test_a_queue_that_does_not_answer_leaves_the_held_token(
    broker: Broker, state: ConnectionState, clock: Clock, aws_faults: AwsFaults, lines: LogLines
) -> None:
    clock.advance(3400)
    aws_faults.refuse("sqs.SendMessage")

    assert broker.get_token(ref(state), min_ttl=TTL).expires_in == 200
    assert clock.slept == []
    assert len(lines.named("refresh.not_requested")) == 1


def test_a_store_that_does_not_answer_while_one_waits_is_asked_again(
    broker: Broker, state: ConnectionState, clock: Clock, aws_faults: AwsFaults
) -> None:
    clock.advance(3400)
    refresh_soon(broker, state, clock, after=5)
    clock.plan(0.1, lambda: aws_faults.refuse("dynamodb.GetItem", times=3))

    assert broker.get_token(ref(state), min_ttl=TTL).expires_in > 3500


def test_a_connection_that_is_ended_while_one_waits_gives_nothing(
    broker: Broker, state: ConnectionState, clock: Clock
) -> None:
    clock.advance(3400)
    clock.plan(2, lambda: broker.disconnect(ref(state)))

    with pytest.raises(NotActive):
        broker.get_token(ref(state), min_ttl=TTL)


# A connection that needs its customer ---------------------------------------------------------------------------------


def needs_reauth(connections: Connections, state: ConnectionState, reason: str | None = "revoked") -> None:
    more = {"reason": reason} if reason else {}
    connections.record_failure(state, {"status": "needs_reauth", "needs_reauth_since": START, **more}, ())


@req("H07")
def test_a_valid_token_is_given_whatever_is_said_against_its_connection(
    broker: Broker, state: ConnectionState, connections: Connections, aws: AwsAccount, config: Config, clock: Clock
) -> None:
    needs_reauth(connections, state)
    clock.advance(3400)

    assert broker.get_token(ref(state), min_ttl=TTL).expires_in == 200
    assert batches(aws, config) == []
    assert clock.slept == []


@req("H09")
@pytest.mark.parametrize("reason", ["revoked", "lost_in_rotation", "consent_ended", "scope_withdrawn"])
def test_when_it_ended_the_caller_is_told_why_and_what_to_reconnect(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock, reason: str
) -> None:
    needs_reauth(connections, state, reason)
    clock.advance(3600)

    with pytest.raises(NeedsReauth) as lost:
        broker.get_token(ref(state), min_ttl=TTL)
    assert (lost.value.reason, lost.value.connection) == (reason, state.connection)


def test_a_row_without_a_reason_counts_as_revoked(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock
) -> None:
    needs_reauth(connections, state, None)
    clock.advance(3600)

    with pytest.raises(NeedsReauth) as lost:
        broker.get_token(ref(state), min_ttl=TTL)
    assert lost.value.reason == "revoked"


def test_a_connection_that_turns_out_dead_while_one_waits_is_told_at_once(
    broker: Broker, state: ConnectionState, connections: Connections, clock: Clock
) -> None:
    clock.advance(3700)
    clock.plan(2, lambda: needs_reauth(connections, state))

    with pytest.raises(NeedsReauth):
        broker.get_token(ref(state), min_ttl=TTL)
    assert sum(clock.slept) < 4


def test_a_row_without_a_token_gives_none(broker: Broker, state: ConnectionState, connections: Connections) -> None:
    connections.record_failure(state, {}, ("access",))

    with pytest.raises(NoTokenYet):
        broker.get_token(ref(state), min_ttl=TTL)
