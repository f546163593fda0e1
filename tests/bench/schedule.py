"""A million connections for a day of virtual time: when they are refreshed, and with which data keys.

Real here: ``policy`` (when a refresh is due, how long a brake holds, how what gathered is spread), the size of an
order, one jitter and one data key for each order, the sweep's order (by shard, soonest first, cut every hundred, the
rests put together) and the refreshers' number and width. Pretended: an order is one step, and all its rows succeed or
are held together; connections that share instant and data key are one entry with a count.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from broker import policy
from broker.adapters.queues import ORDER_SIZE
from broker.flows.refresh import WIDTH
from broker.model import Instant

LIFE, LATENCY = 3600, 0.2
ENVIRONMENTS = 5  # MaximumConcurrency in template.yaml
MINUTE = 60
Group = tuple[int, int, int]
"""When it is due, the data key it is sealed under, how many connections."""


@dataclass
class Day:
    """What happened.

    refreshes   minute → how many connections
    late        the longest that a refresh came after a token's end, in seconds; only while NinjaOne is up
    kms         calls, each order in an environment that holds no data key
    """

    refreshes: Counter[int] = field(default_factory=Counter)
    kms: int = 0
    orders: int = 0
    full: list[int] = field(default_factory=list)
    latest: float = 0.0


class Fleet:
    """So many connections, their index and the refreshers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._shards: list[list[Group]] = [[] for _ in range(policy.SHARDS)]
        self._keys = 0
        self._level = -1
        self._until = 0
        self.day = Day()

    def connect(self, count: int, first: int, last: int) -> None:
        """Connect customers between two instants, each sealed under the key of its minute."""
        for _ in range(count):
            now = self._random.randint(first, last)
            due = policy.refresh_at(Instant(now), Instant(now + LIFE), self._random.random(), anew=True)
            self._put((int(due), -(now // 300) - 1, 1))

    def settle_in(self, count: int) -> None:
        """Begin with connections at any point of their life."""
        for _ in range(count):
            self._put((self._random.randint(0, 1980), -1, 1))

    def minute(self, now: int, *, is_down: bool) -> None:
        """Sweep once and work what was ordered, as many as the refreshers can in a minute."""
        capacity = ENVIRONMENTS * WIDTH * MINUTE / LATENCY
        for order in self._orders(now):
            size = sum(group[2] for group in order)
            if capacity < size:
                for group in order:
                    self._put(group)
                continue
            capacity -= size
            if is_down or now < self._until:
                self._hold(order, now, is_down=is_down)
            else:
                self._renew(order, now + self._random.randrange(MINUTE), size, now)

    def _orders(self, now: int) -> Iterator[list[Group]]:
        rest: list[Group] = []
        orders: list[list[Group]] = []
        for shard in self._shards:
            page: list[Group] = []
            room = ORDER_SIZE
            while shard and shard[0][0] <= now + MINUTE:
                due, key, count = heapq.heappop(shard)
                while count >= room:
                    orders.append([*page, (due, key, room)])
                    count, page, room = count - room, [], ORDER_SIZE
                if count:
                    page.append((due, key, count))
                    room -= count
            rest += page
        yield from orders
        if rest:
            yield from _cut(rest)

    def _renew(self, order: list[Group], began: int, size: int, now: int) -> None:
        self._keys += 1
        self._level = -1
        due = min(group[0] for group in order)
        late = began - due > policy.LATE
        again = policy.refresh_at(Instant(began), Instant(began + LIFE), self._random.randrange(256) / 256, anew=late)
        self._put((int(again), self._keys, size))
        self.day.refreshes[now // MINUTE] += size
        self.day.orders += 1
        calls = 2 + len({group[1] for group in order})
        self.day.kms += calls
        if size == ORDER_SIZE:
            self.day.full.append(calls)

    def _hold(self, order: list[Group], now: int, *, is_down: bool) -> None:
        if is_down and now >= self._until:
            self._level += 1
            self._until = now + policy.brake_for(self._level)
        again = policy.resume_at(Instant(self._until), max(self._level, 0), self._random.randrange(256) / 256)
        for _, key, count in order:
            self._put((int(again), key, count))

    def _put(self, group: Group) -> None:
        heapq.heappush(
            self._shards[self._random.randrange(policy.SHARDS)]
            if group[2] == 1
            else self._shards[group[1] % policy.SHARDS],
            group,
        )


def _cut(rest: list[Group]) -> Iterator[list[Group]]:
    order: list[Group] = []
    room = ORDER_SIZE
    for due, key, count in rest:
        left = count
        while left:
            taken = min(left, room)
            order.append((due, key, taken))
            left, room = left - taken, room - taken
            if not room:
                yield order
                order, room = [], ORDER_SIZE
    if order:
        yield order
