"""Watch a deployment: connections by status, what is due and what failed, open breakers, and the next refreshes."""

import sys
import time
from collections import Counter
from dataclasses import dataclass

import click

from broker.model import Status
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.inventory import PAUSED, Inventory
from ninjaone_connect_cli.screen import Row

NEXT = 10
STATUSES = (Status.ACTIVE.value, PAUSED, *(each.value for each in Status if each is not Status.ACTIVE))
COLUMNS = {"connection_id": "connection", "failures": "failures", "refresh_at": "refresh", "tenant_id": "tenant"}


@click.command()
@click.option("--every", type=click.IntRange(2, 3600), default=10, show_default=True, help="Seconds between two reads.")
@click.option("--once", is_flag=True, help="Read once; so does --json, and an output that is no terminal.")
@pass_cli
def watch(cli: CliContext, every: int, *, once: bool) -> None:
    """Show all connections until Ctrl-C: states, what is due, failures, breakers, next refreshes.

    Each time it reads the whole table (a Scan), which takes about one read unit for 8 KB: with very many connections,
    choose a longer --every.

    \b
    ninjaone-connect watch
    ninjaone-connect watch --every 60
    ninjaone-connect --json watch
    """
    once = once or cli.screen.as_json or not sys.stdout.isatty()
    while True:
        snapshot = Snapshot.of(cli)
        if not once:
            click.clear()
        snapshot.show(cli)
        if once:
            return
        cli.screen.say(f"Every {every} s; Ctrl-C ends it.")
        time.sleep(every)


@dataclass(frozen=True)
class Snapshot:
    """What one read found, in the words of `connections list` and of the doctor."""

    inventory: Inventory

    @classmethod
    def of(cls, cli: CliContext) -> "Snapshot":
        """Read the table."""
        deployment = cli.deployment
        with cli.screen.waiting("Reading the connections"):
            return cls(Inventory.read(deployment))

    def counts(self) -> Row:
        """Count what an operator looks at first."""
        states, now = self.inventory.states.values(), self.inventory.now
        live = [state for state in states if state.status is Status.ACTIVE]
        by_status = Counter(map(self.inventory.status, states))
        return {
            **{status: by_status[status] for status in STATUSES},
            "due": sum(state.refresh_at is not None and state.refresh_at <= now for state in live),
            "failing": sum(state.failures > 0 for state in live),
            "tokens_expired": len(self.inventory.ended_tokens()),
        }

    def next(self) -> list[Row]:
        """Return the refreshes that come next."""
        waiting = [state for state in self.inventory.states.values() if state.refresh_at is not None]
        return [
            {
                "connection_id": state.connection,
                "tenant_id": state.tenant,
                "refresh_at": state.refresh_at,
                "failures": state.failures,
            }
            for state in sorted(waiting, key=lambda state: state.refresh_at or 0)[:NEXT]
        ]

    def show(self, cli: CliContext) -> None:
        """Show it: for a machine as one object."""
        open_now = [
            {"breaker": name, "cause": breaker.cause, "opened_at": breaker.opened_at}
            for name, breaker in sorted(self.inventory.breakers.items())
        ]
        if cli.screen.as_json:
            cli.screen.record({**self.counts(), "breakers": open_now, "next": self.next()})
            return
        cli.screen.record(self.counts())
        columns = {"breaker": "open breaker", "cause": "cause", "opened_at": "since"}
        cli.screen.table(open_now, columns, empty="No breaker is open.")
        cli.screen.table(self.next(), COLUMNS, empty="No refresh is planned.")


COMMANDS = (watch,)
