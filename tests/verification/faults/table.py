"""The tables: all that was seen in docs/understand/faults.md, the short of it in the README."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.verification.faults import aws, ninjaone, operation
from tests.verification.faults.matrix import FRESH, HELD, NOTHING, Observed, Row

ROOT = Path(__file__).parents[3]
BEGIN, END = "<!-- faults: made by `make faults`, compared by a test -->", "<!-- /faults -->"
GROUPS: Mapping[str, tuple[Row, ...]] = {
    "NinjaOne, and the way there": ninjaone.ROWS,
    "AWS, and the process": aws.ROWS,
    "Callers, settings, and the table": operation.ROWS,
}
ROWS = tuple(row for rows in GROUPS.values() for row in rows)
COLUMNS = (
    "Fault", "What the broker does", "A caller gets, while the held token lasts", "and once it has ended", "Lost",
    "How it ends", "In the log", "Most often seen at NinjaOne", "A connection beside it",
)  # fmt: skip
SHORT = ("Fault", "What the broker does", "A caller of `token` gets", "Lost")


def line(row: Row, seen: Observed) -> str:
    """Write a row of the whole table."""
    said = ", ".join(f"`{name}`" for name in seen.said) or "–"
    shown = {0: "never", 1: "once"}.get(seen.shown, f"{seen.shown} times")
    cells = (row.fault, row.does, seen.valid, seen.ended, lost(seen), seen.heals, said, shown, seen.beside)
    return f"| {' | '.join(cells)} |"


def short(row: Row, seen: Observed) -> str:
    """Write a row of the short table."""
    return f"| {row.fault} | {row.does} | {gets(seen)} | {lost(seen)} |"


def lost(seen: Observed) -> str:
    return seen.lost if seen.lost == NOTHING else f"**{seen.lost}**"


def gets(seen: Observed) -> str:
    """Say in one cell what a caller gets."""
    if seen.valid in {FRESH, seen.ended}:
        return seen.valid
    if seen.valid == "–":
        return seen.ended
    return f"{seen.valid}, then {seen.ended}" if seen.valid == HELD else f"{seen.valid}; once it ended {seen.ended}"


def tables(seen: Mapping[str, Observed]) -> dict[str, str]:
    """Write what goes into each page.

    seen   by fault
    """
    whole = "\n\n".join(
        "\n".join((f"## {title}", "", *_head(COLUMNS), *(line(row, seen[row.fault]) for row in rows)))
        for title, rows in GROUPS.items()
    )
    brief = "\n".join((*_head(SHORT), *(short(row, seen[row.fault]) for row in ROWS)))
    return {"docs/understand/faults.md": whole, "README.md": brief}


def _head(columns: Iterable[str]) -> tuple[str, str]:
    names = tuple(columns)
    return f"| {' | '.join(names)} |", "|" + "---|" * len(names)


def committed(page: str) -> str:
    """Read what stands between the marks of a page."""
    text = (ROOT / page).read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()


def put(page: str, table: str) -> None:
    """Put a table between the marks of a page."""
    path = ROOT / page
    before, rest = path.read_text().split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}")
