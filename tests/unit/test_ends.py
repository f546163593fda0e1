"""Everything has an end: a year later nothing is left of customers who never came back."""

from typing import Any

import pytest

from broker.adapters.breakers import CONTROL_ROWS
from broker.adapters.queues import RefreshBatch, Trigger
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable, CodeRefused, UnknownConnection
from broker.model import Binding, ConnectionId, ConnectionRef, TenantId
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, NinjaOneTransport
from tests.support.journey import OWN, Journey, ref
from tools.requirements import req

DAY = 86_400


def rows(aws: AwsAccount, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws.client("dynamodb").scan(TableName=table)["Items"]
    return found


def connected(aws: AwsAccount, config: Config) -> set[str]:
    """Name what is there of connections; rows of breakers name no tenant, and there are few."""
    found = rows(aws, config.connections_table)
    return {row["connection"]["S"] for row in found if row["tenant"]["S"] != CONTROL_ROWS}


def one_day(broker: Broker, clock: Clock, aws: AwsAccount, config: Config) -> None:
    """Refresh what is due, and let DynamoDB delete what outlived its time."""
    due = [
        ConnectionRef(TenantId(row["tenant"]["S"]), ConnectionId(row["connection"]["S"]))
        for row in rows(aws, config.connections_table)
        if int(row.get("refresh_at", {}).get("N", 10**12)) <= clock.now()
    ]
    if due:
        broker.refresh(RefreshBatch(Trigger.DUE, tuple(due)), clock.left(180))
    aws.expire(clock.now())


@pytest.mark.slow
@req("J10")
def test_a_year_later_nothing_is_left(
    journey: Journey, broker: Broker, clock: Clock, aws: AwsAccount, config: Config, aws_faults: AwsFaults,
    network: NinjaOneTransport,
) -> None:  # fmt: skip
    journey.connect(customer_app=True, client=OWN)  # its consent ends, and nobody connects again
    ended, _ = journey.connect(customer_app=True, client=OWN)
    broker.disconnect(ref(ended))
    broker.complete_unattended(
        journey.home(binding=Binding.APPROVAL, binding_challenge="").session
    )  # nobody approves it
    orphaned, _ = journey.connect()
    key = {"tenant": {"S": orphaned.tenant}, "connection": {"S": orphaned.connection}}
    aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key)
    with pytest.raises(UnknownConnection):
        broker.disconnect(ref(orphaned))
    journey.open()
    journey.home(customer_app=True, client=OWN)  # a stored code that nobody completes
    refused = journey.home()
    network.answer(400, {"error": "invalid_grant"})
    with pytest.raises(CodeRefused):
        journey.complete(refused)
    kept = journey.home()
    aws_faults.refuse("dynamodb.TransactWriteItems", times=999)
    with pytest.raises(AwsUnavailable):  # its consent stays in the session
        journey.complete(kept)
    aws_faults.end()
    assert len(connected(aws, config)) == 7
    seen = set()

    while clock.now() < START + 365 * DAY:
        clock.advance(DAY)
        one_day(broker, clock, aws, config)
        seen.add(len(connected(aws, config)))

    assert connected(aws, config) == set()
    assert rows(aws, config.sessions_table) == []
    assert seen == {7, 2, 0}


@pytest.mark.slow
def test_a_customer_may_come_back_half_a_year_after_the_tokens_were_dropped(
    journey: Journey, broker: Broker, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    state, _ = journey.connect(label="Head office")
    while clock.now() < START + 200 * DAY:
        clock.advance(DAY)
        one_day(broker, clock, aws, config)
    assert not [name for row in rows(aws, config.connections_table) for name, cell in row.items() if "B" in cell]

    again, profile = journey.connect(connection=state.connection)

    assert (again.connection, profile.label) == (state.connection, "Head office")
    assert not [row for row in rows(aws, config.connections_table) if "forget_at" in row]
