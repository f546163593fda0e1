"""The only sockets to NinjaOne: verified TLS, with a deadline for every connection attempt and every answer.

It is a module of its own because its imports would lengthen every cold start, and only the first request needs it.
"""

import math
import socket  # noqa: TID251  # looks hosts up
import ssl
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

import certifi
import httpcore
import httpx  # noqa: TID251  # the sockets below broker/adapters/http.py

from broker.adapters.http import Transport


def system_transport() -> Transport:
    """Real sockets: verified TLS 1.2 or later from one shared context; no retries, no proxy variables."""
    context = _trusting_authorities()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return lambda: _Bounded(context)


def _trusting_authorities() -> ssl.SSLContext:
    """Trust certifi's CAs: from the hashed directory of the build if present, so that only needed certificates load."""
    hashed = Path(certifi.where()).with_name("hashed")
    return ssl.create_default_context(capath=hashed) if hashed.is_dir() else httpx.create_ssl_context(trust_env=False)


_RECORD = 16_384
"""Bytes that are written at once: the most that a TLS record holds. See RFC 8446 §5.1."""


class _Bounded(httpx.HTTPTransport):
    """Ends a request at its overall deadline: httpx's timeouts restart with every byte that arrives."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, retries=0, trust_env=False)
        self._sockets = _Sockets()
        self._pool._network_backend = self._sockets  # httpx has no parameter for it; a test sees whether it counts

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; headers and body together get the time to connect and one read timeout.

        Raises:
            httpx.TransportError: also if the answer arrived before the request was sent, as it answers no request
        """
        waits = request.extensions["timeout"]
        self._sockets.bound(waits["connect"], waits["connect"] + waits["read"])
        response = super().handle_request(request)
        if not self._sockets.was_read:
            response.close()
            raise httpx.RemoteProtocolError("an answer without a request")
        return response


class _Sockets(httpcore.SyncBackend):
    """Opens sockets with a connect deadline and an overall deadline.

    Attributes:
        was_read: whether anything was read since the request began
    """

    def __init__(self) -> None:
        self._connected_by = self._until = math.inf
        self.was_read = False

    def bound(self, connect: float, whole: float) -> None:
        """Begin a request.

        Args:
            connect: seconds for all addresses of the host and TLS together
            whole: seconds for everything
        """
        now = monotonic()
        self._connected_by, self._until = now + connect, now + whole
        self.was_read = False

    def connect_tcp(self, host: str, port: int, *_: Any, **named: Any) -> httpcore.NetworkStream:
        """Try each address of a host. An address that drops packets must not use up the time of the others.

        Raises:
            httpcore.ConnectTimeout, httpcore.ConnectError: the failure of the last address
        """
        addresses = _addresses(host, port, self.connect_left())
        for number, address in enumerate(addresses):
            share = self.connect_left() / (len(addresses) - number)
            try:
                return _Stream(super().connect_tcp(address, port, **named | {"timeout": share}), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore.ConnectError("the host has no address")

    def connect_left(self) -> float:
        """Return the seconds left to connect. Raises httpcore.ConnectTimeout when there are none."""
        return _seconds_left(self._connected_by, httpcore.ConnectTimeout)

    def seconds_left(self, over: type[httpcore.TimeoutException]) -> float:
        """Return the seconds left until the overall deadline. Raises ``over`` when there are none."""
        return _seconds_left(self._until, over)


def _seconds_left(until: float, over: type[httpcore.TimeoutException]) -> float:
    left = until - monotonic()
    if left <= 0:
        raise over
    return left


def _addresses(host: str, port: int, wait: float) -> Sequence[str]:
    """Look a host up within ``wait`` seconds; none if it has no address. Raises httpcore.ConnectTimeout.

    ``getaddrinfo`` takes no timeout, and a resolver may keep silent for half a minute: it runs in a thread of its own,
    which is left alone when the time is over.
    """
    found = SimpleQueue[Sequence[str]]()
    Thread(target=lambda: found.put(_looked_up(host, port)), daemon=True).start()
    try:
        return found.get(timeout=wait)
    except Empty:
        raise httpcore.ConnectTimeout("the host name was not looked up in time") from None


def _looked_up(host: str, port: int) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _Stream(httpcore.NetworkStream):
    """One connection that can be read and written until its deadline."""

    def __init__(self, inner: httpcore.NetworkStream, sockets: _Sockets) -> None:
        self._inner, self._sockets = inner, sockets

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._sockets.seconds_left(httpcore.ReadTimeout)
        self._sockets.was_read = True
        return self._inner.read(max_bytes, min(left, timeout or left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send in pieces, each within the deadline: a host that accepts few bytes at a time would outlast a timeout."""
        for start in range(0, len(buffer), _RECORD):
            left = self._sockets.seconds_left(httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _RECORD], min(left, timeout or left))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: Any, **__: Any
    ) -> httpcore.NetworkStream:
        """Begin TLS. From then on a connection that is cut is an error, never the end of a body without a length.

        See RFC 9112 §9.8: an incomplete close leaves such an answer incomplete.
        """
        inner = self._inner.start_tls(ssl_context, server_hostname, self._sockets.connect_left())
        inner.get_extra_info("socket").suppress_ragged_eofs = False  # httpcore has no parameter for it
        return _Stream(inner, self._sockets)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
