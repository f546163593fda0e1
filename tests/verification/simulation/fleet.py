"""Many tenants under one NinjaOne that does as a schedule says: the real sweep and refresh, minute by minute.

Where `world` plays every interleaving of a few connections, this plays hours of many. The stores are the simulation's
own; each invocation is one step, and an answer takes no time. What is asked of it: whose tokens end, how often NinjaOne
is asked, who is told to connect again.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import httpx

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, app_breaker, host_breaker
from broker.adapters.clock import Clock, new_connection_id
from broker.adapters.queues import read_batch
from broker.adapters.rows import connection_state, connection_state_item
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from broker.flows.token import IssuedToken
from broker.model import (
    ConnectionId,
    ConnectionRef,
    ConnectionState,
    Host,
    Instant,
    Purpose,
    Seconds,
    Status,
    TenantId,
)
from broker.secret import Secret
from tests.support.broker_world import InlineWorkers
from tests.verification.simulation.buckets import S3
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.keys import KMS
from tests.verification.simulation.queues import SQS
from tests.verification.simulation.settings import EventBridge, ParameterStore, SecretsManager
from tests.verification.simulation.tables import Index, Table
from tests.verification.simulation.world import KEY, QUEUES, SECRETS, START, environment

HOSTS = {region: Host(region, f"{region}.ninjarmm.com") for region in ("eu", "us2")}
LIFE = 3600
MINUTE = 60


@dataclass(frozen=True)
class Member:
    """One connection of the fleet: the ``number``-th of its tenant in that region."""

    region: str
    tenant: str
    number: int

    @property
    def token(self) -> str:
        """Name it as its refresh token does."""
        return f"{self.region}/{self.tenant}/{self.number}"

    @classmethod
    def of(cls, token: str) -> "Member":
        """Read a refresh token."""
        region, tenant, number = token.split("/")
        return cls(region, tenant, int(number))


Answer = Callable[[], httpx.Response]
Fate = Callable[[Member, float], Answer | None]
"""Who asks, and seconds since the start → what NinjaOne answers; None: it grants tokens."""


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

    Attributes:
        ended: tenant → connection minutes without a valid token though NinjaOne would have granted one
        requests: (region, minute) → requests to NinjaOne
        told: connections that were ever put into `needs_reauth`
    """

    ended: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: set[Member] = field(default_factory=set)


class _Clock:
    """Time that the fleet moves; who sleeps in it does not wait."""

    seconds = START

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Wait no time: within a minute everything happens at once."""


class _CallersClock:
    """Time that passes for a caller who waits, and for nobody else."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


