"""The tour walks the whole journey, prints what it checked and no secret, and fails when a step fails."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.product.backend import Backend, Problem
from local.tour import ATTEMPTS, main, renewed
from local.world import World


def issued(world: World) -> set[str]:
    """List all that must not be printed: what NinjaOne issued, and the client secrets."""
    state = world.ninjaone.state
    secrets = {app.secret for app in state.apps.values()}
    return {*state.codes, *state.access_tokens, *state.refresh_tokens, *state.sessions, *secrets}


@pytest.mark.slow
def test_the_tour_checks_every_step_and_prints_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()

    status = main(lambda: world)

    printed = capsys.readouterr().out
    numbers = [int(number) for number in re.findall(r"^ok +(\d+)  \S", printed, re.MULTILINE)]
    assert status == 0
    assert numbers == list(range(1, len(numbers) + 1))
    assert printed.splitlines()[-1] == f"{len(numbers)} steps, every one checked"
    assert {secret for secret in issued(world) if secret in printed} == set()
    assert len(issued(world)) > 20
    assert (list(world.failures), dict(world.policy_usage.refused)) == ([], {})
    used = {folder for folder, _sid, _action in world.policy_usage.used}
    assert world.template.functions.keys() - used <= {"sweep", "notify"}  # these two run beside, when their time comes


@pytest.mark.slow
def test_a_step_that_misses_says_what_was_expected_and_what_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    @contextmanager
    def without_a_way_back() -> Iterator[World]:
        with World() as world:
            world.ninjaone.switches.update({"deny": "no_redirect"})
            yield world

    status = main(without_a_way_back)

    missed = capsys.readouterr().out.splitlines()[-3:]
    assert status == 1
    assert re.fullmatch(r"NO +\d+  Ben denies access at NinjaOne; the product says so", missed[0])
    assert re.fullmatch(r" +expected  \(200, 'NinjaOne was not connected', 'What to do'\)", missed[1])
    assert re.fullmatch(r" +got       \(200,\)", missed[2])


class Slow(Backend):
    """A broker whose refreshes take longer than a caller waits, so many times."""

    def __init__(self, times: int, retry_after: int | None) -> None:
        self._left, self._problem = times, Problem(503, {"retry_after": retry_after})

    def token(self, tenant: str, connection: str, **fields: int) -> dict[str, Any]:
        self._left -= 1
        if self._left >= 0:
            raise self._problem
        return {"expires_in": 3600}


@pytest.mark.parametrize(
    ("times", "retry_after", "waits"), [(ATTEMPTS - 1, 2, [2] * (ATTEMPTS - 1)), (ATTEMPTS, 2, None), (1, None, None)]
)
def test_a_token_that_is_still_being_refreshed_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, times: int, retry_after: int | None, waits: list[int] | None
) -> None:
    slept: list[int] = []
    monkeypatch.setattr("local.tour.time.sleep", slept.append)
    try:
        token = renewed(Slow(times, retry_after), "con_a")
    except Problem:
        assert waits is None
    else:
        assert (token["expires_in"], slept) == (3600, waits)
