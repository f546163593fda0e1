"""Decisions about time: how long sessions and consents live, when a refresh is due, how long to wait after a failure,
when NinjaOne's rejection of a token is believed.

They are constants, not parameters: they depend on each other and on limits of NinjaOne and AWS, and the proofs of the
refresh protocol hold for these values. Caches, HTTP timeouts and page sizes are defined in the modules that use them.
"""

from zlib import crc32

from broker.model import ConnectionId, Instant, Reason, Seconds

# Connect sessions
SESSION_LIFE = Seconds(1800)
"""How long a connect link works, unless somebody else is to open it (``link_days``). It is no parameter, because the
OpenAPI document, the pages and the clients' documentation name half an hour."""
FLOW_LIFE = Seconds(600)
"""How long a person may take at NinjaOne, from leaving the connect page to the callback."""
REPEAT_LIFE = Seconds(60)
"""The same form from the same browser within this time is a repetition: API Gateway answers within 30 s."""
CODE_LIFE = Seconds(45)
"""NinjaOne's authorization codes live about 60 s (docs/understand/ninjaone.md §1)."""
SECRET_KEPT = Seconds(600)
"""How long a client secret that was entered waits in its session for ``complete``."""
SECRET_CHECK_TIMEOUT = Seconds(5)
"""How long NinjaOne may take to check a client secret while the person waits."""
CLOCK_SKEW = Seconds(10)
"""Clocks differ by less than this: whatever ends by one of them has ended by all so much later."""
EXCHANGE_TIMEOUT = Seconds(12)
"""API Gateway cuts an answer off at 30 s; the exchange and the read of the organizations must fit."""
ORGANIZATIONS_TIMEOUT = Seconds(3)
"""How long NinjaOne may take to list the organizations; without the list a new connection is stored all the same."""
COMPLETE_TIMEOUT = Seconds(120)
"""The function's timeout. It continues after API Gateway stops waiting, because it may hold the only copy of tokens."""
COMPLETE_SLACK = Seconds(5)
"""The part of it that is reserved for the answer and the log lines."""
COMPLETE_WAIT = Seconds(20)
"""How long a call waits for another that is completing the same session; the answer still passes API Gateway."""
CONSENT_KEPT = Seconds(3600)
"""How long exchanged tokens wait in their session for ``complete`` to be called again."""
HOST_CHECK_TIMEOUT = Seconds(5)
"""How long the chosen host may take to answer the host check while the person waits."""

# Refreshing
SHARDS = 8
"""Partitions of the due index, so that no partition gets all writes."""
MIN_LIFE_PART, MAX_LIFE_PART = 0.50, 0.60
"""A token is refreshed at a part of its life between these two, so that three leases fit before it expires."""
MAX_SPREAD_PART = 0.79
"""The upper bound for a new or late connection: many at once would otherwise stay together. Three leases still fit."""
LATE_AFTER = Seconds(300)
"""A refresh that begins later than this after its time is late; its next time is spread up to ``MAX_SPREAD_PART``."""
KEEP_ALIVE = Seconds(12 * 3600)
"""How often an idle connection is refreshed under the adaptive policy."""
ACTIVE_LIFE = Seconds(24 * 3600)
"""How long after a caller asked for a token a connection counts as active under the adaptive policy."""
ATTEMPT_GAP = Seconds(60)
"""NinjaOne is called no more often than this for one connection, however often callers and sweeps request it."""
RETRY_FIRST, RETRY_LONGEST = Seconds(60), Seconds(600)
"""The first and the longest wait after failed attempts; see ``retry_wait``."""
RETRY_REFUSED_APP = Seconds(120)
"""The longest wait if NinjaOne refuses the client app: refreshes resume within three minutes of a corrected secret."""
RETRY_AFTER_LONGEST = Seconds(900)
"""The longest ``Retry-After`` that is obeyed: after an hour tokens would expire, and NinjaOne may recover sooner."""
PAUSED_AFTER = 2
"""Failures in a row until a connection with a valid token counts as paused: one usually recovers in a minute or two."""
STRIKE_GAP = Seconds(60)
"""The least time between two rejections of a token ("strikes") for the second to count."""
VERDICT_WAIT_SINGLE_TENANT, VERDICT_WAIT_MAX = Seconds(1800), Seconds(24 * 3600)
"""How long rejections must go on to be believed if no other tenant is failing, and in any case; see ``is_believed``."""
REJECTED_RETRY_FIRST, REJECTED_RETRY_LONGEST = Seconds(120), Seconds(24 * 3600)
"""The first and the longest wait before a rejected token is tried again; see ``rejected_retry_wait``."""
REJECTED_RETRY_FOR = Seconds(30 * 24 * 3600)
"""How long a rejected token is tried again before it is deleted."""
DISCONNECTED_KEPT = Seconds(30 * 24 * 3600)
"""How long a disconnected connection can still be seen; then DynamoDB deletes its rows."""
APPROVAL_LIFE = Seconds(30 * 24 * 3600)
"""How long a connection waits for its approval. Its consent lives no longer (docs/understand/ninjaone.md §3)."""
FORGOTTEN_KEPT = Seconds(180 * 24 * 3600)
"""How long a connection can be reconnected under its id after its rejected tokens were deleted."""
BREAKER_TENANTS, BREAKER_QUIET = 2, Seconds(45)
"""A breaker opens when this many tenants fail and nothing was granted for this long after the first failure."""
TRIAL_INTERVAL, FAILING_TRIAL_INTERVAL = Seconds(50), Seconds(100)
"""An open breaker tries one connection a minute. With 60 s every second sweep would come too early. A connection of a
failing tenant is tried only if no other tenant used the minute before."""
AWS_ATTEMPTS, AWS_CONNECT, AWS_READ, AWS_PAUSES = 3, 2, 5, 1 + 2
"""How the clients of AWS are configured (edge/wiring.py): one attempt and two more, after pauses of up to 1 and 2 s."""
AWS_CALL = Seconds(AWS_ATTEMPTS * (AWS_CONNECT + AWS_READ) + AWS_PAUSES)
"""The longest that one call takes when AWS hangs."""

