"""Errors of AWS as botocore raises them, and the shape of a client."""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from botocore.exceptions import ClientError

Answer = dict[str, Any]


class Service(Protocol):
    """One AWS service in memory: a method for each operation, called with the API's own parameter names."""

    def __getattr__(self, operation: str) -> Callable[..., Answer]: ...


@cache
def error_class(code: str) -> type[ClientError]:
    """Return the exception class a boto3 client offers as `client.exceptions.<code>`."""
    return type(code, (ClientError,), {})


def error(code: str, operation: str, message: str = "", *, status: int = 400, **members: Any) -> ClientError:
    """Build the exception botocore raises for an error answer."""
    answer: Any = {
        "Error": {"Code": code, "Message": message or code},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "simulated", "RetryAttempts": 0},
    }
    answer.update(members)
    return error_class(code)(answer, operation)


def invalid(operation: str, message: str) -> ClientError:
    """Build DynamoDB's refusal of a malformed request."""
    return error("ValidationException", operation, message)


def ok(**members: Any) -> Answer:
    """Build a success answer."""
    return {
        **members,
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "simulated", "RetryAttempts": 0},
    }


def camel(operation: str) -> str:
    """Return the API's name of a client method.

    Shape: "put_item" -> "PutItem".
    """
    return "".join(part.capitalize() for part in operation.split("_"))


class Exceptions:
    """`client.exceptions`: any error code is an attribute."""

    def __getattr__(self, code: str) -> type[ClientError]:
        return error_class(code)
