"""Completion: let a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_NINJAONE_CONNECT_COMPLETE"
"""What click asks for completions by; ``cli.main`` answers before anything else is read."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the code with which SHELL completes commands and options.

    \b
    eval "$(ninjaone-connect completion bash)"  # in ~/.bashrc
    eval "$(ninjaone-connect completion zsh)"   # in ~/.zshrc
    ninjaone-connect completion fish | source   # in config.fish
    """
    kind = get_completion_class(shell)
    if kind is None:  # every shell of SHELLS is one of click's own
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(context.find_root().command, {}, "ninjaone-connect", VARIABLE).source())


COMMANDS = (completion,)
