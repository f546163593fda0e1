"""What happened in one run, as far as the invariants ask: requests to NinjaOne, who held which token, excuses."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

import httpx

from ninjaone_emulator import Reply
from tests.verification.simulation.scheduler import Process
from tests.verification.simulation.values import Item

if TYPE_CHECKING:
    from tests.verification.simulation.oracle import Oracle
    from tests.verification.simulation.people import Person

Endpoint = Literal["authorize", "token", "revoke", "api", "page"]
Ref = tuple[str, str]
DEAD = {"invalid_token", "invalid_grant", "expired_token"}
T_INFLIGHT = 60.0  # seconds after which no request that was sent is carried out any more


@dataclass(eq=False)
class Exchange:
    """One HTTP request to NinjaOne.

    Attributes:
        stale: made with a client that an earlier invocation had made
        presented: the refresh token or code it carries
        ended: when its sender saw how it ended; None while it does not know, and for ever if it died
        answered: a whole HTTP answer reached its sender, whatever it said
        created: the refresh token NinjaOne made for it
        is_dead: NinjaOne called the token dead
        waits_until: when Retry-After ends
        killed_family: NinjaOne revoked the whole grant because of it
        delivered: its answer reached the sender whole
    """

    process: Process
    method: str
    scheme: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    sent: float
    stale: bool
    kind: str = ""
    ended: float | None = None
    executed: float | None = None
    created: str = ""
    killed_family: bool = False
    answered: bool = False
    delivered: bool = False
    status: int = 0
    live_before: frozenset[str] = frozenset()
    waits_until: float = 0.0
    is_dead: bool = False
    form: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: httpx.Request, process: Process, now: float, *, stale: bool) -> "Exchange":
        """Read a request."""
        body = request.read()
        pairs = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        return cls(
            process,
            request.method,
            request.url.scheme,
            request.url.host,
            request.url.path,
            request.url.query.decode(),
            dict(request.headers),
            body,
            now,
            stale,
            form={name: held[0] for name, held in pairs.items()},
        )

    @property
    def endpoint(self) -> Endpoint:
        ends: dict[str, Endpoint] = {"token": "token", "authorize": "authorize", "revoke": "revoke"}
        if "/v2/" in self.path:
            return "api"
        return ends.get(self.path.rpartition("/")[2], "page")

    @property
    def deadline(self) -> float:
        """When the platform ends its process."""
        return self.process.deadline

    @property
    def is_refresh(self) -> bool:
        return self.endpoint == "token" and self.form.get("grant_type") == "refresh_token"

    @property
    def is_code(self) -> bool:
        return self.endpoint == "token" and self.form.get("grant_type") == "authorization_code"

    @property
    def bearer(self) -> str:
        """The access token it carries."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def presented(self) -> str:
        return self.form.get("refresh_token") or self.form.get("code") or ""

    def may_act_at(self, now: float) -> bool:
        """Say whether NinjaOne may still carry it out, as far as its sender can know."""
        if self.answered or self.kind in {"unreachable", "killed_before"}:
            return False
        waited_for = self.ended is None and not self.process.dead
        return waited_for or now < self.sent + T_INFLIGHT


def _error(body: bytes) -> str:
    try:
        held = json.loads(body)
    except ValueError:
        return ""
    return str(held.get("error")) if isinstance(held, dict) else ""


