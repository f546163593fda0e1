"""What a person is told about each error of AWS: log in, set the clock, correct the region, look at the network."""

import time
from email.utils import formatdate

import pytest
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from broker.errors import AwsRefused
from ninjaone_connect_cli.aws_errors import BUSY, said

NOW = 1_800_000_000


def refused(code: str, operation: str = "DescribeStacks", *, behind: int = 0) -> ClientError:
    headers = {"date": formatdate(time.time() + behind, usegmt=True)}
    about = {"HTTPStatusCode": 400, "HTTPHeaders": headers, "RequestId": "r", "HostId": "", "RetryAttempts": 0}
    return ClientError({"Error": {"Code": code, "Message": "a-secret"}, "ResponseMetadata": about}, operation)  # type: ignore[typeddict-item]  # as AWS has it


TO_DO = {
    "log in again": ["ExpiredToken", "ExpiredTokenException", "UnauthorizedException", "TokenRefreshRequired"],
    "Log in again, or name another profile": [
        "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure", "InvalidToken",
    ],
    "secret access key": ["SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"],
    "clock by NTP": ["RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"],
    "no AWS region": [
        "InvalidRegion", "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException",
        "RegionDisabledException",
    ],
    "`aws kms enable-key`": [
        "KMSInvalidStateException", "DisabledException", "KMS.DisabledException", "KeyUnavailableException",
        "DecryptionFailure", "KmsInvalidState", "KmsDisabled", "KmsInvalidKeyUsage",
    ],
    "AWS Support": ["AccountProblem", "NotSignedUp", "Blocked", "PendingVerification", "AccountSuspendedException"],
    "docs/operate/permissions.md": [
        "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired", "NotAuthorized",
        "KMSAccessDeniedException", "KmsAccessDenied", "KmsOptInRequired", "AccessDenied.TagPolicy",
    ],
    "nothing is wrong here": [
        "Throttling", "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "InternalFailure",
        "InternalServerError", "SlowDown", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
        "InternalServerException", "KMSInternalException", "DependencyTimeoutException",
        "EC2ThrottledException",
        "TransactionInProgressException", "KMS.ThrottlingException", "KmsThrottled",
        "ServiceException", "TooManyUpdates", "ServiceFailure", "TransactionConflictException", "429",
        "Unavailable", "RequestAbortedException",
    ],
    "not there": [
        "ResourceNotFoundException", "KMS.NotFoundException", "KmsNotFound", "NoSuchBucket", "ParameterNotFound", "404",
        "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "TableNotFoundException", "NoSuchEntity",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("todo", "code"), [(todo, code) for todo, codes in TO_DO.items() for code in codes])
def test_each_refusal_says_what_to_do(todo: str, code: str) -> None:
    sentence = said(refused(code))

    assert todo in sentence
    assert "a-secret" not in sentence
    assert "\n" not in sentence


CLASSES = [
    (exceptions.UnauthorizedSSOTokenError(), "log in again"),
    (exceptions.SSOTokenLoadError(error_msg="x"), "log in again"),
    (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), "log in again"),
    (exceptions.NoCredentialsError(), "No AWS credentials were found"),
    (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "go together"),
    (exceptions.CredentialRetrievalError(provider="process", error_msg="a-secret"), "look at the profile"),
    (exceptions.ConfigParseError(path="x"), "look at the profile"),
    (exceptions.NoRegionError(), "--aws-region"),
    (exceptions.InvalidRetryModeError(provided_retry_mode="x", valid_modes="y"), "look at the profile"),
    (exceptions.InvalidMaxRetryAttemptsError(provided_max_attempts=0, min_value=1), "look at the profile"),
    (exceptions.MissingDependencyException(msg="a-secret"), "look at the profile"),
    (exceptions.InvalidRegionError(region_name="eu west"), "no AWS region"),
    (exceptions.UnknownServiceError(service_name="x", known_service_names="y"), "look at the profile"),
    (exceptions.FlexibleChecksumError(error_msg="a-secret"), "network"),
    (exceptions.ConnectTimeoutError(endpoint_url="https://x"), "network"),
    (exceptions.EndpointConnectionError(endpoint_url="https://x"), "network"),
    (exceptions.ReadTimeoutError(endpoint_url="https://x"), "network"),
    (exceptions.ProxyConnectionError(proxy_url="http://user:a-secret@x", error="x"), "HTTPS_PROXY"),
    (exceptions.SSLError(endpoint_url="https://x", error=OSError("a-secret")), "AWS_CA_BUNDLE"),
]


@pytest.mark.parametrize(("error", "says"), CLASSES)
def test_each_class_of_botocore_says_what_to_do(error: BotoCoreError, says: str) -> None:
    sentence = said(error, "eu-west-1")

    assert says in sentence
    assert "a-secret" not in sentence


def test_a_region_that_does_not_exist_is_told_from_a_network_that_is_not_there() -> None:
    error = exceptions.EndpointConnectionError(endpoint_url="https://cloudformation.eu-west-9.amazonaws.com/")

    assert "There is no AWS region eu-west-9" in said(error, "eu-west-9")
    assert "network" in said(error, "ap-southeast-7")


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "RequestExpired", "InvalidClientTokenId"])
@pytest.mark.parametrize(("behind", "way"), [(900, "behind"), (-900, "ahead")])
def test_a_clock_that_is_off_is_said_whatever_the_code(code: str, behind: int, way: str) -> None:
    assert f"{way}: set it by NTP" in said(refused(code, behind=behind))


