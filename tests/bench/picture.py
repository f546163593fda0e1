"""Draw docs/refreshes-per-minute.png: ``python -m tests.bench.picture``; takes some minutes."""

import sys
from pathlib import Path
from random import Random

import matplotlib as mpl

from tests.bench.schedule import Fleet

HOURS, IMPORT, DOWN = 24, (0, 600), (720, 840)
CONNECTIONS = 1_000_000
PICTURE = Path(__file__).parents[2] / "docs/refreshes-per-minute.png"


def day() -> list[int]:
    """Import a million customers within ten minutes, then let NinjaOne be down from noon until two."""
    fleet = Fleet(Random(1))
    fleet.connect(CONNECTIONS, *IMPORT)
    for minute in range(HOURS * 60):
        fleet.minute(minute * 60, is_down=DOWN[0] <= minute < DOWN[1])
    return [fleet.day.refreshes[minute] for minute in range(HOURS * 60)]


def main() -> None:
    """Draw, and say how high it goes."""
    mpl.use("agg")
    mpl.rcParams |= {"font.size": 9}
    from matplotlib import pyplot as plt

    minutes = day()
    mean = sum(minutes[300 : DOWN[0]]) / (DOWN[0] - 300)
    print(f"mean {mean:.0f} a minute, highest {max(minutes) / mean:.2f} times that", file=sys.stderr)
    figure, axes = plt.subplots(figsize=(8, 2.8), layout="constrained")
    axes.fill_between([minute / 60 for minute in range(len(minutes))], minutes, step="mid", color="#0b5fff", alpha=0.5)
    axes.axhline(2 * mean, color="#a33", linewidth=0.8, linestyle="--")
    axes.text(0.2, 2 * mean, " twice the mean", color="#a33", va="bottom")
    axes.axvspan(DOWN[0] / 60, DOWN[1] / 60, color="#999", alpha=0.25)
    axes.text(DOWN[0] / 60, mean, " NinjaOne\n is down", va="center")
    axes.set(xlim=(0, HOURS), ylim=(0, 2.4 * mean), xlabel="hour; a million customers connect in its first ten minutes")
    axes.set_ylabel("refreshes per minute")
    axes.set_xticks(range(0, HOURS + 1, 3))
    figure.savefig(PICTURE, dpi=140)


if __name__ == "__main__":
    main()
