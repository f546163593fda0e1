"""The client app of a connection, and what is read for it."""

import pytest

from broker.adapters.connections import Connections
from broker.adapters.rows import PROFILE, key
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import SealBroken
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.journey import OWN, Journey, ref


def test_a_profile_that_was_read_already_is_not_read_again(
    broker: Broker, journey: Journey, connections: Connections, aws_faults: AwsFaults
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    profile = connections.get_profile(ref(state))
    aws_faults.watch("dynamodb.GetItem")

    assert broker._client_apps.client_for(state, profile) == OWN
    assert aws_faults.asked["dynamodb.GetItem"] == 0
    assert broker._client_apps.client_for(state) == OWN
    assert aws_faults.asked["dynamodb.GetItem"] == 1


def test_a_client_app_without_its_profile_has_no_secret(
    broker: Broker, journey: Journey, aws: AwsAccount, config: Config
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    row = key(state.tenant, state.connection + PROFILE)
    aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=row)

    with pytest.raises(SealBroken):
        broker._client_apps.client_for(state)
