"""The restore epoch: which rows may be presented."""

import json

import pytest

from broker.adapters.aws import AwsClient
from broker.adapters.epoch import Epoch
from broker.config import Config
from broker.errors import Misconfigured
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock
from tools.requirements import req


@pytest.fixture
def epoch(aws: AwsAccount, config: Config, clock: Clock) -> Epoch:
    return Epoch(AwsClient("ssm", aws.client("ssm")), config.epoch_parameter, config.connections_table, clock)


def activate(aws: AwsAccount, config: Config, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    aws.client("ssm").put_parameter(Name=config.epoch_parameter, Value=text, Type="String", Overwrite=True)


def test_the_template_activates_the_table_it_makes(epoch: Epoch) -> None:
    assert epoch.active() == 1


@req("J08")
def test_another_table_than_the_activated_one_is_not_active(epoch: Epoch, aws: AwsAccount, config: Config) -> None:
    activate(aws, config, {"epoch": 2, "table": "connections-restored"})

    assert epoch.active() is None


def test_the_epoch_is_read_once_a_minute(
    epoch: Epoch, aws: AwsAccount, config: Config, clock: Clock, aws_faults: AwsFaults
) -> None:
    aws_faults.watch("ssm.GetParameter")
    epoch.active()
    activate(aws, config, {"epoch": 2, "table": config.connections_table})

    clock.advance(59)
    assert epoch.active() == 1
    clock.advance(1)
    assert epoch.active() == 2
    assert aws_faults.asked["ssm.GetParameter"] == 2


@pytest.mark.parametrize(
    "value", ["two", "[]", "7", {"epoch": 1}, {"table": "x"}, {"epoch": "one", "table": "x"}, '{"']
)
def test_a_parameter_that_is_no_epoch_is_the_operators_turn(
    epoch: Epoch, aws: AwsAccount, config: Config, value: object
) -> None:
    activate(aws, config, value)

    with pytest.raises(Misconfigured, match="must hold") as refused:
        epoch.active()
    assert refused.value.__suppress_context__
