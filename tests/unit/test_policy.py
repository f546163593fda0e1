"""Decisions about time, at their edges."""

import pytest
from botocore.session import get_session

from broker import policy
from broker.edge import wiring
from broker.errors import Misconfigured
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionId, Instant, Reason, Seconds

DAY = 86_400
NOW = Instant(1_800_000_000)


def ago(days: float) -> Instant:
    return Instant(NOW - int(days * DAY))


def test_when_aws_hangs_from_the_answer_on_each_store_is_tried_and_the_log_line_is_written_in_time() -> None:
    timing = Timing(180)
    answered = timing.min_to_send - timing.connect - timing.read

    assert answered - policy.AWS_CALL - policy.AWS_CALL >= timing.slack
    assert timing.min_to_retry_save - policy.AWS_CALL >= timing.spill + timing.slack
    assert timing.spill >= policy.AWS_CALL
    assert timing.min_to_retry_rescue - policy.AWS_CALL >= timing.slack


def test_the_longest_call_of_aws_is_what_the_clients_are_set_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(wiring, "_session", get_session)
    settings = wiring._create_client.__wrapped__("dynamodb").meta.config

    assert (settings.connect_timeout, settings.read_timeout) == (policy.AWS_CONNECT, policy.AWS_READ)
    assert settings.retries["total_max_attempts"] == policy.AWS_ATTEMPTS
    assert settings.retries["mode"] == "standard"
    assert policy.AWS_CALL == 3 * (2 + 5) + 1 + 2


def test_a_function_with_too_little_time_is_refused() -> None:
    assert Timing(144).lease == 214

    with pytest.raises(Misconfigured, match="at least 144 seconds"):
        Timing(143)


def test_connections_spread_over_every_shard() -> None:
    shards = {policy.shard(ConnectionId(f"con_{number}")) for number in range(200)}

    assert shards == set(range(policy.SHARDS))


HOUR = 3600


@pytest.mark.parametrize(
    ("since", "others_granted", "others_failing", "believed"),
    [
        (None, True, False, False),
        (59, True, False, False),
        (60, True, True, True),
        (1799, False, False, False),
        (1800, False, False, True),
        (1800, False, True, False),
        (24 * HOUR - 1, False, True, False),
        (24 * HOUR, False, True, True),
    ],
)
def test_when_a_dead_verdict_is_believed(
    since: int | None, *, others_granted: bool, others_failing: bool, believed: bool
) -> None:
    struck_at = None if since is None else Instant(NOW - since)

    told = policy.is_believed(
        struck_at=struck_at, now=NOW, others_granted=others_granted, others_failing=others_failing
    )

    assert told is believed


@pytest.mark.parametrize(
    ("days", "outcome_unknown", "reason"),
    [
        (0, True, Reason.LOST_IN_ROTATION),
        (30, True, Reason.LOST_IN_ROTATION),
        (0, False, Reason.REVOKED),
        (28.99, False, Reason.REVOKED),
        (29, False, Reason.CONSENT_ENDED),
        (30, False, Reason.CONSENT_ENDED),
        (34.99, False, Reason.CONSENT_ENDED),
        (35, False, Reason.REVOKED),
        (400, False, Reason.REVOKED),
    ],
)
def test_the_reason_is_the_honest_one(days: float, *, outcome_unknown: bool, reason: Reason) -> None:
    assert policy.reason_for(outcome_unknown=outcome_unknown, consented_at=ago(days), now=NOW) is reason


@pytest.mark.parametrize(
    ("days", "warned", "due"),
    [
        (20.99, None, False),
        (21, None, True),
        (22, 1, False),
        (24.99, 3.9, False),
        (25, None, True),
        (25, 4, True),
        (25, 0.5, False),
        (26, 1, True),
        (34.99, 1, True),
        (35, None, False),
        (35, 5, False),
    ],
)
def test_the_end_of_consent_is_announced_from_day_21_and_daily_from_day_25(
    days: float, warned: float | None, *, due: bool
) -> None:
    warned_at = None if warned is None else ago(warned)

    assert policy.consent_warning_due(consented_at=ago(days), warned_at=warned_at, now=NOW) is due


def test_the_end_of_consent_is_estimated_until_it_was_outlived() -> None:
    assert policy.consent_ends_at(ago(0), NOW) == NOW + 30 * DAY
    assert policy.consent_ends_at(ago(34.99), NOW) == ago(4.99)
    assert policy.consent_ends_at(ago(35), NOW) is None


def test_what_a_person_waits_for_ends_before_api_gateway_cuts_it_off() -> None:
    assert policy.EXCHANGE_TIMEOUT + policy.ORGANIZATIONS_TIMEOUT < 29
    assert Seconds(60) >= policy.CODE_LIFE + policy.EXCHANGE_TIMEOUT


def test_new_and_late_connections_spread_widely_and_still_three_leases_ahead() -> None:
    latest = policy.refresh_at(NOW, Instant(NOW + 3600), 1.0, anew=True)

    assert policy.refresh_at(NOW, Instant(NOW + 3600), 0.0, anew=True) == NOW + 1800
    assert latest == NOW + 2844
    assert NOW + 3600 - latest >= 3 * Timing(180).lease
