"""Time, waiting and random bytes: the only inputs of a run that differ each time, so that tests can fix them."""

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from broker.model import ConnectionId, Instant, SessionId
from broker.secret import Secret

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 2.0
"""Seconds between reads of something that another call is working on."""

Entropy = Callable[[int], bytes]
"""Returns n unpredictable bytes."""

entropy: Entropy = secrets.token_bytes


class Clock(Protocol):
    """Time as the broker sees it."""

    def now(self) -> float:
        """Unix seconds, UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The host's clock. Lambda's hosts keep it by NTP."""

    def now(self) -> float:
        """Unix seconds, UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def instant(clock: Clock) -> Instant:
    """The current second."""
    return Instant(int(clock.now()))


def poll_until(clock: Clock, until: float) -> Iterator[None]:
    """Yield each time another call's progress should be read: at once, then after growing pauses, until ``until``."""
    pause = FIRST_PAUSE
    yield
    while clock.now() + pause <= until:
        clock.sleep(pause)
        yield
        pause = min(2 * pause, LONGEST_PAUSE)


def jitter(draw: Entropy) -> float:
    """Draw a number from 0 to 1 that spreads out what would otherwise happen at the same time."""
    return draw(1)[0] / 256


def random_secret(draw: Entropy) -> Secret:
    """Draw 256 bits as 43 URL-safe characters: a state, ticket, cookie or code verifier (RFC 7636 §4.1)."""
    return Secret(base64.urlsafe_b64encode(draw(32)).rstrip(b"=").decode("ascii"))


def new_session_id(draw: Entropy) -> SessionId:
    """Draw a connect session's id: 128 bits."""
    return SessionId("ses_" + _base32(draw(16)))


def new_connection_id(draw: Entropy) -> ConnectionId:
    """Draw a connection's id: 128 bits."""
    return ConnectionId("con_" + _base32(draw(16)))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).rstrip(b"=").decode("ascii").lower()
