"""Errors of AWS by their kinds, and how one is put into a function's calls."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.verification.roles.stage import Stage

SERVICES = ("dynamodb", "events", "kms", "s3", "secretsmanager", "sqs", "ssm")
MESSAGE = "a text that may quote what was sent"
DENIED, MISSING, DISABLED = "access denied", "not found", "disabled"
THROTTLED, UNANSWERED = "throttled", "no answer"

CODES: Mapping[str, Mapping[str, str]] = {
    DENIED: {"s3": "AccessDenied", "sqs": "AccessDenied", "": "AccessDeniedException"},
    MISSING: {
        "kms": "NotFoundException",
        "s3": "NoSuchBucket",
        "sqs": "AWS.SimpleQueueService.NonExistentQueue",
        "ssm": "ParameterNotFound",
        "": "ResourceNotFoundException",
    },
    DISABLED: {"kms": "DisabledException"},
    THROTTLED: {"s3": "SlowDown", "sqs": "RequestThrottled", "": "ThrottlingException"},
    UNANSWERED: {"": "ReadTimeoutError"},
}
"""What each service calls an error of a kind; the empty name stands for all others.

See the error lists of each service's API reference.
"""

REFUSALS = (DENIED, MISSING, DISABLED)
"""Kinds that waiting does not fix."""

Heard = Callable[[str], None]


def code(kind: str, call: str) -> str:
    """Give the error code of a kind for a call such as ``kms.Decrypt``; empty when its service knows no such error."""
    codes = CODES[kind]
    return codes.get(call.partition(".")[0], codes.get("", ""))


def kinds(call: str) -> list[str]:
    """List the kinds of error that a call can meet."""
    return [kind for kind in CODES if code(kind, call)]


def error(kind: str, call: str) -> Exception:
    """Make an error as botocore raises it."""
    if kind == UNANSWERED:
        return ReadTimeoutError(endpoint_url="https://nowhere")
    said = {"Error": {"Code": code(kind, call), "Message": MESSAGE}, "ResponseMetadata": {"RequestId": "AWS-1"}}
    return ClientError(said, call.partition(".")[2])  # type: ignore[arg-type]  # a part of a response is enough


@contextmanager
def hearing(stage: Stage, function: str, heard: Heard) -> Iterator[None]:
    """Call ``heard`` with the name of each call that a function makes, before AWS hears of it."""
    role, registered = stage.roles[function], []
    for service in SERVICES:
        events = stage.aws.client(service, role).meta.events

        def before(model: Any, service: str = service, **_: Any) -> None:
            heard(f"{service}.{model.name}")

        events.register("before-call", before)
        registered.append((events, before))
    try:
        yield
    finally:
        for events, before in registered:
            events.unregister("before-call", before)


@contextmanager
def failing(stage: Stage, function: str, *calls: tuple[str, str], once_answered: bool = False) -> Iterator[None]:
    """Let calls of a function fail, each time.

    Args:
        calls: the name of a call and the kind of its error
        once_answered: only after NinjaOne has answered
    """
    chosen, begun = dict(calls), [not once_answered]
    if once_answered:
        stage.network.meanwhile.append(lambda: begun.append(True))

    def refuse(call: str) -> None:
        if begun[-1] and call in chosen:
            raise error(chosen[call], call)

    with hearing(stage, function, refuse):
        yield
    stage.network.meanwhile.clear()