class ManyConnections(httpx.BaseTransport):
    """Some tenants' connections, the broker that refreshes them, and NinjaOne.

    Args:
        tenants: tenant → how many connections
        fate: what NinjaOne answers to whom, and when
        us2: the same for tenants on another host
    """

    def __init__(
        self, tenants: Mapping[str, int], fate: Fate, *, us2: Mapping[str, int] | None = None, seed: int = 1
    ) -> None:
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
        self.services: dict[str, Any] = {
            "dynamodb": DynamoDB([self.rows], self._clock.now),
            "kms": KMS({KEY}, self._random.randbytes),
            "s3": S3({self.config.rescue_bucket: {}}),
            "sqs": self.sqs,
            "secretsmanager": SecretsManager(
                {SECRETS: [json.dumps({f"client-{region}": "secret" for region in HOSTS})]}
            ),
            "ssm": ParameterStore(
                {self.config.epoch_parameter: json.dumps({"epoch": 1, "table": self.config.connections_table})}
            ),
            "events": EventBridge(),
        }
        self.broker = Broker(self.config, self._ports(self._clock))
        self.outcome = Outcome()
        self.members: dict[tuple[str, str], Member] = {}
        for region, counts in (("eu", tenants), ("us2", us2 or {})):
            for tenant, count in counts.items():
                for number in range(count):
                    self._connect(Member(region, tenant, number), new_connection_id(self._random.randbytes))

    def _ports(self, clock: Clock) -> Ports:
        return Ports(
            clock=clock,
            entropy=self._random.randbytes,
            aws=self.services.__getitem__,
            transport=lambda: lambda: self,
            workers=InlineWorkers(),
            write=lambda _: None,
        )

    def _connect(self, member: Member, connection: ConnectionId) -> None:
        """Store a connection that is in the middle of its life, at a random place in it."""
        tenant = TenantId(member.tenant)
        self.members[member.tenant, connection] = member
        now, age = int(self._clock.now()), self._random.randrange(LIFE // 2)
        seal, aad = self.broker._seal, ConnectionRef(tenant, connection).aad(1)
        state = ConnectionState(
            tenant=tenant,
            connection=connection,
            status=Status.ACTIVE,
            host=HOSTS[member.region],
            client_id=f"client-{member.region}",
            customer_app=False,
            version=1,
            fence=0,
            epoch=1,
            token_expires_at=Instant(now - age + LIFE),
            sent_at=Instant(now - age),
            consented_at=Instant(now - age),
            scopes=frozenset({"monitoring", "management", "offline_access"}),
            access=seal.seal(seal.data_key(Purpose.ACCESS), Secret("a"), aad),
            refresh=seal.seal(seal.data_key(Purpose.REFRESH), Secret(member.token), aad),
            refresh_at=Instant(now - age + int(LIFE * (0.5 + 0.1 * self._random.random()))),
            due_shard=policy.shard(connection),
        )
        self.rows.write((tenant, connection), connection_state_item(state))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Be NinjaOne: a refresh token names its connection."""
        request.read()
        token = dict(parse_qsl(request.content.decode()))["refresh_token"]
        member, since = Member.of(token), self._clock.now() - START
        self.outcome.requests[member.region, int(since // MINUTE)] += 1
        answer = self._fate(member, since)
        if answer is not None:
            return answer()
        granted = {"access_token": "a", "token_type": "Bearer", "expires_in": LIFE, "refresh_token": token}
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
        messages = []
        for url in (self.config.refresh_queue, self.config.urgent_queue):
            messages += self.sqs.queues[url]
            self.sqs.queues[url].clear()
        self._random.shuffle(messages)
        for message in messages:
            batch = read_batch(message.body)
            if batch:
                self.broker.refresh(batch, lambda: 180.0)

    def _look(self) -> None:
        """Note whose token has ended though NinjaOne would grant another, and who was told to connect again."""
        now = self._clock.now()
        for member, state in self.states():
            if state.status is Status.NEEDS_REAUTH:
                self.outcome.told.add(member)
            if state.token_expires_at <= now and self._fate(member, now - START) is None:
                self.outcome.ended[member.tenant] += 1

    def token(self, ref: ConnectionRef, min_ttl: Seconds) -> IssuedToken:
        """Ask for a token as a backend does; whoever waits here waits by a clock of their own."""
        return Broker(self.config, self._ports(_CallersClock(self._clock.now()))).get_token(ref, min_ttl=min_ttl)

    def is_open(self, region: str) -> bool:
        """Say whether a breaker holds the connections of a region."""
        host = HOSTS[region].name
        store = BreakerStore(AwsClient("dynamodb", self.services["dynamodb"]), self.rows.name)
        return any(
            store.read_open_state(name).is_open for name in (host_breaker(host), app_breaker(host, f"client-{region}"))
        )

    def state(self, ref: ConnectionRef) -> ConnectionState:
        """Read one connection."""
        return connection_state(self.rows.items[ref.tenant, ref.connection])

    def states(self) -> Iterator[tuple[Member, ConnectionState]]:
        """Read every connection."""
        for ref, member in self.members.items():
            yield member, connection_state(self.rows.items[ref])

    def count(self, status: Status) -> int:
        """Count the connections that have a status."""
        return sum(state.status is status for _, state in self.states())
