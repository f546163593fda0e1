"""NinjaOne on loopback with TLS, byte by byte as a script says, and a proxy that calls it over real sockets."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from broker.adapters.clock import Clock
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.transport import system_transport
from broker.flows.proxy import ProxiedCall, Proxy
from broker.flows.token import IssuedToken
from broker.model import ConnectionId, ConnectionRef, Instant, Seconds, TenantId
from broker.oauth import Reply
from broker.proxy_policy import read
from broker.secret import Secret
from tests.support.certificate import certified

TOKEN = "token-that-nobody-sees"
ONE, OTHER = (ConnectionRef(TenantId("acme"), ConnectionId(f"con_{letter * 26}")) for letter in "ab")

FINE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
SLAMS = b""
"""Reads the request, and ends the connection without an answer."""
FAREWELL = b"\x00"
"""Ends TLS as it should be ended, and with it a body without a length (RFC 9112 §9.8)."""

Step = bytes | Callable[[ssl.SSLSocket], None]
"""What follows a request: bytes, or a function that is left alone with the socket, request unread."""


@dataclass
class Server:
    """A script for each connection, in it a step for each request; then the connection is cut.

    Attributes:
        heard: the number of the connection and the method, in order
        bodies: what came with each request
    """

    port: int
    certificate: Path
    heard: list[tuple[int, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def play(self, number: int, talker: ssl.SSLSocket, script: list[Step]) -> None:
        """Talk on one connection, until its script is over."""
        for step in script:
            if step == FAREWELL:
                farewell(talker)
                return
            if callable(step):
                step(talker)
                continue
            if not self._hear(number, talker) or step == SLAMS:
                return
            talker.sendall(step)

    def _hear(self, number: int, talker: ssl.SSLSocket) -> bool:
        """Read one request; say whether there was one."""
        said = b""
        while b"\r\n\r\n" not in said:
            more = talker.recv(65_536)
            if not more:
                return False
            said += more
        head, _, body = said.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += talker.recv(65_536)
        self.heard.append((number, head.partition(b" ")[0].decode()))
        self.bodies.append(body)
        return True


def farewell(talker: ssl.SSLSocket) -> None:
    """Send TLS's own goodbye, and wait for none."""
    talker.setblocking(False)
    with suppress(OSError):
        talker.unwrap()


Serve = Callable[..., Server]


@contextmanager
def serving(folder: Path) -> Iterator[Serve]:
    """Give what begins a server that plays scripts, one connection after the other."""
    certificate, key = certified(folder)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as threads:
        listener.settimeout(5)
        server = Server(listener.getsockname()[1], certificate)

        def talk(number: int, talker: socket.socket, script: list[Step]) -> None:
            talker.settimeout(5)
            with suppress(OSError), secure.wrap_socket(talker, server_side=True) as secured:
                server.play(number, secured, script)

        def accept(scripts: tuple[list[Step], ...]) -> None:
            with suppress(OSError):
                for number, script in enumerate(scripts):
                    threads.submit(talk, number, listener.accept()[0], script)

        def begin(*scripts: list[Step]) -> Server:
            threads.submit(accept, scripts)
            return server

        yield begin
        listener.shutdown(socket.SHUT_RDWR)


class Calls:
    """A proxy with real sockets, and with tokens that are made up: each time that one is refused, another."""

    def __init__(self, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        trusted = ssl.create_default_context(cafile=server.certificate)
        monkeypatch.setattr("broker.adapters.transport._trusting_authorities", lambda: trusted)
        transport = system_transport()
        url = f"https://127.0.0.1:{server.port}"

        def token(_ref: ConnectionRef, *, refused_version: int = 0, **_: Any) -> IssuedToken:
            return IssuedToken(Secret(TOKEN), Instant(0), Seconds(60), url, refused_version + 1)

        self._proxy = Proxy(
            cast("Any", token),
            lambda: HttpClient(transport, clock),
            lambda: read("* GET,POST,PUT /v2/*"),
            clock=clock,
            log=Log(lambda _: None, clock, "test", least=Level.INFO),
        )

    def send(self, method: str = "GET", ref: ConnectionRef = ONE, *, body: bytes = b"") -> Reply:
        """Have one call passed on."""
        repeatable = method in {"GET", "HEAD"}
        return self._proxy(ref, ProxiedCall("caller", method, "/v2/x", "/v2/x", "", False, repeatable, {}, body))

    def close(self) -> None:
        """End the connections that are kept."""
        for web, _ in self._proxy._kept._kept.values():
            web.close()


Begin = Callable[..., tuple[Server, Calls]]


@contextmanager
def calling(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Give what begins a server that plays scripts, and calls to it."""
    made: list[Calls] = []

    def begin(*scripts: list[Step]) -> tuple[Server, Calls]:
        server = serve(*scripts)
        made.append(Calls(server, clock, monkeypatch))
        return server, made[-1]

    with serving(folder) as serve:
        yield begin
        for each in made:
            each.close()
