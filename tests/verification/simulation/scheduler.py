"""Greenlets in one thread under a clock of their own: who runs next is decided by the seed alone."""

import hashlib
import heapq
from collections.abc import Callable
from random import Random

from greenlet import GreenletExit, getcurrent, greenlet

MOST_STEPS = 400_000  # of one run; a run that needs more does not end


class Killed(GreenletExit):
    """Raised in a process that is no more, at whatever it tries to do next."""


class Process:
    """What lives and dies together: the tasks of one invocation, or one actor of the world.

    Attributes:
        began, ended: when; a killed one has no end
        deadline: when the platform ends it
        inflight: what each task has sent and not seen carried out, and for how many seconds it still may be
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.began = 0.0
        self.ended: float | None = None
        self.deadline = float("inf")
        self.tasks: list[Task] = []
        self.inflight: dict[greenlet, tuple[Callable[[], object], float]] = {}

    @property
    def running(self) -> bool:
        return any(not task.dead for task in self.tasks)


class Task(greenlet):
    """One line of control."""

    def __init__(self, scheduler: "Scheduler", process: Process, work: Callable[[], object]) -> None:
        super().__init__(run=work, parent=scheduler.hub)
        self.process = process
        self.waiting = False
        process.tasks.append(self)


class Scheduler:
    """Virtual time, and the order of everything that happens in it.

    Attributes:
        now: Unix seconds
        stop: ends the run
        trace: a digest of every step so far: the same seed gives the same one
    """

    def __init__(self, random: Random, start: float) -> None:
        self.random, self.now = random, start
        self.hub = getcurrent()
        self.steps = 0
        self.stop = False
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._world = Process("world")
        self._tasks: list[Task] = []

    @property
    def trace(self) -> str:
        return self._digest.hexdigest()

    @property
    def process(self) -> Process:
        """The process whose code runs now."""
        task = getcurrent()
        return task.process if isinstance(task, Task) else self._world

    def note(self, *facts: object) -> None:
        """Make something that happened part of the trace."""
        self._digest.update(f"{self.now:.6f} {facts}".encode())

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Let something happen at an instant; what is planned for the same one happens in order."""
        self._order += 1
        heapq.heappush(self._events, (max(when, self.now), self._order, act))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Let something happen in a while."""
        self.at(self.now + seconds, act)

    def spawn(self, process: Process, work: Callable[[], object]) -> Task:
        """Begin a task; it runs once the world comes to it."""
        task = Task(self, process, work)
        self._tasks.append(task)
        self.at(self.now, lambda: self._enter(task))
        return task

    def wait(self, seconds: float) -> None:
        """Give up control for some time. Raises Killed."""
        task = self._task()
        self.at(self.now + seconds, lambda: self._enter(task))
        self._leave(task)

    def park(self) -> Callable[[], None]:
        """Prepare to give up control until the returned function was called; then call `leave`."""
        task = self._task()
        return lambda: self.at(self.now, lambda: self._enter(task))

    def leave(self) -> None:
        """Give up control until what this task waits for wakes it. Raises Killed."""
        self._leave(self._task())

    def kill(self, process: Process) -> None:
        """End a process where it stands. The task that calls this for its own process must raise Killed."""
        if process.dead:
            return
        process.dead = True
        self.note("killed", process.name)
        for task in process.tasks:
            if task is not getcurrent() and not task.dead:
                self.at(self.now, lambda task=task: self._bury(task))  # type: ignore[misc]  # binds the loop's task

    def run(self, until: float = float("inf")) -> None:
        """Let the world run until an instant, or until nothing is planned."""
        while self._events and self._events[0][0] <= until and not self.stop:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise AssertionError("the run does not end")
            self.now, _, act = heapq.heappop(self._events)
            act()
        if until != float("inf"):
            self.now = max(self.now, until)

    def close(self) -> None:
        """End all tasks that still wait: the collector can't see into them, and each would keep its whole world."""
        for task in self._tasks:
            task.process.dead = True
            self._bury(task)

    def _task(self) -> Task:
        task = getcurrent()
        assert isinstance(task, Task), "only a task can wait"
        if task.process.dead:
            raise Killed
        return task

    def _leave(self, task: Task) -> None:
        task.waiting = True
        self.hub.switch()
        task.waiting = False
        if task.process.dead:
            raise Killed

    def _enter(self, task: Task) -> None:
        if not task.dead and not task.process.dead:
            task.switch()

    def _bury(self, task: Task) -> None:
        """Unwind a dead task; whatever its `finally` blocks try meets ports that do nothing."""
        if not task.dead:
            task.throw(Killed)
