"""The restore epoch: which rows of which table may be presented to NinjaOne."""

import json
from collections import Counter
from dataclasses import dataclass

import click

from ninjaone_connect_cli.at import At, here
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
@here
def show(at: At, *, count: bool) -> None:
    """Show the active epoch, and whether it is this deployment's table.

    \b
    ninjaone-connect epoch show --count
    """
    active, table = read(at.deployment), at.deployment.config.connections_table
    shown: dict[str, object] = {
        "epoch": active.epoch,
        "table": active.table,
        "presents": "yes" if active.table == table else f"no: the functions use {table}",
    }
    if count:
        store = Store(at.deployment.aws("dynamodb"), table)
        counted = Counter(row.epoch for row in store.connections())
        shown |= {f"connections of epoch {number}": counted[number] for number in sorted(counted)}
    at.screen.record(shown)


@epoch.command()
@confirmed("No row that exists now will be refreshed until it is activated. Go on?")
@here
def hold(at: At) -> None:
    """Begin a new epoch: no token of the rows there are now is presented until `restore activate`.

    For a table that was restored under its own name. New connections are made under the new epoch.

    \b
    ninjaone-connect epoch hold
    """
    active = read(at.deployment)
    write(at.deployment, Active(active.epoch + 1, at.deployment.config.connections_table))
    at.screen.record({"epoch": active.epoch + 1, "in_force": f"in {SETTLED} s at the latest"})


@epoch.command()
@click.option("--epoch", "number", type=click.IntRange(1), help="Another epoch; by default the active one stays.")
@confirmed("The functions will present this table's tokens to NinjaOne. Go on?")
@here
def activate(at: At, number: int | None) -> None:
    """Let the rows of this deployment's table be presented to NinjaOne.

    \b
    ninjaone-connect epoch activate
    """
    active = Active(number or read(at.deployment).epoch, at.deployment.config.connections_table)
    write(at.deployment, active)
    at.screen.record({"epoch": active.epoch, "table": active.table, "in_force": f"in {SETTLED} s at the latest"})


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
