"""What sets the broker going without anybody asking: the schedule and the queues, at least once and never on time."""

from typing import Any

from tests.verification.simulation.queues import Message
from tests.verification.simulation.world import QUEUES, Invocation, World

VISIBILITY = {"refresh": 1080.0, "urgent": 1080.0, "completion": 140.0}  # seconds
FED = {"refresh": "refresh", "urgent": "refresh", "completion": "complete"}
RECEIVES = {"refresh": 5, "urgent": 3, "completion": 5}  # after that a message goes to the dead letters
TICK = 60.0


class Triggers:
    """The schedule and the event source mappings.

    Args:
        tick: seconds from one tick to the next
        duplicates: probability that a trigger comes twice
        concurrency: invocations that a mapping runs at most at a time
        until: no tick comes after that
    """

    def __init__(self, world: World, *, duplicates: float, concurrency: int, until: float, tick: float = TICK) -> None:
        self.world, self.duplicates, self.concurrency, self.until = world, duplicates, concurrency, until
        self.tick = tick
        self.urls = {world.env[name]: queue for queue, name in QUEUES.items()}
        self.flying = dict.fromkeys(QUEUES, 0)
        world.sqs.arrived = self._poll_at
        world.scheduler.after(self.tick, self._tick)

    # The schedule

    def _tick(self) -> None:
        world = self.world
        if world.now() >= self.until:
            return
        world.scheduler.after(self.tick, self._tick)
        if not self._has_work():
            return
        if world.plan.chance(self.duplicates):
            world.history.reached["tick missed"] += 1
            return
        self._sweep()
        if world.plan.chance(self.duplicates):
            world.history.reached["tick twice"] += 1
            world.scheduler.after(world.plan.delay(TICK), self._sweep)

    def _has_work(self) -> bool:
        """Pass over most ticks that would find nothing: they would only read an empty index."""
        world = self.world
        soon = world.now() + TICK
        due = any(int(row["refresh_at"]["N"]) <= soon for row in world.rows.items.values() if "refresh_at" in row)
        return due or bool(world.bucket) or world.plan.chance(0.02)

    def _sweep(self) -> None:
        self.world.invoke("sweep", {})

    # The queues

    def _poll_at(self, url: str, when: float) -> None:
        self.world.scheduler.at(when + self.world.plan.delay(0.5), lambda: self._poll(url))

    def _poll(self, url: str) -> None:
        """Take the next message, if there is one and a worker for it."""
        world, queue = self.world, self.urls[url]
        if self.flying[queue] >= self.concurrency:
            self._poll_at(url, world.now() + 1.0)
            return
        visible = [each for each in world.sqs.queues[url] if each.visible_at <= world.now()]
        if not visible:
            return
        message = visible[int(world.plan.delay(len(visible)) * 0.999)]
        message.received += 1
        message.visible_at = world.now() + VISIBILITY[queue]
        if message.received > RECEIVES[queue]:
            world.history.reached["dead letter"] += 1
            world.sqs.queues[url].remove(message)
            return
        self._deliver(url, message)
        if world.plan.chance(self.duplicates):
            world.history.reached["message twice"] += 1
            world.scheduler.after(world.plan.delay(5.0), lambda: self._deliver(url, message))

    def _deliver(self, url: str, message: Message) -> None:
        queue = self.urls[url]
        self.flying[queue] += 1
        event = {"Records": [record(message)]}
        self.world.invoke(FED[queue], event, lambda invocation: self._settle(url, message, invocation))

    def _settle(self, url: str, message: Message, invocation: Invocation) -> None:
        """Delete a message that was worked; another one comes again."""
        world = self.world
        self.flying[self.urls[url]] -= 1
        held = world.sqs.queues[url]
        if invocation.finished and invocation.error is None and not _failed(invocation.answer, message):
            held[:] = [each for each in held if each is not message]
        elif any(each is message for each in held):
            world.history.reached["message again"] += 1
            self._poll_at(url, message.visible_at)


def record(message: Message) -> dict[str, Any]:
    """Write a message as an event source mapping hands it over."""
    return {"messageId": message.id, "body": message.body, "attributes": {}, "eventSource": "aws:sqs"}


def _failed(answer: Any, message: Message) -> bool:
    failures = (answer or {}).get("batchItemFailures", [])
    return any(failure["itemIdentifier"] == message.id for failure in failures)
