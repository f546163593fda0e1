"""One world with one connection that meets a fault, and another beside it that must not feel it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from broker.edge.wiring import Broker
from broker.errors import BrokerError
from functions.refresh.app import handler as refresh
from functions.sweep.app import handler as sweep
from local.product.backend import Problem
from local.world import World
from ninjaone_emulator.faults import Fault
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import QuickAws
from tests.verification.faults.host import Deadline, HostClock, Killed, Time, Wire
from tests.verification.kills.customer import backend, connect

EU = "eu.ninjarmm.com"
PEOPLE = {"eu": "ada@nordlicht.example", "oc": "ada@southerncross.example"}
BATCHES = 50
"""Messages worked in one go, at most."""
FOREVER = 1_000_000
SWEEP = "sweep"
USUAL = {"sweep.done", "granted", "refresh.done", "batch.done"}

Json = dict[str, Any]
Batch = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a caller of `token` got."""

    status: int
    slug: str = ""
    retry_after: int | None = None
    token: str = ""


@dataclass(frozen=True)
class Connection:
    """A connection, and what only NinjaOne knows of it."""

    tenant: str
    id: str
    grant: str


@contextmanager
def staged(beside: str) -> Iterator["Stage"]:
    """Set a stage."""
    world, true = World(background=False, account=QuickAws), Time()
    world.clock = true
    with world:
        world.ninjaone.switches.update({"rotation": "reuse_kills_family"})
        yield Stage(world, true, beside)


