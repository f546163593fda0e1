"""The refresh protocol: what one invocation may do next, and every way it may go wrong.

Each function is one I/O point of the real code. It yields a `Move` for each outcome; a move that names a
fault is possible only while the explorer has that fault to spend.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.verification.model.provider import Mode, answers
from tests.verification.model.rules import Rules
from tests.verification.model.state import Invocation, Place, Row, World, is_stored, stored, tidied


class Move(NamedTuple):
    """One step with one outcome.

    Attributes:
        me: the invocation after it; None: it has ended
        faults: what the explorer pays for it
        breaches: the properties this step breaks
        excused: a token lost in this step is lost for a reason that nobody can avoid
        late: a token in a request that may be executed after its sender stopped listening
    """

    step: str
    outcome: str
    me: Invocation | None
    world: World
    faults: tuple[str, ...] = ()
    breaches: tuple[str, ...] = ()
    excused: bool = False
    late: int | None = None


Moves = Iterator[Move]


def moves(rules: Rules, mode: Mode, me: Invocation, world: World) -> Moves:
    """List everything this invocation may do now."""
    if me.at == "reply":
        return reply(rules, mode, me, world)
    return STEPS[me.at](rules, me, world)


def read(rules: Rules, me: Invocation, world: World) -> Moves:
    """Read the row; a stale copy shows the version before."""
    row = world.row
    fence = row.fence if rules.precedes_lease("read") else me.fence
    seen = Invocation(rules.after("read"), row.version, row.token, fence)
    yield Move("read", "found", seen, world)
    if row.version:
        yield Move("read", "found", seen._replace(version=row.version - 1, token=row.before), world, ("stale",))


def open_token(rules: Rules, me: Invocation, world: World) -> Moves:
    """Open the sealed refresh token."""
    yield Move("open_token", "opened", me._replace(at=rules.after("open_token")), world)
    yield Move("open_token", "failed", None, world, ("unready",))


def data_keys(rules: Rules, me: Invocation, world: World) -> Moves:
    """Fetch the keys that will seal the next tokens; without them a token in hand cannot be kept."""
    yield Move("data_keys", "ready", me._replace(at=rules.after("data_keys")), world)
    yield Move("data_keys", "failed", None, world, ("unready",))


def acquire(rules: Rules, me: Invocation, world: World) -> Moves:
    """Win the lease and announce the attempt, in one conditional write."""
    row = world.row
    if row.leased or (rules.owns_lease and not _is_as_read(me, row)):
        yield Move("acquire", "conflict", None, world)
        yield Move("acquire", "unanswered", None, world, ("throttle",))
        return
    outcome_unknown = row.outcome_unknown or row.attempt
    kept = outcome_unknown and rules.doubts
    at = rules.after("acquire")
    if at == "look_in_rescue" and not outcome_unknown:
        at = rules.after(at)
    won = world._replace(row=row._replace(fence=row.fence + 1, leased=True, attempt=True, outcome_unknown=kept))
    yield Move("acquire", "won", me._replace(at=at, fence=row.fence + 1), won)
    yield Move("acquire", "unanswered", None, world, ("throttle",))
    yield Move("acquire", "unanswered", None, won, ("ack_lost",))


def look_in_rescue(rules: Rules, me: Invocation, world: World) -> Moves:
    """Look for the token that an earlier attempt could not save; unless it surely is not there, do not post."""
    onwards = me._replace(at=rules.after("look_in_rescue"))
    return _look(me, world, none=onwards, unreadable=onwards if rules.guesses else _leaving(rules, me))


def look_again(rules: Rules, me: Invocation, world: World) -> Moves:
    """Look once more before a verdict is believed."""
    strikes = me._replace(at="strike")
    return _look(me, world, none=strikes, unreadable=strikes if rules.guesses else None)


def _look(me: Invocation, world: World, *, none: Invocation, unreadable: Invocation | None) -> Moves:
    rescued = [token for version, token in world.rescue if version == me.version]
    if rescued:
        yield Move("look_in_rescue", "found", me._replace(at="save", held=rescued[-1]), world)
    else:
        yield Move("look_in_rescue", "none", none, world)
    yield Move("look_in_rescue", "unreadable", unreadable, world, ("sink",))


def post(rules: Rules, me: Invocation, world: World) -> Moves:
    """Send the refresh token, unless the time left is too short."""
    breaches = ("S3",) if max(stored(world)) > me.token else ()
    yield Move("post", "sent", me._replace(at="reply"), world, breaches=breaches)
    if rules.leases and not me.retried:
        for move in release(rules, me, world):
            yield move._replace(faults=(*move.faults, "unready"))


def reply(rules: Rules, mode: Mode, me: Invocation, world: World) -> Moves:
    """Hear what became of the request; or not, and then it may also be executed later."""
    for granted, after, fault, breaches in answers(mode, me.token, world):
        faults = (fault,) if fault else ()
        heard, outcome = _heard(rules, me, granted)
        yield Move("post", outcome, heard, after, faults, breaches)
        for unsure in _unsure(rules, me):
            lost = (*faults, "response_lost")
            yield Move("post", "ambiguous", unsure, after, lost, breaches, excused=True)
    for unsure in _unsure(rules, me):
        yield Move("post", "ambiguous", unsure, world, ("request_lost",))
        yield Move("post", "ambiguous", unsure, world, ("overtaken",), late=me.token)
    yield Move("post", "declined", _leaving(rules, me), world, ("request_lost",))
    if not me.retried:
        yield Move("post", "declined", _again(me), world, ("request_lost",))


def _heard(rules: Rules, me: Invocation, granted: int | None) -> tuple[Invocation, str]:
    if granted is not None:
        return me._replace(at=rules.after("post"), held=granted), "granted"
    return me._replace(at="reread" if rules.rereads else "strike"), "verdict"


def _unsure(rules: Rules, me: Invocation) -> Iterator[Invocation | None]:
    if rules.hasty and not me.retried:
        yield _again(me)
    elif rules.leases:
        yield me._replace(at="quarantine")
    else:
        yield None


def _again(me: Invocation) -> Invocation:
    return me._replace(at="post", retried=True)


def save(rules: Rules, me: Invocation, world: World) -> Moves:
    """Put the new token in the row, if the row is still as this invocation left it."""
    row, held = world.row, _held(me)
    for then in _refused(rules, me):
        yield Move("save", "unanswered", then, world, ("throttle",))
    if _is_as_read(me, row) or not rules.compares:
        done = tidied(world._replace(row=_saved(rules, row, held)))
        breaches = ("S4",) if held < row.token else ()
        after = None if rules.saves_and_frees else _leaving(rules, me)
        yield Move("save", "saved", after, done, breaches=breaches)
        for then in _refused(rules, me):
            yield Move("save", "unanswered", then, done, ("ack_lost",), breaches)
    elif row.token == held:
        yield Move("save", "saved", None, world)
    else:
        yield Move("save", "conflict", me._replace(at="sink") if rules.sinks else None, world)


def _saved(rules: Rules, row: Row, token: int) -> Row:
    leased = row.leased and not rules.saves_and_frees
    return Row(row.version + 1, token, row.token, row.fence, leased)


def _refused(rules: Rules, me: Invocation) -> Iterator[Invocation | None]:
    if rules.retries:
        yield me
    yield me._replace(at="sink") if rules.sinks else None


def sink(rules: Rules, me: Invocation, world: World) -> Moves:
    """Put the new token in the rescue store; the lease is left to expire."""
    entry = (me.version, _held(me))
    rescue = world.rescue if entry in world.rescue else (*world.rescue, entry)
    kept = tidied(world._replace(rescue=rescue))
    yield Move("sink", "kept", None, kept)
    yield Move("sink", "refused", None, world, ("sink",), excused=True)
    yield Move("sink", "refused", None, kept, ("ack_lost",))


def reread(rules: Rules, me: Invocation, world: World) -> Moves:
    """See whether the verdict is about the token that is stored now."""
    if _is_as_read(me, world.row):
        at: Place = "look_again" if "look_in_rescue" in rules.path else "strike"
        yield Move("reread", "same", me._replace(at=at), world)
    else:
        yield Move("reread", "moved", None, world)
    yield Move("reread", "unanswered", None, world, ("throttle",))


def strike(rules: Rules, me: Invocation, world: World) -> Moves:
    """Count the verdict and give the lease back; at the last strike say needs_reauth.

    While the whole fleet is struck the verdict is `held`: it does not count.
    """
    row = world.row
    if rules.rereads and not _is_as_read(me, row):
        yield Move("strike", "conflict", None, world)
        yield Move("strike", "unanswered", None, world, ("throttle",))
        return
    freed = _freed(row) if row.fence == me.fence else row
    yield Move("strike", "held", None, world._replace(row=freed), ("unready",))
    strikes = min(row.strikes + 1, rules.strikes)
    dead = row.dead or strikes == rules.strikes
    struck = world._replace(row=freed._replace(strikes=strikes, dead=dead))
    breaches = _untrue(world) if dead and not row.dead else ()
    yield Move("strike", "needs_reauth" if dead else "struck", None, struck, breaches=breaches)
    yield Move("strike", "unanswered", None, world, ("throttle",))
    yield Move("strike", "unanswered", None, struck, ("ack_lost",), breaches)


def _untrue(world: World) -> tuple[str, ...]:
    """Say what is wrong with giving up now: the token is there, or the loss is blamed on somebody else."""
    if is_stored(world):
        return ("S5",)
    return () if world.row.outcome_unknown else ("S6",)


def release(rules: Rules, me: Invocation, world: World) -> Moves:
    """Give the lease back: the provider has carried nothing out."""
    row = world.row
    if rules.owns_lease and row.fence != me.fence:
        yield Move("release", "conflict", None, world)
        yield Move("release", "unanswered", None, world, ("throttle",))
        return
    yield Move("release", "released", None, world._replace(row=_freed(row)))
    yield Move("release", "unanswered", None, world, ("throttle",))


def quarantine(rules: Rules, me: Invocation, world: World) -> Moves:
    """Keep the lease until nothing sent under it can still be executed; the attempt stays announced."""
    if rules.quarantine:
        yield Move("release", "quarantined", None, world)
    else:
        yield Move("release", "released", None, world._replace(row=world.row._replace(leased=False)))
    yield Move("release", "unanswered", None, world, ("throttle",))


def _is_as_read(me: Invocation, row: Row) -> bool:
    return (row.version, row.fence) == (me.version, me.fence)


def _freed(row: Row) -> Row:
    return row._replace(leased=False, attempt=False)


def _held(me: Invocation) -> int:
    if me.held is None:
        raise ValueError("there is nothing to keep")
    return me.held


def _leaving(rules: Rules, me: Invocation) -> Invocation | None:
    """Give the lease back, if there is one."""
    return me._replace(at="release") if rules.leases else None


STEPS: dict[Place, Callable[[Rules, Invocation, World], Moves]] = {
    "read": read,
    "open_token": open_token,
    "data_keys": data_keys,
    "acquire": acquire,
    "look_in_rescue": look_in_rescue,
    "look_again": look_again,
    "post": post,
    "save": save,
    "sink": sink,
    "reread": reread,
    "strike": strike,
    "release": release,
    "quarantine": quarantine,
}
