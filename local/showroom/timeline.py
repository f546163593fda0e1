"""Behind the showroom's page: what happened to each connection, and what a visitor does.

How refreshes went is read from the functions' log lines; what became of connections comes from the event bus,
by a rule and a queue as any subscriber has them.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, Protocol, Self

from botocore.credentials import Credentials

from local.clock import Clock
from local.product.backend import Backend
from local.showroom.faults import FAULTS, WELL, Emulated, FaultPanel
from local.showroom.killer import Reaper
from local.showroom.poller import PollCounts, Poller

MARKS_KEPT = 2000
STEPS = {"2 minutes": 120, "10 minutes": 600, "50 minutes": 3000, "1 day": 86_400, "7 days": 604_800}


@dataclass(frozen=True)
class Mark:
    """One thing on the timeline.

    Attributes:
        about: a connection or a client app; empty when it is about all
        source: log, event, api, switch or here
    """

    at: float
    kind: str
    said: str
    source: str
    about: str = ""


Reader = Callable[[Mapping[str, Any]], tuple[str, str] | None]


def _answered(said: Mapping[str, Any]) -> tuple[str, str] | None:
    return None if said["meaning"] == "granted" else ("failed", f"{said['meaning']}: {said['code']}")


def _died(said: Mapping[str, Any]) -> tuple[str, str] | None:
    return ("killed", "between NinjaOne’s answer and the save") if said["function"] == "refresh" else None


def _called(said: Mapping[str, Any]) -> tuple[str, str]:
    return "called", f"{said['method']} {said['path']}: {said['status'] or said['error']}"


READERS: Mapping[str, Reader] = {
    "refresh.answered": _answered,
    "refresh.done": lambda said: ("refreshed", f"version {said['version']}"),
    "refresh.rescued": lambda said: ("rescued", f"version {said['version']}"),
    "refresh.spilled": lambda _: ("rescued", "put aside, outside the table"),
    "function.failed": _died,
    "proxy.called": _called,
}
"""Log lines that tell how a refresh went, or a call through the broker, and what they say."""


class RunningWorld(Emulated, Protocol):
    """What the showroom uses of the world that it shows."""

    api_url: str
    clock: Clock
    reaper: Reaper

    @property
    def aws(self) -> Callable[[str], Any]:
        """Clients of AWS, by service."""

    @property
    def credentials(self) -> Credentials:
        """What the product signs with."""

    def settings(self, folder: str) -> dict[str, str]:
        """A function's environment variables."""


