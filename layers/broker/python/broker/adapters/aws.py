"""Every call to AWS passes here, and only here does an error of AWS become one of the broker's.

Each error is logged once, with its service, operation, code and AWS request id, and never with its message, which may
quote what was sent. Then its code decides who must act: nobody, because waiting fixes it
(``AwsUnavailable``), or the operator, because it does not (``AwsRefused``).

See AWS General Reference, "Common errors"; the error lists of DynamoDB, KMS, S3, Secrets Manager, SQS and SSM.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from broker.adapters.clock import Clock
from broker.adapters.log import Level, Log
from broker.errors import AwsError, AwsRefused, AwsUnavailable, BrokerError

T = TypeVar("T")

ONCE_MORE = (0.2,)
"""Seconds before the one further attempt, for a write that recognizes when its first attempt was applied."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 3.0
"""Seconds between attempts that are repeated until the deadline."""

_REFUSALS = frozenset(
    {
        "accessdenied", "authfailure", "expiredtoken", "incompletesignature", "invalidaccesskeyid",
        "invalidclienttokenid", "invalidsignature", "invalidtoken", "missingauthenticationtoken", "optinrequired",
        "signaturedoesnotmatch", "unrecognizedclient",
        "nonexistentqueue", "nosuchbucket", "notfound", "parameternotfound", "queuedoesnotexist", "resourcenotfound",
        "forbidden", "invalidaddress", "notauthorized", "regiondisabled", "subscriptionrequired", "tablenotfound",
        "unauthorizedoperation",
        "decryptionfailure", "disabled", "invalidkeyusage", "invalidstate",
        "invalidrequest",  # Secrets Manager: the secret is marked for deletion
    }
)  # fmt: skip
"""Codes that waiting does not fix, spelled as by ``_bare``. Any other may be transient: ``AwsUnavailable``."""
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError)
_IDENTIFIER = re.compile(r"[A-Za-z0-9.:/+=_-]{1,128}")


class ExpectedError(Exception):
    """An error code that the caller of ``AwsClient.call`` expects and treats as an answer.

    Args:
        code: which of them
        response: what AWS sent with it
    """

    def __init__(self, code: str, response: Mapping[str, Any]) -> None:
        self.code, self.response = code, response
        super().__init__(code)


class ClientOnDemand:
    """A client of botocore's that is asked for with every call, so that a process which makes none need not load it."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client(), operation)


class AwsClient:
    """A client of one AWS service."""

    def __init__(self, service: str, client: Any, log: Log | None = None) -> None:
        """Wrap a client of botocore's.

        Args:
            log: where errors are logged; None for a command at a terminal, which shows them itself
        """
        self._service, self._client, self._log = service, client, log

    def call(self, operation: str, *, expected: Collection[str] = (), **parameters: Any) -> Any:
        """Call an operation, by its name in botocore (``get_item``).

        Args:
            expected: error codes that are an answer to this caller; they are not logged

        Raises:
            ExpectedError: AWS answered one of ``expected``
            AwsUnavailable: the call was not carried out, or it was and the answer was lost
            AwsRefused: AWS refuses the call until the operator changes something
        """
        return self._translate_errors(operation, lambda: getattr(self._client, operation)(**parameters), expected)

    def get_object(self, *, expected: Collection[str] = (), **parameters: Any) -> bytes:
        """Read a whole object from S3. Its body follows the answer, so reading it can fail just as the call can.

        Raises what ``call`` raises.
        """
        read = lambda: bytes(self._client.get_object(**parameters)["Body"].read())  # noqa: E731
        return self._translate_errors("get_object", read, expected)

    def log_error(self, operation: str, code: str, request_id: str = "", *, refused: bool) -> None:
        """Log an error of AWS, and count it if the operator has to act.

        Args:
            refused: whether it is one that waiting does not fix
        """
        if self._log is None:
            return
        self._log.event(
            "aws.refused" if refused else "aws.failed",
            Level.ERROR if refused else Level.WARNING,
            aws_service=self._service,
            operation=operation.title().replace("_", ""),
            code=_identifier(code),
            aws_request_id=_identifier(request_id) or None,
        )
        if refused:
            self._log.count("aws_refused")

    def _translate_errors(self, operation: str, call: Callable[[], T], expected: Collection[str]) -> T:
        try:
            return call()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in expected:
                raise ExpectedError(code, error.response) from None
            request_id = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))
            self._raise(operation, code, request_id, refused=is_refusal(code))
        except BotoCoreError as error:
            self._raise(operation, type(error).__name__, "", refused=isinstance(error, _NO_CREDENTIALS))

    def _raise(self, operation: str, code: str, request_id: str, *, refused: bool) -> NoReturn:
        self.log_error(operation, code, request_id, refused=refused)
        if refused:
            raise AwsRefused(self._service, operation.title().replace("_", ""), _identifier(code)) from None
        raise AwsUnavailable from None


def is_refusal(code: str) -> bool:
    """Return whether an error code stands for something that waiting does not fix."""
    bare = _bare(code)
    return bare in _REFUSALS or bare.startswith(("accessdenied", "validation"))


def retry(
    call: Callable[[], T],
    clock: Clock,
    waits: Iterable[float] = ONCE_MORE,
    *,
    also: tuple[type[BrokerError], ...] = (),
) -> T:
    """Repeat a call until it succeeds; wait for the next of ``waits`` after each error, and give up after the last.

    Both kinds of error are retried: a policy that is being changed or a key that was just enabled refuses for seconds,
    and the caller may hold the only copy of a token. The call must recognize its own earlier effect, because the answer
    of an attempt that succeeded may have been lost.

    Args:
        also: errors that are retried like those of AWS

    Raises ``AwsError``, or one of ``also``, as the last attempt did.
    """
    retried: tuple[type[BrokerError], ...] = (AwsError, *also)
    pauses = iter(waits)
    while True:
        try:
            return call()
        except retried:
            pause = next(pauses, None)
            if pause is None:
                raise
        clock.sleep(pause)


def while_left(left: Callable[[], float]) -> Iterator[float]:
    """Yield the waits of ``retry``, each twice as long as the one before, while the next one fits into the time left.

    Args:
        left: seconds that may still be waited
    """
    wait = FIRST_WAIT
    while left() >= wait:
        yield wait
        wait = min(2 * wait, LONGEST_WAIT)


def _bare(code: str) -> str:
    """Unify the spellings of one error: ``KMS.DisabledException``, ``KmsDisabled``, ``DisabledException``."""
    return code.rpartition(".")[2].removesuffix("Exception").lower().removeprefix("kms")


def _identifier(text: str) -> str:
    """Return a code or an id unchanged if it looks like one, else empty: anything longer could be a sentence."""
    return text if _IDENTIFIER.fullmatch(text) else ""
