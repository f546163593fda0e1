"""The units of one refresh: ours as counted in a run, and those of the design that comes to mind first.

Of times the shortest counts, on both sides: what else this machine does only makes them longer.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import boto3
import certifi
import httpx

from broker.adapters.queues import BATCH_SIZE
from broker.edge.wiring import Ports
from local.cloudformation.template import Template, read
from tests.benchmarks.bench.broker import WRAPPED, batches, broker, left, measured, seed
from tests.benchmarks.bench.cloud import Cloud
from tests.benchmarks.bench.grouping import kms_calls
from tests.benchmarks.bench.rows import CLIENT_ID, CLIENT_SECRET, FILLER, REFRESH, named
from tests.benchmarks.cost.model import CYCLE, Units

SIZE, NAIVE = BATCH_SIZE, 20
FLEET, CYCLES, ENVIRONMENTS = 100_000, 6, 5  # fifteen full batches a minute; MaximumConcurrency in template.yaml
TEMPLATE = Path(__file__).parents[3] / "template.yaml"
LATENCY = 0.15
PLATFORM = 600  # bytes of START, END and REPORT


def batch_size(connections: int) -> int:
    """Say how many refreshes are due together: those of one minute, at most a full batch."""
    return min(max(round(connections * 60 / CYCLE), 1), SIZE)


def ours(cloud: Cloud, ports: Ports, size: int = SIZE) -> Units:
    """Refresh five batches, and count.

    Args:
        size: refreshes in a batch. A smaller one shares its invocation, messages, wait and data keys among fewer, and
            is charged as if no environment held a data key: the dearest case.
    """
    due = 5 * size
    logged: list[int] = []
    held = broker(Ports(**{**vars(ports), "write": lambda line: logged.append(len(line))}))
    seed(cloud, stored=due, due=due)
    took = [_took(partial(held.refresh, batch, left)) for batch in batches(due, size)]
    units = cloud.counted(reset=True)["units"]
    return Units(
        writes=(units["write"] + units["index"] + units["control"]) / due,
        reads=units["read"] / due,
        kms=_kms(size),
        sqs=3 / size,
        requests=1 / size,
        processor=min(processor for _, processor in took) / size,
        waits=min(wall - processor for wall, processor in took) / size,
        memory=_template().functions["refresh"].memory / 1024,
        logged=(sum(logged) + PLATFORM * 5) / due,
    )


@cache
def _kms(size: int) -> float:
    if size < SIZE:
        return kms_calls(round(size * CYCLE / 60), CYCLES, Random(7), environments=0, least=1) / 1000
    return kms_calls(FLEET, CYCLES, Random(7), environments=ENVIRONMENTS) / 1000


def _template() -> Template:
    return read(TEMPLATE, {"ProductName": "Cost", "ReturnUrls": "main=https://app.example"})


def naive(cloud: Cloud) -> Units:
    """One schedule, invocation, client and three KMS calls for each; one row for all; the index holds whole rows."""
    seed(cloud, stored=NAIVE, due=0)
    dynamodb, kms = boto3.client("dynamodb"), boto3.client("kms")
    cloud.counted(reset=True)

    def post(form: dict[str, str]) -> object:
        return httpx.post(_url(cloud), data=form, verify=_context(cloud), trust_env=False)

    took = [_took(partial(_refresh, number, dynamodb, kms, post)) for number in range(NAIVE)]
    units = cloud.counted(reset=True)["units"]
    return Units(
        writes=(units["write"] + 2 * units["write"]) / NAIVE,
        reads=units["read"] / NAIVE,
        kms=3,
        sqs=0,
        requests=1,
        processor=min(processor for _, processor in took),
        waits=LATENCY,
        memory=512 / 1024,
        logged=PLATFORM + 300,
        scheduled=1,
    )


def _took(work: Callable[[], object]) -> tuple[float, float]:
    """Measure seconds that passed, and seconds of processor."""
    with measured() as took:
        work()
    return took()


def _context(cloud: Cloud) -> ssl.SSLContext:
    """Read all authorities again, as a request without a client does."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_verify_locations(cloud.authority)
    return context


def _url(cloud: Cloud) -> str:
    return f"https://127.0.0.1:{cloud.ninjaone_port}/ws/oauth/token"


def _refresh(number: int, dynamodb: Any, kms: Any, post: Any) -> None:
    tenant, connection = named(number)
    key = {"tenant": {"S": tenant}, "connection": {"S": connection}}
    found = dynamodb.get_item(TableName="connections", Key=key, ConsistentRead=True)["Item"]
    kms.decrypt(CiphertextBlob=WRAPPED)
    post(
        {
            "grant_type": "refresh_token",
            "refresh_token": REFRESH.reveal(),
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
    )
    for _ in range(2):
        kms.generate_data_key(KeyId="key", KeySpec="AES_256")  # stands for Encrypt: one call for each token
    profile = {"organizations": {"S": "o" * 400}, "metadata": {"S": b64encode(FILLER).decode()}}
    dynamodb.put_item(TableName="connections", Item={**found, **profile, "refresh_at": {"N": str(number)}})
