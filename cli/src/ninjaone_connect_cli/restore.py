"""Restore: rows from point-in-time recovery are copied into the live table, at first without effect.

begin      DynamoDB makes a table as the live one was at an instant; it takes minutes
copy       rows that the live table lacks are copied, under an epoch that is never active: none is presented
probe      a few are activated and refreshed, to see whether NinjaOne still accepts such tokens
activate   the rest are activated

Usable rows of the live table always win: their tokens are newer, and a connection that was ended stays ended.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from broker import policy
from broker.adapters.clock import SystemClock, instant
from broker.adapters.queues import Trigger
from broker.adapters.seal import Seal
from broker.errors import SealBroken
from broker.model import ConnectionRef, ConnectionState, Profile, Purpose, Status
from ninjaone_connect_cli import epoch
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.group import Commands
from ninjaone_connect_cli.names import TABLE, Moment
from ninjaone_connect_cli.question import confirmed
from ninjaone_connect_cli.store import Store

INERT = 0
"""An epoch before the first."""
MAX_AGE = policy.DISCONNECTED_KEPT - policy.DAY
"""Seconds back for which the live table still knows what was disconnected meanwhile."""
POLL_INTERVAL, MAX_WAIT = 2, 180
WAIT_FOR_TABLE = 3600 * 8

PROBED = {"tenant_id": "tenant", "connection_id": "connection", "outcome": "outcome", "reason": "reason"}


@click.group(cls=Commands)
def restore() -> None:
    """Restore connections from a backup, a few at first."""


@restore.command()
@click.option("--at", "moment", type=Moment(), required=True,
              help="The instant to go back to, UTC, such as 2026-11-23T14:00:00Z.")  # fmt: skip
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the table is there.")
@pass_cli
def begin(cli: CliContext, moment: datetime, *, wait: bool) -> None:
    """Restore the live table as it was at an instant, as a new table. The live one is not touched.

    \b
    ninjaone-connect restore begin --at 2026-11-23T14:00:00Z
    """
    now = instant(SystemClock())
    if moment.timestamp() > now:
        raise CliError(
            f"That is in the future: it is {datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ} now, in UTC."
        )
    if moment.timestamp() < now - MAX_AGE:
        raise CliError("That is too far back: what was disconnected since is forgotten by now, and would come back.")
    source = cli.deployment.config.connections_table
    target = f"{source}-{moment:%Y%m%dT%H%M%S}"
    dynamodb = cli.deployment.aws("dynamodb")
    dynamodb.restore_table_to_point_in_time(SourceTableName=source, TargetTableName=target, RestoreDateTime=moment)
    if wait:
        with cli.screen.waiting(f"DynamoDB makes {target}; this may take an hour"):
            waiter = dynamodb.get_waiter("table_exists")
            waiter.wait(TableName=target, WaiterConfig={"Delay": 20, "MaxAttempts": WAIT_FOR_TABLE // 20})
    cli.screen.record({"table": target, "next": f"ninjaone-connect restore copy {target}"})


@restore.command()
@click.argument("table", type=TABLE)
@click.option("--dry-run", is_flag=True, help="Count what would be copied and write nothing.")
@click.option("--replace-broken", is_flag=True, help="Also replace live rows whose refresh token does not open.")
@pass_cli
def copy(cli: CliContext, table: str, *, dry_run: bool, replace_broken: bool) -> None:
    """Copy from the restored TABLE what the live one lacks. Nothing copied is presented yet.

    \b
    ninjaone-connect restore copy --dry-run \\
        ninjaone-connect-Connections-20261123T140000
    """
    if table == cli.deployment.config.connections_table:
        raise CliError("That is the live table. Name the restored one.")
    restored = Store(cli.deployment.aws("dynamodb"), table)
    copier = _Copier(cli.deployment, restored, dry_run=dry_run, replace_broken=replace_broken)
    counts: Counter[str] = Counter()
    with cli.screen.steps("Copying", _size(restored, table)) as step:
        for row in restored.connections():
            counts[copier.copy(row)] += 1
            step()
    cli.screen.record(counts)


@restore.command()
@click.option("--count", type=click.IntRange(1, 50), default=3, show_default=True, help="How many to try.")
@pass_cli
def probe(cli: CliContext, count: int) -> None:
    """Activate a few of the copied connections, have them refreshed, and report the results.

    \b
    ninjaone-connect restore probe --count 3
    """
    activator = _Activator(cli.deployment)
    active = (row for row in activator.inert() if row.status is Status.ACTIVE)
    chosen = [row for row in itertools.islice(active, count) if activator.activate(row)]
    refs = [ConnectionRef(row.tenant, row.connection) for row in chosen]
    if not refs:
        raise CliError("There is nothing to probe: no connection waits for its activation.")
    cli.deployment.batches.send_batch(Trigger.DUE, refs)
    results = _wait_for_results(cli, {ConnectionRef(row.tenant, row.connection): row for row in chosen})
    cli.screen.table(results, PROBED, empty="")
    if any(each["outcome"] != "renewed" for each in results):
        raise CliError(
            "Not all were renewed. Tokens that NinjaOne replaced after the backup are lost; their customers connect "
            "again. Go on with `restore activate` all the same, or stop here."
        )


@restore.command()
@confirmed("Every connection that was copied will be refreshed. Go on?")
@pass_cli
def activate(cli: CliContext) -> None:
    """Activate the rest. It is safe to stop: the same command then does the rest.

    \b
    ninjaone-connect restore activate
    """
    activator = _Activator(cli.deployment)
    waiting = list(activator.inert())
    with cli.screen.steps("Activating", len(waiting)) as step:
        done = 0
        for row in waiting:
            done += activator.activate(row)
            step()
    cli.screen.record({"activated": done, "changed meanwhile": len(waiting) - done})


def _size(restored: Store, table: str) -> int:
    """Return about how many items a table that somebody named holds. Raises CliError if there is no such table."""
    try:
        return restored.count()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise CliError(f"There is no table {table} yet: name it as `restore begin` showed it.") from None


class _Copier:
    """Copies rows, one connection at a time."""

    def __init__(self, deployment: Deployment, restored: Store, *, dry_run: bool, replace_broken: bool) -> None:
        self._restored, self._dry_run, self._replace_broken = restored, dry_run, replace_broken
        self._live = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
        self._seal: Seal = deployment.seal

    def copy(self, row: ConnectionState) -> str:
        """Copy one connection if the live table needs it; return the outcome."""
        ref = ConnectionRef(row.tenant, row.connection)
        profile = self._restored.profile(ref)
        if row.refresh is None or profile is None:
            return "nothing to bring back"
        live = self._live.row(ref)
        if live and live.is_later:
            return "kept: a later release wrote it"
        if live and live.is_unreadable and live.was_ended:
            return "kept: it was disconnected"
        if live and live.is_unreadable and not self._replace_broken:
            return "can't be read (--replace-broken)"
        if live and live.state and not self._is_broken(live.state):
            return self._restore_profile(live.state, row, profile)
        if self._dry_run:
            return "would be copied"
        inert = _inert(row, live.fence if live else 0)
        stored = self._live.replace(live, inert, profile) if live else self._live.make(inert, profile)
        return "copied" if stored else "changed meanwhile"

    def _restore_profile(self, live: ConnectionState, row: ConnectionState, profile: Profile) -> str:
        """Keep a live row as it is, but restore its profile, with the client secret, if that is missing."""
        lost = self._live.profile(ConnectionRef(live.tenant, live.connection)) is None
        if not lost or live.status is Status.DISCONNECTED or live.client_id != row.client_id:
            return "kept as it is"
        if self._dry_run:
            return "its profile would be copied"
        return "profile copied" if self._live.add_profile(profile) else "changed meanwhile"

    def _is_broken(self, live: ConnectionState) -> bool:
        """Return whether a live row holds a refresh token that nobody can open."""
        if not self._replace_broken or live.refresh is None or live.status is Status.DISCONNECTED:
            return False
        try:
            self._seal.open(live.refresh, Purpose.REFRESH, live.aad)
        except SealBroken:
            return True
        return False


def _inert(row: ConnectionState, fence: int) -> ConnectionState:
    """Return the row to copy: not due, not presented, and marked as holding a token that may be an old one."""
    return replace(
        row,
        epoch=INERT,
        fence=max(row.fence, fence) + 1,
        outcome_unknown=True,
        refresh_at=None,
        due_shard=None,
        lease_until=None,
        lease_id=None,
        failures=0,
        cause="",
        struck_at=None,
    )


class _Activator:
    """Lets rows of an older epoch be presented."""

    def __init__(self, deployment: Deployment) -> None:
        self._store = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
        active = epoch.read(deployment)
        if active.table != deployment.config.connections_table:
            raise CliError("The active table is another one: see `ninjaone-connect epoch show`.")
        self._epoch = active.epoch

    def inert(self) -> Iterator[ConnectionState]:
        """Yield connections that could be refreshed if they were of the active epoch."""
        for row in self._store.connections():
            if row.epoch < self._epoch and row.refresh and row.status is not Status.DISCONNECTED:
                yield row

    def activate(self, row: ConnectionState) -> bool:
        """Activate one, due at once; return False if something else changed it.

        Its token may be an old one, so the refresh looks into the rescue store first, and names no cause if it is dead.
        """
        change: dict[str, Any] = {"epoch": self._epoch, "outcome_unknown": True}
        if row.status is not Status.PENDING_APPROVAL:  # that one is due when it is approved
            change |= {"refresh_at": instant(SystemClock()), "due_shard": policy.shard(row.connection)}
        return self._store.raise_epoch(row, change)


def _wait_for_results(cli: CliContext, before: dict[ConnectionRef, ConnectionState]) -> list[dict[str, Any]]:
    """Read rows until each was refreshed or refused, or time is up."""
    store = Store(cli.deployment.aws("dynamodb"), cli.deployment.config.connections_table)
    until = time.monotonic() + MAX_WAIT
    with cli.screen.waiting("Waiting for NinjaOne's answers"):
        while True:
            found = [_result(row, store.state(ref)) for ref, row in before.items()]
            if all(each["outcome"] != "waiting" for each in found) or time.monotonic() > until:
                return found
            time.sleep(POLL_INTERVAL)


def _result(before: ConnectionState, now: ConnectionState | None) -> dict[str, Any]:
    outcome = "waiting"
    if now and now.version > before.version:
        outcome = "renewed"
    elif now and (now.struck_at is not None or now.status is Status.NEEDS_REAUTH):
        outcome = "refused"
    reason = now.reason.value if now and now.reason else None
    return {"tenant_id": before.tenant, "connection_id": before.connection, "outcome": outcome, "reason": reason}


COMMANDS = (restore,)
