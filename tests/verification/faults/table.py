"""The tables of docs/understand/faults.md: what was seen of each fault."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.verification.faults import aws, ninjaone, operation
from tests.verification.faults.matrix import NOTHING, Observed, Row

PAGE = Path(__file__).parents[3] / "docs/understand/faults.md"
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


def line(row: Row, seen: Observed) -> str:
    """Write a row."""
    said = ", ".join(f"`{name}`" for name in seen.said) or "–"
    shown = {0: "never", 1: "once"}.get(seen.shown, f"{seen.shown} times")
    cells = (row.fault, row.does, seen.valid, seen.ended, lost(seen), seen.heals, said, shown, seen.beside)
    return f"| {' | '.join(cells)} |"


def lost(seen: Observed) -> str:
    return seen.lost if seen.lost == NOTHING else f"**{seen.lost}**"


def tables(seen: Mapping[str, Observed]) -> str:
    """Write what goes between the marks of the page.

    Args:
        seen: by fault
    """
    return "\n\n".join(
        "\n".join((f"## {title}", "", *_head(COLUMNS), *(line(row, seen[row.fault]) for row in rows)))
        for title, rows in GROUPS.items()
    )


def _head(columns: Iterable[str]) -> tuple[str, str]:
    names = tuple(columns)
    return f"| {' | '.join(names)} |", "|" + "---|" * len(names)


def committed() -> str:
    """Read what is between the marks of the page."""
    text = PAGE.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()


def put(written: str) -> None:
    """Put the tables between the marks of the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{rest.split(END)[1]}")
