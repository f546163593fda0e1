"""Each step of a connect session's row: in which state it is taken, in which it is refused, and what it writes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.adapters.clock import instant
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.rows import session_item
from broker.adapters.sessions import CODE_REMEMBERED, Sessions, Start
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable
from broker.model import Host, Instant, Session, SessionId, SessionPurpose, Stage
from broker.policy import CONSENT_KEPT
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock
from tests.support.full_rows import SESSION

EU = Host("eu", "eu.ninjarmm.com")
UNKNOWN = SessionId("ses_" + "c" * 26)
NEW = replace(
    SESSION, connection=None, host=None, fixed_host=False, client_id="", client=None, fixed_client=False,
)  # fmt: skip


@pytest.fixture
def put(aws: AwsAccount, config: Config) -> Callable[..., Session]:
    """Write a session as a test wants it, and attributes that no session object bears."""

    def write(session: Session, **more: Any) -> Session:
        item = session_item(session) | more
        aws.client("dynamodb").put_item(TableName=config.sessions_table, Item=item)
        return session

    return write


@pytest.fixture
def now(clock: Clock) -> Instant:
    return instant(clock)


def start(now: Instant, *, client_id: str = "a-client-app", client: bytes | None = b"sealed") -> Start:
    return Start(
        state_hash="a-state", cookie_hash="a-cookie", flow_nonce="a-flow", form_digest="a-choice",
        code_verifier=b"sealed",
        flow_expires_at=Instant(now + 600), host=EU, client_id=client_id, client=client, offered=client is None,
    )  # fmt: skip


# A start --------------------------------------------------------------------------------------------------------------


def test_a_person_who_declined_may_start_again_at_once_by_the_same_choice(
    sessions: Sessions, put: Callable[..., Session], now: Instant
) -> None:
    before = {"form_digest": {"S": "a-choice"}, "started_at": {"N": str(now)}, "cookie_hash": {"S": "a-cookie"}}
    put(replace(NEW, stage=Stage.DENIED, expires_at=Instant(now + 600)), **before)

    assert isinstance(sessions.start(NEW.session, start(now), now), Session)


def test_a_start_with_the_operators_app_leaves_the_client_app_of_the_session_as_it_is(
    sessions: Sessions, put: Callable[..., Session], now: Instant
) -> None:
    held = replace(NEW, client_id="fixed", client=b"sealed before", expires_at=Instant(now + 600), customer_app=False)
    put(held)

    started = sessions.start(NEW.session, start(now, client_id="", client=None), now)

    assert isinstance(started, Session)
    assert (started.client_id, started.client) == ("fixed", b"sealed before")


# A new client secret --------------------------------------------------------------------------------------------------


def entered(sessions: Sessions, now: Instant, session: SessionId = NEW.session) -> Session | ConditionFailed:
    until = Instant(now + 600)
    return sessions.enter_secret(
        session, client=b"sealed", cookie_hash="mine", ticket_hash="t", expires_at=until, now=now
    )  # fmt: skip


@pytest.mark.parametrize("step", [entered, lambda sessions, now: sessions.try_secret(NEW.session, "mine", now)])
@pytest.mark.parametrize(
    ("left", "changes", "cookie", "is_taken"),
    [
        (1, {}, "", True),
        (0, {}, "", False),
        (-1, {}, "", False),
        (1, {"purpose": SessionPurpose.CONNECT}, "", False),
        (1, {"stage": Stage.AUTHORIZED}, "mine", True),
        (1, {"stage": Stage.AUTHORIZED}, "another's", False),
        (1, {"stage": Stage.STARTED}, "mine", False),
        (1, {"stage": Stage.COMPLETED}, "mine", False),
        (1, {"stage": Stage.FAILED}, "mine", False),
    ],
)
def test_when_a_secret_may_be_entered(
    sessions: Sessions, put: Callable[..., Session], now: Instant,
    step: Callable[[Sessions, Instant], Session | ConditionFailed],
    left: int, changes: dict[str, Any], cookie: str, is_taken: bool,
) -> None:  # fmt: skip
    for_secret = replace(NEW, purpose=SessionPurpose.CLIENT_SECRET, expires_at=Instant(now + left))
    put(replace(for_secret, **changes), **({"cookie_hash": {"S": cookie}} if cookie else {}))

    assert isinstance(step(sessions, now), Session) == is_taken


# An exchange ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "kept"), [(60, CONSENT_KEPT), (7 * 86400, 7 * 86400)], ids=["a link for minutes", "a link for days"]
)
def test_a_consent_is_kept_for_as_long_as_it_may_take_and_a_long_link_is_not_cut_short(
    sessions: Sessions, put: Callable[..., Session], now: Instant, left: int, kept: int
) -> None:
    session = replace(
        NEW, stage=Stage.AUTHORIZED, expires_at=Instant(now + left), code=b"sealed", code_expires_at=Instant(now + 60)
    )
    put(session, code_expires_at={"N": str(now + 60)})

    begun = sessions.begin_exchange(session, "an-exchange", now=now, until=Instant(now + 30))

    assert isinstance(begun, Session)
    assert begun.expires_at == now + kept


def test_a_code_is_remembered_with_whoever_sent_it_for_an_hour(
    sessions: Sessions, now: Instant, aws: AwsAccount, config: Config
) -> None:
    assert sessions.is_first_use("a-hash", NEW.session, now)
    assert sessions.is_first_use("a-hash", NEW.session, now), "its own, of which the answer was lost"
    assert not sessions.is_first_use("a-hash", UNKNOWN, now)

    key = {"session": {"S": "code_a-hash"}}
    row = aws.client("dynamodb").get_item(TableName=config.sessions_table, Key=key)["Item"]
    assert int(row["expires_at"]["N"]) == now + CODE_REMEMBERED


# Sessions that are no more --------------------------------------------------------------------------------------------


def test_a_step_of_a_session_that_was_deleted_this_moment_is_tried_again(sessions: Sessions) -> None:
    with pytest.raises(AwsUnavailable):
        sessions.save(UNKNOWN, b"sealed")
    with pytest.raises(AwsUnavailable):
        sessions.fail(UNKNOWN, Stage.EXCHANGING, "expired")


def test_who_waits_for_a_call_that_is_through_looks_for_nothing_spilled(
    broker: Broker, put: Callable[..., Session], now: Instant, aws_faults: AwsFaults
) -> None:
    through = replace(NEW, stage=Stage.EXCHANGED, exchanging_until=Instant(now - 1))
    put(through, exchanging_until={"N": str(now - 1)}, exchanged={"B": b"sealed"})
    aws_faults.watch("s3.GetObject")

    found = broker.complete._redeem.wait(through, until=now + 20)

    assert (found.stage, aws_faults.asked["s3.GetObject"]) == (Stage.EXCHANGED, 0)