# Consent (docs/understand/ninjaone.md §3, §9 U2)
DAY = Seconds(86_400)
CONSENT_LIFE = Seconds(30 * DAY)
"""How long NinjaOne's consent is believed to last."""
CONSENT_WARN, CONSENT_DAILY = Seconds(21 * DAY), Seconds(25 * DAY)
"""The age of a consent from which its end is announced once, and from which it is announced daily."""
CONSENT_OUTLIVED = Seconds(35 * DAY)
"""A consent of this age did not end after ``CONSENT_LIFE``, so no end is expected any more."""


def shard(connection: ConnectionId) -> int:
    """Return the partition of the due index that a connection belongs to."""
    return crc32(connection.encode()) % SHARDS


def refresh_at(now: Instant, expires_at: Instant, jitter: float, *, anew: bool = False) -> Instant:
    """Return when to refresh. Connections that were sealed together have the same ``jitter`` and so stay together.

    Args:
        jitter: 0 to 1
        anew: whether to spread widely: the connection is new or late, and so may be many others at the same time
    """
    life = max(expires_at - now, 0)
    latest = MAX_SPREAD_PART if anew else MAX_LIFE_PART
    return Instant(now + int(life * (MIN_LIFE_PART + (latest - MIN_LIFE_PART) * jitter)))


def retry_wait(
    failures: int,
    token_left: float,
    *,
    jitter: float,
    retry_after: Seconds | None = None,
    longest: Seconds = RETRY_LONGEST,
) -> Seconds:
    """Return how long a connection waits after an attempt that brought no tokens, before NinjaOne is called again.

    The wait doubles with each failure in a row, from one minute to ten, shortened at random to spread the load. While
    the access token is valid, the wait is at most an eighth of the time left: otherwise tokens would expire if NinjaOne
    failed every other request. NinjaOne's ``Retry-After`` replaces all that, up to 15 minutes.

    Args:
        failures: attempts in a row without tokens, this one included
        token_left: seconds until the access token expires; not positive if it has expired
        jitter: 0 to 1

    See RFC 6585 §4.
    """
    if retry_after is not None:
        return Seconds(max(RETRY_FIRST, min(retry_after, RETRY_AFTER_LONGEST)) + int(16 * jitter))
    doubled = min(RETRY_FIRST * 2 ** min(failures - 1, 10), longest) * (1 + jitter) / 2
    bound = token_left / 8 if token_left > 0 else longest
    return Seconds(max(RETRY_FIRST, int(min(doubled, bound))))


def is_believed(*, struck_at: Instant | None, now: Instant, others_granted: bool, others_failing: bool) -> bool:
    """Return whether NinjaOne's rejection of a token is believed, so that the customer is asked to reconnect.

    A single rejection never is. A second one is believed if NinjaOne granted tokens to another tenant on the same host
    meanwhile, which rules out a mistake of NinjaOne's. If there is no such tenant, rejections must go on for half an
    hour while no other tenant fails, or for a day in any case.

    Args:
        struck_at: when the first rejection in a row came; None if this is it
        others_granted: whether another tenant on this host was granted tokens since then
        others_failing: whether another tenant on this host is failing
    """
    if struck_at is None or now - struck_at < STRIKE_GAP:
        return False
    alone = not others_failing and now - struck_at >= VERDICT_WAIT_SINGLE_TENANT
    return others_granted or alone or now - struck_at >= VERDICT_WAIT_MAX


def rejected_retry_wait(since: Instant, now: Instant) -> Seconds:
    """Return how long to wait before a rejected token is tried again: two minutes, then twice as long each time.

    So after a mistake of NinjaOne's, a connection is active again after at most about twice the time of the mistake.
    """
    return Seconds(min(REJECTED_RETRY_FIRST + now - since, REJECTED_RETRY_LONGEST))


def reason_for(*, outcome_unknown: bool, consented_at: Instant, now: Instant) -> Reason:
    """Return why NinjaOne rejects a connection's token.

    Args:
        outcome_unknown: whether an attempt with this very token got no definite answer, so that NinjaOne may have
            rotated it and the new token was lost
    """
    if outcome_unknown:
        return Reason.LOST_IN_ROTATION
    age = now - consented_at
    if CONSENT_LIFE - DAY <= age < CONSENT_OUTLIVED:
        return Reason.CONSENT_ENDED
    return Reason.REVOKED


def consent_warning_due(*, consented_at: Instant, warned_at: Instant | None, now: Instant) -> bool:
    """Return whether to announce the end of consent: once from day 21, daily from day 25, never after day 35."""
    age = now - consented_at
    if not CONSENT_WARN <= age < CONSENT_OUTLIVED:
        return False
    if warned_at is None:
        return True
    return age >= CONSENT_DAILY and now - warned_at >= DAY


def consent_ends_at(consented_at: Instant, now: Instant) -> Instant | None:
    """Estimate when consent ends; None once the connection has outlived that."""
    return None if now - consented_at >= CONSENT_OUTLIVED else Instant(consented_at + CONSENT_LIFE)
