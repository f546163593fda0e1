"""Requests to NinjaOne: one attempt, bounded in time and size, no redirects. The sockets are in ``sockets``."""

from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx

from broker.adapters.clock import Clock
from broker.model import Seconds
from broker.oauth import BODY_LIMIT, Answer, Form, NoReply, NotSent, Reply

Transport = Callable[[], httpx.BaseTransport]
"""Make a transport of its own for one client: a pool shared by many threads is slow (httpcore scans it)."""

CONNECT_TIMEOUT = Seconds(5)
USER_AGENT = "ninjaone-connect/1 (OAuth connection broker)"

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


_NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])
"""One client asks for many customers: what an answer to one of them sets goes to nobody."""


class HttpClient:
    """A client for one invocation and one thread; close it when the work is done."""

    def __init__(self, transport: Transport, clock: Clock, *, is_known: Callable[[str], bool] = lambda _: True) -> None:
        """Make a client.

        is_known   says whether a host is NinjaOne's; nothing is sent to any other
        """
        self._clock, self.is_known = clock, is_known
        self._client = httpx.Client(
            transport=transport(),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(_NO_COOKIES),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._client.close()

    def post(self, url: str, form: Form, *, timeout: Seconds) -> Answer:
        """Send a form once."""
        return self._try("POST", url, timeout, data=dict(form))

    def get(self, url: str, *, timeout: Seconds, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once."""
        return self._try("GET", url, timeout, headers=headers)

    def _try(self, method: str, url: str, timeout: Seconds, **content: Any) -> Answer:
        """Build a request and send it. An address that can't be built, as with a host name that is none, sends nothing.

        Whatever else comes out of the libraries below, such as ``httpx.InvalidURL`` for an odd ``Location``, means that
        the request may have been carried out: the callers know these three ends and no others.
        """
        try:
            request = self._client.build_request(method, url, **content)
        except Exception as error:  # noqa: BLE001  # nothing was sent
            return NotSent(_cause(error))
        try:
            return self._send(request, timeout)
        except Exception as error:  # noqa: BLE001  # it may have been sent
            return NoReply(_cause(error))

    def _send(self, request: httpx.Request, timeout: Seconds) -> Answer:
        """Tell *not sent* from *sent, no answer*: after a token request the difference is a lost token.

        timeout   seconds for the whole answer, after a connection within CONNECT_TIMEOUT
        """
        if request.url.scheme != "https":
            return NotSent("not_https")
        if not self.is_known(request.url.host):  # a row that somebody rewrote leads nowhere
            return NotSent("foreign_host")
        until = self._clock.now() + CONNECT_TIMEOUT + timeout
        request.extensions["timeout"] = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)).as_dict()
        try:
            response = self._client.send(request, stream=True)
            try:
                return Reply(response.status_code, _lower(response.headers), self._read(response, until))
            finally:
                response.close()
        except _NOT_SENT as error:
            return NotSent(_cause(error))

    def _read(self, response: httpx.Response, until: float) -> bytes:
        """Read at most one byte more than the limit: a longer body is no JSON of NinjaOne's."""
        body = b""
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > BODY_LIMIT:
                return body[: BODY_LIMIT + 1]
            if self._clock.now() > until:
                raise httpx.ReadTimeout("the answer took too long")
        return body


def _lower(headers: httpx.Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _cause(error: Exception) -> str:
    """Name the class only: the text of a foreign exception may quote what was sent."""
    return type(error).__name__
