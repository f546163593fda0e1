"""Replay a log of the real code's I/O against the model: is it something the protocol allows?

Each entry is (invocation, step, outcome), written when the step's answer is in, for one connection. What nobody
logs, the model guesses, in every way: when a request reached the provider, what became of one that was not
answered, when a lease ran out. An invocation with no further entry was killed, before the effect of its next step
or just after it; ending without a word is the same. Reads are taken to be consistent.

    read            found · stop (not due, not wanted: nothing follows)
    open_token      opened · failed
    data_keys       ready · failed
    acquire         won (also when a repeated write finds itself done) · conflict · unanswered
    look_in_rescue  none · found · unreadable
    post            granted · verdict · ambiguous · declined (never sent, 429, wrong client: nothing carried out)
                    and, before its answer, if that is logged: sent
    save            saved (also when a repeated write finds itself done) · conflict · unanswered
    sink            kept · refused
    reread          same · moved · unanswered
    strike          struck · needs_reauth · held · conflict · unanswered
    release         released · quarantined · conflict · unanswered
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.verification.model.fate import arrivals, crash, expiry, holds_lease
from tests.verification.model.protocol import Move, look_in_rescue, moves
from tests.verification.model.provider import Mode
from tests.verification.model.rules import PROPOSED, Rules
from tests.verification.model.state import Invocation, World

Entry = tuple[str, str, str]
"""Invocation, step, outcome."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a log is a run of the model, and if not, where it stops being one."""

    accepted: bool
    reason: str = ""

    def __bool__(self) -> bool:
        """Be true when accepted."""
        return self.accepted


class Guesser(NamedTuple):
    """What a log is held against. `unlogged`: steps that it leaves out, because many connections share them."""

    mode: Mode
    rules: Rules
    unlogged: frozenset[str]


class Moment(NamedTuple):
    """One guess about how things are after the entries so far."""

    world: World = World()
    workers: tuple[tuple[str, Invocation], ...] = ()
    late: tuple[int, ...] = ()

    def moved(self, who: str, move: Move) -> "Moment":
        """Let this invocation make a move."""
        workers = dict(self.workers)
        workers.pop(who, None)
        if move.me is not None:
            workers[who] = move.me
        late = self.late if move.late is None else (*self.late, move.late)
        return Moment(move.world, tuple(sorted(workers.items())), tuple(sorted(late))).rebased()

    def rebased(self) -> "Moment":
        """Count versions, fences and tokens from the row's own: only differences matter, and a log may be long."""
        row = self.world.row
        version, token, fence = row.version, row.token, row.fence
        world = self.world._replace(
            row=row._replace(version=0, token=0, before=0, fence=0),
            rescue=tuple((v - version, t - token) for v, t in self.world.rescue),
            live=self.world.live - token,
        )
        workers = tuple((who, _counted(me, version, token, fence)) for who, me in self.workers)
        return Moment(world, workers, tuple(each - token for each in self.late))


def _counted(me: Invocation, version: int, token: int, fence: int) -> Invocation:
    held = None if me.held is None else me.held - token
    return me._replace(version=me.version - version, token=me.token - token, fence=me.fence - fence, held=held)


def accepts(
    trace: Sequence[Entry],
    *,
    mode: Mode = "strict",
    rules: Rules = PROPOSED,
    unlogged: Collection[str] = (),
) -> Verdict:
    """Say whether the model has a run with exactly these entries, in this order.

    Args:
        unlogged: steps that this log leaves out
    """
    model = Guesser(mode, rules, frozenset(unlogged))
    last = {who: host for host, (who, _, _) in enumerate(trace)}
    moments = {Moment()}
    for host, entry in enumerate(trace):
        silent = frozenset(who for who in last if last[who] < host)
        guesses = _settled(moments, silent, model)
        moments = {after for guess in guesses for after in _after(guess, entry, model)}
        if not moments:
            return Verdict(accepted=False, reason=_reason(host, entry, guesses, model))
    return Verdict(accepted=True)


def _after(guess: Moment, entry: Entry, model: Guesser) -> Iterator[Moment]:
    who, step, outcome = entry
    for move in _choices(guess, who, model):
        if (move.step, move.outcome) == (step, outcome):
            yield guess.moved(who, move)


def _choices(guess: Moment, who: str, model: Guesser) -> Iterator[Move]:
    """List what an invocation may log next. A newcomer may find that there is nothing to do."""
    rules, me = model.rules, dict(guess.workers).get(who)
    if me is None:
        me = Invocation(rules.path[0])
        yield Move("read", "stop", None, guess.world)
    yield from moves(rules, model.mode, me, guess.world)
    if "look_in_rescue" in rules.path and me.at == rules.after("look_in_rescue") and not me.retried:
        yield from look_in_rescue(rules, me, guess.world)  # looking without a reason to is no mistake


def _settled(moments: set[Moment], silent: frozenset[str], model: Guesser) -> set[Moment]:
    """Add everything that may have happened without an entry."""
    found, work = set(moments), list(moments)
    while work:
        for after in _unlogged(work.pop(), silent, model):
            if after not in found:
                found.add(after)
                work.append(after)
    return {guess for guess in found if not any(_is_spent(guess, who, model) for who in silent)}


def _is_spent(guess: Moment, who: str, model: Guesser) -> bool:
    """Say whether an invocation that says nothing more can do nothing more: that it is dead is guessed as well."""
    me, row = dict(guess.workers).get(who), guess.world.row
    if me is None or not model.rules.precedes_lease(me.at):
        return False
    return me.at != "acquire" or (me.version, me.fence) != (row.version, row.fence)


def _unlogged(guess: Moment, silent: frozenset[str], model: Guesser) -> Iterator[Moment]:
    world, workers, late = guess
    for who, me in workers:
        for move in moves(model.rules, model.mode, me, world):
            if move.outcome == "sent" or move.step in model.unlogged:
                yield guess.moved(who, move)
        if who in silent:
            yield from _killed(guess, who, model)
    for host, token in enumerate(late):
        for move in arrivals(model.mode, token, world):
            yield Moment(move.world, workers, late[:host] + late[host + 1 :])
    if world.row.leased and not any(holds_lease(model.rules, me, world) for _, me in workers):
        yield Moment(expiry(world, early=False).world, workers, () if model.rules.quarantine else late)


def _killed(guess: Moment, who: str, model: Guesser) -> Iterator[Moment]:
    """Kill an invocation before its next step's effect, or after it and before it could say so."""
    me = dict(guess.workers)[who]
    yield guess.moved(who, crash(me, guess.world))
    if me.at not in {"post", "reply"}:
        for move in moves(model.rules, model.mode, me, guess.world):
            yield guess.moved(who, move._replace(me=None))


def _reason(host: int, entry: Entry, guesses: set[Moment], model: Guesser) -> str:
    who, step, outcome = entry
    known = {f"{move.step} {move.outcome}" for guess in guesses for move in _choices(guess, who, model)}
    return f"entry {host}: {who} may not {step} {outcome}; it may {', '.join(sorted(known)) or 'do nothing'}"
