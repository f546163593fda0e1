"""What may go wrong at each way out of the process, and who decides when it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

WRITES = frozenset({"put_item", "update_item", "delete_item", "transact_write_items", "put_object", "send_message"})

AWS_FAULTS = (
    "refused",  # an error of the service, nothing done
    "throttled",  # the same, three times in a row
    "unreachable",  # no connection
    "timed_out",  # nothing done, and it took the client's patience to find out
    "lost_ack",  # done, and the caller sees a timeout
    "retried",  # done, the answer lost, and the SDK's retry done again: the caller sees the second answer
    "slow",  # done, within the client's patience
    "hangs",  # nothing done, for longer than the invocation lives
    "killed_before",  # the process ends before the request is sent
    "killed_after",  # the process ends with the work done and the answer not seen
)
DENIED = "denied"  # refused for good, as by a policy or a disabled key: only the operator can put that right
HTTP_FAULTS = (
    "unreachable",  # no connection: nothing sent
    "lost_request",  # sent, never carried out, no answer
    "reset",  # sent, not carried out, the connection breaks
    "late",  # sent, the connection breaks, carried out later
    "lost_response",  # carried out, no answer
    "reset_after",  # carried out, the connection breaks
    "slow",  # answered late, within the read timeout
    "500",
    "html_502",
    "html_503",
    "html_404",
    "html_200_rate_limit",
    "429",
    "429_retry_after",
    "spurious_dead_token",
    "truncated_json",
    "html_502_after_commit",
    "redirect",  # a redirect to somebody else's host
    "killed_before",
    "killed_during",  # sent, then the process ends; carried out or not, at once or late
    "killed_after",  # the process ends with the answer in its memory
)


@dataclass(frozen=True)
class Point:
    """One call that leaves the process.

    Attributes:
        number: its place among all calls of the run
    """

    number: int
    function: str
    service: str
    operation: str

    @property
    def name(self) -> str:
        return f"{self.function} {self.service}.{self.operation}"


class Plan(Protocol):
    """Decides what each call meets, and how long things take."""

    def fault(self, point: Point) -> str:
        """Name the fault this call meets; empty for none."""

    def delay(self, most: float) -> float:
        """Say how many seconds something takes."""

    def chance(self, probability: float) -> bool:
        """Decide something that may be or not."""

    def granted(self) -> None:
        """Hear that new tokens have just arrived: the worst moment for anything to fail."""


@dataclass
class Outage:
    """A time in which every matching call fails in one way."""

    service: str
    operations: frozenset[str]
    kind: str
    start: float
    end: float

    def strikes(self, point: Point, now: float) -> bool:
        return (
            self.start <= now < self.end
            and point.service == self.service
            and (not self.operations or point.operation in self.operations)
        )


@dataclass
class Swarm:
    """Faults at random: each kind with a probability of its own, and outages.

    Attributes:
        rates: service (`ninjaone`, `aws`) → kind → probability for each call
        aim: a call of the refresh function and what it meets more often than anything else
        spoil: probability that the stores begin to fail just when tokens arrived
    """

    random: Random
    rates: Mapping[str, Mapping[str, float]]
    outages: list[Outage]
    now: "Now"
    quiet_from: float
    aim: tuple[str, str] = ("", "")
    spoil: float = 0.0
    throttled: dict[tuple[str, str], int] = field(default_factory=dict)

    def fault(self, point: Point) -> str:
        if self.now() >= self.quiet_from:
            return ""
        for outage in self.outages:
            if outage.strikes(point, self.now()):
                return outage.kind
        host = (point.service, point.operation)
        aimed_at = point.function == "refresh" and f"{point.service}.{point.operation}" == self.aim[0]
        if aimed_at and self.chance(0.5 if point.service == "s3" else 0.1):
            return self.aim[1]
        if self.throttled.get(host, 0):
            self.throttled[host] -= 1
            return "throttled"
        kind = self._drawn(self.rates["ninjaone" if point.service == "ninjaone" else "aws"])
        if kind == "throttled":
            self.throttled[host] = 2
        return kind

    def delay(self, most: float) -> float:
        return self.random.random() * most

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def granted(self) -> None:
        if self.now() >= self.quiet_from or not self.chance(self.spoil):
            return
        end = self.now() + self.random.choice([1.0, 40.0, 400.0])
        kind = self.random.choice(["refused", "throttled", "timed_out", "lost_ack", "unreachable"])
        self.outages.append(Outage("dynamodb", frozenset({"update_item"}), kind, self.now(), end))
        if self.chance(0.3):
            end = self.now() + self.random.choice([40.0, 400.0])
            self.outages.append(Outage("s3", frozenset(), "refused", self.now(), end))

    def _drawn(self, rates: Mapping[str, float]) -> str:
        drawn = self.random.random()
        for kind, rate in rates.items():
            drawn -= rate
            if drawn < 0:
                return kind
        return ""


class Now(Protocol):
    """The world's time."""

    def __call__(self) -> float: ...


@dataclass
class Script:
    """Exactly these faults; everything else takes one short, fixed time.

    Attributes:
        faults: which of the numbered calls meets what
        functions: whose calls are numbered, once `armed`
        points: the numbered calls so far
        down: calls that are refused, whoever makes them
        crawling: every AWS call of these functions is slow
        sinking: from the next granted refresh on, no write to a row succeeds
    """

    faults: Mapping[int, str]
    functions: frozenset[str]
    armed: bool = False
    throttled: int = 0
    points: list[Point] = field(default_factory=list)
    down: frozenset[str] = frozenset()
    sinking: bool = False
    crawling: bool = False

    def fault(self, point: Point) -> str:
        if f"{point.service}.{point.operation}" in self.down:
            return "refused"
        if not self.armed or point.function not in self.functions:
            return ""
        self.points.append(point)
        kind = self.faults.get(len(self.points) - 1, "")
        if kind == "throttled":
            self.throttled = 3
        if self.throttled and point.service != "ninjaone":
            self.throttled -= 1
            return "throttled"
        return kind or ("slow" if self.crawling and point.service != "ninjaone" else "")

    def delay(self, most: float) -> float:
        return most / 2

    def chance(self, probability: float) -> bool:
        return probability >= 0.5

    def granted(self) -> None:
        if self.sinking:
            self.down = frozenset({"dynamodb.update_item"})
