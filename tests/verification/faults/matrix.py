"""One row: a fault is played from a fresh connection to whatever comes of it, and what was seen is compared."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.verification.faults.stage import Answer, Connection, Stage, staged

DUE = 2850
"""Seconds after which every connection is due, however its first refresh was spread; its token lasts 750 more."""
MEANWHILE = (2950, 3150, 3300, 3500)
ENDED = 3650
AFTERWARDS = (61, 120, 300, 700, *[1000] * 6)
"""Seconds between looks at whether all is well again: longer than any wait of the broker's, in the end."""

HELD, FRESH = "the token it holds", "a fresh token"
NOTHING = "nothing"
UNDECIDED = "not decided"
IN_TIME, LATER = "refreshed in time", "waits too, then refreshed"
BY_ITSELF = "by itself"
RECONNECT = "the customer connects again; the id stays"
LOST = "the connection: `needs_reauth`, `lost_in_rotation`"
NOT_YET = "503 `no-token-yet`, Retry-After 1 or 2"
PAUSED = "503 `connection-paused`, Retry-After to the next try"
UNAVAILABLE = "503 `aws-unavailable`, Retry-After 5"
GONE = "409 `needs-reauth`"

Act = Callable[[Stage], object]
Script = Callable[["Row", Stage], "Observed"]


@dataclass(frozen=True)
class Observed:
    """What was seen.

    Attributes:
        valid: what a caller of `token` gets while the held token lasts
        ended: and once it has ended
        lost: what is not there any more when all is over
        heals: how it became well again
        said: what the log says of it, each thing once, in order
        shown: how often NinjaOne saw the refresh token that it saw most often
        beside: how the connection beside it fared
    """

    valid: str = HELD
    ended: str = FRESH
    lost: str = NOTHING
    heals: str = BY_ITSELF
    said: tuple[str, ...] = ()
    shown: int = 1
    beside: str = IN_TIME


@dataclass(frozen=True)
class Row:
    """A fault.

    Attributes:
        does: what the broker does, in words that the expectation bears out
        begin: lets it happen; the refresh comes after it
        end: ends it, when somebody has to; faults of NinjaOne's and AWS's end by themselves
        beside: the region of the connection beside it: another host where the fault is a host's
        heals: what has to be done before the broker can go on
        lasts: seconds after which it is over; it begins before the refresh at DUE
        status: what the connection is shown as meanwhile
        script: what is done and looked at, where it is not the usual
    """

    fault: str
    does: str
    begin: Act
    expected: Observed
    end: Act = field(default=lambda _: None)
    beside: str = "eu"
    heals: str = BY_ITSELF
    lasts: int = ENDED
    status: str = "active"
    script: Script | None = None

    def play(self) -> Observed:
        """Play it in a world of its own."""
        with staged(self.beside) as stage:
            return (self.script or _played)(self, stage)


def _played(row: Row, stage: Stage) -> Observed:
    held = stage.ask().token
    row.begin(stage)
    stage.until(DUE)
    stage.work()
    beside = IN_TIME if stage.shown(stage.beside)["version"] > 1 else LATER
    valid = tell(stage.ask(), held)
    assert stage.shown()["status"] == row.status
    for seconds in MEANWHILE:
        if seconds > row.lasts:
            stage.heal()
        stage.until(seconds)
        stage.work()
    stage.until(ENDED)
    ended = tell(stage.ask(), held)
    row.end(stage)
    stage.heal()
    lost, heals = outcome(stage, row)
    return Observed(valid, ended, lost, heals, tuple(dict.fromkeys(stage.said())), stage.most_shown(), beside)


def outcome(stage: Stage, row: Row) -> tuple[str, str]:
    """Let the broker get over it; then say what is lost, and how it became well."""
    for seconds in AFTERWARDS:
        stage.time.advance(seconds)
        stage.work()
        lost = _lost(stage, stage.subject)
        if lost != UNDECIDED:
            break
    assert not _lost(stage, stage.beside)
    if not lost:
        return NOTHING, row.heals
    again = stage.connect(stage.subject.tenant, connection=stage.subject.id)
    assert again.id == stage.subject.id
    assert not _lost(stage, again)
    return lost, RECONNECT


def _lost(stage: Stage, connection: Connection) -> str:
    """Say what is lost; empty when the connection gives tokens that NinjaOne takes."""
    shown, answer = stage.shown(connection), stage.ask(connection)
    if shown["status"] == "paused":
        return UNDECIDED
    if shown["status"] != "active":
        return f"the connection: `{shown['status']}`, `{shown['reason']}`"
    return "" if stage.is_good(answer.token, shown["host"]) else UNDECIDED


def tell(answer: Answer, held: str) -> str:
    """Say what a caller got."""
    if answer.status == 200:
        return HELD if answer.token == held else FRESH
    if answer.slug == "connection-paused":
        return PAUSED  # by the rules of waiting, which draw at random
    waits = f", Retry-After {_drawn(answer.retry_after)}" if answer.retry_after else ""
    return f"{answer.status} `{answer.slug}`{waits}"


def _drawn(retry_after: int) -> str:
    """Write a wait; one of 1 or 2 seconds is drawn, so that callers who were refused together come back apart."""
    return "1 or 2" if retry_after in {1, 2} else str(retry_after)
