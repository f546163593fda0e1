"""The model itself: what it must find, what it must not, and which logs it believes.

Budgets are small here; `python -m tests.verification.model` spends the large ones.
"""

import random
from functools import cache

import pytest

from tests.verification.model.attacks import ATTACKS, Attack
from tests.verification.model.connect import explore
from tests.verification.model.explore import Budget, Desk, Explorer, Scene
from tests.verification.model.findings import Finding, summary
from tests.verification.model.protocol import Move
from tests.verification.model.provider import MODES, Mode
from tests.verification.model.replay import Entry, accepts
from tests.verification.model.rules import PROPOSED
from tests.verification.model.trace import Run, cast, shortest, story
from tests.verification.model.variants import VARIANTS, Variant

SMALL = Budget(crash=0, request_lost=0, response_lost=0, throttle=1, stale=0)
WEAKENED = [variant for variant in VARIANTS if variant.kind == "weakened"]
IN_DEPTH = [variant for variant in VARIANTS if variant.kind == "depth"]


class Plain(Explorer):
    """The explorer without the reductions that make it fast."""

    def _is_news(self, scene: Scene, purse: int) -> bool:
        return True

    def _desk(self, world: int, me: int) -> Desk:
        return super()._desk(world, me)._replace(private=False)


@cache
def explored(variant: Variant, mode: Mode) -> Explorer:
    return Explorer(variant.rules, mode, SMALL).run()


