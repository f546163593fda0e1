"""How long each step of a request may take, by a clock that only the steps move."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest

from broker.adapters import transport
from broker.adapters.transport import system_transport
from tools.requirements import req

ADDRESSES = [f"127.0.0.{number}" for number in range(1, 7)]
START, END = b"HTTP/1.1 200 OK\r\n", b"content-length: 0\r\n\r\n"
SWALLOWED = (httpcore.ConnectTimeout, 99.0)
REFUSED = (httpcore.ConnectError, 0.0)


@dataclass
class Net(httpcore.NetworkStream):
    """Six addresses of a host, and the line to the one that answers.

    Attributes:
        ends: what connecting to each address ends with, and after how many seconds; those behind them answer at once
        sending: seconds that each piece takes to be sent
        pieces: what comes, and how many seconds after the piece before
        waits: each step, and the seconds that it was given
    """

    ends: list[tuple[type[Exception], float]] = field(default_factory=list)
    tls: float = 0.0
    sending: float = 0.0
    pieces: list[tuple[bytes, float]] = field(default_factory=lambda: [(START + END, 0.0)])
    waits: list[tuple[str, float]] = field(default_factory=list)
    now: float = 1_000.0

    def connect(self, host: str, _port: int, timeout: float, *_: Any, **__: Any) -> "Net":
        number = ADDRESSES.index(host)
        error, seconds = self.ends[number] if number < len(self.ends) else (None, 0.0)
        self._pass("connect", seconds, timeout, httpcore.ConnectTimeout)
        if error:
            raise error
        return self

    def start_tls(self, _context: Any, _name: str | None = None, timeout: float | None = None) -> "Net":
        self._pass("tls", self.tls, timeout, httpcore.ConnectTimeout)
        return self

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._pass("write", self.sending, timeout, httpcore.WriteTimeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        piece, seconds = self.pieces.pop(0)
        self._pass("read", seconds, timeout, httpcore.ReadTimeout)
        return piece

    def close(self) -> None:
        """Nothing is open."""

    def get_extra_info(self, info: str) -> Any:
        """Give a socket on which something can be set, and nothing else."""
        return SimpleNamespace() if info == "socket" else None

    def _pass(self, step: str, seconds: float, timeout: float | None, error: type[Exception]) -> None:
        assert timeout is not None
        self.waits.append((step, round(timeout, 6)))
        self.now += min(seconds, timeout)
        if seconds > timeout:
            raise error


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Net], int]:
    """Send a request over a net, with six seconds to connect and ten for each wait; give the status."""

    def get(net: Net) -> int:
        monkeypatch.setattr(transport, "monotonic", lambda: net.now)
        monkeypatch.setattr(transport, "_addresses", lambda *_: ADDRESSES)
        monkeypatch.setattr(
            httpcore.SyncBackend, "connect_tcp", lambda _, *where, **named: net.connect(*where, **named)
        )
        with httpx.Client(transport=system_transport()()) as client:
            timeout = httpx.Timeout(10, connect=6)
            return client.post("https://eu.ninjarmm.com/", content=b"a form", timeout=timeout).status_code

    return get


@req("L04")
def test_addresses_that_swallow_packets_share_the_time_to_connect(ask: Callable[[Net], int]) -> None:
    net = Net(ends=[SWALLOWED] * 6)

    with pytest.raises(httpx.ConnectTimeout):
        ask(net)

    assert net.waits == [("connect", 1.0)] * 6


def test_the_time_of_addresses_that_refuse_at_once_goes_to_the_next(ask: Callable[[Net], int]) -> None:
    net = Net(ends=[REFUSED] * 5)

    assert ask(net) == 200
    assert [wait for step, wait in net.waits if step == "connect"] == [1.0, 1.2, 1.5, 2.0, 3.0, 6.0]


def test_tls_does_not_begin_when_the_time_to_connect_is_over(ask: Callable[[Net], int]) -> None:
    net = Net(ends=[(httpcore.ConnectError, 1.0)] * 5)
    answers_late = net.connect

    def last_second(host: str, *rest: Any, **named: Any) -> Net:
        found = answers_late(host, *rest, **named)
        net.now += 1.0  # the last of six addresses answers with its last moment
        return found

    net.connect = last_second  # type: ignore[method-assign]  # one step of this one net

    with pytest.raises(httpx.ConnectTimeout):
        ask(net)
    assert {step for step, _ in net.waits} == {"connect"}


@req("L04")
def test_sending_is_bounded_by_each_wait_and_by_the_whole_time(ask: Callable[[Net], int]) -> None:
    net = Net(sending=9.0)

    with pytest.raises(httpx.WriteTimeout):
        ask(net)
    assert [wait for step, wait in net.waits if step == "write"] == [10.0, 7.0]


@req("L04")
def test_an_answer_has_the_time_to_connect_and_one_wait_in_all(ask: Callable[[Net], int]) -> None:
    """Sixteen seconds: a first wait of ten, then what is left, however soon each piece comes."""
    net = Net(pieces=[(START, 9.0), *((b"a: b\r\n", seconds) for seconds in (6.5, 0.25, 0.25)), (END, 0.0)])

    with pytest.raises(httpx.ReadTimeout):
        ask(net)
    assert [wait for step, wait in net.waits if step == "read"] == [10.0, 7.0, 0.5, 0.25]
