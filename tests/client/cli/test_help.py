"""The help of every command: nothing is cut off, and each shows how it is called."""

from collections.abc import Iterator

import click
import pytest

from ninjaone_connect_cli.app import cli


def every(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from every(each, f"{path} {name}")


COMMANDS = dict(every(cli, "ninjaone-connect"))


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_help_is_cut_off(path: str, columns: int) -> None:
    shown = COMMANDS[path].get_help(
        click.Context(COMMANDS[path], info_name=path, terminal_width=columns, **cli.context_settings)
    )

    assert "..." not in shown.replace("[ARGS]...", "")
    assert columns < 80 or max(map(len, shown.splitlines())) <= columns


@pytest.mark.parametrize("path", [path for path, each in COMMANDS.items() if not isinstance(each, click.Group)])
def test_each_help_shows_how_the_command_is_called(path: str) -> None:
    assert path in (COMMANDS[path].help or "").partition("\b")[2].replace("--stack ninjaone-connect-dev ", ""), path


def test_a_group_names_its_commands_in_whole_sentences() -> None:
    shown = " ".join(cli.get_help(click.Context(cli, terminal_width=80, **cli.context_settings)).split())

    assert "Check the deployment, and say what to do about what is not in order." in shown