@pytest.mark.parametrize("mode", MODES)
def test_the_proposed_protocol_breaks_no_property(mode: Mode) -> None:
    assert Explorer(PROPOSED, mode, Budget()).run().breaches == {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", IN_DEPTH, ids=lambda variant: variant.name)
def test_defence_in_depth_may_be_missing_while_the_rest_holds(variant: Variant, mode: Mode) -> None:
    assert explored(variant, mode).breaches == {}


@pytest.mark.parametrize("variant", WEAKENED, ids=lambda variant: variant.name)
def test_a_protocol_without_a_safeguard_is_caught(variant: Variant) -> None:
    mode, shown = variant.shows

    explorer = explored(variant, mode)

    assert shown in explorer.breaches
    assert set(explorer.breaches) <= variant.expected(mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_every_unavoidable_loss_is_reached_and_excused(mode: Mode) -> None:
    explorer = Explorer(PROPOSED, mode, Budget(throttle=1, stale=0, spurious=0, unready=0)).run()

    losses = {
        (event.move.step, event.move.outcome)
        for state in explorer.parents
        for event in explorer.events(state)
        if explorer.loses(state[0], event.state[0])
    }

    unavoidable = {
        ("post", "ambiguous"),
        ("late request", "granted"),
        ("killed", "before save"),
        ("killed", "before sink"),
        ("sink", "refused"),
    }
    assert losses == (set() if mode == "static" else unavoidable)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["strict", "grace"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_explorer_s_shortcuts_hide_no_breach(variant: Variant, mode: Mode) -> None:
    tiny = Budget(trigger=2, crash=0, request_lost=0, response_lost=0, throttle=1, stale=0, unready=0, spurious=1)

    assert set(Explorer(variant.rules, mode, tiny).run().breaches) == set(
        Plain(variant.rules, mode, tiny).run().breaches
    )


def test_the_story_of_a_paused_holder_is_told() -> None:
    explorer = Explorer(PROPOSED._replace(outlives=False), "reuse_revoke", SMALL).run()

    assert story(explorer, "S2") == (
        "A read R0, post R0 | lease expired early | B read R0, post R0, post R1 granted, save R1"
        " | A post verdict, family revoked"
    )


@pytest.mark.slow
def test_exploring_twice_finds_the_same_in_the_same_order() -> None:
    first, second = (Explorer(PROPOSED, "grace", SMALL).run() for _ in range(2))

    assert list(first.parents) == list(second.parents)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_connect_flow_lets_through_what_it_says_and_nothing_else(attack: Attack) -> None:
    attacks = explore(attack.checks, starts=2).attacks

    assert set(attacks) <= set(attack.breaks.split())
    assert not attack.shows or attack.shows in attacks


def finding(kind: str, name: str, broken: str, expected: str) -> Finding:
    return Finding(kind, name, "strict", 10, frozenset(broken.split()), frozenset(expected.split()))


def test_the_last_line_counts_states_and_weakened_variants() -> None:
    good = [finding("proposed", "whole", "", ""), finding("weakened", "hasty", "S2", "S2")]

    assert summary(good) == ("model: 20 states, 0 violations, 1 of 1 weakened variants caught", True)


@pytest.mark.parametrize(
    ("odd", "last"),
    [
        (finding("proposed", "whole", "S1", ""), "model: 20 states, 1 violations, 1 of 1"),
        (finding("weakened", "naive", "", "S1"), "model: 20 states, 0 violations, 1 of 2"),
        (finding("weakened", "naive", "S1 S2", "S1"), "model: 20 states, 0 violations, 1 of 2"),
        (finding("weakened", "hasty", "", "S2"), "model: 20 states, 0 violations, 0 of 1"),
        (finding("limit", "reader", "", "C4"), "model: 20 states, 1 violations, 1 of 1"),
    ],
)
def test_anything_unexpected_fails_the_run(odd: Finding, last: str) -> None:
    line, good = summary([finding("weakened", "hasty", "S2", "S2"), odd])

    assert (line, good) == (f"{last} weakened variants caught", False)


# Logs.


def log(who: str, *entries: str) -> list[Entry]:
    """Write entries as "step outcome" for one invocation."""
    return [(who, *entry.split(maxsplit=1)) for entry in entries]  # type: ignore[misc]  # a split has two parts


BEFORE = ("read found", "open_token opened", "data_keys ready", "acquire won")
LOOKING = (*BEFORE, "look_in_rescue none")
REFRESHED = (*BEFORE, "post granted", "save saved")
STRUCK = (*BEFORE, "post verdict", "reread same", "look_in_rescue none")

LEGAL = {
    "a refresh": log("a", *REFRESHED),
    "two in a row": log("a", *REFRESHED) + log("b", *REFRESHED),
    "nothing to do": log("a", *REFRESHED) + log("b", "read stop"),
    "the loser of the lease": log("a", *BEFORE)
    + log("b", *BEFORE[:-1], "acquire conflict")
    + log("a", "post granted", "save saved"),
    "a send that is logged": log("a", *BEFORE, "post sent", "post granted", "save saved"),
    "killed before the save, then killed off": log("a", *BEFORE, "post granted")
    + log("b", *LOOKING, "post verdict", "reread same", "look_in_rescue none", "strike struck"),
    "killed after the save": log("a", *BEFORE, "post granted") + log("b", *REFRESHED),
    "rescued": log("a", *BEFORE, "post granted", "save unanswered", "sink kept")
    + log("b", *BEFORE, "look_in_rescue found", "save saved"),
    "again with the new secret": log("a", *BEFORE, "post declined", "post granted", "save saved"),
    "quarantine": log("a", *BEFORE, "post ambiguous", "release quarantined") + log("b", *LOOKING, "post granted"),
    "two strikes": log("a", *STRUCK, "strike struck") + log("b", *STRUCK, "strike needs_reauth"),
    "a probe that heals": log("a", *STRUCK, "strike struck")
    + log("b", *STRUCK, "strike needs_reauth")
    + log("c", *REFRESHED),
    "too late to send": log("a", *BEFORE, "release released") + log("b", *REFRESHED),
    "looked without need": log("a", *LOOKING, "post granted", "save saved"),
}

ILLEGAL = {
    "no lease": log("a", *BEFORE[:-1], "post granted"),
    "no keys before the post": log("a", *BEFORE[:2], "acquire won", "post granted"),
    "rescue not looked into": log("a", *BEFORE, "post ambiguous", "release quarantined")
    + log("b", *BEFORE, "post granted"),
    "sent although rescue is unreadable": log("a", *BEFORE, "look_in_rescue unreadable", "post granted"),
    "two holders at once": log("a", *BEFORE) + log("b", *BEFORE) + log("a", "post granted"),
    "quick retry": log("a", *BEFORE, "post ambiguous", "post granted"),
    "third request": log("a", *BEFORE, "post declined", "post declined", "post granted"),
    "lease given back while a request is on its way": log("a", *BEFORE, "post ambiguous", "release released"),
    "one strike": log("a", *STRUCK, "strike needs_reauth"),
    "verdict not checked": log("a", *BEFORE, "post verdict", "strike struck"),
    "token dropped": log("a", *BEFORE, "post granted", "release released"),
    "saved twice": log("a", *REFRESHED, "save saved"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("trace", LEGAL.values(), ids=LEGAL)
def test_a_log_of_the_protocol_is_accepted(trace: list[Entry], mode: Mode) -> None:
    assert accepts(trace, mode=mode).reason == ""


@pytest.mark.parametrize("trace", ILLEGAL.values(), ids=ILLEGAL)
def test_a_log_of_anything_else_is_refused(trace: list[Entry]) -> None:
    assert not accepts(trace)


def test_a_refusal_says_where_and_what_was_possible() -> None:
    verdict = accepts(log("a", "read found", "acquire won"))

    assert verdict.reason == "entry 1: a may not acquire won; it may open_token failed, open_token opened"


def test_a_log_may_leave_out_what_connections_share() -> None:
    shared = {"open_token", "data_keys"}
    trace = [entry for entry in log("a", *REFRESHED) if entry[1] not in shared]

    assert not accepts(trace)
    assert accepts(trace, unlogged=shared)


def as_log(run: Run) -> list[Entry]:
    """Write down what the invocations of a run would have logged."""
    return [(who, event.move.step, event.move.outcome) for who, _, event in cast(run) if who and is_logged(event.move)]


def is_logged(move: Move) -> bool:
    return move.step != "killed" and move.outcome != "sent"


def walk(explorer: Explorer, seed: int) -> Run:
    """Take a random run until nothing more can happen."""
    dice, state, run = random.Random(seed), explorer.start, Run()
    while events := explorer.events(state):
        event = dice.choice(events)
        run.append((state, event))
        state = event.state
    return run


@pytest.mark.parametrize("mode", MODES)
def test_every_run_of_the_model_is_a_log_it_accepts(mode: Mode) -> None:
    explorer = Explorer(PROPOSED, mode, Budget(trigger=6, crash=2, stale=0), concurrent=3)

    refused = [
        verdict.reason for seed in range(60) if not (verdict := accepts(as_log(walk(explorer, seed)), mode=mode))
    ]

    assert refused == []


INVISIBLE = {
    "no rescue store",
    "outcome_unknown forgotten with the attempt",
}  # a kill, or a save that was done, would log the same


@pytest.mark.parametrize("variant", [v for v in WEAKENED if v.name not in INVISIBLE], ids=lambda variant: variant.name)
def test_the_log_of_a_breach_is_not_one_of_the_proposed_protocol(variant: Variant) -> None:
    mode, shown = variant.shows
    trace = as_log(shortest(explored(variant, mode), shown))

    assert not accepts(trace, mode=mode)
