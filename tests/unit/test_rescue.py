"""Tokens that the table refused: found again, or surely not there."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.adapters.aws import AwsClient
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.config import Config
from broker.errors import AwsRefused, SealBroken
from broker.model import ConnectionId, ConnectionRef, Instant, SessionId, TenantId
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults

ID = "abcdefghijklmnopqrstuvwx27"
REF = ConnectionRef(TenantId("acme"), ConnectionId(f"con_{ID}"))
OTHER = ConnectionRef(TenantId("a.b-c_"), ConnectionId(f"con_{ID}"))
TOKENS = SealedTokens(
    b"\0sealed\xff", b"\1other", Instant(1_800_003_600), frozenset({"monitoring"}), Instant(1_800_000_000)
)


@pytest.fixture
def rescue(aws: AwsAccount, config: Config) -> RescueStore:
    return RescueStore(AwsClient("s3", aws.client("s3")), config.rescue_bucket)


@pytest.fixture
def put(aws: AwsAccount, config: Config) -> Callable[[str, bytes], Any]:
    """Put any object into the bucket."""
    return lambda name, body: aws.client("s3").put_object(Bucket=config.rescue_bucket, Key=name, Body=body)


def test_rescued_tokens_are_found_under_their_own_version_and_connection_until_they_are_deleted(
    rescue: RescueStore,
) -> None:
    rescue.put(REF, 7, TOKENS)

    assert rescue.get(REF, 7) == TOKENS
    assert (rescue.get(REF, 8), rescue.get(OTHER, 7)) == (None, None)
    rescue.delete(REF, 7)
    assert rescue.get(REF, 7) is None


def test_a_consent_is_found_under_its_session_alone(rescue: RescueStore) -> None:
    rescue.put_consent(SessionId("ses_a"), b"sealed")
    rescue.put_consent(SessionId("ses_b"), b"other")

    assert rescue.consent(SessionId("ses_a")) == b"sealed"
    assert rescue.consent(SessionId("ses_c")) is None


def test_what_is_older_than_the_row_is_dropped_and_the_rest_stays(rescue: RescueStore) -> None:
    for version in (5, 9, 10, 11):
        rescue.put(REF, version, TOKENS)
    rescue.put(OTHER, 5, TOKENS)

    rescue.drop_older(REF, 10)

    assert sorted(rescue.waiting(10), key=repr) == sorted([(REF, 10), (REF, 11), (OTHER, 5)], key=repr)


def test_only_so_much_of_what_waits_is_listed(rescue: RescueStore) -> None:
    for version in range(5):
        rescue.put(REF, version, TOKENS)

    assert len(list(rescue.waiting(3))) == 3


@pytest.mark.parametrize(
    "name",
    [
        "rescue/x",
        "rescue/acme/",
        "rescue/a/b/c/d",
        "rescue/acme/con_x/1",
        f"rescue/a b/con_{ID}/1",
        f"rescue/acme/con_{ID}/-1",
        f"rescue/acme/con_{ID}/²",
        f"rescue/acme/con_{ID}/٣",
    ],
)
def test_an_object_that_names_no_connection_is_passed_over(
    rescue: RescueStore, put: Callable[[str, bytes], Any], name: str
) -> None:
    put(name, b"{}")
    put(f"rescue/acme/con_{ID}/x", b"{}")
    rescue.put(REF, 1, TOKENS)

    assert list(rescue.waiting(10)) == [(REF, 1)]
    rescue.drop_older(REF, 2)
    assert list(rescue.waiting(10)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<xml>",
        b"[]",
        b"7",
        b"{}",
        b'{"access": 7, "refresh": "", "expires_at": 1, "scopes": [], "sent_at": 1}',
        b'{"access": "%%%=", "refresh": "a", "expires_at": 1, "scopes": [], "sent_at": 1}',
        b'{"access": "", "refresh": "", "expires_at": "soon", "scopes": [], "sent_at": 1}',
        b'{"access": "", "refresh": "", "expires_at": 1, "scopes": 1, "sent_at": 1}',
    ],
)
def test_an_object_that_nobody_of_ours_wrote_is_broken(
    rescue: RescueStore, put: Callable[[str, bytes], Any], body: bytes
) -> None:
    put(f"rescue/acme/con_{ID}/7", body)

    with pytest.raises(SealBroken) as broken:
        rescue.get(REF, 7)

    assert broken.value.__suppress_context__  # what could not be read may be a token


def test_a_missing_right_to_see_that_nothing_is_there_is_no_emptiness(
    rescue: RescueStore, aws_faults: AwsFaults
) -> None:
    """Without s3:ListBucket, S3 answers 403 where nothing is."""
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "GetObject")
    aws_faults.refuse("s3.GetObject", error=denied)

    with pytest.raises(AwsRefused):
        rescue.get(REF, 7)


def test_a_leftover_does_no_harm(rescue: RescueStore, aws_faults: AwsFaults) -> None:
    rescue.put(REF, 7, TOKENS)
    aws_faults.refuse("s3.DeleteObject")
    aws_faults.refuse("s3.ListObjectsV2")

    rescue.delete(REF, 7)
    rescue.drop_older(REF, 8)

    assert rescue.get(REF, 7) == TOKENS
