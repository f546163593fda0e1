"""Run seeds: `make simulate SEEDS=n`, or SEED=k to run one again.

The exit status is 1 unless nothing was violated and everything that must happen did.
"""

import os
import sys
import time

from tests.verification.simulation.campaign import MUST, Totals, campaign, some

SEEDS = 2000
NAMES = ("SEEDS", "SEED", "FIRST", "PROCESSES")


def settings(arguments: list[str]) -> dict[str, int]:
    """Read NAME=number from the environment and the arguments."""
    given = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in NAMES:
            raise SystemExit(f"unknown setting {argument}; use {', '.join(f'{each}=n' for each in NAMES)}")
        given[name] = value
    return {name: int(value) for name, value in given.items()}


def one_again(seed: int) -> int:
    """Run one seed and say all about it."""
    total = some(range(seed, seed + 1))
    for mark, count in sorted(total.reached.items()):
        print(f"{count:7}  {mark}")
    report(total, unreached=0)
    return len(total.violations)


def many(first: int, count: int, processes: int) -> int:
    """Run many seeds and say what they came to."""
    began, total = time.monotonic(), Totals()
    for part in campaign(first, count, processes):
        total.add(part)
        for seed, what in part.violations:
            print(f"seed {seed}: {what}\n  make simulate SEED={seed}", flush=True)
    for name, marks in MUST.items():
        print(f"{total.count(marks):9}  {name}")
    seconds = time.monotonic() - began
    print(
        f"{total.steps} steps, {sum(total.checks.values())} checks of {len(total.checks)} invariants, {seconds:.0f} s"
    )
    for name in total.unreached:
        print(f"never reached: {name}")
    report(total, unreached=len(total.unreached))
    return len(total.violations) + len(total.unreached)


def report(total: Totals, unreached: int) -> None:
    """Print the verdict."""
    for seed, what in total.violations[:20]:
        print(f"violated: {what}\n  make simulate SEED={seed}")
    print(f"simulate: {total.seeds} seeds, {len(total.violations)} violations, {unreached} unreached")


def main() -> int:
    """Do what was asked for."""
    asked = settings(sys.argv[1:])
    if "SEED" in asked:
        return one_again(asked["SEED"])
    processes = asked.get("PROCESSES", os.cpu_count() or 1)
    return many(asked.get("FIRST", 0), asked.get("SEEDS", SEEDS), processes)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
