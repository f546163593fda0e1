"""Print what a month costs: ``python -m tests.benchmarks.cost``."""

import tempfile
from pathlib import Path

from tests.benchmarks.bench.broker import ports
from tests.benchmarks.bench.cloud import cloud
from tests.benchmarks.cost.counted import alarmed_metrics, written
from tests.benchmarks.cost.measured import LATENCY, batch_size, naive, ours
from tests.benchmarks.cost.model import PRICES, Units, Watching, idle, month

CONNECTIONS = (50, 500, 5_000, 100_000, 1_000_000, 10_000_000)


def main() -> None:
    """Measure, then print."""
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder), delay=LATENCY) as made:
        sizes = {size: ours(made, ports(made), size) for size in sorted(set(map(batch_size, CONNECTIONS)))}
        units = {"ours": sizes[max(sizes)], "naive": naive(made)}
    watching = Watching(alarmed_metrics(), len(written()))
    anyway = idle(watching)
    print(f"Prices of {PRICES['as_of']}, us-east-1, on demand. One refresh takes:")
    for name, each in units.items():
        print(f"  {name:<6} {_said(each)}: ${each.price:.2f} a million")
    said = f"{watching.alarmed} metrics of alarms and {watching.written} of our own"
    print(f"\nNobody connected: ${anyway:.2f} a month, of it ${watching.price:.2f} for {said}")
    print("if each is written every hour. Dollars a month:\n")
    print(f"{'connections':>12} {'always':>12} {'adaptive':>12} {'naive':>12}")
    for count in CONNECTIONS:
        ours_here = sizes[batch_size(count)]
        sums = [month(count, policy, ours_here, anyway=anyway) for policy in ("always", "adaptive")]
        first = month(count, "always", units["naive"], anyway=idle(Watching(0, 0)))
        print(f"{count:>12,} {sums[0]:>12,.2f} {sums[1]:>12,.2f} {first:>12,.2f}")
    print("\nGiving tokens and API calls come on top, as many as you make. adaptive: one connection in ten in use.")


def _said(units: Units) -> str:
    return (
        f"{units.writes:.2f} writes, {units.reads:.2f} reads, {units.kms:.3f} KMS calls, "
        f"{1000 * units.processor:.1f} ms of a processor, {units.logged:.0f} B of log"
    )


if __name__ == "__main__":
    main()
