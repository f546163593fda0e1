"""KMS calls after many cycles, row by row: do orders keep rows together that were sealed together?

Counted as if every order met an environment that holds no data key; a real one keeps its keys for five minutes.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from random import Random

from broker import policy
from broker.adapters.queues import ORDER_SIZE
from broker.model import Instant
from tests.bench.lines import Line
from tests.bench.rows import named

LIFE, MINUTE = 3600, 60
CYCLE = 1980  # seconds between two refreshes, on average
Row = tuple[int, tuple[str, str], int]
"""When it is due, its key in the table, its data key."""


def orders(shards: list[list[Row]], now: int) -> Iterator[list[Row]]:
    """Order what is due as the sweep does: full pages shard by shard, then the rests together."""
    rest: list[Row] = []
    for shard in shards:
        due: list[Row] = []
        while shard and shard[0][0] <= now + MINUTE:
            due.append(heapq.heappop(shard))
        whole = len(due) - len(due) % ORDER_SIZE
        yield from (due[start : start + ORDER_SIZE] for start in range(0, whole, ORDER_SIZE))
        rest += due[whole:]
    yield from (rest[start : start + ORDER_SIZE] for start in range(0, len(rest), ORDER_SIZE))


def kms_calls(connections: int, cycles: int, random: Random) -> float:
    """Let connections, each sealed alone, go through their cycles; count calls per 1,000 in full orders then."""
    shards: list[list[Row]] = [[] for _ in range(policy.SHARDS)]
    for number in range(connections):
        tenant, connection = named(number)
        heapq.heappush(shards[policy.shard(connection)], (random.randrange(CYCLE), (tenant, connection), -number))
    calls: dict[bool, int] = defaultdict(int)
    refreshed: dict[bool, int] = defaultdict(int)
    sealed_under = 0
    for now in range(0, (cycles + 2) * CYCLE, MINUTE):
        for order in list(orders(shards, now)):
            sealed_under += 1
            began = now + random.randrange(MINUTE)
            again = policy.refresh_at(Instant(began), Instant(began + LIFE), random.randrange(256) / 256)
            for _, name, _ in order:
                heapq.heappush(shards[policy.shard(name[1])], (again, name, sealed_under))  # type: ignore[arg-type]  # named above
            is_counted = now > cycles * CYCLE and len(order) == ORDER_SIZE
            calls[is_counted] += 2 + len({row[2] for row in order})
            refreshed[is_counted] += len(order)
    return 1000 * calls[True] / refreshed[True]


def lines() -> list[Line]:
    """Measure a fleet whose orders are full."""
    return [Line("KMS calls per 1,000 refreshes, ten cycles on", kms_calls(20_000, 10, Random(7)), 100)]
