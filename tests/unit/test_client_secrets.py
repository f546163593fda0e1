"""The operator's client secrets: read once in five minutes, and past that when NinjaOne refuses one."""

import json

import pytest
from botocore.exceptions import ClientError

from broker.adapters.aws import AwsClient
from broker.adapters.client_secrets import ClientSecrets, secrets_of
from broker.adapters.log import Level, Log
from broker.config import Config
from broker.errors import Misconfigured
from broker.model import Client
from broker.secret import Secret
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines
from tools.requirements import req


@pytest.fixture
def credentials(aws: AwsAccount, config: Config, clock: Clock) -> ClientSecrets:
    store(aws, config, {"app-1": "one", "app-2": "two"})
    return ClientSecrets(AwsClient("secretsmanager", aws.client("secretsmanager")), config.client_secrets, clock)


def store(aws: AwsAccount, config: Config, secrets: object) -> None:
    aws.put_secret(config.client_secrets, secrets if isinstance(secrets, str) else json.dumps(secrets))


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


@req("K03")
def test_a_secret_that_was_changed_is_found_past_the_cache(
    credentials: ClientSecrets, aws: AwsAccount, config: Config
) -> None:
    held = credentials.client("app-1")
    store(aws, config, {"app-1": "new"})

    assert credentials.reload_if_changed(held) == Client("app-1", Secret("new"))


def test_a_client_app_without_a_secret_is_the_operators_turn(credentials: ClientSecrets) -> None:
    with pytest.raises(Misconfigured, match="No client secret is stored for this client id"):
        credentials.client("app-9")


def test_secrets_that_were_never_stored_are_the_operators_turn(
    credentials: ClientSecrets, aws_faults: AwsFaults
) -> None:
    missing = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetSecretValue")
    aws_faults.refuse("secretsmanager.GetSecretValue", error=missing)

    with pytest.raises(Misconfigured, match="not stored yet") as refused:
        credentials.client("app-1")
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "stored",
    ["secret of mine", "[]", '"text"', "null", "7", " ", "{" + '"a":' * 5000],
)
def test_secrets_in_another_shape_are_refused_without_repeating_them(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, stored: object
) -> None:
    store(aws, config, stored)

    with pytest.raises(Misconfigured, match="must be stored as JSON") as refused:
        credentials.client("app-1")

    assert "secret of mine" not in refused.value.detail
    assert refused.value.__cause__ is None


@req("K02")
@pytest.mark.parametrize(
    "odd",
    [
        *(7, 1.5, None, {"b": "c"}, ["x"], True),
        *("", " \n", "x\ud800", "x\udfff", "\u200b", "two words", "two\nlines", "schlüssel"),
    ],
)
def test_an_entry_that_is_no_secret_fails_its_own_app_and_no_other(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, odd: object
) -> None:
    store(aws, config, {"app-1": "one", "later": odd})

    assert credentials.client("app-1").secret == Secret("one")
    with pytest.raises(Misconfigured, match="client id later is no client secret"):
        credentials.client("later")


def test_what_was_read_before_counts_while_the_whole_can_t_be_read(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, clock: Clock, aws_faults: AwsFaults
) -> None:
    held = credentials.client("app-1")
    store(aws, config, '{"app-1": "new",}')
    clock.advance(300)
    aws_faults.watch("secretsmanager.GetSecretValue")

    kept = [credentials.client("app-1").secret for _ in range(50)]

    assert kept == [Secret("one")] * 50
    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 1, "for a minute"
    assert credentials.reload_if_changed(held) is None
    store(aws, config, {"app-1": "new"})
    clock.advance(60)
    assert credentials.client("app-1").secret == Secret("new")


def test_a_whole_that_can_t_be_read_is_logged_for_the_operator(
    aws: AwsAccount, config: Config, clock: Clock, lines: LogLines
) -> None:
    log = Log(lines.write, clock, "test", least=Level.DEBUG)
    store(aws, config, "no JSON")
    credentials = ClientSecrets(
        AwsClient("secretsmanager", aws.client("secretsmanager"), log), config.client_secrets, clock
    )

    with pytest.raises(Misconfigured):
        credentials.client("app-1")

    assert [each["code"] for each in lines.named("aws.refused")] == ["MalformedClientSecrets"]


@pytest.mark.parametrize("mark", ["\ufeff", "\n", "\r\n  "])
@pytest.mark.parametrize("around", [("", "\n"), (" ", " "), ("\t", "\r\n"), ("\u00a0", "\u3000")])
def test_marks_and_whitespace_that_a_file_brings_along_are_left_out(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, mark: str, around: tuple[str, str]
) -> None:
    store(aws, config, mark + json.dumps({"app-1": "one".join(around), " app-2\n": "two"}) + "\n")

    assert credentials.client("app-1").secret == Secret("one")
    assert credentials.client("app-2").secret == Secret("two")


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_file_that_was_stored_as_bytes_is_read(aws: AwsAccount, config: Config, clock: Clock, charset: str) -> None:
    store(aws, config, "{}")
    secrets = aws.client("secretsmanager")
    secrets.put_secret_value(
        SecretId=config.client_secrets, SecretBinary='{"app-1": "one", "Büro": ""}'.encode(charset)
    )

    found = ClientSecrets(AwsClient("secretsmanager", secrets), config.client_secrets, clock)

    assert found.client("app-1").secret == Secret("one")


NOT_STRICT = ['"two\nlines"', '"a\ttab"', "9" * 5000, "-" + "9" * 5000, "NaN", '{"a": 1, "a": 2}']


@req("K02")
@pytest.mark.parametrize(
    "written",
    [
        *(f'{{"app-1": "one", "later": {odd}}}' for odd in NOT_STRICT),
        '{"app-1": "", "app-1": "one"}',
        '{"app-1": "one", "app-1 ": ""}',
        '{"app-1": "two", "\ufeffapp-1": "one", "app-1\u200b": 7}',
        '\ufeff\ufeff{"app-1": "\ufeffone\u2060"}\0\0',
        '{"app-1": "\r\none\r\n"}',
        r'{"app-1": "\"one\"", "\"app-2\"": "two"}',
    ],
)
def test_what_is_written_loosely_is_read_and_the_last_entry_of_an_app_counts(
    credentials: ClientSecrets, aws: AwsAccount, config: Config, written: str
) -> None:
    store(aws, config, written)

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


def test_what_can_be_no_client_id_is_kept_as_it_is_written() -> None:
    """Nobody asks for it; the doctor names it."""
    assert secrets_of([("two words", "a-secret"), ("", "another")]) == {"two words": "a-secret", "": "another"}
