"""Arguments that name a tenant or a connection, read before anything is done.

An empty one, as of a shell variable that is not set, is refused: where an argument may be left out, it would stand for
everybody.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from broker.model import connection_id, tenant_id
from broker.text import trimmed

_AROUND = " ,;\"'`<>()[]{}\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
"""What stays around a name that is copied out of JSON or a sentence; cmd.exe passes single quotation marks on."""


class Name(click.ParamType):  # type: ignore[type-arg]  # generic only in later releases of click
    """A name that has to look like one; whitespace and quotation marks around it come from copying."""

    def __init__(self, name: str, read: Callable[[str], str | None], wanted: str) -> None:
        self.name, self._read, self._wanted = name, read, wanted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises click.BadParameter."""
        text = trimmed(trimmed(str(value)).strip(_AROUND))
        return self._read(text) or self.fail(f"{self._wanted}{odd_character(text)}.", param, ctx)


class Moment(click.ParamType):  # type: ignore[type-arg]  # as above
    """A date with a time; in UTC where it names no zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant, in UTC. Raises click.BadParameter."""
        text = trimmed(str(value))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or ":" not in text:  # a date alone
            self.fail("An instant is a date and a time in UTC, such as 2026-11-23T14:00:00Z.", param, ctx)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def odd_character(text: str) -> str:
    """Name the first character of a text that no name has, though it may look like one or not show at all."""
    return next((f"; it holds U+{ord(each):04X}" for each in text if not each.isascii()), "")


TENANT = Name("tenant", tenant_id, "A tenant is 1 to 64 letters, digits, dots, hyphens or underscores")
CONNECTION = Name("connection", connection_id, "A connection is con_ and 26 letters and digits; copy all of it")
TABLE = Name(
    "table",
    lambda text: text if re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", text) else None,
    "A table's name is 3 to 255 letters, digits, dots, hyphens or underscores, as `restore begin` showed it",
)