@pytest.mark.parametrize(
    "error",
    [
        refused("InvalidRequestException", "GetSecretValue"),
        AwsRefused("secretsmanager", "GetSecretValue", "InvalidRequestException"),
    ],
)
def test_a_secret_that_is_marked_for_deletion_is_to_be_restored(error: Exception) -> None:
    assert "restore-secret" in said(error)


def test_a_secret_that_was_never_stored_is_to_be_stored() -> None:
    assert "your-app.md, step 4" in said(refused("ResourceNotFoundException", "GetSecretValue"))


OURS = {
    "lambda": {"InvalidParameterValueException"},
    "dynamodb": {
        "ConditionalCheckFailedException", "ItemCollectionSizeLimitExceededException", "TransactionCanceledException",
        "IdempotentParameterMismatchException",
    },
    "kms": {"DryRunOperationException", "InvalidArnException", "InvalidGrantTokenException", "IncorrectKeyException",
            "InvalidCiphertextException"},
    "secretsmanager": {"InvalidParameterException"},
    "ssm": {"InvalidKeyId"},
    "s3": {"InvalidObjectState"},
    "sqs": {"InvalidAddress", "InvalidAttributeName", "UnsupportedOperation"},
}  # fmt: skip
"""What only a fault of this program's own can bring, or what is an answer where it is asked."""
CALLS = {
    "cloudformation": ["DescribeStacks", "ListStackResources"],
    "lambda": ["GetFunctionConfiguration", "GetAccountSettings"],
    "dynamodb": ["Query", "Scan", "GetItem", "UpdateItem", "TransactWriteItems", "DescribeTable"],
    "kms": ["DescribeKey", "Decrypt", "GenerateDataKey", "ReEncrypt"],
    "secretsmanager": ["GetSecretValue"],
    "ssm": ["GetParameter"],
    "s3": ["ListObjectsV2", "GetObject"],
    "sqs": ["GetQueueAttributes"],
    "sso": ["GetRoleCredentials"],
    "sso-oidc": ["CreateToken"],
}


@pytest.mark.parametrize("service", CALLS)
def test_what_botocore_names_for_a_call_is_told_what_to_do_about(service: str) -> None:
    model = Session().get_service_model(service)
    shapes = [shape for call in CALLS[service] for shape in model.operation_model(call).error_shapes]
    codes = {str(shape.metadata.get("error", {}).get("code", shape.name)) for shape in shapes}
    of_requests = {code for code in codes if code.startswith(("InvalidRequest", "InvalidScope", "UnsupportedGrant"))}

    untold = {code for code in codes if said(refused(code)).startswith("AWS refused: ")}

    assert untold - of_requests == OURS.get(service, set())


def test_what_nobody_lists_is_told_by_its_name() -> None:
    assert "DescribeStacks, SomethingNew" in said(refused("SomethingNew"))
    assert "{" not in BUSY.format(what="x")
