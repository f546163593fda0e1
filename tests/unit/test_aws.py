"""The door to AWS: what each error means, what is logged of it, and how a call is tried again."""

import json
from itertools import islice

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from broker.adapters.aws import AwsClient, ExpectedError, is_refusal, retry, while_left
from broker.adapters.log import Level, Log
from broker.errors import AwsError, AwsRefused, AwsUnavailable
from tests.support.broker_world import Clock, LogLines

TEXT = "a text that may quote what was sent"


class Service:
    """A client whose calls end as they are told to."""

    def __init__(self, *ends: object) -> None:
        self._ends = iter(ends)

    def get_item(self, **asked: object) -> object:
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return {"asked": asked, "end": end}

    def get_object(self, **_: object) -> dict[str, object]:
        return {"Body": self}

    def read(self) -> bytes:
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return bytes(str(end).encode())


def error(code: str, request_id: str = "REQ-1") -> ClientError:
    said = {"Error": {"Code": code, "Message": TEXT}, "ResponseMetadata": {"RequestId": request_id}, "Item": {"a": 1}}
    return ClientError(said, "Anything")  # type: ignore[arg-type]  # a part of a response is enough


@pytest.fixture
def log(lines: LogLines, clock: Clock) -> Log:
    return Log(lines.write, clock, "test", least=Level.DEBUG)


def door(log: Log, *ends: object) -> AwsClient:
    return AwsClient("dynamodb", Service(*ends), log)


WAITING_HELPS = [
    "ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
    "KMS.ThrottlingException", "KmsThrottled", "SlowDown", "InternalServerError", "InternalFailure",
    "ServiceUnavailable", "KMSInternalException", "KeyUnavailableException", "DependencyTimeoutException",
    "TransactionCanceledException", "TransactionConflictException", "RequestTimeout",
    "SomethingThatAwsInventsLater", "500", "",
]  # fmt: skip
WAITING_DOES_NOT = [
    "AccessDenied", "AccessDeniedException", "KMS.AccessDeniedException", "KmsAccessDenied",
    "ResourceNotFoundException", "NoSuchBucket", "ParameterNotFound", "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue", "ValidationException", "ValidationError", "DisabledException",
    "KMS.DisabledException", "KmsDisabled", "KMSInvalidStateException", "KMS.InvalidStateException",
    "KmsInvalidState", "NotFoundException", "KMS.NotFoundException", "KmsNotFound", "DecryptionFailure",
    "InvalidRequestException", "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken",
    "ExpiredTokenException", "SignatureDoesNotMatch", "InvalidSignatureException",
]  # fmt: skip


@pytest.mark.parametrize("code", WAITING_HELPS)
def test_what_waiting_fixes_is_busy(log: Log, lines: LogLines, code: str) -> None:
    with pytest.raises(AwsUnavailable) as busy:
        door(log, error(code)).call("get_item")

    assert busy.value.retry_after == 5
    assert [line["level"] for line in lines.named("aws.failed")] == ["WARNING"]
    log.flush()
    assert "aws_refused" not in lines.text[-1]


