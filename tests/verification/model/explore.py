"""The explorer: every interleaving of every step, breadth first, so that the first trace found is a shortest one.

A scene is a tuple of small numbers, because there are many of them. What one invocation may do depends on that
invocation and the world alone, so it is worked out once for each such pair. Three things are left out, and none
of them can hide a breach: which invocation is which; a step that nobody else can see or disturb waiting for its
turn (`is_private`); a scene reached again with no more left to spend than before.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from operator import ge
from typing import Generic, NamedTuple, TypeVar

from tests.verification.model.fate import arrivals, crash, expiry, holds_lease, is_private
from tests.verification.model.protocol import Move, moves
from tests.verification.model.provider import Mode
from tests.verification.model.rules import Rules
from tests.verification.model.state import Invocation, World, is_stored

T = TypeVar("T", bound=Hashable)


BEFORE = {"read", "open_token", "acquire"}
"""Steps at which an invocation has certainly sent nothing yet."""


class Budget(NamedTuple):
    """How often each thing may happen in one run.

    Attributes:
        trigger: an invocation starts
        throttle: DynamoDB does not do what it is asked, or is not asked before the deadline
        ack_lost: a store does what it is asked, and its answer is lost
        sink: the rescue store refuses, or cannot be read
        stale: a read shows the version before
        early: a lease expires while its holder lives (only where A1 is given up)
        overtaken: a request outlives its sender's patience and is executed later, or never
        grace: a provider with grace accepts the token used last
        spurious: a valid token is answered with the dead-token verdict
        unready: a key, a secret or the time for a request is missing; a verdict is put off
    """

    trigger: int = 3
    crash: int = 1
    request_lost: int = 1
    response_lost: int = 1
    throttle: int = 3
    ack_lost: int = 1
    sink: int = 1
    stale: int = 1
    early: int = 1
    overtaken: int = 1
    grace: int = 1
    spurious: int = 1
    unready: int = 1

    def without(self, faults: Iterable[str]) -> "Budget | None":
        """Pay for these; None when one of them is used up."""
        left = self._asdict()
        for fault in faults:
            left[fault] -= 1
        return Budget(**left) if min(left.values()) >= 0 else None


class Catalogue(Generic[T]):
    """Give each thing a number, and each number its thing."""

    def __init__(self) -> None:
        self.things: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, thing: T) -> int:
        """Say the number of a thing, a new one if it was never seen."""
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number


Scene = tuple[int, tuple[int, ...], tuple[int, ...]]
"""One moment of one run.

