"""Decisions about time: how long things live, when a refresh is due, how long to wait, what counts as dead."""

from dataclasses import dataclass
from zlib import crc32

from broker.errors import Misconfigured
from broker.model import ConnectionId, Instant, Reason, Seconds

# Connect sessions
SESSION_LIFE = Seconds(1800)
FLOW_LIFE = Seconds(600)
CODE_LIFE = Seconds(45)
"""NinjaOne's authorization codes live about 60 s (docs/understand/ninjaone.md §1)."""
EXCHANGE_TIMEOUT = Seconds(12)
"""API Gateway cuts an answer off at 30 s; the exchange and the look at the organizations must fit."""
ORGANIZATIONS_TIMEOUT = Seconds(3)
HOST_CHECK_TIMEOUT = Seconds(5)

# Refreshing
SHARDS = 8
EARLIEST, LATEST = 0.50, 0.60
"""A token is refreshed at this part of its life, so that three leases fit before it expires."""
WIDEST = 0.79
"""Up to this part when it is new or late: many such at once would stay together for hours. Three leases still fit."""
LATE = Seconds(300)
KEEP_ALIVE = Seconds(12 * 3600)
"""How often an idle connection is refreshed under the adaptive policy."""
ACTIVE_LIFE = Seconds(24 * 3600)
ATTEMPT_GAP = Seconds(60)
"""Callers and sweeps may ask as often as they like; for one connection NinjaOne is not asked more often than this."""
STRIKE_GAP = Seconds(60)
STRIKES = 2
PROBE_EVERY = Seconds(24 * 3600)
PROBE_FOR = Seconds(30 * 24 * 3600)
ENDED_KEPT = Seconds(30 * 24 * 3600)
"""How long a disconnected connection can still be seen; then DynamoDB deletes its rows."""
BREAKER_FIRST, BREAKER_LONGEST = Seconds(60), Seconds(900)
INCIDENT_DEAD, INCIDENT_SHARE = 5, 0.02
"""More dead verdicts than this in a window, by number and by share, are held: NinjaOne is at fault."""
AWS_ATTEMPTS, AWS_CONNECT, AWS_READ, AWS_PAUSES = 3, 2, 5, 1 + 2
"""How the clients of AWS are set up (edge/wiring.py): one attempt and two more, after pauses of up to 1 and 2 s."""
AWS_CALL = Seconds(AWS_ATTEMPTS * (AWS_CONNECT + AWS_READ) + AWS_PAUSES)
"""The longest that one call lasts when AWS hangs."""

# Consent (docs/understand/ninjaone.md §3, §9 U2)
DAY = Seconds(86_400)
CONSENT_LIFE = Seconds(30 * DAY)
CONSENT_WARN, CONSENT_DAILY = Seconds(21 * DAY), Seconds(25 * DAY)
CONSENT_OUTLIVED = Seconds(35 * DAY)


@dataclass(frozen=True)
class Timing:
    """The bounds of one refresh, all from the function's timeout.

    Units    seconds
    lease    an expired lease proves its holder dead: it ran out after the platform killed the holder,
             after the last instant at which NinjaOne may still carry out its request, and after clocks that differ
    """

    function: int
    before: int = 10
    connect: int = 5
    read: int = 65
    save: int = 30
    spill: int = AWS_CALL
    slack: int = 10
    quarantine: int = 60
    skew: int = 10

    def __post_init__(self) -> None:
        """Refuse settings under which a lease would prove nothing. Raises   Misconfigured"""
        if self.whole > self.function:
            raise Misconfigured(f"The refresh function needs a timeout of at least {self.whole} seconds.")

    @property
    def after_gate(self) -> int:
        """What must be left when the request is sent."""
        return self.connect + self.read + self.save + self.spill + self.slack

    @property
    def whole(self) -> int:
        """What must be left when a refresh is begun."""
        return self.before + self.after_gate

    @property
    def saving(self) -> int:
        """What must be left to try one more save: it may hang, and the rescue store has its time after it."""
        return AWS_CALL + self.spill + self.slack

    @property
    def spilling(self) -> int:
        """What must be left to try the rescue store once more: it may hang, and one log line has its time after it."""
        return AWS_CALL + self.slack

    @property
    def lease(self) -> Seconds:
        """How long a lease is."""
        return Seconds(self.function + self.quarantine + self.skew)


def shard(connection: ConnectionId) -> int:
    """Spread connections over the due index."""
    return crc32(connection.encode()) % SHARDS


def refresh_at(now: Instant, expires_at: Instant, jitter: float, *, anew: bool = False) -> Instant:
    """Say when to refresh: the same ``jitter``, 0 to 1, keeps connections together that were sealed together.

    anew   spread widely: this connection is new or late, and many others may be so at the same time
    """
    life = max(expires_at - now, 0)
    latest = WIDEST if anew else LATEST
    return Instant(now + int(life * (EARLIEST + (latest - EARLIEST) * jitter)))


def resume_at(until: Instant, level: int, jitter: float) -> Instant:
    """Say when to go on after a brake: what gathered behind it is spread over twice as long as it gathered."""
    return Instant(until + int(2 * breaker_hold(level) * jitter))


def breaker_hold(level: int) -> Seconds:
    """Say how long to hold after the n-th pull in a row."""
    return Seconds(min(BREAKER_FIRST * 2 ** min(level, 10), BREAKER_LONGEST))


def is_incident(tried: int, dead: int) -> bool:
    """Say whether so many dead verdicts point at NinjaOne rather than at customers."""
    return dead > INCIDENT_DEAD and dead > INCIDENT_SHARE * tried


def reason_for(*, outcome_unknown: bool, consented_at: Instant, now: Instant) -> Reason:
    """Say honestly why a connection is dead.

    doubt   an attempt on this very token ended without a clear answer: then NinjaOne may have rotated it unseen
    """
    if outcome_unknown:
        return Reason.LOST_IN_ROTATION
    age = now - consented_at
    if CONSENT_LIFE - DAY <= age < CONSENT_OUTLIVED:
        return Reason.CONSENT_ENDED
    return Reason.REVOKED


def consent_warning_due(*, consented_at: Instant, warned_at: Instant | None, now: Instant) -> bool:
    """Say whether to announce the end of consent: once from day 21, daily from day 25, never after day 35."""
    age = now - consented_at
    if not CONSENT_WARN <= age < CONSENT_OUTLIVED:
        return False
    if warned_at is None:
        return True
    return age >= CONSENT_DAILY and now - warned_at >= DAY


def consent_ends_at(consented_at: Instant, now: Instant) -> Instant | None:
    """Estimate when consent ends; None once the connection outlived every such end."""
    return None if now - consented_at >= CONSENT_OUTLIVED else Instant(consented_at + CONSENT_LIFE)
