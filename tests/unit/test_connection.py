"""Which connections of a batch are refreshed: the row decides, and each clock may be wrong by a few seconds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from broker.adapters import rows
from broker.adapters.queues import Trigger
from broker.config import Config
from broker.edge.wiring import Broker
from broker.flows.refresh.breakers import Breakers
from broker.flows.refresh.context import BatchContext
from broker.model import ConnectionState, Instant, Reason, Seconds, Status
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, NinjaOneTransport
from tests.support.full_rows import STATE
from tests.support.journey import Journey
from tests.support.refreshing import Refreshing

NOW = Instant(START)
DUE = replace(
    STATE,
    status=Status.ACTIVE, reason=None, version=7, epoch=2, sent_at=Instant(NOW - 2000),
    token_expires_at=Instant(NOW + 1600), refresh_at=NOW, lease_until=None, lease_id=None, tried_at=Instant(NOW - 2000),
    failures=0, struck_at=None, outcome_unknown=False, needs_reauth_since=None, disconnected_at=None,
)  # fmt: skip
"""A connection whose time has come."""

Wanted = Callable[..., bool]


@pytest.fixture
def wanted(broker: Broker, clock: Clock) -> Wanted:
    """Ask whether a row would be refreshed by a batch of epoch 2."""

    def is_wanted(row: ConnectionState, trigger: Trigger, min_ttl: int = 0, refused: int = 0) -> bool:
        breakers = Breakers(broker.refresh._breakers, clock, broker.log)
        batch = BatchContext(
            trigger=trigger, min_ttl=Seconds(min_ttl), refused_version=refused, epoch=2, began=NOW, jitter=0.5,
            seconds_left=lambda: 180.0, breakers=breakers, clock=clock,
        )  # fmt: skip
        return broker.refresh._refresh.is_wanted(row, batch)

    return is_wanted


@pytest.mark.parametrize(
    ("change", "due", "rescue"),
    [
        ({}, True, True),
        ({"status": Status.DISCONNECTED}, False, True),
        ({"status": Status.PENDING_APPROVAL}, False, False),
        ({"status": Status.NEEDS_REAUTH, "reason": Reason.REVOKED}, True, True),
        ({"refresh": None}, False, False),
        ({"epoch": 1}, False, False),
        ({"epoch": 3}, False, False),
        ({"lease_until": Instant(NOW + 1)}, False, False),
        ({"lease_until": Instant(NOW - 10)}, False, False),
        ({"lease_until": Instant(NOW - 11)}, True, True),
        ({"tried_at": None}, True, True),
        ({"tried_at": Instant(NOW - 59)}, False, True),
        ({"tried_at": Instant(NOW - 60)}, True, True),
        ({"tried_at": Instant(NOW - 5), "sent_at": Instant(NOW - 5)}, True, True),
        ({"refresh_at": None}, False, True),
        ({"refresh_at": Instant(NOW + 60)}, True, True),
        ({"refresh_at": Instant(NOW + 61)}, False, True),
        ({"refresh_at": NOW, "failures": 1}, True, True),
        ({"refresh_at": Instant(NOW + 1), "failures": 1}, False, True),
    ],
)
def test_a_sweep_gets_what_is_due_and_a_rescue_whatever_may_hold_tokens(
    wanted: Wanted, change: Mapping[str, Any], due: bool, rescue: bool
) -> None:
    row = replace(DUE, **change)

    assert (wanted(row, Trigger.DUE), wanted(row, Trigger.RESCUE)) == (due, rescue)


@pytest.mark.parametrize(
    ("change", "min_ttl", "refused", "is_wanted"),
    [
        ({"token_expires_at": Instant(NOW + 299)}, 300, 0, True),
        ({"token_expires_at": Instant(NOW + 300)}, 300, 0, False),
        ({"token_expires_at": Instant(NOW + 300)}, 300, 7, True),
        ({"token_expires_at": Instant(NOW + 300)}, 300, 6, False),
        ({"token_expires_at": NOW, "failures": 1}, 300, 0, False),
        ({"token_expires_at": NOW, "sent_at": Instant(NOW - 60), "tried_at": Instant(NOW - 60)}, 300, 7, True),
        ({"token_expires_at": NOW, "sent_at": Instant(NOW - 59), "tried_at": Instant(NOW - 59)}, 300, 7, False),
    ],
)
def test_a_caller_gets_a_refresh_for_what_is_short_or_refused_once_a_minute(
    wanted: Wanted, change: Mapping[str, Any], min_ttl: int, refused: int, is_wanted: bool
) -> None:
    assert wanted(replace(DUE, **change), Trigger.URGENT, min_ttl, refused) == is_wanted


@pytest.mark.parametrize(("ended", "asked"), [(9, 0), (10, 0), (11, 1)])
def test_a_lease_that_another_clock_may_still_count_is_not_taken_by_the_write_either(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, aws: AwsAccount, config: Config,
    aws_faults: AwsFaults, ended: int, asked: int,
) -> None:  # fmt: skip
    """The lease appears after the row was read: the read allows for clocks that differ, and so does the write."""
    state, _ = journey.connect()
    refreshing.wait_for(state)
    network.requests.clear()
    until = int(refreshing.clock.now()) - ended

    def lease() -> None:
        aws.client("dynamodb").update_item(
            TableName=config.connections_table,
            Key=rows.key(state.tenant, state.connection),
            UpdateExpression="SET lease_until = :until",
            ExpressionAttributeValues={":until": {"N": str(until)}},
        )

    aws_faults.before("dynamodb.UpdateItem", lease)
    refreshing.refresh(state)

    assert len(network.requests) == asked