class History:
    """The facts of one run.

    Attributes:
        grant_of, ref_of: which consent a connection's row holds, and the other way round
        refused, answered: process → (service, operation) that failed, or did not
        told_to_wait: refreshes that were answered with Retry-After
        codes: code or session → how often one was sent
        wanted: connection → the longest life that a caller asked for
        disconnected: connection → when its end was first acknowledged
        consented: grant → the person who agreed at NinjaOne
        refused_tokens: access tokens with which NinjaOne refused a call
        audited: process → what it wrote about calls that it passed on
        texts: everything that was written anywhere a secret must not be: (sink, text)
    """

    def __init__(self, oracle: "Oracle") -> None:
        self.oracle = oracle
        self.exchanges: list[Exchange] = []
        self.by_grant: defaultdict[str, list[Exchange]] = defaultdict(list)
        self.grant_of: dict[Ref, str] = {}
        self.ref_of: dict[str, Ref] = {}
        self.codes: Counter[str] = Counter()
        self.told_to_wait: list[Exchange] = []
        self.wanted: Counter[Ref] = Counter()
        self.refused: defaultdict[Process, set[tuple[str, str]]] = defaultdict(set)
        self.answered: defaultdict[Process, set[tuple[str, str]]] = defaultdict(set)
        self.reached: Counter[str] = Counter()
        self.texts: list[tuple[str, str]] = []
        self.secrets: set[str] = set()
        self.disconnected: dict[Ref, float] = {}
        self.consented: dict[str, Person] = {}
        self.refused_tokens: set[str] = set()
        self.figures: list[dict[str, Any]] = []
        self.audited: defaultdict[Process, list[dict[str, Any]]] = defaultdict(list)
        self.violations: list[str] = []
        self.checks: Counter[str] = Counter()

    def secret(self, text: str) -> None:
        """Note a secret made outside NinjaOne."""
        self.secrets.add(text)

    def asked(self, process: Process, service: str, operation: str, parameters: Mapping[str, Any], kind: str) -> None:
        """Note a call of an AWS client, and what it meets."""
        (self.answered if kind in {"", "retried", "slow"} else self.refused)[process].add((service, operation))
        if kind:
            self.met(process, f"{service}.{operation}", kind)
        if service == "sqs" and "MessageBody" in parameters:
            self.texts.append(("queue", parameters["MessageBody"]))
        if service == "s3" and "Key" in parameters:
            self.texts.append(("object name", parameters["Key"]))
        if service == "kms":
            self.texts.append(("encryption context", json.dumps(parameters.get("EncryptionContext", {}))))

    def met(self, process: Process, call: str, kind: str) -> None:
        """Note a fault that was met, and for a refresh at which call."""
        self.reached[f"{call} {kind}"] += 1
        if process.name.startswith("refresh") and kind.startswith("killed"):
            self.reached[f"refresh: {call} {kind}"] += 1

    def written(self, process: Process, line: str) -> None:
        """Note a line of standard output: a log line, or figures."""
        self.texts.append(("log", line))
        if line.startswith('{"_aws"'):
            self.figures.append(json.loads(line))
        else:
            said = line.partition('"message":"')[2].partition('"')[0]
            self.reached[f"said {said}"] += 1
            if said == "proxy.called":
                self.audited[process].append(json.loads(line))

    def sent(self, exchange: Exchange, kind: str) -> None:
        """Note a request to NinjaOne before anything becomes of it."""
        exchange.kind = kind
        self.exchanges.append(exchange)
        self.texts.append(("address", f"{exchange.path}?{exchange.query}"))
        if kind:
            self.met(exchange.process, f"ninjaone.{exchange.endpoint}", kind)
        if not exchange.is_refresh:
            return
        earlier = self.by_grant[self.oracle.grant(exchange.presented)]
        if earlier and earlier[-1].presented == exchange.presented and earlier[-1].may_act_at(exchange.sent - 60.0):
            self.reached["asked again after quarantine"] += 1
        earlier.append(exchange)

    def before(self, exchange: Exchange) -> tuple[int, bool]:
        """Look at a grant before a request is carried out: the length of its chain, and whether it lives."""
        grant = self.oracle.grant(exchange.presented)
        exchange.live_before = self.oracle.live(grant)
        return len(self.oracle.chain(grant)), bool(self.oracle.revoked(grant))

    def executed(self, exchange: Exchange, before: tuple[int, bool], reply: Reply, now: float) -> None:
        """Note what NinjaOne did for a request."""
        exchange.executed, exchange.status = now, reply.status
        if exchange.endpoint == "api" and reply.status == 401:
            self.refused_tokens.add(exchange.bearer)
        exchange.is_dead = reply.status in {400, 401} and _error(reply.body) in DEAD
        if not exchange.is_refresh:
            return
        grant = self.oracle.grant(exchange.presented)
        chain = self.oracle.chain(grant)
        exchange.created = chain[-1] if len(chain) > before[0] else ""
        if exchange.created and exchange.presented != chain[-2]:
            self.reached["the grace of an old token used"] += 1
        exchange.killed_family = bool(self.oracle.revoked(grant)) and not before[1]

    def delivered(self, exchange: Exchange, now: float, retry_after: float) -> None:
        """Note that an answer reached its sender whole."""
        if exchange.is_refresh and exchange.kind == "429_retry_after":
            exchange.waits_until = now + retry_after
            self.told_to_wait.append(exchange)
        exchange.answered = True
        exchange.delivered = exchange.kind not in {"truncated_json", "html_502_after_commit"}

    def ended(self, exchange: Exchange, now: float) -> None:
        """Note that the sender knows how its request ended."""
        exchange.ended = now

    def lost(self, exchange: Exchange) -> bool:
        """Say whether NinjaOne made a token for this request that its sender never got."""
        return bool(exchange.created) and not exchange.delivered

    def row(self, ref: Ref, token: str | None, old: Item | None, new: Item) -> None:
        """Note which consent a row holds, and what a write did to it."""
        grant = self.oracle.grant(token) if token else ""
        if old and "struck_at" in old and "struck_at" not in new and new["version"] != old["version"]:
            self.reached["strike cleared"] += 1
        if grant:
            self.grant_of[ref], self.ref_of[grant] = grant, ref
