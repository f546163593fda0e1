"""The two rows of a connection: what reading one without the other gives, and what a refused write leaves."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.adapters.clock import instant
from broker.adapters.connections import MAX_READ_TRIES, Connections
from broker.adapters.rows import PROFILE, connection_state_item, key
from broker.config import Config
from broker.errors import AwsUnavailable
from broker.model import ConnectionId, ConnectionState, Instant, SessionId, Stage, Status
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock
from tests.support.journey import OWN, Journey, ref

SESSION = SessionId("ses_" + "a" * 26)


@pytest.fixture
def own(journey: Journey) -> ConnectionState:
    """A connection with the customer's own client app."""
    return journey.connect(customer_app=True, client=OWN)[0]


def without(aws: AwsAccount, config: Config, state: ConnectionState, part: str) -> None:
    """Take one of the two rows away."""
    name = state.connection + (PROFILE if part == "profile" else "")
    aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key(state.tenant, name))


def put(aws: AwsAccount, config: Config, state: ConnectionState) -> ConnectionState:
    """Write the state row as a test wants it."""
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=connection_state_item(state))
    return state


@pytest.mark.parametrize("missing", ["state", "profile"])
def test_half_a_connection_is_none(
    connections: Connections, aws: AwsAccount, config: Config, state: ConnectionState, missing: str
) -> None:
    assert connections.get(ref(state)) is not None
    assert connections.get_without_secrets(ref(state)) is not None

    without(aws, config, state, missing)

    assert connections.get(ref(state)) is None
    assert connections.get_without_secrets(ref(state)) is None


def test_what_one_batch_leaves_out_is_asked_for_again(
    connections: Connections, aws: AwsAccount, state: ConnectionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, asked = aws.client("dynamodb"), list[int]()
    whole = client.batch_get_item

    def half(**request: Any) -> Any:
        """Answer for the first key alone, as DynamoDB does where an answer grows too large."""
        ((table, wanted),) = request["RequestItems"].items()
        asked.append(len(wanted["Keys"]))
        answer = whole(RequestItems={table: {"Keys": wanted["Keys"][:1]}})
        if left := wanted["Keys"][1:]:
            answer["UnprocessedKeys"] = {table: {"Keys": left}}
        return answer

    monkeypatch.setattr(client, "batch_get_item", half)
    unknown = [replace(state, connection=ConnectionId("con_" + letter * 26)) for letter in "ab"]

    found, unreadable = connections.get_states([ref(each) for each in (*unknown, state)])

    assert ([each.connection for each in found], unreadable, asked) == ([state.connection], 0, [3, 2, 1])
    assert len(asked) < MAX_READ_TRIES


# A new client secret --------------------------------------------------------------------------------------------------


@pytest.fixture
def entered(aws: AwsAccount, config: Config) -> SessionId:
    """A session in which the customer has entered a new secret."""
    row = {"session": {"S": SESSION}, "stage": {"S": Stage.AUTHORIZED.value}}
    aws.client("dynamodb").put_item(TableName=config.sessions_table, Item=row)
    return SESSION


def store(connections: Connections, seen: ConnectionState, session: SessionId, clock: Clock) -> bool:
    now = instant(clock)
    return connections.store_secret(seen, b"sealed", session=session, now=now, expired_before=Instant(now - 10))


@pytest.mark.parametrize("moved", ["version", "fence"])
def test_a_secret_is_not_stored_into_a_row_that_moved(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws: AwsAccount, config: Config,
    moved: str,
) -> None:  # fmt: skip
    put(aws, config, replace(own, **{moved: getattr(own, moved) + 1}))

    assert not store(connections, own, entered, clock)


def test_a_secret_is_stored_behind_a_lease_that_has_ended_and_not_at_its_end(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    ended = instant(clock) - 10
    put(aws, config, replace(own, lease_until=Instant(ended)))
    assert not store(connections, own, entered, clock)

    put(aws, config, replace(own, lease_until=Instant(ended - 1)))
    assert store(connections, own, entered, clock)


def test_a_new_secret_is_tried_at_once_where_there_is_a_token_to_refresh(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    assert store(connections, own, entered, clock)

    now = connections.get_state(ref(own))
    assert now is not None
    assert now.refresh_at == instant(clock)


def test_a_connection_without_a_refresh_token_does_not_become_due_by_a_new_secret(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    ended = put(aws, config, replace(own, status=Status.NEEDS_REAUTH, refresh=None, refresh_at=None, due_shard=None))

    assert store(connections, ended, entered, clock)

    now = connections.get_state(ref(own))
    assert now is not None
    assert (now.refresh_at, now.due_shard) == (None, None)


# A transaction that is refused ----------------------------------------------------------------------------------------


def canceled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
    return ClientError(answer, "TransactWriteItems")  # type: ignore[arg-type]  # the stubs leave the reasons out


def test_a_transaction_that_meets_another_one_is_busy_and_not_refused(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws_faults: AwsFaults
) -> None:
    aws_faults.refuse("dynamodb.TransactWriteItems", error=canceled("TransactionConflict", "None", "None"))

    with pytest.raises(AwsUnavailable):
        store(connections, own, entered, clock)


def test_a_transaction_that_meets_both_another_one_and_a_changed_row_is_refused(
    connections: Connections, own: ConnectionState, entered: SessionId, clock: Clock, aws_faults: AwsFaults
) -> None:
    aws_faults.refuse("dynamodb.TransactWriteItems", error=canceled("TransactionConflict", "ConditionalCheckFailed"))

    assert not store(connections, own, entered, clock)
