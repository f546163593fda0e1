"""Tell a counterexample as a story: who did what, to which token."""

from collections.abc import Iterator
from itertools import groupby
from string import ascii_uppercase

from tests.verification.model.explore import Event, Explorer, State
from tests.verification.model.state import Invocation

UNEVENTFUL = {
    ("acquire", "won"),
    ("look_in_rescue", "none"),
    ("open_token", "opened"),
    ("data_keys", "ready"),
    ("reread", "same"),
}
SELF_EVIDENT = {"found", "sent", "saved", "kept", "released", "struck"}
TELLING = {
    "stale": "stale",
    "grace": "in grace",
    "spurious": "spurious",
    "throttle": "not done",
    "ack_lost": "done",
    "request_lost": "never arrived",
    "response_lost": "executed",
    "overtaken": "still on its way",
}


Run = list[tuple[State, Event]]
"""Each event with the state before it, from the start."""


def story(explorer: Explorer, breach: str) -> str:
    """Tell the shortest run that breaks this property, without the steps in which nothing happens."""
    told = [
        (who, _words(explorer, state, event))
        for who, state, event in cast(shortest(explorer, breach))
        if (event.move.step, event.move.outcome) not in UNEVENTFUL
    ]
    scenes = groupby(told, key=lambda line: line[0])
    return " | ".join(f"{who} {', '.join(words for _, words in lines)}".strip() for who, lines in scenes)


def shortest(explorer: Explorer, breach: str) -> Run:
    """Find the way from the start to the first breach of this property."""
    state, event = explorer.breaches[breach]
    run = [(state, event)]
    while (before := explorer.parents[state]) is not None:
        run.append((before, next(e for e in explorer.events(before) if e.state == state)))
        state = before
    return run[::-1]


def cast(run: Run) -> Iterator[tuple[str, State, Event]]:
    """Give each invocation of a run a letter; what provider and platform do has none."""
    letters = iter(ascii_uppercase)
    workers: list[tuple[int, str]] = []
    for state, event in run:
        if event.actor == len(workers):
            workers.append((-1, next(letters)))
        yield "" if event.actor is None else workers[event.actor][1], state, event
        workers = _seated(workers, event)


def _seated(workers: list[tuple[int, str]], event: Event) -> list[tuple[int, str]]:
    """Follow who sits where: the crew of a scene is sorted, so places change."""
    if event.actor is None:
        return workers
    name = workers[event.actor][1]
    others = workers[: event.actor] + workers[event.actor + 1 :]
    left = list(event.state[0][1])
    for number, _ in others:
        left.remove(number)
    return sorted([*others, *((number, name) for number in left)])


def _words(explorer: Explorer, state: State, event: Event) -> str:
    move = event.move
    world, workers, _ = state[0]
    joined = event.actor is None or event.actor == len(workers)
    me = Invocation("read") if joined else explorer.people.things[workers[event.actor or 0]]
    token = _token(event, me)
    shown = "" if move.outcome in SELF_EVIDENT else move.outcome
    why = ", ".join(TELLING[fault] for fault in move.faults if fault in TELLING)
    words = " ".join(word for word in (move.step, token, shown, f"({why})" if why else "") if word)
    family_dies = move.world.revoked and not explorer.worlds.things[world].revoked
    return f"{words}, family revoked" if family_dies else words


def _token(event: Event, me: Invocation) -> str:
    """Name the token that a step is about."""
    step, outcome, after = event.move.step, event.move.outcome, event.move.me
    if step == "read" and after is not None:
        return f"R{after.token}"
    if step == "late request":
        return f"R{event.move.late}"
    if (step, outcome) == ("post", "sent"):
        return f"R{me.token}"
    if (step, outcome) == ("post", "granted") and after is not None:
        return f"R{after.held}"
    return f"R{me.held}" if step in {"save", "sink"} else ""
