"""Turn replies into values, errors, or another attempt, without any I/O."""

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx

from ninjaone_connect import environment
from ninjaone_connect.calls import Call
from ninjaone_connect.errors import (
    ClockSkew,
    ConnectError,
    Distrusted,
    Forbidden,
    NoAnswer,
    NotReached,
    NotTheBroker,
    Retryable,
    TooLarge,
    TooManyRequests,
    problem,
)

T = TypeVar("T")
Reply = httpx.Response | httpx.RequestError

TRIES = 4
"""Attempts of a call while the broker names no wait; where it does, only ``max_wait`` limits them."""
FIRST_WAIT = 0.2
SKEW = 240
"""Seconds; AWS refuses signatures whose time differs by more than 300."""

_NOT_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,  # the request could not be written as HTTP
)  # fmt: skip


@dataclass(frozen=True)
class RetryAfter:
    """Wait so many seconds, then send the call again."""

    seconds: float


class Attempts(Generic[T]):
    """The attempts of one call. Only a repeatable call has more than one."""

    def __init__(self, call: Call[T], api_url: str, region: str, max_wait: float) -> None:
        """Begin.

        Args:
            max_wait: seconds that may be spent waiting between attempts; if the broker names the waits, seconds that
                the whole call may take
        """
        self._call, self._api_url, self._region = call, api_url, region
        self._max_wait, self._waited, self._began = max_wait, 0.0, time.monotonic()
        self._repeatable, self._left = call.repeatable, TRIES

    def judge(self, reply: Reply) -> T | RetryAfter:
        """Read the answer, or return when to ask again. Raises ConnectError."""
        try:
            return self._read(reply)
        except ConnectError as error:
            wait = self._wait(error) if self._repeatable else None
            if wait is None or self._waited + wait > self._max_wait:
                raise
            self._waited += wait
            return RetryAfter(wait)

    def _wait(self, error: ConnectError) -> float | None:
        """Return how long to wait after a transient failure; None after any other, or when it is time to give up.

        The broker may take seconds before it says when to ask again, so that time counts as waiting too.
        """
        if isinstance(error, Retryable | TooManyRequests) and error.retry_after is not None:
            self._waited = max(self._waited, int(time.monotonic() - self._began))
            return max(error.retry_after, FIRST_WAIT)
        self._left -= 1
        if self._left > 0 and isinstance(error, Retryable | TooManyRequests | NotReached | NoAnswer):
            spread = random.uniform(0.5, 1.5)  # noqa: S311  # keeps callers apart; nothing secret
            return FIRST_WAIT * float(2 ** (TRIES - 1 - self._left)) * spread
        return None

    def _read(self, reply: Reply) -> T:
        if isinstance(reply, httpx.RequestError):
            if isinstance(reply, _NOT_SENT):
                raise self._not_sent_error(reply)
            raise self._no_answer_error(type(reply).__name__)
        body = _object(reply)
        if reply.headers.get("content-type", "").startswith("application/problem+json"):
            raise problem(reply.status_code, body)
        if not reply.is_success:
            raise self._gateway_error(reply)
        try:
            return self._call.read(body)
        except (KeyError, TypeError):
            raise self._not_the_broker_error(reply.status_code) from None

    def _not_sent_error(self, error: httpx.RequestError) -> ConnectError:
        """Return the error that says why a request was never sent."""
        why = environment.why_unreached(error, urlsplit(self._api_url).hostname or "")
        if environment.is_certificate_error(error):
            return Distrusted(f"{self._api_url} was asked nothing: {why}.")
        return NotReached(f"{self._api_url} can't be reached ({why}). Nothing was sent; try again shortly.")

    def _no_answer_error(self, what: str) -> ConnectError:
        """Return the error that says whether it is safe to repeat a request that may have been carried out."""
        advice = "It is safe to ask again." if self._call.repeatable else "Look whether it was carried out."
        return NoAnswer(f"{self._api_url} gave no answer ({what}). {advice}")

    def _gateway_error(self, reply: httpx.Response) -> ConnectError:
        """Return the error for an answer of API Gateway's own."""
        status = reply.status_code
        if status == 403:
            return self._forbidden_error(reply)
        if status == 413:
            return TooLarge(
                status, {"detail": "AWS takes no request of that size: 4 MB, or less where JSON escapes much."}
            )
        if status == 429:
            return TooManyRequests(status, {"detail": "Too many requests to the broker's API. Slow down."})
        if status >= 500:
            return self._no_answer_error(f"status {status}")
        return self._not_the_broker_error(status)

    def _forbidden_error(self, reply: httpx.Response) -> ConnectError:
        ahead = _seconds_ahead(reply.headers.get("date", ""))
        if abs(ahead) > SKEW:
            direction = "ahead" if ahead > 0 else "behind"
            return ClockSkew(
                f"This machine's clock is {abs(ahead):.0f} seconds {direction}; AWS allows 300. Set it by NTP."
            )
        return Forbidden(
            "AWS refused the call. Either the identity behind your credentials lacks execute-api:Invoke on this "
            f"route, or the API is not in {self._region}, or the credentials ended. "
            "`aws sts get-caller-identity` shows who you are."
        )

    def _not_the_broker_error(self, status: int) -> NotTheBroker:
        return NotTheBroker(
            f"{self._api_url} answered {status}, but not as the broker does. "
            "Is it the address that the stack's output BackendApiUrl shows?"
        )


def _object(reply: httpx.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds_ahead(date: str) -> float:
    """Return by how many seconds this machine is ahead of whoever wrote the answer. See RFC 9110 §6.6.1."""
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
