"""Measure everything and say what is within its limits: ``python -m tests.bench`` (``make bench`` builds first)."""

import sys
import tempfile
from pathlib import Path

from tests.bench import grouping, refreshing, schedule, starting, vending
from tests.bench.broker import doors
from tests.bench.cloud import cloud
from tests.bench.lines import Line
from tests.cost.measured import LATENCY, naive, ours


def main() -> int:
    """Print each line as it is known, and all of them at the end."""
    with tempfile.TemporaryDirectory() as folder:
        found = _running(Path(folder)) + grouping.lines() + schedule.lines() + starting.lines(Path(folder))
    for line in found:
        print(line)
    within = sum(line.is_ok for line in found)
    print(f"bench: {within} of {len(found)} within their limits")
    return int(within < len(found))


def _running(folder: Path) -> list[Line]:
    with cloud(folder, delay=LATENCY) as made:
        at = doors(made)
        vended = vending.lines(made, at)
        refreshed, _ = refreshing.lines(made, at)
        share = ours(made, at).price / naive(made).price
    return [*vended, *refreshed, Line("price of a refresh ÷ the naive design's", share, 0.17)]


if __name__ == "__main__":
    sys.exit(main())
