"""The command line itself: which deployment, how to speak, and the commands."""

import sys
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError

from broker.errors import AwsRefused, BrokerError
from ninjaone_connect import ConnectError
from ninjaone_connect_cli import __version__, calls, doctor, epoch, import_tokens, rescue, reseal, restore
from ninjaone_connect_cli.at import At
from ninjaone_connect_cli.screen import Screen


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stack", default="ninjaone-connect", envvar="NINJAONE_CONNECT_STACK", show_default=True,
              help="The name of the CloudFormation stack.")  # fmt: skip
@click.option("--region", envvar="AWS_REGION", help="Its AWS region; by default that of your profile.")
@click.option("--profile", envvar="AWS_PROFILE", help="The AWS profile to use.")
@click.option("--local", is_flag=True, help="Act on what `make run` runs on this machine, instead of AWS.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")
@click.version_option(__version__)
@click.pass_context
def cli(
    context: click.Context, stack: str, region: str | None, profile: str | None, *, local: bool, as_json: bool
) -> None:
    """Operate a NinjaOne Connect deployment. Begin with `doctor`."""
    context.obj = At(Screen(as_json=as_json), None if local else (stack, region, profile))


for group in (doctor, calls, import_tokens, reseal, rescue, epoch, restore):
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> NoReturn:
    """Run a command; what goes wrong is one sentence, never a traceback with somebody's secret in it."""
    try:
        cli(prog_name="ninjaone-connect", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        _end("Stopped. What was done is done; the same command goes on from there.", 130)
    except click.ClickException as trouble:
        trouble.show()
        sys.exit(trouble.exit_code)
    except AwsRefused as refused:
        _end(f"AWS refused ({refused.code}): {refused.operation}.", 1)
    except (BrokerError, ConnectError) as trouble:
        _end(str(trouble), 1)
    except ClientError as error:
        _end(f"AWS refused ({error.response['Error']['Code']}): {error.operation_name}.", 1)
    except BotoCoreError as error:
        _end(f"AWS could not be reached ({type(error).__name__}).", 1)
    sys.exit(0)


def _end(sentence: str, code: int) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(code)
