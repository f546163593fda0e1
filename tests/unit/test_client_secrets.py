"""The operator's client secrets: read once in five minutes, and past that when NinjaOne refuses one."""

import json

import pytest
from botocore.exceptions import ClientError

from broker.adapters.aws import AwsClient
from broker.adapters.client_secrets import ClientSecrets
from broker.config import Config
from broker.errors import Busy, Misconfigured
from broker.model import Client
from broker.secret import Secret
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults, unreachable
from tests.support.broker_world import Clock
from tools.requirements import req


@pytest.fixture
def credentials(aws: AwsAccount, config: Config, clock: Clock) -> ClientSecrets:
    store(aws, config, {"app-1": "one", "app-2": "two"})
    return ClientSecrets(AwsClient("secretsmanager", aws.client("secretsmanager")), config.client_secrets, clock)


def store(aws: AwsAccount, config: Config, secrets: object) -> None:
    aws.put_secret(config.client_secrets, secrets if isinstance(secrets, str) else json.dumps(secrets))


def test_each_client_app_has_its_own_secret(credentials: ClientSecrets) -> None:
    assert credentials.client("app-1") == Client("app-1", Secret("one"))
    assert credentials.client("app-2") == Client("app-2", Secret("two"))


@req("K02")
def test_secrets_are_read_once_in_five_minutes(
    credentials: ClientSecrets, clock: Clock, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    aws_faults.watch("secretsmanager.GetSecretValue")

    credentials.client("app-1")
    store(aws, config, {"app-1": "new"})
    clock.advance(299)
    kept = credentials.client("app-1")
    clock.advance(1)
    fresh = credentials.client("app-1")

    assert (kept.secret, fresh.secret) == (Secret("one"), Secret("new"))
    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 2


def test_a_client_app_that_is_new_is_looked_up_at_once(
    credentials: ClientSecrets, aws: AwsAccount, config: Config
) -> None:
    credentials.client("app-1")
    store(aws, config, {"app-3": "three"})

    assert credentials.client("app-3").secret == Secret("three")


@req("K03")
def test_a_secret_that_was_changed_is_found_past_the_cache(
    credentials: ClientSecrets, aws: AwsAccount, config: Config
) -> None:
    held = credentials.client("app-1")
    store(aws, config, {"app-1": "new"})

    assert credentials.newer(held) == Client("app-1", Secret("new"))


@req("K03")
def test_a_secret_that_was_not_changed_is_not_tried_again(credentials: ClientSecrets) -> None:
    assert credentials.newer(credentials.client("app-1")) is None


def test_a_client_app_without_a_secret_is_the_operators_turn(credentials: ClientSecrets) -> None:
    with pytest.raises(Misconfigured, match="No client secret is stored for this client id"):
        credentials.client("app-9")


def test_secrets_that_were_never_stored_are_the_operators_turn(
    credentials: ClientSecrets, aws_faults: AwsFaults
) -> None:
    missing = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetSecretValue")
    aws_faults.refuse("secretsmanager.GetSecretValue", error=missing)

    with pytest.raises(Misconfigured, match="not stored yet"):
        credentials.client("app-1")


@pytest.mark.parametrize(
    "stored",
    ["secret of mine", "[]", '"text"', "null", {"app-1": 7}, {"app-1": ""}, {"app-1": None}, {"a": {"b": "c"}}],
)
def test_secrets_in_another_shape_are_refused_without_repeating_them(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, stored: object
) -> None:
    store(aws, config, stored)

    with pytest.raises(Misconfigured, match="must be stored as JSON") as refused:
        credentials.client("app-1")

    assert "secret of mine" not in refused.value.detail
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("error", [None, unreachable()], ids=["throttled", "down"])
def test_a_store_that_does_not_answer_is_busy(
    credentials: ClientSecrets, aws_faults: AwsFaults, error: Exception | None
) -> None:
    aws_faults.refuse("secretsmanager.GetSecretValue", error=error)

    with pytest.raises(Busy):
        credentials.client("app-1")
    assert credentials.client("app-1").secret == Secret("one")


@pytest.mark.parametrize("stored", ["{}", "no JSON"])
def test_a_secret_that_is_missing_or_malformed_is_asked_for_once_a_minute(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, clock: Clock, aws_faults: AwsFaults, stored: str
) -> None:
    """Each connection of its app asks for it each minute."""
    store(aws, config, stored)
    aws_faults.watch("secretsmanager.GetSecretValue")

    for _ in range(50):
        with pytest.raises(Misconfigured):
            credentials.client("app-1")
    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 1

    store(aws, config, {"app-1": "right"})
    clock.advance(60)
    assert credentials.client("app-1").secret == Secret("right")
