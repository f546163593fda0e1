"""Arguments that name a tenant or a connection, read before anything is done.

An empty one, as of a shell variable that is not set, is refused: where an argument may be left out, it would stand for
everybody.
"""

from collections.abc import Callable
from typing import Any

import click

from broker.model import connection_id, tenant_id


class Name(click.ParamType):  # type: ignore[type-arg]  # generic only in later releases of click
    """A name that has to look like one; whitespace around it comes from copying."""

    def __init__(self, name: str, read: Callable[[str], str | None], wanted: str) -> None:
        self.name, self._read, self._wanted = name, read, wanted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises click.BadParameter."""
        return self._read(str(value).strip()) or self.fail(self._wanted, param, ctx)


TENANT = Name("tenant", tenant_id, "A tenant is 1 to 64 letters, digits, dots, hyphens or underscores.")
CONNECTION = Name("connection", connection_id, "A connection is con_ and 26 letters and digits; copy all of it.")
