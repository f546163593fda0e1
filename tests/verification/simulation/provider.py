"""The way to NinjaOne: an httpx transport into the simulated NinjaOne, over a network that loses things."""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx
from greenlet import getcurrent

from broker.adapters.http_client_pool import MAX_IDLE_SECONDS
from ninjaone_emulator.faults import Fault
from tests.verification.simulation import invariants
from tests.verification.simulation.history import Exchange
from tests.verification.simulation.ports import FOREVER, living
from tests.verification.simulation.scheduler import Process

if TYPE_CHECKING:
    from tests.verification.simulation.world import Instance, World

TRAVEL = 0.2  # seconds one way takes at most
T_INFLIGHT = 59.0  # seconds after which no request that was sent is carried out any more
REPLICA_LAG = 50.0  # seconds for which a replica of NinjaOne's may not know a new token
CLOCK_MOVES = 10.0  # seconds by which a clock may be set meanwhile
STATUS = re.compile(r"^(\d{3}|html_|spurious|truncated)")


class Transport(httpx.BaseTransport):
    """One client's way to NinjaOne. It belongs to the invocation that first used it, and to the proxy's next reads.

    Attributes:
        used: when it was last used
    """

    def __init__(self, world: "World", instance: "Instance") -> None:
        self.world, self.instance = world, instance
        self.owner: Process | None = None
        self.used = 0.0

    def close(self) -> None:
        """Nothing is held open."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        world, process = self.world, living(self.world)
        self.owner = self.owner or process
        exchange = Exchange.of(request, process, world.scheduler.now, stale=not self._may_use(request, process))
        kind = self._bounded(world.meet(self.instance, "ninjaone", operation(request)), exchange)
        world.history.sent(exchange, kind)
        invariants.check(world, "send", exchange)
        if exchange.is_refresh:
            world.trace.sent(exchange)
        try:
            return self._carried(exchange, kind, request.extensions.get("timeout", {}))
        finally:
            self.used = world.now()
            if not process.dead:
                world.history.ended(exchange, world.now())
                if exchange.is_refresh:
                    world.trace.ended(exchange)

    def _may_use(self, request: httpx.Request, process: Process) -> bool:
        """Say whether this client is the process's own, or may be lent to it: to read for the same connection, soon."""
        if process is self.owner:
            return True
        self.world.history.reached["a kept connection used"] += 1
        is_same = (found := _passed_on(process)) is not None and found == _passed_on(self.owner)
        return is_same and request.method == "GET" and self.world.now() - self.used < MAX_IDLE_SECONDS + CLOCK_MOVES

    def _bounded(self, kind: str, exchange: Exchange) -> str:
        """Let a replica lag behind for less than a minute, once for each grant: two strikes outlast it."""
        if kind != "spurious_dead_token":
            return kind
        world = self.world
        first = world.lagging.setdefault(world.oracle.grant(exchange.presented), world.now())
        return kind if world.now() < first + REPLICA_LAG else ""

    def _carried(self, exchange: Exchange, kind: str, patience: dict[str, Any]) -> httpx.Response:
        world = self.world
        read = float(patience.get("read") or FOREVER)
        if kind == "killed_before":
            raise world.kill_current()
        if kind == "unreachable":
            world.scheduler.wait(world.plan.delay(float(patience.get("connect") or FOREVER)))
            raise httpx.ConnectError("simulated")
        if kind in {"killed_during", "late"}:
            self._leave_behind(exchange)
            world.scheduler.wait(world.plan.delay(TRAVEL))
            if kind == "killed_during":
                raise world.kill_current()
            raise httpx.ReadError("simulated")
        if kind in {"lost_request", "reset"}:
            world.scheduler.wait(read if kind == "lost_request" else world.plan.delay(TRAVEL))
            raise (httpx.ReadTimeout if kind == "lost_request" else httpx.RemoteProtocolError)("simulated")
        return self._answered(exchange, kind, read)

    def _leave_behind(self, exchange: Exchange) -> None:
        """Let the request be carried out when its sender no longer listens, or never."""
        world = self.world
        if world.plan.chance(0.75):
            world.scheduler.after(world.plan.delay(T_INFLIGHT), lambda: self._execute(exchange, ""))

    def _answered(self, exchange: Exchange, kind: str, read: float) -> httpx.Response:
        world, process, task = self.world, exchange.process, getcurrent()
        process.inflight[task] = (lambda: self._execute(exchange, kind), T_INFLIGHT - TRAVEL)
        world.scheduler.wait(world.plan.delay(TRAVEL))
        del process.inflight[task]
        if kind == "redirect":
            return httpx.Response(
                302,
                headers={"location": "https://elsewhere.example/ws/oauth/token"},
                stream=httpx.ByteStream(b""),
            )
        reply = self._execute(exchange, kind)
        if kind == "lost_response":
            world.scheduler.wait(read)
            raise httpx.ReadTimeout("simulated")
        slow = world.plan.delay(0.95) * read if kind == "slow" else world.plan.delay(TRAVEL)
        world.scheduler.wait(slow)
        if kind == "reset_after":
            raise httpx.RemoteProtocolError("simulated")
        world.history.delivered(exchange, world.now(), world.retry_after)
        if exchange.is_refresh and exchange.status == 200:
            world.plan.granted()
        if kind == "killed_after":
            raise world.kill_current()
        return reply

    def _execute(self, exchange: Exchange, kind: str) -> httpx.Response:
        """Let NinjaOne carry the request out, and note what only NinjaOne knows."""
        world = self.world
        if STATUS.match(kind):
            world.ninjaone.faults.plan(Fault(kind, on=exchange.endpoint, seconds=world.retry_after))
        before = world.history.before(exchange)
        reply = world.ninjaone.respond(
            exchange.method,
            exchange.host,
            exchange.path,
            headers=exchange.headers,
            query=exchange.query,
            body=exchange.body,
        )
        world.ninjaone.faults.clear()
        world.history.executed(exchange, before, reply, world.now())
        invariants.check(world, "execute", exchange)
        return httpx.Response(reply.status, headers=list(reply.headers), stream=httpx.ByteStream(reply.body))


def _passed_on(process: Process | None) -> tuple[str, str] | None:
    """Name the connection for which an invocation passes a call on; None when it does anything else."""
    path = getattr(process, "event", {}).get("pathParameters", {})
    return (path["tenant"], path["connection"]) if "path" in path else None


def operation(request: httpx.Request) -> str:
    """Name a request for the trace: never with a secret in it."""
    if request.url.path.endswith("/oauth/token"):
        grant = parse_qs(request.content.decode("utf-8", "replace")).get("grant_type", ["?"])[0]
        return f"token {grant}"
    return f"{request.method} {request.url.path}"