class Stage:
    """The handlers as they are deployed, in the local world; no time passes but what is moved here.

    Attributes:
        subject: what meets the fault
        beside: what must not feel it, or no longer than it lasts
        copies: how often a message is delivered, at once
        kept: what a row was like
    """

    copies = 1

    def __init__(self, world: World, true: Time, beside: str) -> None:
        """Let two customers connect.

        Args:
            beside: the region of the second
        """
        self.world, self.time = world, true
        self.lines: list[str] = []
        self.kept: Json = {}
        self._random, self._refusing = Random(1), False
        deployed = world.broker_for("refresh")
        self.config, self.wire = deployed.config, Wire(true, deployed.ports.transport())
        true.meanwhile = lambda: self.drain(self.config.urgent_queue)
        self.backend = backend(world)
        self.subject, self.beside = self.connect("acme"), self.connect("other", beside)
        self._began = true.now()

    # Customers and callers ------------------------------------------------------------------------------------------

    def connect(self, tenant: str, region: str = "eu", connection: str | None = None) -> Connection:
        """Let a customer connect, or connect again."""
        made = connect(self.backend, tenant, region=region, email=PEOPLE[region], connection_id=connection)
        return Connection(tenant, made["connection_id"], self.world.ninjaone.oracle.grants()[-1].id)

    def ask(self, connection: Connection | None = None) -> Answer:
        """Ask for a token as a backend does; while it waits, urgent batches are worked."""
        asked = connection or self.subject
        try:
            given = self.backend.token(asked.tenant, asked.id)
        except Problem as problem:
            return Answer(problem.status, problem.slug, problem.retry_after)
        return Answer(200, token=given["access_token"])

    def shown(self, connection: Connection | None = None) -> Json:
        """Look at a connection as a backend does."""
        asked = connection or self.subject
        return self.backend.connection(asked.tenant, asked.id)

    # Functions ------------------------------------------------------------------------------------------------------

    def broker(self, folder: str = "refresh", *, skew: float = 0.0) -> Broker:
        """Start a function's environment on a host of its own."""
        made = self.world.broker_for(folder)
        ports = replace(
            made.ports,
            clock=HostClock(self.time, skew),
            entropy=self._random.randbytes,
            transport=lambda: self.wire.transport,
            write=self.lines.append,
        )
        return Broker(made.config, ports)

    def sweep(self) -> None:
        """Let the schedule tick; a tick that fails is made good by the next."""
        broker = self.broker("sweep")
        with suppress(BrokerError):
            sweep.bind(broker)({}, Deadline(SWEEP, broker.ports.clock, 55))

    def refresh(self, *batches: Batch, skew: float = 0.0) -> bool:
        """Work batches, all at once, each in an environment of its own; say whether all were done."""
        with ThreadPoolExecutor(max_workers=len(batches)) as hosts:
            return all(list(hosts.map(lambda batch: self._refresh(batch, skew), batches)))

    def _refresh(self, batch: Batch, skew: float) -> bool:
        broker = self.broker(skew=skew)
        deadline = Deadline(batch["connections"][0][1], broker.ports.clock, self.config.refresh_timeout)
        record = {"messageId": "1", "body": json.dumps(batch)}
        try:
            return not refresh.bind(broker)({"Records": [record]}, deadline)["batchItemFailures"]
        except Killed:
            return False

    def messages(self, queue: str) -> Iterator[Json]:
        """Take what is on a queue, one by one."""
        sqs = self.world.aws("sqs")
        for _ in range(BATCHES):
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1).get("Messages", [])
            if not found:
                return
            yield from found

    def batches(self, message: Json) -> list[Batch]:
        """Make a batch of each connection, the subject's first: a row shows what the fault does to it alone."""
        batch = json.loads(message["Body"])
        refs = sorted(batch["connections"], key=lambda ref: ref[1] != self.subject.id)
        return [batch | {"connections": [ref]} for ref in refs]

    def drain(self, queue: str) -> None:
        """Work a queue until it is empty; what failed comes again later."""
        for message in self.messages(queue):
            worked = [self.refresh(*self.copies * [batch]) for batch in self.batches(message)]
            if all(worked):
                self.world.aws("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def until(self, seconds: float) -> None:
        """Let time pass until so long after the connections were made."""
        self.time.advance(max(0.0, self._began + seconds - self.time.now()))

    def work(self) -> None:
        """Sweep, and refresh what was requested."""
        self.sweep()
        self.drain(self.config.refresh_queue)

    # Faults ---------------------------------------------------------------------------------------------------------

    def plan(self, kind: str, *, times: int | None = None, seconds: int = 0) -> None:
        """Let NinjaOne's European host fail at token requests; for good unless ``times`` says how often."""
        self.world.ninjaone.faults.plan(Fault(kind, times=times, host=EU, seconds=seconds))

    def refuse(
        self,
        *calls: str,
        by: str = "refresh",
        only: tuple[str, ...] = (),
        times: int = FOREVER,
        error: Exception | None = None,
    ) -> None:
        """Let AWS refuse calls of a function, each named as ``dynamodb.UpdateItem``.

        Args:
            only: those whose body has these words
            error: what AWS says; that it is asked too much, by default
        """
        self._refusing = True
        aws_faults = AwsFaults(self.world.broker_for(by).ports.aws)

        def met(body: Json) -> bool:
            return self._refusing and all(word in json.dumps(body) for word in only)

        for call in calls:
            aws_faults.refuse(call, times=times, only=met, error=error)

    def heal(self) -> None:
        """End all that was planned here."""
        self.world.ninjaone.faults.clear()
        self.wire.clear()
        self._refusing = False

    # What is stored -------------------------------------------------------------------------------------------------

    def row(self, connection: Connection) -> Json:
        """Read a state row as it is stored."""
        key = {"tenant": {"S": connection.tenant}, "connection": {"S": connection.id}}
        found = self.world.aws("dynamodb").get_item(TableName=self.config.connections_table, Key=key)
        row: Json = found["Item"]
        return row

    def put(self, row: Json) -> None:
        """Put a row in the place of what is stored."""
        self.world.aws("dynamodb").put_item(TableName=self.config.connections_table, Item=row)

    def activate(self, table: str) -> None:
        """Say which table may be presented to NinjaOne."""
        value = json.dumps({"epoch": 1, "table": table})
        self.world.aws("ssm").put_parameter(
            Name=self.config.epoch_parameter, Value=value, Type="String", Overwrite=True
        )

    def store_secrets(self, secrets: dict[str, str]) -> None:
        """Store client secrets as the operator does."""
        self.world.aws("secretsmanager").put_secret_value(
            SecretId=self.config.client_secrets, SecretString=json.dumps(secrets)
        )

    # What only NinjaOne knows ---------------------------------------------------------------------------------------

    def most_shown(self) -> int:
        """Say how often NinjaOne saw that refresh token of the subject that it saw most often."""
        oracle = self.world.ninjaone.oracle
        return max(oracle.presented(token) for token in oracle.chain(self.subject.grant))

    def refreshed(self) -> int:
        """Say how often NinjaOne replaced the subject's refresh token."""
        return len(self.world.ninjaone.oracle.chain(self.subject.grant)) - 1

    def waiting(self, queue: str) -> int:
        """Count the messages that nobody works yet."""
        asked = {"QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages"]}
        return int(self.world.aws("sqs").get_queue_attributes(**asked)["Attributes"]["ApproximateNumberOfMessages"])

    def is_good(self, token: str, host: str = EU) -> bool:
        """Say whether NinjaOne's API takes an access token now."""
        return self.world.ninjaone.oracle.accepts(host, token)

    def said(self) -> list[str]:
        """List what sweeps and the subject's own refreshes wrote; what is usual is left out."""
        lines = [json.loads(line) for line in self.lines]
        names = [
            line["meaning"] if line["message"] == "refresh.answered" else line["message"]
            for line in lines
            if line.get("request_id") in {SWEEP, self.subject.id}
        ]
        return [name for name in names if name not in USUAL]
