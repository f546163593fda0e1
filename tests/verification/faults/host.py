"""Time that stands still until somebody moves it, and a way to NinjaOne that can be disturbed."""

import time
from collections.abc import Callable
from threading import Lock, RLock

import httpx

from broker.adapters.clock import Clock as BrokerClock
from local.clock import Clock

QUARTER = 900
Meanwhile = Callable[[], None]


class Killed(BaseException):
    """The process is dead: nothing of ours may catch this."""


class Time(Clock):
    """One time for broker, NinjaOne and queues. Who waits moves it on, and what is due then happens.

    Attributes:
        meanwhile: what others do while a caller waits; one at a time
    """

    def __init__(self) -> None:
        super().__init__()
        self._start = float(int(time.time()) // QUARTER * QUARTER + 60)
        self._moving, self._acting = Lock(), RLock()
        self.meanwhile: Meanwhile = lambda: None

    def now(self) -> float:
        return self._start + self.offset

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        with self._acting:
            self.meanwhile()

    def advance(self, seconds: float) -> None:
        with self._moving:
            super().advance(seconds)


class HostClock:
    """The clock of the host that a refresh runs on.

    Args:
        skew: seconds that it is ahead of the true time
    """

    def __init__(self, true: Time, skew: float) -> None:
        self._true, self._skew = true, skew

    def now(self) -> float:
        return self._true.now() + self._skew

    def sleep(self, seconds: float) -> None:
        self._true.advance(seconds)


class Deadline:
    """What Lambda passes beside the event.

    Attributes:
        aws_request_id: what the invocation is about, so that its lines can be told from others
    """

    def __init__(self, about: str, clock: BrokerClock, timeout: int) -> None:
        self.aws_request_id = about
        self._clock, self._until = clock, clock.now() + timeout

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - self._clock.now()) * 1000))


class Wire:
    """All ways to NinjaOne.

    Attributes:
        down: hosts that take no connection
        swallowed: hosts → how many requests get lost on the way there
        slow: hosts → seconds until the next answers arrive; NinjaOne has done its work at once
        asked: called before a request leaves
        answered: called when an answer is here
    """

    def __init__(self, clock: Time, inner: Callable[[], httpx.BaseTransport]) -> None:
        self.clock, self.inner = clock, inner
        self.down: set[str] = set()
        self.swallowed: dict[str, int] = {}
        self.slow: dict[str, list[int]] = {}
        self.asked: Callable[[str], None] = lambda _host: None
        self.answered: Callable[[str], None] = lambda _host: None

    def transport(self) -> httpx.BaseTransport:
        """Make the transport of one client."""
        return _Way(self)

    def clear(self) -> None:
        """Disturb nothing any more."""
        self.down.clear()
        self.swallowed.clear()
        self.slow.clear()
        self.asked = self.answered = lambda _host: None


class _Way(httpx.BaseTransport):
    def __init__(self, wire: Wire) -> None:
        self._wire, self._inner = wire, wire.inner()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        wire, host = self._wire, request.url.host
        patience: float = request.extensions["timeout"]["read"]
        wire.asked(host)
        if host in wire.down:
            raise httpx.ConnectError("refused")
        if wire.swallowed.get(host):
            wire.swallowed[host] -= 1
            return self._waited_in_vain(patience)
        response = self._inner.handle_request(request)
        seconds = wire.slow[host].pop() if wire.slow.get(host) else 0
        if seconds > patience:
            response.close()
            return self._waited_in_vain(patience)
        wire.clock.advance(seconds)
        wire.answered(host)
        return response

    def _waited_in_vain(self, patience: float) -> httpx.Response:
        self._wire.clock.advance(patience)
        raise httpx.ReadTimeout("no answer")

    def close(self) -> None:
        self._inner.close()
