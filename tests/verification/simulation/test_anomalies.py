"""Whatever single call fails, in whatever way, and whatever two calls fail: nothing that must hold is broken."""

import gc
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tests.verification.simulation.anomalies import (
    ROTATIONS,
    SCENARIOS,
    TURNING,
    Faults,
    Scenario,
    pairs,
    played,
    singles,
)
from tools.requirements import req

pytestmark = pytest.mark.filterwarnings("ignore:This metric doesn't meet")
STRICTEST = "reuse_kills_family"
ONE_CALL = frozenset({"token fresh"})  # a second fault would find nothing to hit
QUICK = frozenset({"callback", "sweep"})  # the other scenarios take minutes
LATER, LAST = pytest.mark.slow, pytest.mark.exhaustive  # `make test-all`; `make fault-matrix` alone
PLAYED = [(name, rotation) for name in SCENARIOS for rotation in (ROTATIONS if name in TURNING else (STRICTEST,))]
EVERY = 3  # of the scenarios that take minutes, `make test-all` plays every third single fault
SINGLES = [pytest.param(*each, 1, marks=[] if each[0] in QUICK else [LATER, LAST]) for each in PLAYED]
SINGLES += [pytest.param(name, STRICTEST, EVERY, marks=LATER) for name in SCENARIOS if name not in QUICK]
PAIRS = [
    pytest.param(*each, marks=[LATER] if each[0] in QUICK else [LATER, LAST])
    for each in PLAYED
    if each[0] not in ONE_CALL
]


@pytest.fixture(autouse=True, scope="module")
def _unswept() -> Iterator[None]:
    """Spare the collector what other tests left: it would look at all of it once in every few worlds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def violated(
    name: str, rotation: str, choose: Callable[[Scenario, str], Iterator[Faults]], every: int = 1
) -> tuple[int, list[tuple[Faults, list[str]]]]:
    """Play a scenario with each choice of faults, or every n-th: how many those were, and which broke something."""
    scenario, count, found = SCENARIOS[name], 0, []
    for faults in islice(choose(scenario, rotation), 0, None, every):
        count += 1
        violations = played(scenario, rotation, faults).world.history.violations
        if violations:
            found.append((faults, violations))
    return count, found


@req("I03", "I06")
@pytest.mark.parametrize(("name", "rotation", "every"), SINGLES)
def test_no_single_fault_breaks_anything(name: str, rotation: str, every: int) -> None:
    count, found = violated(name, rotation, singles, every)

    assert not found
    assert count > 20 / every


@pytest.mark.parametrize(("name", "rotation"), PAIRS)
def test_no_pair_of_faults_breaks_anything(name: str, rotation: str) -> None:
    count, found = violated(name, rotation, pairs)

    assert not found
    assert count > 5


@pytest.mark.parametrize("name", sorted(ONE_CALL))
def test_what_makes_one_call_has_no_pairs(name: str) -> None:
    assert list(pairs(SCENARIOS[name], STRICTEST)) == []
