"""Many tenants under one NinjaOne that does as a schedule says: the real sweep and refresh, minute by minute.

Where `world` plays every interleaving of a few connections, this plays hours of many. The stores are the simulation's
own; each invocation is one step, and an answer takes no time. What is asked of it: whose tokens end, how often NinjaOne
is asked, who is told to connect again.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import httpx

from broker import policy
from broker.adapters.clock import new_connection_id
from broker.adapters.queues import read_batch
from broker.adapters.rows import connection_state, connection_state_item
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Host, Instant, Purpose, Status, TenantId
from broker.secret import Secret
from tests.support.broker_world import InlineWorkers
from tests.verification.simulation.buckets import S3
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.keys import KMS
from tests.verification.simulation.queues import SQS
from tests.verification.simulation.settings import EventBridge, ParameterStore, SecretsManager
from tests.verification.simulation.tables import Index, Table
from tests.verification.simulation.world import KEY, QUEUES, SECRETS, START, environment

HOST = Host("eu", "eu.ninjarmm.com")
LIFE = 3600
MINUTE = 60

Answer = Callable[[], httpx.Response]
Fate = Callable[[str, float], Answer | None]
"""Tenant and seconds since the start → what NinjaOne answers; None: it grants tokens."""


def answers(status: int, error: str = "", **headers: str) -> Answer:
    """Answer with a status, and with an OAuth error where one is named."""
    body = json.dumps({"error": error}).encode() if error else b"<html>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


def hangs() -> httpx.Response:
    """Give no answer in time."""
    raise httpx.ReadTimeout("nothing came")


DEAD = answers(400, "invalid_token")


@dataclass
class Outcome:
    """What happened.

    ended      tenant → connection minutes without a valid token though NinjaOne would have granted one
    requests   minute → requests to NinjaOne
    told       connections that were ever put into `needs_reauth`
    """

    ended: Counter[str] = field(default_factory=Counter)
    requests: Counter[int] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)


class _Clock:
    """Time that the fleet moves; who sleeps in it does not wait."""

    seconds = START

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Wait no time: within a minute everything happens at once."""


class ManyConnections(httpx.BaseTransport):
    """Some tenants' connections, the broker that refreshes them, and NinjaOne.

    tenants   tenant → how many connections
    fate      what NinjaOne answers to whom, and when
    """

    def __init__(self, tenants: Mapping[str, int], fate: Fate, *, seed: int = 1) -> None:
        self._fate, self._random, self._clock = fate, Random(seed), _Clock()
        env = environment()
        self.config = Config.from_env(env)
        self.rows = Table(
            self.config.connections_table,
            ("tenant", "connection"),
            self._clock.now,
            {self.config.due_index: Index(("due_shard", "refresh_at"))},
        )
        self.sqs = SQS({env[name]: [] for name in QUEUES.values()}, self._clock.now)
        services: dict[str, Any] = {
            "dynamodb": DynamoDB([self.rows], self._clock.now),
            "kms": KMS({KEY}, self._random.randbytes),
            "s3": S3({self.config.rescue_bucket: {}}),
            "sqs": self.sqs,
            "secretsmanager": SecretsManager({SECRETS: [json.dumps({"client-eu": "secret"})]}),
            "ssm": ParameterStore(
                {self.config.epoch_parameter: json.dumps({"epoch": 1, "table": self.config.connections_table})}
            ),
            "events": EventBridge(),
        }
        self.lines: list[str] = []
        ports = Ports(
            clock=self._clock,
            entropy=self._random.randbytes,
            aws=services.__getitem__,
            transport=lambda: lambda: self,
            workers=InlineWorkers(),
            write=self.lines.append,
        )
        self.broker = Broker(self.config, ports)
        self.outcome = Outcome()
        for tenant, count in tenants.items():
            for _ in range(count):
                self._connect(tenant, new_connection_id(self._random.randbytes))

    def _connect(self, tenant: str, connection: ConnectionId) -> None:
        """Store a connection that is in the middle of its life, at a random place in it."""
        now, age = int(self._clock.now()), self._random.randrange(LIFE // 2)
        seal, aad = self.broker._seal, ConnectionRef(TenantId(tenant), connection).aad(1)
        state = ConnectionState(
            tenant=TenantId(tenant),
            connection=connection,
            status=Status.ACTIVE,
            host=HOST,
            client_id="client-eu",
            customer_app=False,
            version=1,
            fence=0,
            epoch=1,
            token_expires_at=Instant(now - age + LIFE),
            sent_at=Instant(now - age),
            consented_at=Instant(now - age),
            scopes=frozenset({"monitoring", "management", "offline_access"}),
            access=seal.seal(seal.data_key(Purpose.ACCESS), Secret("a"), aad),
            refresh=seal.seal(seal.data_key(Purpose.REFRESH), Secret(tenant), aad),
            refresh_at=Instant(now - age + int(LIFE * (0.5 + 0.1 * self._random.random()))),
            due_shard=policy.shard(connection),
        )
        self.rows.write((tenant, connection), connection_state_item(state))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Be NinjaOne: a refresh token is the tenant's name."""
        request.read()
        tenant = dict(parse_qsl(request.content.decode()))["refresh_token"]
        since = self._clock.now() - START
        self.outcome.requests[int(since // MINUTE)] += 1
        answer = self._fate(tenant, since)
        if answer is not None:
            return answer()
        granted = {"access_token": "a", "token_type": "Bearer", "expires_in": LIFE, "refresh_token": tenant}
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(granted).encode()))

    def now(self) -> float:
        """Tell the time."""
        return self._clock.now()

    def run(self, minutes: int) -> Outcome:
        """Let so many minutes pass."""
        for _ in range(minutes):
            self._clock.seconds += MINUTE
            self.broker.sweep()
            self._work()
            self._look()
        return self.outcome

    def _work(self) -> None:
        """Work the batches of this minute in any order, as SQS gives them."""
        queue = self.sqs.queues[self.config.refresh_queue]
        messages = [*queue]
        queue.clear()
        self._random.shuffle(messages)
        for message in messages:
            batch = read_batch(message.body)
            if batch:
                self.broker.refresh(batch, lambda: 180.0)
        self.lines.clear()

    def _look(self) -> None:
        """Note whose token has ended though NinjaOne would grant another, and who was told to connect again."""
        now = self._clock.now()
        for state in self.states():
            if state.status is Status.NEEDS_REAUTH:
                self.outcome.told.add(state.connection)
            if state.token_expires_at <= now and self._fate(state.tenant, now - START) is None:
                self.outcome.ended[state.tenant] += 1

    def states(self) -> Iterator[ConnectionState]:
        """Read every connection."""
        for (tenant, _), item in self.rows.items.items():
            if not tenant.startswith("#"):
                yield connection_state(item)

    def by_status(self) -> Mapping[Status, set[str]]:
        """Group the connections by their status."""
        found: defaultdict[Status, set[str]] = defaultdict(set)
        for state in self.states():
            found[state.status].add(state.connection)
        return found
