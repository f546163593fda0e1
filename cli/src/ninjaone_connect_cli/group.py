"""A group of commands whose help names each of them in a whole sentence: click cuts them off at one line."""

import click


class Commands(click.Group):
    """A group; the groups below it are of its kind."""

    group_class = type

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line or more for each command, in the order of their names."""
        named = [(name, summary(self.commands[name])) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(named)


def summary(command: click.Command) -> str:
    """Return the first paragraph of a command's help."""
    return " ".join((command.help or "").partition("\n\n")[0].split())
