"""Binding by approval: made without proof of the person, of no use before its approval."""

from typing import Any

import pytest

from broker import policy
from broker.adapters import rows
from broker.adapters.connections import Connections
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    AwsUnavailable,
    BindingMismatch,
    NotPending,
    SessionSpent,
    UnknownConnection,
)
from broker.model import (
    Binding,
    ConnectionId,
    ConnectionRef,
    ConnectionState,
    Seconds,
    SessionId,
    Status,
    TenantId,
)
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import TENANT, Journey, ref
from tools.requirements import req


def arrived(journey: Journey) -> SessionId:
    return journey.home(binding=Binding.APPROVAL, binding_challenge="").session


@pytest.fixture
def pending(journey: Journey, broker: Broker, lines: LogLines, connections: Connections) -> ConnectionState:
    broker.complete_unattended(arrived(journey))
    (line,) = lines.named("connection.stored")
    found = connections.get_state(ConnectionRef(TENANT, line["connection"]))
    assert found is not None
    return found


def test_a_link_that_waits_for_days_makes_one_connection_and_then_no_more(
    journey: Journey, broker: Broker, clock: Clock, lines: LogLines
) -> None:
    opened = journey.open(binding=Binding.APPROVAL, binding_challenge="", life=Seconds(7 * policy.DAY))
    clock.advance(6 * policy.DAY)

    journey.arrive(journey.agree(journey.leave(opened)))
    broker.complete_unattended(opened.session)

    assert len(lines.named("connection.stored")) == 1
    with pytest.raises(SessionSpent):
        broker.find_session(opened.session)


def test_a_connection_waits_for_its_approval_and_is_not_refreshed(pending: ConnectionState) -> None:
    assert pending.status is Status.PENDING_APPROVAL
    assert (pending.refresh_at, pending.due_shard) == (None, None)
    assert pending.refresh is not None


def test_an_approved_connection_is_active_and_due(
    pending: ConnectionState, broker: Broker, connections: Connections, lines: LogLines
) -> None:
    whole = broker.complete.approve(ref(pending))
    state, profile = whole.state, whole.profile

    assert (state.status, state.due_shard) == (Status.ACTIVE, policy.shard(state.connection))
    assert state.refresh_at == START + 1800
    assert connections.get_state(ref(pending)) == state
    assert connections.get_profile(ref(pending)) == profile
    assert broker.get_token(ref(pending), min_ttl=Seconds(300)).expires_in == 3600
    assert len(lines.named("connection.approved")) == 1


def test_an_approval_counts_once(pending: ConnectionState, broker: Broker) -> None:
    broker.complete.approve(ref(pending))

    with pytest.raises(NotPending):
        broker.complete.approve(ref(pending))


def test_an_approval_that_botocore_asked_for_twice_is_known_as_done(
    pending: ConnectionState, broker: Broker, aws_faults: AwsFaults, lines: LogLines
) -> None:
    aws_faults.retry_after_success("dynamodb.TransactWriteItems")

    approved = broker.complete.approve(ref(pending)).state

    assert approved.status is Status.ACTIVE
    assert len(lines.named("connection.approved")) == 1


def test_an_approval_of_what_is_deleted_this_moment_is_none(
    pending: ConnectionState, broker: Broker, aws: AwsAccount, aws_faults: AwsFaults, config: Config
) -> None:
    client, row = aws.client("dynamodb"), rows.key(pending.tenant, pending.connection)
    aws_faults.before(
        "dynamodb.TransactWriteItems", lambda: client.delete_item(TableName=config.connections_table, Key=row)
    )

    with pytest.raises(NotPending):
        broker.complete.approve(ref(pending))


def test_an_approved_connection_stays_and_one_that_nobody_approves_does_not(
    pending: ConnectionState, broker: Broker, aws: AwsAccount, config: Config, clock: Clock
) -> None:
    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = aws.client("dynamodb").scan(TableName=config.connections_table)["Items"]
        return found

    assert [each["forget_at"] for each in rows()] == [{"N": str(START + policy.APPROVAL_LIFE)}] * 2

    clock.advance(policy.APPROVAL_LIFE - 1)
    broker.complete.approve(ref(pending))

    assert not [each for each in rows() if "forget_at" in each]


def test_an_approval_that_comes_too_late_is_none(
    pending: ConnectionState, broker: Broker, connections: Connections, clock: Clock
) -> None:
    """DynamoDB deletes what outlived its time some days later."""
    clock.advance(policy.APPROVAL_LIFE)

    with pytest.raises(NotPending):
        broker.complete.approve(ref(pending))
    assert connections.get_state(ref(pending)) == pending


@req("H02", "H08")
@pytest.mark.parametrize("tenant", ["globex", TENANT], ids=["foreign", "unknown"])
def test_an_unknown_connection_can_not_be_approved(pending: ConnectionState, broker: Broker, tenant: str) -> None:
    connection = pending.connection if tenant == "globex" else ConnectionId("con_" + "a" * 26)

    with pytest.raises(UnknownConnection):
        broker.complete.approve(ConnectionRef(TenantId(tenant), connection))


@req("D03")
def test_a_session_with_proof_is_not_completed_without_it(
    journey: Journey, broker: Broker, network: NinjaOneTransport
) -> None:
    home = journey.home()

    with pytest.raises(BindingMismatch):
        broker.complete_unattended(home.session)
    assert network.requests == []


def test_an_unknown_session_is_not_completed(broker: Broker) -> None:
    with pytest.raises(BindingMismatch):
        broker.complete_unattended(SessionId("ses_" + "a" * 26))


def test_a_request_that_comes_twice_makes_one_connection(
    journey: Journey, broker: Broker, network: NinjaOneTransport
) -> None:
    session = arrived(journey)
    broker.complete_unattended(session)

    broker.complete_unattended(session)
    assert len(network.tokens_asked) == 1


@pytest.mark.parametrize("call", ["kms.GenerateDataKey", "dynamodb.GetItem", "ssm.GetParameter"])
def test_a_request_is_tried_on_while_its_code_lives(
    journey: Journey, broker: Broker, network: NinjaOneTransport, aws_faults: AwsFaults, clock: Clock, call: str
) -> None:
    session, until = arrived(journey), clock.now() + 30
    aws_faults.refuse(call, times=99, only=lambda _: clock.now() < until)

    broker.complete_unattended(session)

    assert len(network.tokens_asked) == 1


def test_a_request_that_aws_does_not_let_begin_comes_again(
    journey: Journey, broker: Broker, network: NinjaOneTransport, aws_faults: AwsFaults, clock: Clock
) -> None:
    """It is given up while there is time for all of it, should the last attempt succeed."""
    session, began = arrived(journey), clock.now()
    aws_faults.refuse("dynamodb.GetItem", times=999)

    with pytest.raises(AwsUnavailable):
        broker.complete_unattended(session)
    assert clock.now() - began <= policy.COMPLETE_TIMEOUT / 2
    assert network.requests == []
