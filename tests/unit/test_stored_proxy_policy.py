"""The rules of the proxy in an SSM parameter: what holds, since when, and that nothing passes without them."""

from dataclasses import replace

import pytest

from broker.config import Config
from broker.edge.http import Request
from broker.edge.proxy import MAX_BODY_BYTES, proxied_call
from broker.edge.wiring import Broker, Ports
from broker.errors import AwsRefused, CallRefused, Misconfigured, OperatorError
from broker.flows.proxy import ProxiedCall
from broker.model import ConnectionState
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, NinjaOneTransport
from tests.support.events import CALLER, event
from tests.support.journey import ref

NAME = "/connect/proxy-policy"
LONG = "; ".join(f"{CALLER} GET /v2/organization/{number}/*" for number in range(40)) + "; * GET /v2/organizations"


@pytest.fixture
def stored(config: Config, ports: Ports) -> Broker:
    """A broker that is told a parameter, and in the template's parameter that everything may be read."""
    return Broker(replace(config, proxy_policy_parameter=NAME), ports)


def write(aws: AwsAccount, text: str) -> None:
    aws.client("ssm").put_parameter(Name=NAME, Value=text, Type="String", Overwrite=True)


def call(path: str = "v2/organizations") -> ProxiedCall:
    made = event("GET /v1")
    made["requestContext"]["http"]["method"] = "GET"
    made["pathParameters"] = {"path": path}
    return proxied_call(Request.from_event(made, body_limit=MAX_BODY_BYTES))


def test_rules_longer_than_a_parameter_of_the_template_hold_in_its_place(
    stored: Broker, state: ConnectionState, aws: AwsAccount
) -> None:
    write(aws, LONG + "\n")

    assert len(LONG) > 600
    assert stored.proxy(ref(state), call()).status == 200
    with pytest.raises(CallRefused):
        stored.proxy(ref(state), call("v2/devices"))


def test_rules_are_read_once_a_minute(
    stored: Broker, state: ConnectionState, aws: AwsAccount, clock: Clock, aws_faults: AwsFaults
) -> None:
    write(aws, "* GET /v2/organizations")
    aws_faults.watch("ssm.GetParameter")
    stored.proxy(ref(state), call())
    write(aws, "* GET /v2/devices")

    clock.advance(59)
    assert stored.proxy(ref(state), call()).status == 200
    clock.advance(1)
    with pytest.raises(CallRefused):
        stored.proxy(ref(state), call())
    assert aws_faults.asked["ssm.GetParameter"] == 2


@pytest.mark.parametrize("text", [None, "anything", "* GET /v2/*;", "* GET /v2/*, * POST /v2/*"])
def test_without_readable_rules_nothing_passes_and_the_operator_is_told(
    text: str | None, stored: Broker, state: ConnectionState, aws: AwsAccount, network: NinjaOneTransport
) -> None:
    write(aws, text or "* GET /v2/*")
    if text is None:
        aws.client("ssm").delete_parameter(Name=NAME)

    with pytest.raises(OperatorError) as refused:
        stored.proxy(ref(state), call())

    assert isinstance(refused.value, AwsRefused if text is None else Misconfigured)
    assert network.requests == []


def test_rules_that_became_unreadable_hold_no_longer(
    stored: Broker, state: ConnectionState, aws: AwsAccount, clock: Clock
) -> None:
    write(aws, "* GET /v2/*")
    stored.proxy(ref(state), call())
    write(aws, "anything")
    clock.advance(60)

    for _ in range(2):
        with pytest.raises(Misconfigured, match="must hold rules"):
            stored.proxy(ref(state), call())
