"""What a person sees, and what a machine reads: tables and bars, or JSON. Only results go to standard output.

What a person copies (a link, a token, an id) is never cut or folded: where a window is too narrow, other columns are
folded, then left out and named. No name that a customer chose acts on the terminal, and no encoding stops a command.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
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
from rich.text import Text

from broker.text import escaped

Row = Mapping[str, Any]
Step = Callable[[], None]

GAP = 2
USUAL_WIDTH = 80
NARROWEST = 12
"""Columns of the screen below which a text is not folded: it would not be read."""

_COLOURS = {
    "active": "green", "ok": "green", "done": "green", "renewed": "green", "imported": "green", "corrected": "green",
    "paused": "yellow", "pending_approval": "yellow", "look": "yellow", "waiting": "yellow",
    "needs_reauth": "red", "fix": "red", "failed": "red", "refused": "red",
    "disconnected": "dim", "skipped": "dim", "there already": "dim",
}  # fmt: skip

_FOLDED = frozenset({"label", "organizations", "paused", "says", "outcome", "scopes", "about", "event"})
"""What is read and not copied, so that it may be broken between words."""


def open_missing_streams() -> None:
    """Put the null device where a standard stream was closed, as under ``>&-`` and some schedulers.

    Otherwise the next file that is opened takes its descriptor, and gets what was meant for the stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # for the whole process


def never_fail_to_encode() -> None:
    r"""Let every character be written to standard output and error: as ``\u2013`` where the encoding lacks it.

    What is typed in another encoding is read too, as halves of characters, which every question refuses.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Make a console as wide as COLUMNS says on a dumb terminal too, for which rich says 80 without a height."""
    said = os.environ.get("COLUMNS", "")
    columns = int(said) if said.isascii() and said.isdigit() else 0
    if not columns and said.isdigit():  # 0, as some terminals without a size say; rich would show nothing at all
        columns = USUAL_WIDTH
    return Console(highlight=False, stderr=stderr, quiet=quiet, width=columns or None, height=25 if columns else None)


class Screen:
    """How a command writes its output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.now: Callable[[], float] = time.time
        """Unix seconds of the deployment that is looked at."""
        self._out = _console()
        self._talk = _console(stderr=True, quiet=as_json)

    def table(self, rows: Sequence[Row], columns: Mapping[str, str], *, empty: str) -> None:
        """Show rows.

        Args:
            columns: key of a row → heading, the most important first; a machine gets every key
            empty: what to say when there is none
        """
        if self.as_json:
            self._json(list(rows))
        elif not rows:
            self.say(empty)
        else:
            self._table(rows, columns)

    def record(self, row: Row) -> None:
        """Show one thing, a line for each of its parts."""
        if self.as_json:
            self._json(row)
            return
        widest = max(map(cell_len, row), default=0)
        for name, value in row.items():
            padded = name.replace("_", " ").ljust(widest + GAP)
            self._line(Text.assemble((padded, "dim"), self._cell(name, value)))

    def lines(self, texts: Iterable[str]) -> None:
        """Show sentences and commands, each on a line of its own however long it is; a machine has them in the rows."""
        if not self.as_json:
            for text in texts:
                self._line(Text(escaped(text)))

    def say(self, text: str) -> None:
        """Write something for a person; it is not part of the JSON output."""
        self._talk.print(Text(text), soft_wrap=True)

    @contextmanager
    def steps(self, what: str, total: int | None) -> Iterator[Step]:
        """Show a progress bar; the yielded function advances it by one."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something of unknown duration is going on."""
        with self._progress(SpinnerColumn(), TextColumn("{task.description}")) as progress:
            progress.add_task(what, total=None)
            yield

    def _progress(self, *columns: ProgressColumn) -> Progress:
        """Make a bar that disappears at its end, and shows nothing without a terminal."""
        return Progress(*columns, console=self._talk, transient=True, disable=not self._talk.is_terminal)

    def _json(self, what: object) -> None:
        sys.stdout.write(json.dumps(what, indent=1, default=str) + "\n")

    def _line(self, text: Text) -> None:
        """Print one line whole: the terminal breaks it where it must, so that what is copied comes out in one piece."""
        text.rstrip()
        self._out.print(text, soft_wrap=True)

    def _table(self, rows: Sequence[Row], columns: Mapping[str, str]) -> None:
        cells = [{key: self._cell(key, row.get(key)) for key in columns} for row in rows]
        widths = {
            key: max(cell_len(heading), *(cell_len(line) for row in cells for line in row[key].plain.split("\n")))
            for key, heading in columns.items()
        }
        shown = fitted(widths, self._out.width if sys.stdout.isatty() else None)
        self._row({key: Text(heading, "bold") for key, heading in columns.items()}, shown)
        for row in cells:
            self._row(row, shown)
        left_out = [heading for key, heading in columns.items() if key not in shown]
        if left_out:
            self.say(f"Not shown for want of room: {', '.join(left_out)}. Widen the window, or use --json.")

    def _row(self, cells: Mapping[str, Text], widths: Mapping[str, int]) -> None:
        folded = {key: list(cells[key].wrap(self._out, width)) for key, width in widths.items()}
        for number in range(max(map(len, folded.values()))):
            line = Text()
            for key, width in widths.items():
                part = folded[key][number] if number < len(folded[key]) else Text()
                part.rstrip()
                line.append_text(part).append(" " * (width - part.cell_len + GAP))
            self._line(line)

    def _cell(self, key: str, value: Any) -> Text:
        """Format one value: an instant in words, a status in its colour."""
        if value in (None, "", []):
            return Text("-", "dim")
        if key.endswith("_at") and isinstance(value, int | float):
            return Text(moment(int(value), self.now()))
        if isinstance(value, list | tuple):
            return Text(escaped(", ".join(map(str, value))))
        return Text(escaped(str(value)), _COLOURS.get(str(value), ""))


def fitted(widths: Mapping[str, int], room: int | None) -> Mapping[str, int]:
    """Return how wide each column is shown: texts are folded first, the widest most; then columns go, from the last.

    Args:
        room: columns of the screen; None where there is no end to them
    """
    shown = dict(widths)
    while room is not None and (over := sum(shown.values()) + GAP * (len(shown) - 1) - room) > 0:
        folding = [key for key in shown if key in _FOLDED and shown[key] > NARROWEST]
        spare = sum(shown[key] - NARROWEST for key in folding)
        if spare >= over:
            widest = max(folding, key=lambda key: shown[key])
            shown[widest] -= 1
        elif len(shown) > 1:
            shown.popitem()
        else:
            return shown
    return shown


def moment(instant: int, now: float | None = None) -> str:
    """Write an instant in UTC, and as people say it: ``2026-11-30 01:05Z, in 27 min``."""
    try:
        absolute = f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%MZ}, "
    except (ValueError, OverflowError, OSError):  # beyond what a calendar holds
        absolute = ""
    return absolute + _away(instant - (time.time() if now is None else now))


def _away(away: float) -> str:
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if abs(away) >= 2 * size:
            return f"in {away / size:.0f} {word}" if away > 0 else f"{-away / size:.0f} {word} ago"
    return f"in {away:.0f} s" if away > 0 else f"{-away:.0f} s ago"
