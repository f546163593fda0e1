"""The refresh function at work on batches, and what a test asks about it."""

import json
from collections import Counter
from dataclasses import dataclass

from broker.adapters.connections import Connections
from broker.adapters.queues import RefreshBatch, Trigger
from broker.adapters.seal import Seal
from broker.edge.wiring import Broker
from broker.model import ConnectionState, Purpose, Seconds
from ninjaone_emulator import NinjaOne
from tests.support.broker_world import Clock, LogLines
from tests.support.journey import ref


@dataclass
class Refreshing:
    """A refresh function, and the eyes to see what it did."""

    broker: Broker
    clock: Clock
    connections: Connections
    seal: Seal
    ninjaone: NinjaOne
    lines: LogLines

    def refresh(
        self,
        *states: ConnectionState,
        trigger: Trigger = Trigger.DUE,
        min_ttl: int = 0,
        refused_version: int = 0,
        seconds: float = 180,
    ) -> None:
        """Work a batch within so many seconds."""
        batch = RefreshBatch(trigger, tuple(ref(state) for state in states), Seconds(min_ttl), refused_version)
        self.broker.refresh(batch, self.clock.left(seconds))

    def wait_for(self, state: ConnectionState) -> None:
        """Let time pass until a connection is due."""
        due = self.row(state).refresh_at
        assert due is not None
        self.clock.advance(max(due - self.clock.now(), 0))

    def when_due(self, *states: ConnectionState, seconds: float = 180) -> None:
        """Wait for the last of some connections, and refresh them."""
        for state in states:
            self.wait_for(state)
        self.refresh(*states, seconds=seconds)

    def row(self, state: ConnectionState) -> ConnectionState:
        """Read a connection's row as it is now."""
        found = self.connections.get_state(ref(state))
        assert found is not None
        return found

    def held(self, state: ConnectionState) -> str:
        """Open the refresh token that a row holds."""
        row = self.row(state)
        assert row.refresh is not None
        spot = row.aad
        return self.seal.open(row.refresh, Purpose.REFRESH, spot).reveal()

    def is_live(self, state: ConnectionState) -> bool:
        """Say whether NinjaOne would accept the refresh token that a row holds."""
        return not self.ninjaone.oracle.why_dead(self.held(state))

    def revoke(self, state: ConnectionState) -> None:
        """End a connection's consent at NinjaOne."""
        grant = self.ninjaone.oracle.grant_of(self.held(state))
        assert grant is not None
        self.ninjaone.admin.revoke_grant(grant.id)

    def figures(self) -> Counter[str]:
        """Add up the figures that were written so far."""
        self.broker.log.flush()
        total: Counter[str] = Counter()
        for line in (json.loads(text) for text in self.lines.text):
            for told in line.get("_aws", {}).get("CloudWatchMetrics", []):
                total.update({each["Name"]: int(line[each["Name"]][0]) for each in told["Metrics"]})
        return total
