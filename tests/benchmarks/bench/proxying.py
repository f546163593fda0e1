"""What it takes to pass a call on to NinjaOne: of the processor, and in time beside a direct call with a held token."""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import boto3
import httpx

from broker.edge.wiring import Ports
from functions.proxy.app import handler
from tests.benchmarks.bench.broker import broker, measured, seed, trusting
from tests.benchmarks.bench.cloud import Cloud
from tests.benchmarks.bench.lines import Line
from tests.benchmarks.bench.rows import ACCESS
from tests.benchmarks.bench.vending import CONTEXT, event

CALLS, ROUNDS, WAITING = 25, 36, 100
TENANTS = 12
"""So many that none asks more often than it may, and no more than the function keeps connections for."""
BEARER = {"authorization": f"Bearer {ACCESS.reveal()}"}
AT_ONCE, LATE = "v2/devices", "v2/late/devices"
"""Paths of the cloud's NinjaOne: the second one is answered after 50 ms."""


class Proxying:
    """The function, warm: it called NinjaOne for each of these connections before."""

    def __init__(self, ports: Ports) -> None:
        self._entry = handler.bind(broker(ports, PROXY_POLICY="* GET /v2/*"))
        self._number = 0

    def call(self, path: str) -> None:
        """Have one call passed on."""
        self._number = (self._number + 1) % TENANTS
        answer = self._entry(_event(self._number, path), CONTEXT)
        assert answer["statusCode"] == 200, answer


class Bare:
    """What anybody would write: read the row, ask NinjaOne."""

    def __init__(self, cloud: Cloud) -> None:
        self._dynamodb = boto3.client("dynamodb")
        self._base = f"https://127.0.0.1:{cloud.ninjaone_port}/"
        self._held = httpx.Client(verify=trusting(cloud), trust_env=False, headers=BEARER)
        self._number = 0

    def call(self, path: str) -> None:
        """Read a row, and make one request on a connection that stays open."""
        self._number = (self._number + 1) % 1000
        key = {
            name: {"S": held} for name, held in _event(self._number, path)["pathParameters"].items() if name != "path"
        }
        self._dynamodb.get_item(TableName="connections", Key=key, ConsistentRead=True)
        json.loads(self._held.get(self._base + path).content)

    def direct(self, path: str) -> None:
        """Make one request with a token that is held, on a connection that stays open."""
        self._held.get(self._base + path).raise_for_status()


def lines(cloud: Cloud, ports: Ports) -> list[Line]:
    """Measure both."""
    seed(cloud, stored=1000, due=1000)
    proxying, bare = Proxying(ports), Bare(cloud)
    for each in (proxying.call, bare.call, bare.direct):
        _processor(each)
    # Each share of the two is taken in the same moment: whatever else the machine does then makes both dearer.
    ratio = median(_processor(proxying.call) / _processor(bare.call) for _ in range(ROUNDS))
    waits = [(_waited(proxying.call), _waited(bare.direct)) for _ in range(WAITING)]
    ours, theirs = (median(each) for each in zip(*waits, strict=True))
    return [
        Line("proxy, warm: CPU ÷ get_item and an httpx GET, bare", ratio, 1.4),
        Line("proxy p50, NinjaOne at 50 ms ÷ direct, token held", ours / theirs, 1.3),
    ]


def _event(number: int, path: str) -> dict[str, Any]:
    """A backend's call that is to be passed on."""
    made = event(number) | {
        "routeKey": "ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}",
        "body": "",
    }
    made["requestContext"]["http"]["method"] = "GET"
    made["pathParameters"]["path"] = path
    return made


def _processor(call: Callable[[str], None]) -> float:
    with measured() as took:
        for _ in range(CALLS):
            call(AT_ONCE)
    return took()[1]


def _waited(call: Callable[[str], None]) -> float:
    began = time.perf_counter()
    call(LATE)
    return time.perf_counter() - began