world    its number in the explorer's catalogue
crew     the invocations at work, as numbers and sorted: which is which makes no difference
late     tokens in requests that nobody listens to any more
"""

State = tuple[Scene, int]
"""A scene, and the number of the budget that is left."""


class Event(NamedTuple):
    """One step as the explorer took it. `actor`: its place in the crew; None: the provider, the platform."""

    state: State
    actor: int | None
    move: Move
    breaches: tuple[str, ...]


class Choice(NamedTuple):
    """A move, with the numbers of what it leads to. `me` is None when the invocation has ended."""

    me: int | None
    world: int
    move: Move


class Desk(NamedTuple):
    """What one invocation may do in one world, and whether the lease in force is its own."""

    holds: bool
    private: bool
    choices: list[Choice]


class Explorer:
    """Explore one protocol against one provider."""

    def __init__(self, rules: Rules, mode: Mode, budget: Budget, *, concurrent: int = 2) -> None:
        self.rules, self.mode, self.concurrent = rules, mode, concurrent
        self.worlds: Catalogue[World] = Catalogue()
        self.people: Catalogue[Invocation] = Catalogue()
        self.budgets: Catalogue[Budget] = Catalogue()
        self._newcomer = self.people.number(Invocation(rules.path[0]))
        self.start: State = ((self.worlds.number(World()), (), ()), self.budgets.number(budget))
        self.parents: dict[State, State | None] = {self.start: None}
        self.breaches: dict[str, tuple[State, Event]] = {}
        self._desks: dict[tuple[int, int], Desk] = {}
        self._arrivals: dict[tuple[int, int], list[Choice]] = {}
        self._prices: dict[tuple[int, tuple[str, ...]], int | None] = {}
        self._exposed: dict[int, int | None] = {}
        self._best: dict[Scene, list[Budget]] = {}

    def run(self) -> "Explorer":
        """Visit every reachable state; keep the first breach of each property."""
        queue = deque([self.start])
        while queue:
            state = queue.popleft()
            for event in self.events(state):
                for breach in event.breaches:
                    self.breaches.setdefault(breach, (state, event))
                after = event.state
                if after not in self.parents and self._is_news(*after):
                    self.parents[after] = state
                    queue.append(after)
        return self

    def events(self, state: State) -> list[Event]:
        """List everything that may happen next."""
        (world, crew, late), _ = state
        desks = [self._desk(world, me) for me in crew]
        found: list[Event] = []
        for place, desk in enumerate(desks):
            if desk.private:
                self._act(found, state, place, desk.choices)
                return found
        for place, desk in enumerate(desks):
            self._act(found, state, place, desk.choices)
        if len(crew) < self.concurrent:
            self._act(found, state, len(crew), self._desk(world, self._newcomer).choices)
        for token in late:
            self._arrive(found, state, token)
        if self.worlds.things[world].row.leased:
            self._expire(found, state, held=any(desk.holds for desk in desks))
        return found

    def _is_news(self, scene: Scene, purse: int) -> bool:
        """Say whether this scene was never reached with as much left to spend: less allows nothing more."""
        budget = self.budgets.things[purse]
        best = self._best.setdefault(scene, [])
        for had in best:
            if all(map(ge, had, budget)):
                return False
        best.append(budget)
        return True

    def _desk(self, world: int, me: int) -> Desk:
        desk = self._desks.get((world, me))
        if desk is None:
            here, someone = self.worlds.things[world], self.people.things[me]
            options = list(moves(self.rules, self.mode, someone, here))
            if me != self._newcomer:
                options.append(crash(someone, here))
            choices = [self._numbered(move) for move in options if not _is_idle(move, here)]
            desk = Desk(holds_lease(self.rules, someone, here), is_private(self.rules, someone), choices)
            self._desks[world, me] = desk
        return desk

    def _numbered(self, move: Move) -> Choice:
        me = None if move.me is None else self.people.number(move.me)
        return Choice(me, self.worlds.number(move.world), move)

    def _act(self, found: list[Event], state: State, place: int, choices: list[Choice]) -> None:
        """Let the invocation at this place, or a newcomer, take each of its choices."""
        _, crew, late = state[0]
        others = crew[:place] + crew[place + 1 :]
        price = ("trigger",) if place == len(crew) else ()
        for me, world, move in choices:
            after = others if me is None else tuple(sorted((*others, me)))
            sent = late if move.late is None else tuple(sorted((*late, move.late)))
            self._note(found, state, (world, after, sent), move, actor=place, price=price)

    def _arrive(self, found: list[Event], state: State, token: int) -> None:
        """Let the provider execute a request whose sender no longer listens."""
        world, crew, late = state[0]
        if (world, token) not in self._arrivals:
            here = self.worlds.things[world]
            found_here = arrivals(self.mode, token, here)
            self._arrivals[world, token] = [self._numbered(move) for move in found_here if move.world != here]
        place = late.index(token)
        rest = late[:place] + late[place + 1 :]
        for _, after, move in self._arrivals[world, token]:
            self._note(found, state, (after, crew, rest), move)

    def _expire(self, found: list[Event], state: State, *, held: bool) -> None:
        """Let the lease run out; by then, if there is a quarantine, no request is on its way."""
        if held and self.rules.outlives:
            return
        world, crew, late = state[0]
        move = expiry(self.worlds.things[world], early=held)
        still = late if held or not self.rules.quarantine else ()
        self._note(found, state, (self.worlds.number(move.world), crew, still), move)

    def _note(
        self,
        found: list[Event],
        state: State,
        after: Scene,
        move: Move,
        *,
        actor: int | None = None,
        price: tuple[str, ...] = (),
    ) -> None:
        """Add an event, if there is budget for it, with all that it breaks."""
        purse = self._paid(state[1], move.faults + price)
        if purse is None:
            return
        breaches = move.breaches
        if not move.excused and self.loses(state[0], after):
            breaches = (*breaches, "S1")
        found.append(Event((after, purse), actor, move, breaches))

    def _paid(self, purse: int, faults: tuple[str, ...]) -> int | None:
        if (purse, faults) not in self._prices:
            left = self.budgets.things[purse].without(faults)
            self._prices[purse, faults] = None if left is None else self.budgets.number(left)
        return self._prices[purse, faults]

    def loses(self, before: Scene, after: Scene) -> bool:
        """Say whether the last copy of the live token goes in this step."""
        live = self._missing(after)
        return live is not None and live != self._missing(before)

    def _missing(self, scene: Scene) -> int | None:
        """Name the live token if neither a store nor an invocation has it."""
        world, crew, _ = scene
        if world not in self._exposed:
            here = self.worlds.things[world]
            self._exposed[world] = None if here.revoked or is_stored(here) else here.live
        live = self._exposed[world]
        if live is None or any(self.people.things[me].held == live for me in crew):
            return None
        return live


def _is_idle(move: Move, world: World) -> bool:
    """Say whether an invocation ends as if it had never been triggered."""
    return move.me is None and move.world == world and move.step in BEFORE
