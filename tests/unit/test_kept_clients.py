"""Connections to NinjaOne that stay open between calls: for whom, for how long, and what happens when they broke."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from broker.adapters.http import HttpClient
from broker.adapters.kept_clients import IDLE, MOST, KeptClients
from broker.adapters.log import Level, Log
from broker.adapters.transport import system_transport
from broker.call_policy import read
from broker.errors import CallUnanswered
from broker.flows.proxy import ProxiedCall, Proxy
from broker.flows.token import IssuedToken
from broker.model import ConnectionId, ConnectionRef, Instant, Seconds, TenantId
from broker.oauth import Reply
from broker.secret import Secret
from tests.support.broker_world import Clock
from tests.support.certificate import certified
from tools.requirements import req

ONE, OTHER = (ConnectionRef(TenantId("acme"), ConnectionId(f"con_{letter * 26}")) for letter in "ab")


# Who gets which client ----------------------------------------------------------------------------------------------


@dataclass
class Opened:
    """Every client that was made, and whether it was closed."""

    clock: Clock
    closed: list[bool]

    def make(self) -> HttpClient:
        number = len(self.closed)
        self.closed.append(False)

        class Noted(httpx.MockTransport):
            def close(inner) -> None:  # noqa: N805  # beside the outer self
                self.closed[number] = True

        return HttpClient(lambda: Noted(lambda _: httpx.Response(200)), self.clock)


@pytest.fixture
def opened(clock: Clock) -> Opened:
    return Opened(clock, [])


@pytest.fixture
def kept(opened: Opened, clock: Clock) -> KeptClients:
    return KeptClients(opened.make, clock)


def test_a_connection_s_client_is_lent_again(kept: KeptClients, opened: Opened) -> None:
    for _ in range(3):
        with kept.client(ONE):
            pass

    assert opened.closed == [False]


@req("Q03")
def test_no_two_connections_share_a_client(kept: KeptClients, opened: Opened) -> None:
    with kept.client(ONE) as first:
        pass
    with kept.client(OTHER) as second:
        pass

    assert first is not second


def test_two_callers_at_a_time_do_not_share_one(kept: KeptClients, opened: Opened) -> None:
    with kept.client(ONE) as first, kept.client(ONE) as second:
        assert first is not second

    assert sorted(opened.closed) == [False, True]


@pytest.mark.parametrize("seconds", [IDLE, 3600.0, -1.0])
def test_one_that_may_have_been_closed_by_the_other_end_is_replaced(
    kept: KeptClients, opened: Opened, clock: Clock, seconds: float
) -> None:
    """Also when the clock was set back: then nobody knows how long it was idle."""
    with kept.client(ONE):
        pass
    clock.advance(seconds)
    with kept.client(ONE):
        pass

    assert opened.closed == [True, False]


def test_the_one_that_was_used_longest_ago_gives_way(kept: KeptClients, opened: Opened) -> None:
    for number in range(MOST + 1):
        with kept.client(ConnectionRef(TenantId("acme"), ConnectionId(f"con_{number}"))):
            pass

    assert opened.closed == [True] + [False] * MOST


def test_none_is_kept_whose_caller_failed(kept: KeptClients, opened: Opened) -> None:
    with pytest.raises(ZeroDivisionError), kept.client(ONE):
        raise ZeroDivisionError

    assert opened.closed == [True]


# Over sockets -------------------------------------------------------------------------------------------------------

FINE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
OTHERS = FINE.replace(b"{}", b"[]")
SLAMS = b""
"""Reads the request, and ends the connection without an answer."""


@dataclass
class Server:
    """NinjaOne on loopback with TLS: a script for each connection, in it an answer for each request; then it ends.

    heard   the number of the connection and the method, in order
    """

    port: int
    certificate: Path
    heard: list[tuple[int, str]] = field(default_factory=list)


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    certificate, key = certified(tmp_path)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as threads:
        listener.settimeout(5)
        server = Server(listener.getsockname()[1], certificate)

        def play(number: int, talker: socket.socket, script: list[bytes]) -> None:
            talker.settimeout(5)
            with suppress(OSError), secure.wrap_socket(talker, server_side=True) as spoken:
                for step in script:
                    said = spoken.recv(65_536)
                    if not said:
                        return
                    server.heard.append((number, said.partition(b" ")[0].decode()))
                    if step == SLAMS:
                        return
                    spoken.sendall(step)

        def accept(scripts: tuple[list[bytes], ...]) -> None:
            with suppress(OSError):
                for number, script in enumerate(scripts):
                    threads.submit(play, number, listener.accept()[0], script)

        def begin(*scripts: list[bytes]) -> Server:
            threads.submit(accept, scripts)
            return server

        yield begin
        listener.shutdown(socket.SHUT_RDWR)


class Calls:
    """A proxy with real sockets and a token that is made up."""

    def __init__(self, server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        trusted = ssl.create_default_context(cafile=server.certificate)
        monkeypatch.setattr("broker.adapters.transport._trusting_authorities", lambda: trusted)
        transport = system_transport()
        url = f"https://127.0.0.1:{server.port}"
        self._web = lambda: HttpClient(transport, clock)
        self._proxy = Proxy(
            cast("Any", lambda *_, **__: IssuedToken(Secret("token"), Instant(0), Seconds(60), url, 1)),
            self._web,
            lambda: read("* GET,POST /v2/*"),
            clock=clock,
            log=Log(lambda _: None, clock, "test", least=Level.INFO),
        )

    def send(self, method: str = "GET", ref: ConnectionRef = ONE) -> Reply:
        """Have one call passed on."""
        return self._proxy(ref, ProxiedCall("caller", method, "/v2/x", "/v2/x", "", False, method == "GET", {}, b""))

    def close(self) -> None:
        for web, _ in self._proxy._kept._kept.values():
            web.close()


@pytest.fixture
def calls(serve: Serve, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Server, Calls]]]:
    made: list[Calls] = []

    def begin(*scripts: list[bytes]) -> tuple[Server, Calls]:
        server = serve(*scripts)
        made.append(Calls(server, clock, monkeypatch))
        return server, made[0]

    yield begin
    for each in made:
        each.close()


Begin = Callable[..., tuple[Server, Calls]]


def test_a_second_get_goes_over_the_same_socket(calls: Begin) -> None:
    server, proxy = calls([FINE, FINE])

    assert [proxy.send().body for _ in range(2)] == [b"{}"] * 2
    assert server.heard == [(0, "GET"), (0, "GET")]


@pytest.mark.parametrize("script", [[FINE], [FINE, SLAMS]], ids=["closed meanwhile", "closed when asked"])
def test_a_get_is_answered_though_the_other_end_closed_the_connection(calls: Begin, script: list[bytes]) -> None:
    server, proxy = calls(script, [FINE])

    assert [proxy.send().body for _ in range(2)] == [b"{}"] * 2
    assert server.heard[-1] == (1, "GET")


def test_a_post_never_goes_over_a_connection_that_was_left_open(calls: Begin) -> None:
    """On one that the other end closed meanwhile, nobody could tell whether it was carried out."""
    server, proxy = calls([FINE, FINE], [FINE], [SLAMS])

    proxy.send()
    proxy.send("POST")
    with pytest.raises(CallUnanswered):
        proxy.send("POST")

    assert server.heard == [(0, "GET"), (1, "POST"), (2, "POST")]


@req("Q03")
def test_what_an_answer_leaves_behind_never_becomes_another_connection_s_answer(calls: Begin) -> None:
    server, proxy = calls([FINE + OTHERS, FINE], [FINE])

    assert proxy.send().body == b"{}"
    assert proxy.send(ref=OTHER).body == b"{}"
    assert server.heard == [(0, "GET"), (1, "GET")]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_where_none_may_be_does_not_spoil_the_next_answer(calls: Begin, status: str) -> None:
    _, proxy = calls([f"HTTP/1.1 {status}\r\n\r\n".encode() + b'{"stray": 1}', FINE], [FINE])

    assert proxy.send().body == b""
    answer = proxy.send()
    assert (answer.status, answer.body) == (200, b"{}")
