"""KMS calls after many cycles, row by row: do batches keep rows together that were sealed together?

Real here: the jitter (``policy``), the sweep's order, and ``Seal`` with its kept data keys, one for each environment.
"""

import heapq
import struct
from collections.abc import Iterator
from random import Random

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.queues import BATCH_SIZE
from broker.adapters.seal import Seal
from broker.model import SEAL_FORMAT, ConnectionId, Instant, Purpose, TenantId
from tests.benchmarks.bench.lines import Line
from tests.benchmarks.bench.rows import named

LIFE, MINUTE = 3600, 60
CYCLE = 1980  # seconds between two refreshes, on average
Row = tuple[int, tuple[TenantId, ConnectionId], bytes]
"""When it is due, its key in the table, its sealed refresh token as far as the data key goes."""


def batches(shards: list[list[Row]], now: int) -> Iterator[list[Row]]:
    """Order what is due as the sweep does: full pages shard by shard, then the rests together."""
    rest: list[Row] = []
    for shard in shards:
        due: list[Row] = []
        while shard and shard[0][0] <= now + MINUTE:
            due.append(heapq.heappop(shard))
        whole = len(due) - len(due) % BATCH_SIZE
        yield from (due[start : start + BATCH_SIZE] for start in range(0, whole, BATCH_SIZE))
        rest += due[whole:]
    yield from (rest[start : start + BATCH_SIZE] for start in range(0, len(rest), BATCH_SIZE))


class Kms:
    """KMS and the time: data keys are numbers, and calls are counted."""

    def __init__(self) -> None:
        self.calls, self.seconds, self._made = 0, 0.0, 0

    def now(self) -> float:
        """The time that the simulation has come to."""
        return self.seconds

    def sleep(self, _seconds: float) -> None:
        """Nobody waits here."""

    def generate_data_key(self, **_asked: object) -> dict[str, bytes]:
        """Make a data key."""
        self.calls += 1
        self._made += 1
        return {"CiphertextBlob": self._made.to_bytes(4, "big"), "Plaintext": b""}

    def decrypt(self, **_asked: object) -> dict[str, bytes]:
        """Open a data key."""
        self.calls += 1
        return {"Plaintext": b""}


def kms_calls(connections: int, cycles: int, random: Random, *, environments: int, least: int = BATCH_SIZE) -> float:
    """Let connections, each sealed alone, go through their cycles; then count KMS calls per 1,000 refreshes.

    Args:
        environments: how many take turns at the batches; 0 gives every batch a new one, which holds no data key
        least: smaller batches are not counted
    """
    shards: list[list[Row]] = [[] for _ in range(policy.SHARDS)]
    for number in range(connections):
        tenant, connection = named(number)
        heapq.heappush(shards[policy.shard(connection)], (random.randrange(CYCLE), (tenant, connection), _blob(number)))
    kms, counted, refreshed = Kms(), 0, 0
    seals = [Seal(AwsClient("kms", kms), "", kms, bytes) for _ in range(environments)]
    for now in range(0, (cycles + 2) * CYCLE, MINUTE):
        for batch in list(batches(shards, now)):
            kms.seconds = began = now + random.randrange(MINUTE)
            seal = random.choice(seals) if seals else Seal(AwsClient("kms", kms), "", kms, bytes)
            before = kms.calls
            seal.unwrap_keys((blob for _, _, blob in batch), Purpose.REFRESH)
            _, key = seal.data_key(Purpose.ACCESS), seal.data_key(Purpose.REFRESH)
            again = policy.refresh_at(Instant(began), Instant(began + LIFE), random.randrange(256) / 256)
            for _, name, _ in batch:
                heapq.heappush(shards[policy.shard(name[1])], (again, name, _sealed(key.wrapped)))
            if now > cycles * CYCLE and len(batch) >= least:
                counted, refreshed = counted + kms.calls - before, refreshed + len(batch)
    return 1000 * counted / refreshed


def _blob(number: int) -> bytes:
    """Seal a token as when its connection was made: under a data key of its own."""
    return _sealed(b"made" + number.to_bytes(4, "big"))


def _sealed(wrapped: bytes) -> bytes:
    return struct.pack(">BH", SEAL_FORMAT, len(wrapped)) + wrapped + bytes(28)


def lines() -> list[Line]:
    """Measure a fleet whose batches are full, each batch in an environment that holds no data key."""
    found = kms_calls(20_000, 10, Random(7), environments=0)
    return [Line("KMS calls per 1,000 refreshes, ten cycles on", found, 100)]
