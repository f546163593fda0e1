"""Randomness and time, as everything else gets them."""

import re
import secrets

from broker.adapters import clock as clocks
from broker.adapters.clock import SystemClock, instant, new_connection_id, new_session_id, random_secret
from broker.model import connection_id, session_id
from tests.support.broker_world import START, Clock
from tools.requirements import req


@req("A02", "B03", "D04", "H08")
def test_a_secret_holds_256_bits_and_an_id_128() -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return bytes(range(size))

    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", random_secret(draw).reveal())
    assert session_id(new_session_id(draw))
    assert connection_id(new_connection_id(draw))
    assert drawn == [32, 16, 16]


@req("A02")
def test_randomness_comes_from_the_operating_system() -> None:
    assert clocks.entropy is secrets.token_bytes
    assert len({random_secret(clocks.entropy).reveal() for _ in range(1000)}) == 1000


def test_an_instant_is_a_whole_second(clock: Clock) -> None:
    clock.advance(0.9)

    assert instant(clock) == START


def test_the_system_clock_moves_on_while_it_sleeps() -> None:
    clock = SystemClock()
    before = clock.now()

    clock.sleep(0.01)

    assert clock.now() > before
