"""Why a command failed, in one sentence that says what to do."""

import click


class CliError(click.ClickException):
    """Shown without a traceback; the command exits with 1."""

    def format_message(self) -> str:
        """Return the sentence as it is."""
        return self.message
