"""What a refresh takes: how many in a second, of the processor, of AWS; and whether it stays so when much is stored."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import boto3
import httpx
from botocore.config import Config as ClientConfig

from broker.adapters.connections import MAX_KEYS_PER_READ
from broker.adapters.queues import BATCH_SIZE
from broker.edge.wiring import Ports
from broker.flows.refresh import batch as flow
from tests.benchmarks.bench.broker import batches, broker, left, measured, seed, trusting
from tests.benchmarks.bench.cloud import Cloud
from tests.benchmarks.bench.lines import Line
from tests.benchmarks.bench.rows import CLIENT_ID, CLIENT_SECRET, FILLER, REFRESH, named

SIZE = BATCH_SIZE
DUE = 3 * SIZE
GROWTH = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 5


@dataclass(frozen=True)
class Took:
    """What one refresh took, on average.

    Attributes:
        seconds: of this process's processor
        per_second: refreshes
    """

    seconds: float
    per_second: float
    counted: dict[str, Any]


def worked(cloud: Cloud, ports: Ports, due: int, *, size: int = SIZE, width: int = flow.MAX_IN_FLIGHT) -> Took:
    """Sweep, then refresh what is due, batch after batch, in one environment."""
    seed(cloud, stored=due, due=due)
    held, usual = broker(ports), flow.MAX_IN_FLIGHT
    flow.MAX_IN_FLIGHT = width
    try:
        with measured() as took:
            held.sweep()
            for batch in batches(due, size):
                held.refresh(batch, left)
    finally:
        flow.MAX_IN_FLIGHT = usual
    wall, processor = took()
    return Took(processor / due, due / wall, cloud.counted(reset=True))


def bare(cloud: Cloud, due: int) -> Took:
    """The calls of a refresh alone, in as many threads: its share of a batch read, two updates, one POST."""
    seed(cloud, stored=due, due=0)
    settings = ClientConfig(max_pool_connections=flow.MAX_IN_FLIGHT)
    table, context = boto3.client("dynamodb", config=settings), trusting(cloud)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH.reveal(),
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }

    def wave(numbers: range) -> None:
        for start in numbers[::MAX_KEYS_PER_READ]:
            keys = [_key(number) for number in range(start, start + MAX_KEYS_PER_READ)]
            table.batch_get_item(RequestItems={"connections": {"Keys": keys}})
        waiting = iter(numbers)

        def work() -> None:
            with httpx.Client(verify=context, trust_env=False) as web:
                for number in waiting:
                    table.update_item(**_update(number, lease_until=1, tried_at=2, lease_id="a" * 16))
                    web.post(f"https://127.0.0.1:{cloud.ninjaone_port}/ws/oauth/token", data=form).json()
                    table.update_item(
                        **_update(number, access=FILLER, refresh=FILLER, expires_at=3, sent_at=4, refresh_at=5)
                    )

        with ThreadPoolExecutor(flow.MAX_IN_FLIGHT) as pool:
            for each in [pool.submit(work) for _ in range(flow.MAX_IN_FLIGHT)]:
                each.result()

    with measured() as took:
        for start in range(0, due, SIZE):
            wave(range(start, start + SIZE))
    wall, processor = took()
    return Took(processor / due, due / wall, cloud.counted(reset=True))


def _key(number: int) -> dict[str, Any]:
    tenant, connection = named(number)
    return {"tenant": {"S": tenant}, "connection": {"S": connection}}


def _update(number: int, **change: Any) -> dict[str, Any]:
    return {
        "TableName": "connections",
        "Key": _key(number),
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in change),
        "ConditionExpression": "#version = :seen",
        "ExpressionAttributeNames": {f"#{name}": name for name in (*change, "version")},
        "ExpressionAttributeValues": {
            ":seen": {"N": "1"},
            **{f":{name}": _value(held) for name, held in change.items()},
        },
        "ReturnValues": "ALL_NEW",
    }


def _value(held: Any) -> dict[str, Any]:
    return {"B": held} if isinstance(held, bytes) else {"N": str(held)} if isinstance(held, int) else {"S": held}


def lines(cloud: Cloud, ports: Ports) -> list[Line]:
    """Measure all."""
    worked(cloud, ports, SIZE)  # the first round also imports
    rounds = [(worked(cloud, ports, DUE), bare(cloud, DUE)) for _ in range(ROUNDS)]
    usual = rounds[0][0]
    wide = [(_at(cloud, ports, 200), _at(cloud, ports, 50)) for _ in range(ROUNDS)]
    grown = [_grown(cloud, ports, stored) for stored in GROWTH]
    for stored, took in zip(GROWTH, grown, strict=True):
        each = f"{_calls(took)} calls, {_units(took):.0f} units, {1000 * took.seconds:.1f} ms of the processor for each"
        print(f"  {GROWTH[0]:,} due among {stored:>9,}: {each}")
    fastest, of_calls = (max(each.per_second for each in kind) for kind in zip(*rounds, strict=True))
    units = usual.counted["units"]
    milliseconds = 1000 * median(took.seconds for took, _ in rounds)
    print(f"  {fastest:.0f} refreshes a second, {milliseconds:.1f} ms of the processor each")
    return [
        Line("refreshes a second ÷ its calls, bare, as many at once", fastest / of_calls, 0.8, least=True),
        Line("CPU per refresh, 200 in flight ÷ 50", min(many for many, _ in wide) / min(few for _, few in wide), 1.2),
        Line("CPU per refresh ÷ its calls, bare", median(took.seconds / calls.seconds for took, calls in rounds), 1.3),
        Line("write units per refresh, its row and the index", (units["write"] + units["index"]) / DUE, 4),
        Line("calls of a run, 10⁶ stored ÷ 10³, 1,000 due", _calls(grown[-1]) / _calls(grown[0]), 1.2),
        Line("units of a run, 10⁶ stored ÷ 10³, 1,000 due", _units(grown[-1]) / _units(grown[0]), 1.2),
        Line("CPU of a run, 10⁶ stored ÷ 10³, 1,000 due", grown[-1].seconds / grown[0].seconds, 1.2),
    ]


def _grown(cloud: Cloud, ports: Ports, stored: int) -> Took:
    """Run with so many stored, and again; the shortest counts, for other work only makes it longer."""
    seed(cloud, stored=stored, due=0)
    return min((worked(cloud, ports, GROWTH[0]) for _ in range(3)), key=lambda took: took.seconds)


def _at(cloud: Cloud, ports: Ports, width: int) -> float:
    """Tell the CPU of a refresh with so many in flight; each worker does as many as in a full batch."""
    due = width * SIZE // flow.MAX_IN_FLIGHT
    return worked(cloud, ports, due, size=due, width=width).seconds


def _calls(took: Took) -> int:
    return sum(took.counted["calls"].values())


def _units(took: Took) -> float:
    return float(sum(took.counted["units"].values()))
