"""The only socket to NinjaOne: one request, one attempt, bounded in time and size, no redirects."""

import math
import ssl
from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx

from broker.adapters.clock import Clock
from broker.model import Seconds
from broker.oauth import BODY_LIMIT, Answer, Form, NoReply, NotSent, Reply

Transport = Callable[[], httpx.BaseTransport]
"""Make a transport of its own for one client: a pool shared by many threads is slow (httpcore scans it)."""

CONNECT_TIMEOUT = Seconds(5)
USER_AGENT = "ninjaone-connect/1 (OAuth connection broker)"

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def system_transport() -> Transport:
    """Real sockets: verified TLS 1.2 or later from one shared context; no retries, no proxy variables."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return lambda: _Bounded(context)


class _Bounded(httpx.HTTPTransport):
    """Ends an answer when its whole time is over: a byte now and then would outlast every single wait."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, retries=0, trust_env=False)
        self._sockets = _Sockets()
        self._pool._network_backend = self._sockets  # httpx has no parameter for it; a test sees whether it counts

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; headers and body together get the time to connect and one wait."""
        waits = request.extensions["timeout"]
        self._sockets.until = monotonic() + waits["connect"] + waits["read"]
        return super().handle_request(request)


class _Sockets(httpcore.SyncBackend):
    """Opens connections that are read until an instant."""

    until = math.inf

    def connect_tcp(self, *where: Any, **how: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(*where, **how), self)


class _Stream(httpcore.NetworkStream):
    """One connection, read until its instant."""

    def __init__(self, inner: httpcore.NetworkStream, sockets: _Sockets) -> None:
        self._inner, self._sockets = inner, sockets

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._sockets.until - monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return self._inner.read(max_bytes, min(left, timeout or left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *arguments: Any, **named: Any) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(*arguments, **named), self._sockets)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Web:
    """A client for one invocation and one thread; close it when the work is done."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._clock = clock
        self._client = httpx.Client(
            transport=transport(),
            follow_redirects=False,
            trust_env=False,
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
        return self._send(self._client.build_request("POST", url, data=dict(form)), timeout)

    def get(self, url: str, *, timeout: Seconds, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once."""
        return self._send(self._client.build_request("GET", url, headers=headers), timeout)

    def _send(self, request: httpx.Request, timeout: Seconds) -> Answer:
        """Tell *not sent* from *sent, no answer*: after a token request the difference is a lost token.

        timeout   seconds for the whole answer, after a connection within CONNECT_TIMEOUT
        """
        if request.url.scheme != "https":
            return NotSent("not_https")
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
        except httpx.HTTPError as error:
            return NoReply(_cause(error))

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


def _cause(error: httpx.HTTPError) -> str:
    """Name the class only: the text of a foreign exception may quote what was sent."""
    return type(error).__name__
