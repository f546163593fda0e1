"""The command line itself: its options, its commands, and how errors are shown."""

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from broker.errors import BrokerError
from ninjaone_connect import ConnectError
from ninjaone_connect_cli import (
    __version__,
    aws_errors,
    calls,
    completion,
    doctor,
    epoch,
    explain,
    import_tokens,
    init,
    issuance,
    rescue,
    reseal,
    restore,
    watch,
)
from ninjaone_connect_cli.context import CliContext
from ninjaone_connect_cli.group import Commands
from ninjaone_connect_cli.question import INTERRUPTED
from ninjaone_connect_cli.screen import Screen, never_fail_to_encode, open_missing_streams

ANYWHERE = ("--json", "--local")
"""Flags that may follow the command too."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--stack", default="ninjaone-connect", envvar="NINJAONE_CONNECT_STACK", show_default=True,
              help="The name of the CloudFormation stack.")  # fmt: skip
@click.option("--aws-region", envvar="AWS_REGION", help="The stack's region of AWS; by default that of your profile.")
@click.option("--profile", envvar="AWS_PROFILE", help="The AWS profile to use.")
@click.option("--local", is_flag=True, help="Act on what `make run` runs on this machine, instead of AWS.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines; errors too.")
@click.version_option(__version__)
@click.pass_context
def cli(
    context: click.Context, stack: str, aws_region: str | None, profile: str | None, *, local: bool, as_json: bool
) -> None:
    """Operate a NinjaOne Connect deployment. Begin with `doctor`.

    --local and --json may stand anywhere in the command.

    \b
    ninjaone-connect doctor
    ninjaone-connect --aws-region eu-west-1 connections list northwind
    ninjaone-connect connections list --status needs_reauth --json
    """
    context.obj = CliContext(Screen(as_json=as_json), None if local else (stack, aws_region, profile))


GROUPS = (
    init, doctor, watch, calls, explain, issuance, import_tokens, reseal, rescue, epoch, restore, completion,
)  # fmt: skip
for group in GROUPS:
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> NoReturn:
    """Run a command; an error is shown as one sentence, never as a traceback, which could hold a secret."""
    open_missing_streams()
    never_fail_to_encode()
    arguments = in_front(sys.argv[1:])
    speak = _Speak(as_json="--json" in arguments)
    try:
        cli(args=arguments, prog_name="ninjaone-connect", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except (click.Abort, KeyboardInterrupt):
        speak.end("Stopped. What was done is done; the same command goes on from there.", INTERRUPTED)
    except click.UsageError as misuse:
        speak.misused(misuse)
    except click.ClickException as trouble:
        speak.end(trouble.format_message(), trouble.exit_code)
    except BrokenPipeError:
        _leave_the_pipe()
    except Exception as error:  # noqa: BLE001  # it is raised again where it is a bug
        speak.failed(error)
    sys.exit(0)


def in_front(arguments: Sequence[str]) -> list[str]:
    """Move the flags that may stand anywhere to the front; after ``--`` there are no flags."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    flags = [each for each in ANYWHERE if each in arguments[:end]]
    return [*flags, *(each for each in arguments[:end] if each not in ANYWHERE), *arguments[end:]]


class _Speak:
    """Ends a command that failed."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def end(self, sentence: str, code: int) -> NoReturn:
        """Write the reason to standard error, and exit."""
        click.echo(json.dumps({"error": sentence, "exit_code": code}) if self._as_json else sentence, err=True)
        sys.exit(code)

    def failed(self, error: Exception) -> NoReturn:
        """Show an error and exit; an unexpected one is shown as a bug."""
        if aws_errors.is_known(error):
            self.end(aws_errors.said(error), 1)
        if isinstance(error, BrokerError | ConnectError):
            self.end(str(error), 1)
        if isinstance(error, OSError):
            about = f"{error.filename}: " if error.filename else "Standard output: " if _is_output_lost() else ""
            self.end(f"{about}{error.strerror or type(error).__name__}", 1)
        raise error

    def misused(self, misuse: click.UsageError) -> NoReturn:
        """Say what was not understood, and show a person the usage."""
        if self._as_json:
            self.end(misuse.format_message(), misuse.exit_code)
        misuse.show()
        sys.exit(misuse.exit_code)


def _leave_the_pipe() -> NoReturn:
    """Exit as a program does when the reader of its output, such as ``head``, has ended."""
    _null_output()
    sys.exit(0)


def _is_output_lost() -> bool:
    """Return whether standard output takes nothing more, as on a full disk; Python then tries no more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        _null_output()
        return True
    return False


def _null_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