@pytest.mark.parametrize("code", WAITING_DOES_NOT)
def test_what_waiting_does_not_fix_is_the_operators_and_counted(log: Log, lines: LogLines, code: str) -> None:
    with pytest.raises(AwsRefused) as refused:
        door(log, error(code)).call("get_item")

    assert refused.value.retry_after is None
    assert (refused.value.service, refused.value.operation, refused.value.code) == ("dynamodb", "GetItem", code)
    assert [line["level"] for line in lines.named("aws.refused")] == ["ERROR"]
    log.flush()
    assert json.loads(lines.text[-1])["aws_refused"] == [1.0]
    assert is_refusal(code)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (EndpointConnectionError(endpoint_url="https://nowhere"), AwsUnavailable),
        (ReadTimeoutError(endpoint_url="https://nowhere"), AwsUnavailable),
        (BotoCoreError(), AwsUnavailable),
        (NoCredentialsError(), AwsRefused),
    ],
)
def test_what_never_reached_aws_waits_unless_there_are_no_credentials(
    log: Log, lines: LogLines, failure: BotoCoreError, kind: type[AwsError]
) -> None:
    with pytest.raises(kind):
        door(log, failure).call("get_item")

    [line] = [line for line in lines if "code" in line]
    assert line["code"] == type(failure).__name__


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_an_error_is_logged_once_as_a_fact_without_its_text(log: Log, lines: LogLines, code: str) -> None:
    with pytest.raises(AwsError) as raised:
        door(log, error(code)).call("get_item")

    [line] = list(lines)
    assert (line["aws_service"], line["operation"], line["code"]) == ("dynamodb", "GetItem", code)
    assert line["aws_request_id"] == "REQ-1"
    assert TEXT not in lines.text[0] + str(raised.value) + repr(raised.value.__cause__)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("odd", ["a sentence of another's", "x" * 129, "line\nbreak", "{json}"])
def test_a_code_and_a_request_id_that_look_like_none_are_left_out(log: Log, lines: LogLines, odd: str) -> None:
    with pytest.raises(AwsUnavailable):
        door(log, error(odd, odd)).call("get_item")

    [line] = list(lines)
    assert line["code"] == ""
    assert "aws_request_id" not in line


def test_a_code_that_the_caller_expects_is_an_answer_and_not_logged(log: Log, lines: LogLines) -> None:
    with pytest.raises(ExpectedError) as expected:
        door(log, error("ConditionalCheckFailedException")).call(
            "get_item", expected=("ConditionalCheckFailedException",)
        )

    assert expected.value.code == "ConditionalCheckFailedException"
    assert expected.value.response["Item"] == {"a": 1}
    assert expected.value.__suppress_context__
    assert lines.text == []


def test_a_command_without_a_log_gets_the_same_errors() -> None:
    with pytest.raises(AwsRefused):
        AwsClient("dynamodb", Service(error("AccessDenied"))).call("get_item")


def test_an_object_is_read_behind_the_door_too(log: Log, lines: LogLines) -> None:
    assert door(log, "content").get_object(Key="x") == b"content"
    with pytest.raises(AwsUnavailable):
        door(log, ReadTimeoutError(endpoint_url="https://nowhere")).get_object(Key="x")

    assert [line["operation"] for line in lines] == ["GetObject"]


# Trying again ---------------------------------------------------------------------------------------------------------


class Calls:
    """A call that ends as it is told to, and counts."""

    def __init__(self, *ends: AwsError | int) -> None:
        self.ends, self.made = iter(ends), 0

    def __call__(self) -> int:
        self.made += 1
        end = next(self.ends)
        if isinstance(end, AwsError):
            raise end
        return end


def test_without_waits_of_its_own_a_call_is_tried_once_more(clock: Clock) -> None:
    calls = Calls(AwsUnavailable(), AwsRefused(), 7)

    with pytest.raises(AwsRefused):
        retry(calls, clock)

    assert (calls.made, clock.slept) == (2, [0.2])


def test_another_error_is_not_tried_again(clock: Clock) -> None:
    def broken() -> None:
        raise ExpectedError("NoSuchKey", {})

    with pytest.raises(ExpectedError):
        retry(broken, clock)

    assert clock.slept == []


def test_attempts_go_on_while_there_is_time_ever_more_slowly(clock: Clock) -> None:
    calls, left = Calls(*[AwsUnavailable()] * 99), clock.left(15)

    with pytest.raises(AwsUnavailable):
        retry(calls, clock, while_left(left))

    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0]
    assert calls.made == 9
    assert 0 < left() < 3


@pytest.mark.parametrize(("left", "waits"), [(0.09, []), (0.1, [0.1]), (0.19, [0.1]), (0.2, [0.1, 0.2])])
def test_a_wait_that_just_fits_is_waited(left: float, waits: list[float]) -> None:
    assert list(islice(while_left(lambda: left), 2)) == waits
