"""Questions before something that is not easily taken back, and what is said to somebody who answers no."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ninjaone_connect_cli.errors import CliError

INTERRUPTED = 130
Command = Callable[..., Any]


class NothingDone(CliError):
    """The command ended at a question, before its first change."""

    def __init__(self) -> None:
        super().__init__("Nothing was changed.")


class Interrupted(NothingDone):
    """It ended by Ctrl-C, or because nobody could answer."""

    exit_code = INTERRUPTED


def confirm(question: str) -> None:
    """Ask for a yes on standard error, where it spoils no JSON. Raises NothingDone."""
    with before_anything():
        if not click.confirm(question, err=True):
            raise NothingDone


@contextmanager
def before_anything() -> Iterator[None]:
    """Hold questions before which nothing was done: Ctrl-C, or no input at all, ends them with Interrupted."""
    try:
        yield
    except click.Abort:
        raise Interrupted from None


def confirmed(question: str) -> Callable[[Command], Command]:
    """Make an option --yes of a command that otherwise asks a question first."""

    def ask(context: click.Context, _: click.Parameter, yes: bool) -> None:
        if not yes and not context.resilient_parsing:
            confirm(question)

    return click.option("--yes", is_flag=True, expose_value=False, callback=ask, help="Ask nothing.")
