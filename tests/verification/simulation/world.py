"""One world: the broker's handlers as Lambda runs them, AWS in memory, NinjaOne simulated, and time of its own."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from broker.config import Config
from broker.edge.wiring import Broker, Ports
from ninjaone_emulator import NinjaOne, Switches
from tests.verification.simulation import invariants
from tests.verification.simulation.buckets import S3
from tests.verification.simulation.conformance import Trace
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.faults import Plan, Point
from tests.verification.simulation.history import History
from tests.verification.simulation.keys import KMS
from tests.verification.simulation.oracle import Oracle
from tests.verification.simulation.people import RETURN_URL, People
from tests.verification.simulation.ports import Client, Clock, WorkerPool, living
from tests.verification.simulation.provider import Transport
from tests.verification.simulation.queues import SQS
from tests.verification.simulation.scheduler import Killed, Process, Scheduler
from tests.verification.simulation.settings import EventBridge, ParameterStore, SecretsManager
from tests.verification.simulation.tables import Index, Table
from tests.verification.simulation.values import Item

START = 1_800_000_000.0
TIMEOUTS = {"refresh": 180.0, "sweep": 55.0, "complete": 120.0}  # seconds; the others answer within API_TIMEOUT
API_TIMEOUT = 29.0
KEY = "arn:aws:kms:eu-west-1:000000000000:key/simulated"
SECRETS = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:clients"
QUEUES = {"refresh": "REFRESH_QUEUE", "urgent": "URGENT_QUEUE", "completion": "COMPLETION_QUEUE"}
CONNECT_URL = "https://connect.example"


def environment(**changes: str) -> dict[str, str]:
    """Return the settings of every function, as template.yaml gives them."""
    return {
        "CONNECT_URL": CONNECT_URL,
        "API_URL": "https://api.example",
        "CONNECTIONS_TABLE": "connections",
        "DUE_INDEX": "due",
        "SESSIONS_TABLE": "sessions",
        "SEAL_KEY": KEY,
        "CLIENT_SECRETS": SECRETS,
        "EPOCH_PARAMETER": "/connect/epoch",
        **{name: f"https://sqs.example/{queue}" for queue, name in QUEUES.items()},
        "RESCUE_BUCKET": "rescue",
        "EVENT_BUS": "events",
        "CLIENT_IDS": "eu=client-eu,us2=client-us2",
        "RETURN_URLS": f"main={RETURN_URL}",
        "SCOPES": "monitoring management",
        "BRANDED_SUFFIXES": "rmmservice.com,rmmservice.eu,rmmservice.ca",
        "PRODUCT_NAME": "Simulated",
        "SUPPORT": "",
        "ACCENT": "#0b5fff",
        "ORIGIN_VERIFY": "",
        "LOGO": "",
        "APPROVAL_BINDING": "allowed",
        "REFRESH_POLICY": "always",
        "REFRESH_TIMEOUT": "180",
        "TOKEN_WAIT": "8",
        "PROXY_POLICY": "* GET,POST /v2/*",
        **changes,
    }


@dataclass(eq=False)
class Instance:
    """One execution environment: its globals live from one invocation to the next.

    Attributes:
        skew: seconds by which its clock is ahead
    """

    function: str
    skew: float
    entry: Callable[[Any, Any], Any] = field(init=False)
    busy: bool = False
    retired: bool = False


class Invocation(Process):
    """One run of a handler.

    Attributes:
        then: hears how it ended, also when it was killed
        finished: it returned or raised; a killed one never did
    """

    def __init__(self, name: str, event: dict[str, Any], instance: Instance, deadline: float) -> None:
        super().__init__(name)
        self.event, self.instance, self.deadline = event, instance, deadline
        self.then: Callable[[Invocation], None] | None = None
        self.answer: Any = None
        self.error: Exception | None = None
        self.finished = False

    @property
    def function(self) -> str:
        return self.instance.function


@dataclass(frozen=True)
class Context:
    """What Lambda tells a handler about its invocation."""

    aws_request_id: str
    left: Callable[[], float]

    def get_remaining_time_in_millis(self) -> int:
        return int(self.left() * 1000)


class World:
    """Everything there is.

    Attributes:
        plan: decides what fails, and how long things take
        skew: seconds by which clocks differ at most from the true time
        deleted: rows that somebody deleted by mistake; the backup has them
        put_back: when such a row came back
        ill_shard: the partition of the due index that is throttled; empty for none
    """

    def __init__(
        self,
        random: Random,
        plan: Callable[["World"], Plan],
        *,
        switches: Switches | None = None,
        env: dict[str, str] | None = None,
        skew: float = 0.0,
        recycle: float = 0.1,
    ) -> None:
        self.random, self.skew, self.recycle = random, skew, recycle
        self.scheduler = Scheduler(random, START)
        self.env = env or environment()
        self.config = Config.from_env(self.env)
        self.ninjaone = NinjaOne(self.now, random.randbytes, switches)
        self._make_stores()
        self.oracle = Oracle(self)
        self.history = History(self.oracle)
        self.trace = Trace(self)
        self.plan = plan(self)
        self.instances: dict[str, list[Instance]] = {}
        self.invocations = 0
        self.points = 0
        self.retry_after = 200
        self.lagging: dict[str, float] = {}
        self.running: list[Invocation] = []
        self.people = People(self)
        self.start = START
        self.restoring = False
        self.inactive_since: float | None = None
        self.deleted: dict[tuple[str, str], Item] = {}
        self.put_back: dict[tuple[str, str], float] = {}
        self.ill_shard = ""
        self.restored_at: float | None = None

    def now(self) -> float:
        """Tell the true time: Unix seconds."""
        return self.scheduler.now

    def _make_stores(self) -> None:
        config = self.config
        self.rows = self._connections()
        self.sessions = Table(config.sessions_table, ("session",), self.now)
        self.kms = KMS({KEY}, self.random.randbytes)
        self.s3 = S3({config.rescue_bucket: {}})
        self.bucket = self.s3.buckets[config.rescue_bucket]
        self.sqs = SQS({self.env[name]: [] for name in QUEUES.values()}, self.now)
        self.secrets = SecretsManager({SECRETS: [json.dumps(self._register_apps())]})
        epoch = json.dumps({"epoch": 1, "table": config.connections_table})
        self.parameters = ParameterStore({config.epoch_parameter: epoch})
        self.events = EventBridge()
        self.services: dict[str, Any] = {
            "dynamodb": DynamoDB([self.rows, self.sessions], self.now),
            "kms": self.kms,
            "s3": self.s3,
            "sqs": self.sqs,
            "secretsmanager": self.secrets,
            "ssm": self.parameters,
            "events": self.events,
        }

    def _connections(self) -> Table:
        keys = ("tenant", "connection")
        index = Index(("due_shard", "refresh_at"))
        table = Table(self.config.connections_table, keys, self.now, {self.config.due_index: index})
        table.watchers.append(self._row_written)
        return table

    def _register_apps(self) -> dict[str, str]:
        """Register the operator's app in each region; return client ids with their secrets."""
        secrets = {}
        for region, client_id in self.config.client_ids.items():
            host = f"{region}.ninjarmm.com"
            self.ninjaone.add_tenant(f"vendor {region}", host, {})
            secrets[client_id] = self.random.randbytes(26).hex()
            self.ninjaone.admin.register(
                "operator",
                f"vendor {region}",
                redirects=[f"{CONNECT_URL}/callback/{region}"],
                official=True,
                credentials=(client_id, secrets[client_id]),
            )
        return secrets

    def _row_written(self, key: tuple[str, str], old: Item | None, new: Item | None) -> None:
        if new is not None and "refresh" in new:
            self.history.row(key, self.oracle.in_row(key, new), old, new)
        if old and new and any(old.get(name) != new.get(name) for name in ("consented_at", "status")):
            self.trace.end(key)
        invariants.check(self, "row", key, old, new)

    def restore(self, backup: dict[Any, Item]) -> None:
        """Put a backup into a new table, and deploy with that; nothing activates it yet."""
        self.env = {**self.env, "CONNECTIONS_TABLE": f"restored-{self.invocations}"}
        self.config = Config.from_env(self.env)
        old, self.rows = self.rows, self._connections()
        self.rows.stale, self.rows.lag = old.stale, old.lag
        self.services["dynamodb"].tables[self.rows.name] = self.rows
        self.restoring = True
        self.rows.restore(backup)
        self.restoring = False
        self.restored_at = self.inactive_since = self.now()
        for ref in self.history.grant_of:
            self.trace.end(ref)
        self.history.disconnected.clear()
        self.retire()

    def retire(self) -> None:
        """Deploy: what begins from now on begins in a new environment."""
        for pool in self.instances.values():
            for each in pool:
                each.retired = True

    @property
    def epoch(self) -> int:
        """The restore epoch that is active."""
        return int(json.loads(self.parameters.parameters[self.config.epoch_parameter])["epoch"])

    def violate(self, what: str) -> None:
        """Note that something happened that must not, and end the run."""
        self.history.violations.append(f"{what} at {self.now() - self.start:.1f} s")
        self.scheduler.note("violated", what)
        self.scheduler.stop = True

    def is_active_epoch(self, row: Item) -> bool:
        """Say whether a row may be presented in the table and epoch that are active."""
        active = json.loads(self.parameters.parameters[self.config.epoch_parameter])
        return active["table"] == self.rows.name and row.get("epoch") == {"N": str(active["epoch"])}

    # Lambda

    def invoke(
        self, function: str, event: dict[str, Any], then: Callable[[Invocation], None] | None = None
    ) -> Invocation:
        """Begin an invocation in a warm or a new environment."""
        self.invocations += 1
        instance = self._instance(function)
        instance.busy = True
        deadline = self.now() + TIMEOUTS.get(function, API_TIMEOUT)
        invocation = Invocation(f"{function}-{self.invocations}", event, instance, deadline)
        invocation.then, invocation.began = then, self.now()
        self.running.append(invocation)
        self.scheduler.note("invoked", invocation.name)
        self.scheduler.spawn(invocation, lambda: self._run(invocation))
        self.scheduler.at(deadline, lambda: self.kill(invocation))
        return invocation

    def call(self, function: str, event: dict[str, Any]) -> Invocation:
        """Invoke and wait, from an actor's task; the answer is None when the handler died or raised."""
        wake = self.scheduler.park()
        invocation = self.invoke(function, event, lambda _: wake())
        self.scheduler.leave()
        return invocation

    def act(self, name: str, work: Callable[[], object], after: float = 0.0) -> None:
        """Let somebody outside the broker do something in a while; actors are never killed."""
        self.scheduler.after(after, lambda: self.scheduler.spawn(Process(name), work))

    def kill(self, process: Process) -> None:
        """End an invocation where it stands, as SIGKILL does; what it has sent may still be carried out."""
        if not isinstance(process, Invocation) or process.dead or process.finished:
            return
        for effect, late in list(process.inflight.values()):
            if self.plan.chance(0.5):
                self.scheduler.after(self.plan.delay(late), lambda effect=effect: _regardless(effect))  # type: ignore[misc]  # binds the loop's effect
        self.scheduler.kill(process)
        self.instances[process.function].remove(process.instance)
        self.history.reached[f"{process.function} killed"] += 1
        self._end(process)

    def kill_current(self) -> Killed:
        """End the invocation whose code runs now; the caller raises what this returns."""
        self.kill(self.scheduler.process)
        return Killed()

    def meet(self, instance: Instance, service: str, operation: str) -> str:
        """Let the plan decide what a call meets."""
        self.points += 1
        point = Point(self.points, instance.function, service, operation)
        kind = self.plan.fault(point)
        self.scheduler.note(point.name, kind)
        if kind in SKEWS:
            instance.skew = SKEWS[kind]
            return ""
        return kind

    def _run(self, invocation: Invocation) -> None:
        context = Context(invocation.name, lambda: invocation.deadline - self.now())
        try:
            invocation.answer = invocation.instance.entry(invocation.event, context)
        except Exception as failure:  # noqa: BLE001 (Lambda takes whatever a handler raises)
            invocation.error = failure
        invocation.finished, invocation.ended = True, self.now()
        invocation.instance.busy = False
        self._end(invocation)

    def _end(self, invocation: Invocation) -> None:
        self.running.remove(invocation)
        self.scheduler.note("ended", invocation.name, type(invocation.error).__name__)
        invariants.check(self, "end", invocation)
        if invocation.then is not None:
            invocation.then(invocation)

    def _instance(self, function: str) -> Instance:
        pool = self.instances.setdefault(function, [])
        idle = [each for each in pool if not each.busy and not each.retired]
        if idle and not self.plan.chance(self.recycle):
            return idle[int(self.plan.delay(len(idle)) * 0.999)]
        instance = Instance(function, self.plan.delay(2 * self.skew) - self.skew)
        ports = Ports(
            clock=Clock(self, instance),
            entropy=self._entropy,
            aws=lambda service: Client(self, instance, service),
            transport=lambda: lambda: Transport(self, instance),
            workers=WorkerPool(self),
            write=self._write,
        )
        instance.entry = import_module(f"functions.{function}.app").handler.bind(Broker(self.config, ports))
        pool.append(instance)
        return instance

    def _entropy(self, count: int) -> bytes:
        living(self)
        return self.random.randbytes(count)

    def _write(self, line: str) -> None:
        living(self)
        self.history.written(self.scheduler.process, line)


SKEWS = {"ahead": 5.0, "behind": -5.0}


def _regardless(effect: Callable[[], object]) -> None:
    """Carry out what a dead process had sent; nobody hears how it went."""
    with suppress(ClientError):
        effect()
