"""The restore epoch: which rows of which table may be presented to NinjaOne."""

import json
from collections import Counter
from dataclasses import dataclass

import click

from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.group import Commands
from ninjaone_connect_cli.question import confirmed
from ninjaone_connect_cli.store import Store

SETTLED = 245
"""Seconds until no function uses the old epoch any more: it is cached for 60, and a refresh runs for 180 at most."""


@dataclass(frozen=True)
class Active:
    """What the parameter says."""

    epoch: int
    table: str


@click.group(cls=Commands)
def epoch() -> None:
    """Show or change which rows may be presented to NinjaOne. It matters after a restore."""


@epoch.command()
@click.option("--count", is_flag=True, help="Count the connections of each epoch; reads the whole table.")
@pass_cli
def show(cli: CliContext, *, count: bool) -> None:
    """Show the active epoch, and whether it is this deployment's table.

    \b
    ninjaone-connect epoch show --count
    """
    active, table = read(cli.deployment), cli.deployment.config.connections_table
    shown: dict[str, object] = {
        "epoch": active.epoch,
        "table": active.table,
        "presents": "yes" if active.table == table else f"no: the functions use {table}",
    }
    if count:
        store = Store(cli.deployment.aws("dynamodb"), table)
        counted = Counter(row.epoch for row in store.connections())
        shown |= {f"connections of epoch {number}": counted[number] for number in sorted(counted)}
    cli.screen.record(shown)


@epoch.command()
@confirmed("No row that exists now will be refreshed until it is activated. Go on?")
@pass_cli
def hold(cli: CliContext) -> None:
    """Begin a new epoch: no token of the rows there are now is presented until `restore activate`.

    For a table that was restored under its own name. New connections are made under the new epoch.

    \b
    ninjaone-connect epoch hold
    """
    active = read(cli.deployment)
    write(cli.deployment, Active(active.epoch + 1, cli.deployment.config.connections_table))
    cli.screen.record({"epoch": active.epoch + 1, "in_force": f"in {SETTLED} s at the latest"})


@epoch.command()
@click.option("--epoch", "number", type=click.IntRange(1), help="Another epoch; by default the active one stays.")
@confirmed("The functions will present this table's tokens to NinjaOne. Go on?")
@pass_cli
def activate(cli: CliContext, number: int | None) -> None:
    """Let the rows of this deployment's table be presented to NinjaOne.

    \b
    ninjaone-connect epoch activate
    """
    active = Active(number or read(cli.deployment).epoch, cli.deployment.config.connections_table)
    write(cli.deployment, active)
    cli.screen.record({"epoch": active.epoch, "table": active.table, "in_force": f"in {SETTLED} s at the latest"})


def read(deployment: Deployment) -> Active:
    """Read the parameter. Raises CliError."""
    parameter = deployment.config.epoch_parameter
    text = deployment.aws("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    try:
        stored = json.loads(text)
        return Active(int(stored["epoch"]), str(stored["table"]))
    except (ValueError, KeyError, TypeError):
        raise CliError(
            f'The parameter {parameter} must hold {{"epoch": <number>, "table": "<table name>"}}. '
            "`ninjaone-connect epoch activate --epoch N` writes it anew; look up N with `epoch show --count`."
        ) from None


def write(deployment: Deployment, active: Active) -> None:
    """Write the parameter."""
    value = json.dumps({"epoch": active.epoch, "table": active.table})
    deployment.aws("ssm").put_parameter(Name=deployment.config.epoch_parameter, Value=value, Overwrite=True)


COMMANDS = (epoch,)
