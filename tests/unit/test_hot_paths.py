"""How often AWS is asked on the paths that people and backends wait for, counted at botocore's own events."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from broker.edge.wiring import Broker
from broker.flows.complete import Complete
from broker.model import ConnectionState
from functions.token.app import handler
from local.aws.account import AwsAccount
from tests.support.invoke import invoke
from tests.support.journey import EU, Journey


@pytest.fixture
def asked(aws: AwsAccount) -> Counter[str]:
    """Calls from here on, such as ``dynamodb.GetItem``."""
    counted: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        counted[f"{model.service_model.service_name}.{model.name}"] += 1

    for service in ("dynamodb", "kms", "sqs", "secretsmanager", "ssm", "s3"):
        aws.client(service).meta.events.register("before-call", count)
    return counted


def get_token(broker: Broker, state: ConnectionState) -> int:
    """Ask for a token as a backend does; give the status."""
    event = {
        "routeKey": "POST /v1/tenants/{tenant}/connections/{connection}/token",
        "pathParameters": {"tenant": state.tenant, "connection": state.connection},
        "body": "{}",
    }
    status: int = invoke(handler.bind(broker), event)["statusCode"]
    return status


def test_a_warm_token_is_one_read_and_nothing_else(journey: Journey, broker: Broker, asked: Counter[str]) -> None:
    state, _ = journey.connect()
    get_token(broker, state)
    asked.clear()

    assert get_token(broker, state) == 200
    assert asked == {"dynamodb.GetItem": 1}


def test_leaving_for_ninjaone_is_one_conditional_update(journey: Journey, asked: Counter[str]) -> None:
    session = journey.open()
    asked.clear()

    journey.leave(session, EU)

    assert asked["dynamodb.UpdateItem"] == 1
    assert {name for name in asked if name.startswith("dynamodb")} == {"dynamodb.UpdateItem"}
    assert asked["kms.GenerateDataKey"] <= 1


def test_coming_back_is_one_read_and_one_conditional_update(journey: Journey, asked: Counter[str]) -> None:
    query = journey.agree(journey.leave(journey.open(), EU))
    asked.clear()

    journey.arrive(query)

    assert {name: count for name, count in asked.items() if name.startswith("dynamodb")} == {
        "dynamodb.GetItem": 1,
        "dynamodb.UpdateItem": 1,
    }
    assert asked["kms.GenerateDataKey"] <= 1


def test_the_start_of_complete_makes_the_clients_that_every_completion_calls(broker: Broker) -> None:
    made: list[str] = []

    def make(service: str) -> Any:
        made.append(service)
        return broker.ports.aws(service)

    complete = Broker(broker.config, replace(broker.ports, aws=make)).complete

    assert isinstance(complete, Complete)
    assert sorted(set(made)) == ["dynamodb", "kms", "ssm"]
