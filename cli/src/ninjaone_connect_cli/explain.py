"""Explain a reference from the logs. They hold no secret, and only known fields of them are shown."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import click

from broker.text import hyphenated, words
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.screen import Row, moment

REFERENCE = re.compile(r"[A-Za-z0-9=_-]{6,64}")
_OF_A_PAGE = re.compile(r"([A-Za-z0-7]{4})[- ]?([A-Za-z0-7]{4})")
_READ_OUT = str.maketrans("01", "OI")
"""A page's reference has neither digit: who hears it read out writes them for the letters."""
MAX_LINES = 5000
"""Lines that are read; a backend that asks every few seconds writes thousands a day about one connection."""
FIELDS = (
    "tenant", "connection", "session", "host", "code", "meaning", "cause", "reason", "status", "problem", "error",
    "aws_service", "operation", "aws_request_id", "version", "left", "kind",
)  # fmt: skip
"""Fields that are shown of a line, if it has them, besides its time, level, function and event."""
_VARYING = ("logged_at", "about", "left")
"""What differs between lines of one event while nothing new happens."""
COLUMNS = {"logged_at": "when", "level": "level", "event": "event", "function": "function", "about": "about"}


@click.command()
@click.argument("reference")
@click.option("--days", type=click.IntRange(1, 90), default=7, show_default=True, help="How far back to look.")
@pass_cli
def explain(cli: CliContext, reference: str, *, days: int) -> None:
    """Say what REFERENCE was about: the reference on a page, a problem's request_id, a connection, a session.

    Reads the functions' logs, which hold no token, code or secret. With --local these are the lines that `make run`
    has in memory. Ends with 1 when they name it nowhere.

    \b
    ninjaone-connect explain JKJaXmPLvHcESHA=
    ninjaone-connect explain K7QF-2M6P
    ninjaone-connect explain con_abcdefghijklmnopqrstuvwx27 --days 30
    """
    reference = read(reference)
    if not REFERENCE.fullmatch(reference):
        raise click.UsageError(
            "A reference is 6 to 64 letters, digits, hyphens or underscores, and the = at the end of a request_id; "
            "copy all of it."
        )
    deployment = cli.deployment
    with cli.screen.waiting("Reading the logs"):
        events = deployment.log_events(reference, deployment.now() - days * 86_400, MAX_LINES)
        found = [_line(event) for event in events]
    if found or cli.screen.as_json:
        rows = found if cli.screen.as_json else list(collapsed(found, cli.screen.now()))
        cli.screen.table(rows, COLUMNS, empty="")
    if not found:
        raise CliError(f"Nothing in the last {days} days names {reference}; --days looks further back.")
    if len(found) == MAX_LINES:
        cli.screen.say(f"Only the first {MAX_LINES} lines were read; fewer --days leave out the oldest.")


def read(said: str) -> str:
    """Read a reference as somebody pasted it or heard it: ``k7qf 2m6p`` is ``K7QF-2M6P``."""
    found = hyphenated(" ".join(words(said.rpartition(":")[2]))).rstrip(" ,;.")
    page = _OF_A_PAGE.fullmatch(found)
    return f"{page[1]}-{page[2]}".upper().translate(_READ_OUT) if page else found


def collapsed(lines: Iterable[Row], now: float) -> Iterator[Row]:
    """Make one row of lines that follow each other and say the same: ``token.issued ×79``, and until when."""
    for what, alike in groupby(lines, key=_unvarying):
        first, *others = alike
        if others:
            about = f"{_in_words(what)}, until {moment(others[-1]['logged_at'], now)}"
            yield {**first, "event": f"{first['event']} ×{len(others) + 1}", "about": about}
        else:
            yield first


def _unvarying(line: Row) -> Row:
    return {name: value for name, value in line.items() if name not in _VARYING}


def _in_words(line: Row) -> str:
    return ", ".join(f"{name} {line[name]}" for name in FIELDS if name in line)


def _line(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        said = json.loads(event["message"])
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    about = {name: said[name] for name in FIELDS if isinstance(said.get(name), str | int)}
    return {
        "logged_at": event["timestamp"] // 1000,
        "level": str(said.get("level", "")),
        "event": str(said.get("message", said.get("type", "a line of Lambda's own"))),
        "function": str(said.get("function", "")),
        "about": _in_words(about),
        **about,
    }


COMMANDS = (explain,)
