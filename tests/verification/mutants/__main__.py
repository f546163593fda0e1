"""Mutate the broker, one place at a time, and see that a test or the simulation notices each mutant.

`make mutation-test` hunts all mutants with all tests; `SAMPLE="flows/sweep adapters/breakers"` those of some modules,
with the tests that bear their names. The exit status is 1 if a survivor has no explanation (`survivors.toml`), or an
explanation no survivor.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.verification.mutants.explained import entry, made, reasons, stale
from tests.verification.mutants.forking import Hunter, Verdict
from tests.verification.mutants.planted import planted
from tests.verification.mutants.sites import files, mutants

SEEDS = 8
"""Seeds of the simulation for what no test noticed."""
TESTS = Path(__file__).parents[2]


def main() -> int:
    """Hunt, and say what became of every mutant that no test noticed."""
    parser = argparse.ArgumentParser(prog="make mutation-test")
    parser.add_argument("modules", nargs="*", help="such as flows/sweep; without any, all")
    parser.add_argument("--tests", nargs="*", help="test files; without any, those of the modules, or all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument(
        "--twice", type=Path, help="go on until a second test of the module notices, and write both, in JSON lines"
    )
    asked = parser.parse_args()
    modules = [f"{name}.py" for name in asked.modules]
    hunted = [*planted(), *(mutant for name in files() for mutant in mutants(name))]
    hunted = [mutant for mutant in hunted if not modules or mutant.file in modules]
    began = time.monotonic()
    hunter = Hunter(hunted, seeds=lambda: _seeds(asked.seeds), jobs=asked.jobs, tell=_tell, twice=bool(asked.twice))
    tests = asked.tests or _tests(asked.modules)
    options = ["-q", "-s", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    if pytest.main([*options, *tests], plugins=[hunter]) not in {
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    }:
        return 1
    print(f"\n{time.monotonic() - began:.0f} s")
    if asked.twice:
        rows = ([*each.mutant.key, each.killer, each.also] for each in hunter.verdicts)
        asked.twice.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    missed, known = ([], 0) if asked.modules else _missed()
    for test in hunter.failed:
        print(f"fails without any mutant: {test}")
    return max(_judge(hunter.verdicts, missed, known), bool(hunter.failed))


def _missed() -> tuple[list[str], int]:
    """Take away the safeguards that the simulation alone must notice; name those it does not, and count them all."""
    from tests.verification.mutants.hunting import caught  # pytest warns of what was imported before it
    from tests.verification.mutants.safeguards import MUTANTS

    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        noticed = list(pool.map(caught, range(len(MUTANTS))))
    return [mutant.name for mutant, how in zip(MUTANTS, noticed, strict=True) if not how], len(MUTANTS)


def _tests(modules: Sequence[str]) -> list[str]:
    """Find the tests that bear the names of some modules; for all modules, all tests that are worth their time."""
    folders = [TESTS / "unit", TESTS / "security"]
    names = {f"test_{name.rpartition('/')[2]}.py" for name in modules}
    found = [path for folder in folders for path in folder.rglob("test_*.py") if path.name in names]
    return sorted(map(str, found if modules else folders))


def _seeds(count: int) -> Iterator[str]:
    from tests.verification.simulation.swarm import Run  # as above

    for seed in range(count):
        if Run(seed).run().world.history.violations:
            yield f"seed {seed}"


def _tell(verdict: Verdict) -> None:
    mutant = verdict.mutant
    noticed = verdict.killer or f"SURVIVED as {mutant.now}"
    print(f"{verdict.seconds:5.1f} s  {mutant.file}:{mutant.lines[0]} {mutant.kind}: {noticed}", flush=True)


def _judge(verdicts: Sequence[Verdict], missed: Sequence[str], whole: int) -> int:
    """Compare the survivors with their explanations, and write the last line."""
    explained, hunted = reasons(), {verdict.mutant.key: verdict for verdict in verdicts}
    survived = [key for key, verdict in hunted.items() if not verdict.killer]
    unexplained = [key for key in survived if key not in explained]
    for name in missed:
        print(f"the simulation does not notice a broker without this: {name}")
    for key in unexplained:
        print(
            f"# line {hunted[key].mutant.lines[0]}, run by {hunted[key].reached} tests\n{entry(hunted[key].mutant)}\n"
        )
    needless = [key for key in explained if key in hunted and hunted[key].killer]
    for key in needless:
        print(f"explained, but noticed by {hunted[key].killer}: {' '.join(key)}")
    lost = stale(explained, made())
    for key in lost:
        print(f"explained, but made no more: {' '.join(key)}")
    wrong = len(unexplained) + len(missed)
    outcome = f"{wrong} without an explanation" if wrong else "all explained"
    print(f"mutation-test: {whole + len(hunted)} mutants, {len(survived) + len(missed)} survived, {outcome}")
    return bool(wrong or needless or lost)


if __name__ == "__main__":
    sys.exit(main())
