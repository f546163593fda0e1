"""Draw docs/understand/refreshes-per-minute.png: ``python -m tests.benchmarks.bench.picture``; takes half a minute."""

import sys
from pathlib import Path

import matplotlib as mpl

from tests.benchmarks.bench.schedule import DOWN, HOURS, SETTLED, day

PICTURE = Path(__file__).parents[3] / "docs/understand/refreshes-per-minute.png"


def main() -> None:
    """Draw, and say how high it goes."""
    mpl.use("agg")
    mpl.rcParams |= {"font.size": 9}
    from matplotlib import pyplot as plt

    refreshes = day().refreshes
    minutes = [refreshes[minute] for minute in range(HOURS * 60)]
    mean = sum(minutes[minute] for minute in SETTLED) / len(SETTLED)
    print(f"mean {mean:.0f} a minute, highest {max(minutes) / mean:.2f} times that", file=sys.stderr)
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    axes.fill_between([minute / 60 for minute in range(len(minutes))], minutes, step="mid", color="#0b5fff", alpha=0.5)
    axes.axhline(2 * mean, color="#a33", linewidth=0.8, linestyle="--")
    axes.text(0.2, 2 * mean, " twice the mean", color="#a33", va="bottom")
    axes.axvspan(DOWN.start / 60, DOWN.stop / 60, color="#999", alpha=0.25)
    axes.text(DOWN.start / 60, mean, " NinjaOne\n is down", va="center")
    axes.set(xlim=(0, HOURS), ylim=(0, 2.4 * mean), xlabel="hour; a million customers connect in its first ten minutes")
    axes.set_ylabel("refreshes per minute")
    axes.set_xticks(range(0, HOURS + 1, 3))
    figure.savefig(PICTURE, dpi=140)


if __name__ == "__main__":
    main()
