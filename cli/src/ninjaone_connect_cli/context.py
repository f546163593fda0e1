"""What every command gets: the deployment it acts on, looked up when it is first used, and the screen."""

from functools import cached_property
from pathlib import Path

import click

from ninjaone_connect_cli.deployment import Deployment, on_aws, on_this_machine
from ninjaone_connect_cli.screen import Screen


class CliContext:
    """The deployment that a command acts on, and the screen it writes to."""

    def __init__(self, screen: Screen, stack: tuple[str, str | None, str | None] | None) -> None:
        """Store what the options say.

        Args:
            stack: name, region and profile; None for this machine
        """
        self.screen, self._stack = screen, stack

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment. Raises CliError."""
        with self.screen.waiting("Looking for the deployment"):
            found = on_aws(*self._stack) if self._stack else on_this_machine(Path.cwd())
        self.screen.now = found.now
        return found


pass_cli = click.make_pass_decorator(CliContext)
"""Passes the ``CliContext`` to a command as its first argument."""
