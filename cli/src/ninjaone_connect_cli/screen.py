"""What a person sees, and what a machine reads: tables and bars, or JSON. Only results go to standard output."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
Step = Callable[[], None]

_WIDE = 160
"""Columns where nobody looks: a pipe must get whole ids."""

_COLOURS = {
    "active": "green", "ok": "green", "done": "green", "renewed": "green", "imported": "green",
    "paused": "yellow", "pending_approval": "yellow", "look": "yellow", "waiting": "yellow",
    "needs_reauth": "red", "fix": "red", "failed": "red", "refused": "red",
    "disconnected": "dim", "skipped": "dim", "there already": "dim",
}  # fmt: skip


class Screen:
    """One command's way to speak."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
        self._talk = Console(stderr=True, highlight=False, quiet=as_json)

    def table(self, rows: Sequence[Row], columns: Mapping[str, str], *, empty: str) -> None:
        """Show rows.

        columns   key of a row → heading; a machine gets every key
        empty     what to say when there is none
        """
        if self.as_json:
            self._json(list(rows))
        elif not rows:
            self._talk.print(empty)
        else:
            self._out.print(_table(rows, columns))

    def record(self, row: Row) -> None:
        """Show one thing, a line for each of its parts."""
        if self.as_json:
            self._json(row)
            return
        grid = Table.grid(padding=(0, 2))
        for name, value in row.items():
            grid.add_row(Text(name.replace("_", " "), "dim"), _cell(name, value))
        self._out.print(grid)

    def say(self, text: str) -> None:
        """Tell a person something; machines hear nothing of it."""
        self._talk.print(text)

    @contextmanager
    def steps(self, what: str, total: int | None) -> Iterator[Step]:
        """Show a bar while something goes on; the step given moves it by one."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something goes on of which nobody knows how long it takes."""
        with self._progress(SpinnerColumn(), TextColumn("{task.description}")) as progress:
            progress.add_task(what, total=None)
            yield

    def _progress(self, *columns: ProgressColumn) -> Progress:
        """Make a bar that leaves no trace, and none at all where nobody looks."""
        return Progress(*columns, console=self._talk, transient=True, disable=not self._talk.is_terminal)

    def _json(self, what: object) -> None:
        sys.stdout.write(json.dumps(what, indent=1, default=str) + "\n")


def _table(rows: Iterable[Row], columns: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(key, row.get(key)) for key in columns))
    return table


def _cell(key: str, value: Any) -> Text:
    """Write one value; an instant is said as people do, and words that say how something is get their colour."""
    if value is None:
        return Text("–", "dim")
    if key.endswith("_at"):
        return Text(moment(value))
    if isinstance(value, list | tuple):
        return Text(", ".join(map(str, value)))
    return Text(str(value), _COLOURS.get(str(value), ""))


def moment(instant: int, now: float | None = None) -> str:
    """Write an instant as people say it: in 27 min, 3 d ago."""
    away = instant - (time.time() if now is None else now)
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(away) >= 2 * size:
            return f"in {away / size:.0f} {word}" if away > 0 else f"{-away / size:.0f} {word} ago"
    return f"in {away:.0f} s" if away > 0 else f"{-away:.0f} s ago"
