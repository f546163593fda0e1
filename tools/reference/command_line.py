"""The page of the command line, from its help texts."""

from collections.abc import Iterator

import click

from ninjaone_connect_cli.app import cli

NAME = "ninjaone-connect"
HEAD = """# The command line

Written from the help texts by `python -m tools.reference`; a test compares it. `ninjaone-connect` acts under your own
AWS login; [permissions.md](../operate/permissions.md) says what each command needs. With `--local` every command acts
on what `make run` runs, so that it can be tried there first.

| exit code | meaning |
|---|---|
| 0 | it is done |
| 1 | it failed, or you answered no; `explain` found nothing; `doctor` found something to do; it says what |
| 2 | the command was not understood |
| 130 | it was interrupted: at a question nothing was changed, and otherwise the same command goes on from there |
"""


def page() -> str:
    """Write the page."""
    return HEAD + "".join(f"\n## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(cli, NAME, None))


def _helps(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    name, settings = path.rpartition(" ")[2], command.context_settings
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, **settings)
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name, each in sorted(command.commands.items()):
            yield from _helps(each, f"{path} {name}", context)
