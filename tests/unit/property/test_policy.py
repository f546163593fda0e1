"""Decisions about time hold for all times."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker import policy
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionId, Instant, Reason

INSTANTS = st.integers(0, 4_000_000_000).map(Instant)
JITTER = st.floats(0, 1, exclude_max=True)
CONNECTIONS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26)


@given(INSTANTS, INSTANTS, JITTER)
def test_a_refresh_is_due_within_a_tokens_life_and_never_in_the_past(
    now: Instant, expires_at: Instant, jitter: float
) -> None:
    due = policy.refresh_at(now, expires_at, jitter)

    assert now <= due <= max(now, expires_at)
    assert due == now or due - now <= policy.MAX_LIFE_PART * (expires_at - now)


@given(CONNECTIONS)
def test_every_connection_has_one_shard_for_ever(name: str) -> None:
    connection = ConnectionId(f"con_{name}")

    assert policy.shard(connection) == policy.shard(ConnectionId(str(connection)))
    assert 0 <= policy.shard(connection) < policy.SHARDS


@given(st.integers(1, 10_000), st.integers(-9999, 9999), JITTER)
def test_a_connection_waits_a_minute_to_ten_and_at_most_an_eighth_of_its_tokens_life(
    failures: int, token_left: int, jitter: float
) -> None:
    wait = policy.retry_wait(failures, token_left, jitter=jitter)

    assert 60 <= wait <= 600
    assert wait == 60 or token_left <= 0 or wait <= token_left / 8


@given(INSTANTS, st.integers(0, 10**8))
def test_a_probe_comes_after_as_long_as_the_token_is_dead_and_within_a_day(since: Instant, dead_for: int) -> None:
    wait = policy.rejected_retry_wait(since, Instant(since + dead_for))

    assert 120 <= wait <= 24 * 3600
    assert wait <= dead_for + 120


@given(INSTANTS, INSTANTS, st.booleans())
def test_there_is_always_a_reason(consented_at: Instant, now: Instant, outcome_unknown: bool) -> None:
    reason = policy.reason_for(outcome_unknown=outcome_unknown, consented_at=consented_at, now=now)

    assert reason in {Reason.LOST_IN_ROTATION, Reason.CONSENT_ENDED, Reason.REVOKED}
    assert (reason is Reason.LOST_IN_ROTATION) is outcome_unknown


@given(INSTANTS, st.lists(st.integers(1, 12 * 3600), max_size=200))
def test_whoever_looks_often_is_warned_once_before_day_25_daily_after_it_and_never_after_day_35(
    consented_at: Instant, gaps: list[int]
) -> None:
    now, warned_at, warnings = consented_at, None, list[int]()
    for gap in gaps:
        now = Instant(now + gap)
        if policy.consent_warning_due(consented_at=consented_at, warned_at=warned_at, now=now):
            warned_at = now
            warnings.append(now - consented_at)

    assert all(policy.CONSENT_WARN <= age < policy.CONSENT_OUTLIVED for age in warnings)
    assert len([age for age in warnings if age < policy.CONSENT_DAILY]) <= 1
    assert all(later - earlier >= policy.DAY for earlier, later in pairwise(warnings))


@given(INSTANTS, INSTANTS)
def test_an_estimate_is_given_exactly_until_it_was_outlived(consented_at: Instant, now: Instant) -> None:
    estimate = policy.consent_ends_at(consented_at, now)

    assert (estimate is None) is (now - consented_at >= policy.CONSENT_OUTLIVED)


@given(st.integers(144, 900))
def test_every_bound_of_a_refresh_lies_within_the_one_around_it(function: int) -> None:
    timing = Timing(function)

    assert timing.spill < timing.min_to_retry_rescue < timing.min_to_retry_save
    assert timing.min_to_retry_save < timing.min_to_send < timing.min_to_start
    assert timing.min_to_start <= timing.function < timing.lease
    assert timing.lease >= timing.function + timing.quarantine + timing.skew
