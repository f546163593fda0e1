"""Decisions about time: how long things live, when a refresh is due, how long to wait, what counts as dead."""

from zlib import crc32

from broker.model import ConnectionId, Instant, Reason, Seconds

# Connect sessions
SESSION_LIFE = Seconds(1800)
FLOW_LIFE = Seconds(600)
REPEAT_LIFE = Seconds(60)
"""The same form of the same browser within so long is a repetition: API Gateway gives every answer within 30 s."""
CODE_LIFE = Seconds(45)
"""NinjaOne's authorization codes live about 60 s (docs/understand/ninjaone.md §1)."""
SECRET_KEPT = Seconds(600)
"""How long a client secret that was entered waits in its session for ``complete``."""
SECRET_CHECK_TIMEOUT = Seconds(5)
CLOCK_SKEW = Seconds(10)
"""Clocks differ by less: what was to end by one of them has surely ended so long after its end."""
EXCHANGE_TIMEOUT = Seconds(12)
"""API Gateway cuts an answer off at 30 s; the exchange and the look at the organizations must fit."""
ORGANIZATIONS_TIMEOUT = Seconds(3)
COMPLETE_TIMEOUT = Seconds(120)
"""The timeout of the function, which goes on when API Gateway stops waiting: it may hold the only copy of a consent."""
COMPLETE_SLACK = Seconds(5)
"""What is left of it for the answer and the log lines."""
COMPLETE_WAIT = Seconds(20)
"""How long a call waits for another that is completing the same session; the answer still passes API Gateway."""
CONSENT_KEPT = Seconds(3600)
"""How long a consent that was exchanged waits in its session for ``complete`` to be called again."""
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
RETRY_FIRST, RETRY_LONGEST = Seconds(60), Seconds(600)
RETRY_REFUSED_APP = Seconds(120)
"""Where NinjaOne refuses the client app: connections go on within three minutes of the secret being put right."""
RETRY_AFTER_LONGEST = Seconds(900)
"""``Retry-After`` is heeded up to here: told an hour, tokens would end although NinjaOne serves again long before."""
PAUSED_AFTER = 2
"""Failures in a row until a connection is called paused: a single one is made good within a minute or two."""
STRIKE_GAP = Seconds(60)
BELIEVED_ALONE, BELIEVED_ANYWAY = Seconds(1800), Seconds(24 * 3600)
PROBE_FIRST, PROBE_LONGEST = Seconds(120), Seconds(24 * 3600)
PROBE_FOR = Seconds(30 * 24 * 3600)
ENDED_KEPT = Seconds(30 * 24 * 3600)
"""How long a disconnected connection can still be seen; then DynamoDB deletes its rows."""
APPROVAL_LIFE = Seconds(30 * 24 * 3600)
"""How long a connection waits for its approval. Its consent lives no longer (docs/understand/ninjaone.md §3)."""
FORGOTTEN_KEPT = Seconds(180 * 24 * 3600)
"""How long a connection can be reconnected under its id after its dead tokens were dropped; then its rows go."""
BREAKER_TENANTS, BREAKER_QUIET = 2, Seconds(45)
"""A breaker opens when so many tenants fail and nothing was granted between the first failure and one so much later."""
PASS_GAP, FAILING_PASS_GAP = Seconds(50), Seconds(100)
"""An open breaker lets one connection a minute pass. At 60 s every second sweep would come too early; a connection of a
tenant that is failing passes only where no other tenant used the minute before."""
AWS_ATTEMPTS, AWS_CONNECT, AWS_READ, AWS_PAUSES = 3, 2, 5, 1 + 2
"""How the clients of AWS are set up (edge/wiring.py): one attempt and two more, after pauses of up to 1 and 2 s."""
AWS_CALL = Seconds(AWS_ATTEMPTS * (AWS_CONNECT + AWS_READ) + AWS_PAUSES)
"""The longest that one call lasts when AWS hangs."""

# Consent (docs/understand/ninjaone.md §3, §9 U2)
DAY = Seconds(86_400)
CONSENT_LIFE = Seconds(30 * DAY)
CONSENT_WARN, CONSENT_DAILY = Seconds(21 * DAY), Seconds(25 * DAY)
CONSENT_OUTLIVED = Seconds(35 * DAY)


def shard(connection: ConnectionId) -> int:
    """Spread connections over the due index."""
    return crc32(connection.encode()) % SHARDS


def refresh_at(now: Instant, expires_at: Instant, jitter: float, *, anew: bool = False) -> Instant:
    """Say when to refresh: the same ``jitter``, 0 to 1, keeps connections together that were sealed together.

    Args:
        anew: spread widely: this connection is new or late, and many others may be so at the same time
    """
    life = max(expires_at - now, 0)
    latest = WIDEST if anew else LATEST
    return Instant(now + int(life * (EARLIEST + (latest - EARLIEST) * jitter)))


def retry_wait(
    failures: int,
    token_left: float,
    *,
    jitter: float,
    retry_after: Seconds | None = None,
    longest: Seconds = RETRY_LONGEST,
) -> Seconds:
    """Say how long a connection waits after an attempt that brought no tokens, before NinjaOne is asked again.

    The wait doubles with each failure in a row, from one minute to ten, shortened at random to spread the load. While
    the access token lives, the wait is at most an eighth of what is left: otherwise a NinjaOne that fails every other
    request would let tokens end. What NinjaOne names in ``Retry-After`` takes the place of all that, up to 15 minutes.

    Args:
        failures: attempts in a row without tokens, this one included
        token_left: seconds until the access token ends; not positive when it has ended
        jitter: 0 to 1

    See RFC 6585 §4.
    """
    if retry_after is not None:
        return Seconds(max(RETRY_FIRST, min(retry_after, RETRY_AFTER_LONGEST)) + int(16 * jitter))
    doubled = min(RETRY_FIRST * 2 ** min(failures - 1, 10), longest) * (1 + jitter) / 2
    bound = token_left / 8 if token_left > 0 else longest
    return Seconds(max(RETRY_FIRST, int(min(doubled, bound))))


def is_believed(*, struck_at: Instant | None, now: Instant, others_granted: bool, others_failing: bool) -> bool:
    """Say whether a dead verdict is believed, so that the customer is asked to connect again.

    One verdict alone never is. Of two, NinjaOne's own mistake is ruled out where it served another tenant on the same
    host meanwhile. Where no other tenant can tell, half an hour of verdicts has to do, or a day in any case.

    Args:
        struck_at: when the first verdict in a row came; None when this is it
        others_granted: whether another tenant on this host was granted tokens since then
        others_failing: whether another tenant on this host is failing
    """
    if struck_at is None or now - struck_at < STRIKE_GAP:
        return False
    alone = not others_failing and now - struck_at >= BELIEVED_ALONE
    return others_granted or alone or now - struck_at >= BELIEVED_ANYWAY


def probe_wait(ended_at: Instant, now: Instant) -> Seconds:
    """Say when to try a dead token again: two minutes after it was believed dead, then after twice as long each time.

    So a connection that NinjaOne condemned by mistake is active again about as long after as it had been dead.
    """
    return Seconds(min(PROBE_FIRST + now - ended_at, PROBE_LONGEST))


def reason_for(*, outcome_unknown: bool, consented_at: Instant, now: Instant) -> Reason:
    """Say honestly why a connection is dead.

    Args:
        outcome_unknown: an attempt on this very token ended without a clear answer: NinjaOne may have rotated it unseen
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
