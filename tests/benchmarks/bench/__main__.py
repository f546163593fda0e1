"""Measure everything and say what is within its limits: ``make bench``, which builds first."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.benchmarks.bench import grouping, node, proxying, refreshing, schedule, starting, vending
from tests.benchmarks.bench.broker import ports
from tests.benchmarks.bench.cloud import cloud
from tests.benchmarks.bench.lines import Line
from tests.benchmarks.cost.measured import LATENCY, naive, ours
from tests.benchmarks.cost.model import Units

ROUNDS = 3


def main() -> int:
    """Print each line as soon as it is known, and how many are within their limits."""
    found: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        for line in _measured(Path(folder)):
            print(line, flush=True)
            found.append(line)
    within = sum(line.is_ok for line in found)
    print(f"bench: {within} of {len(found)} within their limits")
    return int(within < len(found))


def _measured(folder: Path) -> Iterator[Line]:
    yield from grouping.lines()
    yield from schedule.lines()
    with cloud(folder, delay=LATENCY) as made:
        at = ports(made)
        yield from vending.lines(made, at)
        yield from proxying.lines(made, at)
        yield from refreshing.lines(made, at)
        yield from _price([(ours(made, at), naive(made)) for _ in range(ROUNDS)])
    yield from starting.lines(folder)
    yield from node.lines()


def _price(rounds: Sequence[tuple[Units, Units]]) -> Iterator[Line]:
    """Compare what is counted and what is computed apart: their sum would tell how fast this machine's processor is."""
    counted = [replace(units, processor=0).price / replace(first, processor=0).price for units, first in rounds]
    computed = [units.processor / first.processor for units, first in rounds]
    yield Line("price of a refresh without processor ÷ the naive design's", median(counted), 0.17)
    yield Line("processor of a refresh ÷ the naive design's", median(computed), 0.35)


if __name__ == "__main__":
    sys.exit(main())
