"""The rescue store: tokens that DynamoDB refused, waiting to be restored into their rows."""

import time
from typing import Any

import click

from broker.adapters.queues import BATCH_SIZE, Trigger
from broker.model import ConnectionRef
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.group import Commands

COLUMNS = {"tenant_id": "tenant", "connection_id": "connection", "version": "after version", "outcome": "outcome"}
MAX_LISTED = 1000
MAX_WAIT, POLL_INTERVAL = 300, 2
"""Seconds to wait for the refresh function, and between looks."""


@click.group(cls=Commands)
def rescue() -> None:
    """Handle tokens that DynamoDB refused."""


@rescue.command("list")
@pass_cli
def list_rescued(cli: CliContext) -> None:
    """List what waits in the rescue store.

    \b
    ninjaone-connect rescue list
    """
    cli.screen.table(_waiting(cli.deployment), COLUMNS, empty="Nothing waits: every token is in its row.")


@rescue.command("adopt")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until they are in their rows.")
@pass_cli
def adopt(cli: CliContext, *, wait: bool) -> None:
    """Have the refresh function restore everything that waits into its row now.

    \b
    ninjaone-connect rescue adopt
    """
    found = _waiting(cli.deployment)
    refs = list(dict.fromkeys(ConnectionRef(each["tenant_id"], each["connection_id"]) for each in found))
    for start in range(0, len(refs), BATCH_SIZE):
        cli.deployment.batches.send_batch(Trigger.RESCUE, refs[start : start + BATCH_SIZE])
    left = _wait_until_restored(cli, found) if wait and found else []
    for each in found:
        each["outcome"] = "waiting" if not wait or each in left else "done"
    cli.screen.table(found, COLUMNS, empty="Nothing waits: every token is in its row.")
    if left:
        raise CliError("Not all of them were taken in time: read the errors, then run this again.")


def _wait_until_restored(cli: CliContext, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Wait until nothing of what was found is left, or time is up; return what still is."""
    until = time.monotonic() + MAX_WAIT
    with cli.screen.waiting("Waiting for the refresh function"):
        while (left := [each for each in _waiting(cli.deployment) if each in found]) and time.monotonic() < until:
            time.sleep(POLL_INTERVAL)
    return left


def _waiting(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {"tenant_id": ref.tenant, "connection_id": ref.connection, "version": version}
        for ref, version in deployment.rescue.waiting(MAX_LISTED)
    ]


COMMANDS = (rescue,)
