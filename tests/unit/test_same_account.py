"""One NinjaOne account connected twice within a tenant is noticed, and said as probable; it holds nothing up."""

from dataclasses import replace

import pytest

from broker.adapters.connections import Connections
from broker.adapters.rows import profile_item
from broker.config import Config
from broker.model import ConnectionState, Host, Profile, Status, TenantId
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from tests.support.aws_faults import AwsFaults, throttled, unreachable
from tests.support.broker_world import LogLines
from tests.support.journey import RHONE, Journey, ref


@pytest.fixture
def first(journey: Journey) -> tuple[ConnectionState, Profile]:
    return journey.connect()


def test_the_same_host_and_organizations_are_probably_the_same_account(
    journey: Journey, first: tuple[ConnectionState, Profile], connections: Connections, lines: LogLines,
    aws_faults: AwsFaults,
) -> None:  # fmt: skip
    aws_faults.watch("dynamodb.Query")
    second = journey.connect()[0]

    assert (first[0].same_as, second.same_as) == (None, first[0].connection)
    assert second.status is Status.ACTIVE
    assert connections.get_state(ref(second)) == second
    assert aws_faults.asked["dynamodb.Query"] == 1
    assert [line["connection"] for line in lines.named("account.connected_twice")] == [first[0].connection]


def test_whoever_completes_again_hears_the_same(journey: Journey, first: tuple[ConnectionState, Profile]) -> None:
    home = journey.home()

    assert journey.complete(home)[0].same_as == journey.complete(home)[0].same_as == first[0].connection


def test_another_account_host_or_tenant_is_another(journey: Journey, first: tuple[ConnectionState, Profile]) -> None:
    assert journey.connect(email=RHONE)[0].same_as is None
    assert journey.connect(email="ada@northwind.example", host=Host("app", "app.ninjarmm.com"))[0].same_as is None
    assert Journey(journey.broker, journey.ninjaone, tenant=TenantId("globex")).connect()[0].same_as is None


def test_the_same_organizations_on_another_host_are_another_account(
    journey: Journey, first: tuple[ConnectionState, Profile], aws: AwsAccount, config: Config
) -> None:
    elsewhere = journey.connect(email="ada@northwind.example", host=Host("app", "app.ninjarmm.com"))
    same = replace(elsewhere[1], organizations=first[1].organizations)
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=profile_item(same))
    journey.broker.disconnect(ref(first[0]))

    assert journey.connect()[0].same_as is None


@pytest.mark.parametrize("change", [{"status": "needs_reauth", "reason": "revoked"}, {"status": "pending_approval"}])
def test_a_connection_that_is_not_in_use_is_none(
    journey: Journey, first: tuple[ConnectionState, Profile], connections: Connections, change: dict[str, str]
) -> None:
    connections.record_failure(first[0], change, ())

    assert journey.connect()[0].same_as is None


def test_a_reconnect_is_not_its_own_twin(journey: Journey, first: tuple[ConnectionState, Profile]) -> None:
    assert journey.connect(connection=first[0].connection)[0].same_as is None
    assert journey.connect()[0].same_as == first[0].connection


def test_an_account_that_shows_no_organizations_is_not_compared(
    journey: Journey, ninjaone: NinjaOne, aws_faults: AwsFaults
) -> None:
    ninjaone.switches.update({"organizations_need_admin": True})
    aws_faults.watch("dynamodb.Query")
    for _ in range(2):
        state, profile = journey.connect(email="bob@nordlicht.example")
        assert (state.same_as, profile.organizations) == (None, ())

    assert aws_faults.asked["dynamodb.Query"] == 0


@pytest.mark.parametrize("error", [throttled(), unreachable()], ids=["throttled", "unreachable"])
def test_a_comparison_that_fails_costs_no_consent(
    journey: Journey, first: tuple[ConnectionState, Profile], aws_faults: AwsFaults, lines: LogLines,
    error: Exception,
) -> None:  # fmt: skip
    aws_faults.refuse("dynamodb.Query", times=9, error=error)

    second = journey.connect()[0]

    assert (second.status, second.same_as) == (Status.ACTIVE, None)
    assert len(lines.named("account.not_compared")) == 1
