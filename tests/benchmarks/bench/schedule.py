"""A million connections for a day of virtual time: when they are refreshed, and whether in time.

Real here: ``policy`` (when a refresh is due), the size of an
order, its one jitter, the sweep's pages (by shard, soonest first, another shard first each minute, the rests put
together), how many batches may wait, and the refreshers' number and width. Simulated: a batch is one step, and all its
rows succeed or are held together; connections that share shard, region, instant and token's end are one entry.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import NamedTuple

from broker import policy
from broker.adapters.queues import BATCH_SIZE
from broker.flows.refresh.batch import MAX_IN_FLIGHT
from broker.flows.sweep import MAX_QUEUED_BATCHES, SWEEP_INTERVAL
from broker.model import Instant
from tests.benchmarks.bench.lines import Line

LIFE, LATENCY = 3600, 0.2
PROCESSOR = 0.006  # seconds for one refresh; the bench measures less
ENVIRONMENTS = 5  # MaximumConcurrency in template.yaml
MINUTE = 60
REGIONS = {"app": 40, "eu": 24, "us2": 12, "ca": 8, "oc": 8, "fed": 4, "jp": 4}
"""Host → how many of a hundred connections. Invented: nobody outside NinjaOne knows."""


class Group(NamedTuple):
    """Connections that are alike: when they are due, when their token ends, and where they lie."""

    due: int
    ends: int
    shard: int
    region: str
    size: int


@dataclass
class Day:
    """What happened.

    Attributes:
        refreshes: minute → how many
        regions: (region, minute) → how many
        ended: connections whose token ended before it was renewed, though NinjaOne was up all its life
    """

    refreshes: Counter[int] = field(default_factory=Counter)
    regions: Counter[tuple[str, int]] = field(default_factory=Counter)
    ended: int = 0


class Connections:
    """So many connections, their index and the refreshers.

    Args:
        down: the minutes for which NinjaOne answers nobody
    """

    def __init__(self, random: Random, *, down: range) -> None:
        self._random, self._down = random, down
        self._shards: list[list[Group]] = [[] for _ in range(policy.SHARDS)]
        self.day = Day()

    def connect(self, count: int, first: int, last: int) -> None:
        """Connect customers between two instants."""
        regions = self._random.choices(list(REGIONS), list(REGIONS.values()), k=count)
        for region in regions:
            now = self._random.randint(first, last)
            due = policy.refresh_at(Instant(now), Instant(now + LIFE), self._random.random(), anew=True)
            self._put(Group(due, now + LIFE, self._random.randrange(policy.SHARDS), region, 1))

    def pass_minute(self, minute: int) -> None:
        """Sweep once and work what was requested, as many as the refreshers can in a minute."""
        now, is_down = minute * MINUTE, minute in self._down
        capacity = ENVIRONMENTS * MINUTE * min(MAX_IN_FLIGHT / LATENCY, 1 / PROCESSOR)
        for batch in self._batches(now):
            capacity -= sum(group.size for group in batch)
            if capacity < 0:
                for group in batch:
                    self._put(group)
            elif is_down:
                self._hold(batch)
            else:
                self._renew(batch, now + self._random.randrange(MINUTE), minute)

    def _batches(self, now: int) -> Iterator[list[Group]]:
        """Order what is due as the sweep does: until too many wait."""
        rest: list[Group] = []
        sent = 0
        first = now // SWEEP_INTERVAL
        for number in range(policy.SHARDS):
            shard = self._shards[(first + number) % policy.SHARDS]
            while sent < MAX_QUEUED_BATCHES:
                page = list(_page(shard, now + SWEEP_INTERVAL))
                if sum(group.size for group in page) < BATCH_SIZE:
                    rest += page
                    break
                sent += 1
                yield page
        heapq.heapify(rest)
        while rest:
            yield list(_page(rest, now + SWEEP_INTERVAL))

    def _renew(self, batch: list[Group], began: int, minute: int) -> None:
        for group in batch:
            self.day.refreshes[minute] += group.size
            self.day.regions[group.region, minute] += group.size
            self.day.ended += group.size * (began > group.ends and not self._excused(group))
        jitter = self._random.randrange(256) / 256
        alike = sorted(
            (group.shard, group.region, began - group.due > policy.LATE_AFTER, group.size) for group in batch
        )
        for (shard, region, late), groups in groupby(alike, lambda each: each[:3]):
            again = policy.refresh_at(Instant(began), Instant(began + LIFE), jitter, anew=late)
            self._put(Group(again, began + LIFE, shard, region, sum(each[3] for each in groups)))

    def _excused(self, group: Group) -> bool:
        """Say whether NinjaOne was down at any time of a token's life."""
        began, end = self._down.start * MINUTE, self._down.stop * MINUTE
        return group.ends > began and group.ends - LIFE < end

    def _hold(self, batch: list[Group]) -> None:
        """Leave them due: an open breaker holds them until the first grant."""
        for group in batch:
            self._put(group)

    def _put(self, group: Group) -> None:
        heapq.heappush(self._shards[group.shard], group)


def _page(heap: list[Group], until: int) -> Iterator[Group]:
    """Take what one batch holds, soonest first."""
    room = BATCH_SIZE
    while room and heap and heap[0].due <= until:
        group = heapq.heappop(heap)
        taken = min(group.size, room)
        if taken < group.size:
            heapq.heappush(heap, group._replace(size=group.size - taken))
        room -= taken
        yield group._replace(size=taken)


CONNECTIONS, HOURS, IMPORTED, DOWN = 1_000_000, 24, 600, range(720, 840)
SETTLED = range(300, 720)
"""Minutes in which nothing special happens: the mean is theirs."""


def day(connections: int = CONNECTIONS) -> Day:
    """Import that many customers within ten minutes, then let NinjaOne be down from noon until two."""
    fleet = Connections(Random(1), down=DOWN)
    fleet.connect(connections, 0, IMPORTED)
    for minute in range(HOURS * 60):
        fleet.pass_minute(minute)
    return fleet.day


def lines() -> list[Line]:
    """Measure how far the minutes of that day are from their mean, and whether every token was renewed in time."""
    found = day()
    region = max(_highest({minute: found.regions[each, minute] for minute in found.refreshes}) for each in REGIONS)
    return [
        Line("a day of 10⁶: refreshes of the highest minute ÷ mean", _highest(found.refreshes), 2),
        Line("a day of 10⁶: one region's highest minute ÷ its mean", region, 2),
        Line("a day of 10⁶: tokens ended before they were renewed", found.ended, 0),
    ]


def _highest(minutes: Mapping[int, int]) -> float:
    return max(minutes.values()) * len(SETTLED) / sum(minutes[minute] for minute in SETTLED)