class Showroom:
    """Listens from the world's start to its end."""

    def __init__(self, world: RunningWorld, *, polls: bool) -> None:
        """Store the world.

        Args:
            polls: the poller asks for tokens by itself, from when somebody first looks
        """
        self._world, self._polls = world, polls
        self.panel = FaultPanel(world)
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._told: set[str] = set()
        self._tenants: dict[str, str] = {}
        self._lock = Lock()
        backend = Backend(world.api_url, world.credentials)
        self.poller = Poller(backend, self._known, PollCounts(FAULTS[WELL].title, self.now()))

    def __enter__(self) -> Self:
        self._subscribe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.poller.stop()

    # What happened ------------------------------------------------------------------------------------------

    def hear(self, line: str) -> None:
        """Add a log line to the timeline, if it belongs there."""
        said = json.loads(line)
        reader = READERS.get(said.get("message", ""))
        if reader and (found := reader(said)):
            kind, words = found
            self._marks.append(Mark(self.now(), kind, words, "log", said.get("connection", "")))
            if kind == "killed":  # that is over, so the next one is not
                self.notice()

    def note_ended(self, connection: str, expires_at: float) -> None:
        """Take, once, that a connection's access token has ended before another one came."""
        mark = Mark(expires_at, "ended", "the access token, without another one", "api", connection)
        if mark not in self._marks:
            self._marks.append(mark)

    def marks(self, *about: str) -> list[Mark]:
        """Return what happened to these, and to all, oldest first."""
        self._collect()
        return sorted((mark for mark in list(self._marks) if mark.about in {"", *about}), key=lambda mark: int(mark.at))

    def watch(self) -> None:
        """Start the poller, because somebody has opened the page."""
        if self._polls:
            self.poller.start()

    def now(self) -> float:
        """Return the time of broker and NinjaOne."""
        return self._world.clock.now()

    def _subscribe(self) -> None:
        """Route every event of the broker's to a queue of the showroom's."""
        aws, bus = self._world.aws, self._world.settings("notify")["EVENT_BUS"]
        queue = aws("sqs").create_queue(QueueName="showroom", Attributes={"MessageRetentionPeriod": "1209600"})
        self._queue = queue["QueueUrl"]
        asked = aws("sqs").get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        aws("events").put_rule(Name="showroom", EventBusName=bus, EventPattern='{"source": ["ninjaone-connect"]}')
        target = {"Id": "showroom", "Arn": asked["Attributes"]["QueueArn"]}
        aws("events").put_targets(Rule="showroom", EventBusName=bus, Targets=[target])

    def _collect(self) -> None:
        sqs = self._world.aws("sqs")
        for _ in range(100):
            messages = sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return
            for message in messages:
                self._note(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def _known(self) -> Mapping[str, str]:
        """Return the connections that can be used, with their tenants."""
        self._collect()
        self.notice()
        return dict(self._tenants)

    def _note(self, event: Mapping[str, Any]) -> None:
        """Add an event of a connection or a client app to the timeline, once."""
        kind, detail = event["detail-type"].removeprefix("connection."), event["detail"]
        if "connection_id" not in detail and "client_id" not in detail:
            return
        with self._lock:
            if detail["id"] in self._told:
                return
            self._told.add(detail["id"])
        about = detail.get("connection_id", detail.get("client_id", ""))
        said = str(detail.get("reason", detail.get("cause", "")))
        self._marks.append(Mark(detail["at"], kind, said, "event", about))
        if kind == "disconnected":
            self._tenants.pop(about, None)
        elif kind == "connected":
            self._tenants[about] = detail["tenant_id"]

    # What visitors do ---------------------------------------------------------------------------------------

    def turn(self, name: str) -> None:
        """Switch a fault on, and count anew what callers get.

        Raises:
            KeyError
        """
        self._collect()
        self.panel.turn(name)
        self.notice()

    def shorten(self, *, short: bool) -> None:
        """Choose how long the next access tokens live."""
        self._collect()
        self.panel.shorten(short=short)
        self.notice()

    def kill(self) -> None:
        """Kill the next refresher that gets NinjaOne's answer before it has saved it."""
        self._collect()
        self._world.reaper.wait()
        self.notice()

    def travel(self, step: str) -> None:
        """Move the time of broker and NinjaOne on.

        Raises:
            KeyError
        """
        seconds = STEPS[step]
        self._collect()
        self._world.clock.advance(seconds)
        self._marks.append(Mark(self.now(), "moved", f"on by {step}", "here"))

    @property
    def kills(self) -> bool:
        """Return whether the next refresher is to die."""
        return self._world.reaper.waiting

    def notice(self) -> None:
        """Draw a mark and count anew if something was switched on or off, here or on NinjaOne's control page."""
        what = self.switched_on()
        with self._lock:
            if what != self.poller.counts[-1].what:
                self.poller.begin(what, self.now())
                self._marks.append(Mark(self.now(), "switched", what, "switch"))

    def switched_on(self) -> str:
        """Return in words everything that is switched on."""
        more = {"tokens of 60 seconds": self.panel.is_short, "the next refresh is killed": self.kills}
        faults = self.panel.what() or [FAULTS[WELL].title]
        return "; ".join([*faults, *(words for words, on in more.items() if on)])
