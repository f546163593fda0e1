"""The process that is not killed: NinjaOne, AWS, a person who connects, and the killer.

A Lambda function that is killed loses its memory and nothing else: rows, objects, queues and keys stay. Here they
stay in this process's memory, and the one that is killed reaches them over HTTP. So its death takes nothing along that
a death on AWS would not: that is all that state on disk would give.

Time is one clock for broker, NinjaOne and queues. It is moved on between two lives, when nothing is under way: leases
then end by the timing of the deployed function, without anybody waiting for them.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from local.world import ROOT, World
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.wsgi_server import serve
from tests.verification.kills.addresses import Traffic, aws, dawdling
from tests.verification.kills.customer import backend, connect
from tests.verification.kills.judge import Commit, Commits, Connected, Life, objection
from tests.verification.kills.worker import Instructions

TENANT = "acme"
TOKEN_SECONDS = 60
"""So short a life makes every connection due at every sweep."""
LONGEST_PAUSE = 0.03
"""Seconds that NinjaOne takes at most before it carries a refresh out, and again before it answers."""
LONGEST_LIFE = 400
"""Requests to AWS and NinjaOne after which a process is killed, at the latest: about three rounds of refreshes.
Counted in requests, no part of the work is hit more often because the machine is slow."""
STEP = (5, 400)
"""Seconds by which the clock is moved on after a kill: a lease of 250 s is over after some, and not after others."""
QUIET_STEP = 1000
"""Longer than any lease or wait."""
QUIET_ROUNDS = 30
FOREVER, TWICE = 10_000, 2
NEEDS_CUSTOMER = "needs_reauth"
PATIENCE = 120.0


@dataclass
class Result:
    """What came of a campaign.

    Attributes:
        refreshes: tokens that NinjaOne replaced
        cut: refreshes that were under way when their process was killed
        losses: connections lost by a kill between NinjaOne's commit and the first durable write
        others: everything that should not be, in words
    """

    kills: int = 0
    refreshes: int = 0
    cut: int = 0
    losses: int = 0
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"kills: {self.kills} kills, {self.refreshes} refreshes, "
            f"{self.losses} unavoidable losses, {len(self.others)} others"
        )


class Process:
    """One process: made early, so that it is warm when its turn comes."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.verification.kills.worker"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def begin(self, instructions: Instructions) -> None:
        """Let it work."""
        assert self._process.stdin
        assert self._process.stdout
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the process did not start")
        self._process.stdin.write(instructions.text())
        self._process.stdin.flush()

    def end(self) -> None:
        """Wait until it has done what it was told."""
        if self._process.wait(PATIENCE):
            raise RuntimeError(f"the process ended with {self._process.returncode}")

    def kill(self) -> None:
        """Kill it, by its own id; what has ended already was no kill."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the process ended by itself with {self._process.returncode}")
        self.abandon()

    def abandon(self) -> None:
        """See to it that nothing is left of it."""
        self._process.kill()
        self._process.communicate()


class Campaign(AbstractContextManager["Campaign"]):
    """Connections, and a process that refreshes them until it is killed, and the next one."""

    def __init__(self, *, connections: int, seed: int) -> None:
        self._random, self._size = Random(seed), connections
        self._connected: list[Connected] = []
        self._commits: Commits = {}
        self._seen = self._lives = 0
        self._lost: set[str] = set()
        self.result = Result()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._world = opening.enter_context(World(background=False))
            self._world.ninjaone.switches.update(
                {"rotation": "reuse_kills_family", "access_token_seconds": TOKEN_SECONDS}
            )
            slow = dawdling(create_app(self._world.ninjaone), Random(self._random.random()), LONGEST_PAUSE)
            self._traffic = Traffic()
            self._aws = opening.enter_context(serve(self._traffic.through(aws))).url
            self._ninjaone = opening.enter_context(serve(self._traffic.through(slow))).url
            self._backend = backend(self._world)
            self._folder = Path(opening.enter_context(tempfile.TemporaryDirectory()))
            self._next = Process()
            opening.callback(self._abandon)
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _abandon(self) -> None:
        """End the process that was never needed."""
        self._next.abandon()

    def run(self, kills: int) -> Iterator[Result]:
        """Kill so often; then leave it in peace, and look at what is left. Yields after each kill and at the end."""
        self._connected = [self._connect() for _ in range(self._size)]
        for _ in range(kills):
            leased = self._leased()
            self._live(kill_after=self._random.randint(0, LONGEST_LIFE))
            self.result.kills += 1
            self.result.cut += len(self._leased() - leased)
            self._connect_again()
            self._world.clock.advance(self._random.uniform(*STEP))
            yield self.result
        self._calm()
        self._check_chains()
        yield self.result

    # A life ---------------------------------------------------------------------------------------------------------

    def _live(self, *, kill_after: int | None) -> None:
        """Let one process live, to its end or to its death; then wait until what it had sent is carried out.

        Args:
            kill_after: requests
        """
        process, self._next = self._next, Process()
        self._lives += 1
        life = Life(self._lives, kill_after is not None, self._folder / f"{self._lives}.jsonl")
        process.begin(self._instructions(life))
        try:
            if kill_after is None:
                process.end()
            else:
                self._traffic.wait_for(kill_after, PATIENCE)
                time.sleep(self._random.uniform(0, LONGEST_PAUSE))
                process.kill()
        finally:
            process.abandon()
        self._traffic.settle()
        self._note_commits(life)

    def _instructions(self, life: Life) -> Instructions:
        return Instructions(
            environment=dict(self._world.template.functions["refresh"].environment),
            aws=self._aws,
            ninjaone=self._ninjaone,
            offset=self._world.clock.offset,
            lines=str(life.lines),
            loops=FOREVER if life.killed else TWICE,
        )

    def _note_commits(self, life: Life) -> None:
        """Remember which process had NinjaOne replace which token."""
        for event in self._world.ninjaone.events:
            if event.number > self._seen and event.name == "token.refreshed":
                self._commits[str(event.fields["grant"]), int(event.fields["number"])] = Commit(life, event.at)
                self.result.refreshes += 1
            self._seen = max(self._seen, event.number)

    # What came of it ------------------------------------------------------------------------------------------------

    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["connection_id"]: row for row in self._backend.connections(TENANT)}

    def _leased(self) -> set[tuple[str, str]]:
        """Name each attempt that has not come to an end."""
        table = self._world.broker_for("refresh").config.connections_table
        found = self._world.aws("dynamodb").scan(TableName=table, FilterExpression="attribute_exists(lease_id)")
        return {(row["connection"]["S"], row["lease_id"]["S"]) for row in found["Items"]}

    def _judge(self, connected: Connected, row: dict[str, Any]) -> None:
        """Count a connection that needs its customer."""
        if wrong := objection(connected, row, self._commits):
            self.result.others.append(f"{connected.id}: {wrong}")
        else:
            self.result.losses += 1
            self._lost.add(self._token(connected, row["version"]))

    def _connect_again(self) -> None:
        """Let the customers of lost connections connect again."""
        rows = self._rows()
        for number, connected in enumerate(self._connected):
            row = rows[connected.id]
            if row["status"] == NEEDS_CUSTOMER:
                self._judge(connected, row)
                self._connected[number] = self._connect(connected.id)

    def _calm(self) -> None:
        """Kill nothing more until every connection was either refreshed or found to be lost."""
        before = self._rows()
        for _ in range(QUIET_ROUNDS):
            self._world.clock.advance(QUIET_STEP)
            self._live(kill_after=None)
            now = self._rows()
            if not [row for row in now.values() if _is_undecided(row, before[row["connection_id"]])]:
                break
        for connected in self._connected:
            row = now[connected.id]
            if row["status"] == NEEDS_CUSTOMER:
                self._judge(connected, row)
            elif _is_undecided(row, before[connected.id]):
                self.result.others.append(f"{connected.id}: it is refreshed no more")
            elif not self._holds_newest(connected, row["version"]):
                self.result.others.append(f"{connected.id}: its row does not hold the newest token")

    def _check_chains(self) -> None:
        """Look for tokens that were presented more than once though nothing was lost with them."""
        oracle = self._world.ninjaone.oracle
        for grant in oracle.grants():
            for token in oracle.chain(grant.id):
                if oracle.presented(token) > 1 and token not in self._lost:
                    self.result.others.append(f"{grant.id}: a token was presented {oracle.presented(token)} times")

    def _token(self, connected: Connected, version: int) -> str:
        return self._world.ninjaone.oracle.chain(connected.grant)[connected.number(version) - 1]

    def _holds_newest(self, connected: Connected, version: int) -> bool:
        return self._token(connected, version) == self._world.ninjaone.oracle.live_refresh_token(connected.grant)

    # The customer ---------------------------------------------------------------------------------------------------

    def _connect(self, connection: str | None = None) -> Connected:
        """Go all the way from the link to the tokens; a reconnect keeps the id."""
        made = connect(self._backend, TENANT, connection_id=connection)
        return Connected(made["connection_id"], self._world.ninjaone.oracle.grants()[-1].id, made["version"])


def _is_undecided(row: dict[str, Any], before: dict[str, Any]) -> bool:
    """Return whether a connection, active or paused, was neither refreshed nor found to be lost since then."""
    return bool(row["status"] != NEEDS_CUSTOMER and row["version"] == before["version"])
