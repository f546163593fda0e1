"""Connections to NinjaOne that stay open between calls: for whom, for how long, and what happens when they broke."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from broker.adapters.http import HttpClient
from broker.adapters.http_client_pool import MAX_CLIENTS, MAX_IDLE_SECONDS, HttpClientPool
from broker.errors import CallUnanswered
from broker.model import ConnectionId, ConnectionRef, TenantId
from tests.support.broker_world import Clock
from tests.support.tls_server import FINE, ONE, OTHER, SLAMS, Begin, calling
from tools.requirements import req

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
def kept(opened: Opened, clock: Clock) -> HttpClientPool:
    return HttpClientPool(opened.make, clock)


def test_a_connection_s_client_is_lent_again(kept: HttpClientPool, opened: Opened) -> None:
    for _ in range(3):
        with kept.client(ONE):
            pass

    assert opened.closed == [False]


def test_two_callers_at_a_time_do_not_share_one(kept: HttpClientPool, opened: Opened) -> None:
    with kept.client(ONE) as first, kept.client(ONE) as second:
        assert first is not second

    assert sorted(opened.closed) == [False, True]


@pytest.mark.parametrize("seconds", [MAX_IDLE_SECONDS, 3600.0, -1.0])
def test_one_that_may_have_been_closed_by_the_other_end_is_replaced(
    kept: HttpClientPool, opened: Opened, clock: Clock, seconds: float
) -> None:
    """Also when the clock was set back: then nobody knows how long it was idle."""
    with kept.client(ONE):
        pass
    clock.advance(seconds)
    with kept.client(ONE):
        pass

    assert opened.closed == [True, False]


def test_the_one_that_was_used_longest_ago_gives_way(kept: HttpClientPool, opened: Opened) -> None:
    for number in range(MAX_CLIENTS + 1):
        with kept.client(ConnectionRef(TenantId("acme"), ConnectionId(f"con_{number}"))):
            pass

    assert opened.closed == [True] + [False] * MAX_CLIENTS


def test_none_is_kept_whose_caller_failed(kept: HttpClientPool, opened: Opened) -> None:
    with pytest.raises(ZeroDivisionError), kept.client(ONE):
        raise ZeroDivisionError

    assert opened.closed == [True]


# Over sockets -------------------------------------------------------------------------------------------------------

OTHERS = FINE.replace(b"{}", b"[]")


@pytest.fixture
def calls(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    with calling(tmp_path, clock, monkeypatch) as begin:
        yield begin


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
