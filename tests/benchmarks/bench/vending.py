"""What it takes to give a token: of the processor, of AWS, and while NinjaOne is down."""

import json
import time
from statistics import quantiles
from types import SimpleNamespace
from typing import Any

import boto3
import httpx

from broker.edge.wiring import Ports
from functions.token.app import handler
from tests.benchmarks.bench.broker import broker, measured, seed, trusting
from tests.benchmarks.bench.cloud import Cloud
from tests.benchmarks.bench.lines import Line
from tests.benchmarks.bench.rows import named

CALLS, ROUNDS = 100, 15
TURNS, IN_TURN = 400, 10
CONTEXT = SimpleNamespace(aws_request_id="bench", get_remaining_time_in_millis=lambda: 29_000)


def event(number: int) -> dict[str, Any]:
    """A backend's call, as API Gateway passes it on."""
    tenant, connection = named(number)
    route = "POST /v1/tenants/{tenant}/connections/{connection}/token"
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": f"/v1/tenants/{tenant}/connections/{connection}/token",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "api.example", "user-agent": "bench"},
        "requestContext": {
            "http": {"method": "POST"},
            "domainName": "api.example",
            "requestId": "bench",
            "authorizer": {"iam": {"userArn": f"arn:aws:iam::000000000000:role/backend-{number}"}},
        },
        "pathParameters": {"tenant": tenant, "connection": connection},
        "body": "{}",
        "isBase64Encoded": False,
    }


class Vending:
    """The function, warm."""

    def __init__(self, cloud: Cloud, ports: Ports) -> None:
        self._cloud, self._entry = cloud, handler.bind(broker(ports))
        self._web = httpx.Client(verify=trusting(cloud), trust_env=False)
        self.number = 0

    def give(self) -> float:
        """Get a token and say how many seconds that took."""
        self.number = (self.number + 1) % 1000  # many callers and tenants: one alone may ask only so often
        began = time.perf_counter()
        answer = self._entry(event(self.number), CONTEXT)
        took = time.perf_counter() - began
        assert answer["statusCode"] == 200, answer
        return took

    def switch(self, way: str) -> None:
        """Let NinjaOne be ``up`` or ``down``."""
        self._web.get(f"https://127.0.0.1:{self._cloud.ninjaone_port}/{way}")


def lines(cloud: Cloud, ports: Ports) -> list[Line]:
    """Measure all."""
    seed(cloud, stored=1000, due=1000)
    vending = _patient(Vending(cloud, ports))
    cloud.counted(reset=True)
    turns = [(_processor(vending), _bare()) for _ in range(ROUNDS)]  # the least disturbed of each counts
    ratio = min(ours for ours, _ in turns) / min(bare for _, bare in turns)
    counted = cloud.counted()["calls"]
    reads = (counted["DynamoDB.GetItem"] - ROUNDS * (CALLS + 1)) / (ROUNDS * CALLS)
    others = sum(held for name, held in counted.items() if name not in {"DynamoDB.GetItem", "Bench.Count"})
    down = _percentiles(vending)
    return [
        Line("token, warm: CPU ÷ get_item, bare", ratio, 1.4),
        Line("token, warm: reads of DynamoDB", reads, 1),
        Line("token, warm: other calls", others, 0),
        Line("token p99, NinjaOne down ÷ up", down, 1.2),
    ]


def _patient(vending: Vending) -> Vending:
    for _ in range(100):
        vending.give()
    return vending


def _processor(vending: Vending) -> float:
    with measured() as took:
        for _ in range(CALLS):
            vending.give()
    return took()[1]


def _bare() -> float:
    """The loop anybody would write."""
    client = boto3.client("dynamodb")
    keys = [event(number)["pathParameters"] for number in range(CALLS)]
    client.get_item(TableName="connections", Key={"tenant": {"S": "x"}, "connection": {"S": "y"}})
    with measured() as took:
        for key in keys:
            named = {name: {"S": held} for name, held in key.items()}
            json.dumps(client.get_item(TableName="connections", Key=named, ConsistentRead=True)["Item"]["version"])
    return took()[1]


def _percentiles(vending: Vending) -> float:
    """The slowest in a hundred, in short turns of up and down: what else this machine does meets both alike."""
    found: dict[str, list[float]] = {"up": [], "down": []}
    for _ in range(TURNS):
        for way, took in found.items():
            vending.switch(way)
            took += [vending.give() for _ in range(IN_TURN)]
    vending.switch("up")
    up, down = (quantiles(found[way], n=100)[98] for way in ("up", "down"))
    return down / up
