"""Every conditional write, and what must be in its row: each clause is broken by itself, and nothing is written."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from broker.adapters import rows
from broker.adapters.connections import RECONNECT_STEP, Connections
from broker.adapters.sessions import MAX_FAILURES, MAX_STARTS_PER_DAY, Sessions, Start, starts_left
from broker.config import Config
from broker.errors import AwsError
from broker.model import Connection, Host, Instant, Stage, Status
from broker.policy import REPEAT_LIFE
from local.aws.account import AwsAccount
from tests.support.broker_world import START
from tests.support.full_rows import PROFILE, SESSION, STATE

NOW = Instant(START)
EU = Host("eu", "eu.ninjarmm.com")
TODAY = f"starts_{NOW // 86_400}"
GONE = None
"""In place of an attribute's value: the row has none."""

ROW = replace(
    STATE,
    status=Status.ACTIVE,
    reason=None,
    needs_reauth_since=None,
    disconnected_at=None,
    lease_until=None,
    lease_id=None,
)
PENDING = replace(ROW, status=Status.PENDING_APPROVAL)


def changed(item: rows.Item, change: Mapping[str, Any]) -> rows.Item:
    """Change attributes of an item as it is stored."""
    kept = {name: cell for name, cell in item.items() if name not in change}
    return kept | rows.item(change)


# Connections ----------------------------------------------------------------------------------------------------------

CONNECTION_WRITES: dict[str, Callable[[Connections], object]] = {
    "lease": lambda to: to.lease(
        ROW, lease_id="a", now=NOW, until=Instant(NOW + 250), expired_before=Instant(NOW - 10)
    ),
    "save": lambda to: to.save(ROW, {"version": ROW.version + 1}, ()),
    "failure": lambda to: to.record_failure(ROW, {"failures": 9}, ()),
    "approve": lambda to: to.approve(PENDING, {"status": "active", "failures": 9}, NOW),
    "forget": lambda to: to.forget(ROW, NOW),
    "disconnect": lambda to: to.disconnect(ROW, NOW, "mark"),
    "reconnect": lambda to: to.put(Connection(PENDING, PROFILE), replaces=ROW, session=SESSION.session),
    "connect": lambda to: to.put(Connection(PENDING, PROFILE), replaces=None, session=SESSION.session),
    "forget profile": lambda to: to.forget_profile(ROW.ref, NOW),
}

LAST = ROW.version + RECONNECT_STEP - 1
ENDED = {"status": "disconnected"}
SPENT = {"session.stage": "exchanging"}
WAITS, WAITED = {"status": "pending_approval", "forget_at": NOW + 1}, {"status": "pending_approval", "forget_at": NOW}
CONNECTION_CASES = [
    *((name, {}, True) for name in ("lease", "save", "failure", "forget", "disconnect", "reconnect", "forget profile")),
    *((name, {"version": 8}, False) for name in ("lease", "save", "failure", "forget", "disconnect")),
    *((name, {"fence": 10}, False) for name in ("lease", "save", "failure", "forget")),
    *((name, {"fence": 10}, True) for name in ("disconnect", "reconnect")),
    *((name, ENDED, False) for name in ("save", "disconnect", "reconnect")),
    *((name, {"consented_at": 1}, False) for name in ("disconnect", "reconnect")),
    ("lease", {"lease_until": NOW - 10}, False),
    ("lease", {"lease_until": NOW - 11}, True),
    ("approve", {"status": "pending_approval"}, True),
    ("approve", {}, False),
    ("approve", {"status": "pending_approval", "version": 8}, False),
    ("approve", {"status": "pending_approval", "fence": 10}, False),
    ("approve", WAITS, True),
    ("approve", WAITED, False),
    ("approve", {"status": "pending_approval", "profile.tenant": GONE}, False),
    ("reconnect", {"version": LAST}, True),
    ("reconnect", {"version": LAST + 1}, False),
    ("reconnect", SPENT, False),
    ("connect", {}, False),
    ("connect", {"tenant": GONE}, True),
    ("connect", {"tenant": GONE, **SPENT}, False),
    ("forget profile", {"profile.tenant": GONE}, False),
    ("forget profile", {"profile.forget_at": NOW}, False),
]


@pytest.mark.parametrize(("name", "change", "applies"), CONNECTION_CASES)
def test_a_connection_is_written_only_as_it_was_seen(
    aws: AwsAccount, config: Config, connections: Connections, name: str, change: Mapping[str, Any], applies: bool
) -> None:
    dynamodb = aws.client("dynamodb")
    of_profile = {key.removeprefix("profile."): value for key, value in change.items() if key.startswith("profile.")}
    of_session = {"stage": change.get("session.stage", "exchanged")}
    of_row = {key: value for key, value in change.items() if "." not in key}
    stored = [
        (config.connections_table, changed(rows.connection_state_item(ROW), of_row)),
        (config.connections_table, changed(rows.profile_item(PROFILE), of_profile)),
        (config.sessions_table, changed(rows.session_item(SESSION), of_session)),
    ]
    for table, item in stored:
        if "tenant" in item:  # a row without its key is left out
            dynamodb.put_item(TableName=table, Item=item)
    tables = (config.connections_table, config.sessions_table)
    before = [dynamodb.scan(TableName=table)["Items"] for table in tables]

    with suppress(AwsError):
        CONNECTION_WRITES[name](connections)

    assert (before != [dynamodb.scan(TableName=table)["Items"] for table in tables]) == applies


# Sessions -------------------------------------------------------------------------------------------------------------

OPEN = replace(
    SESSION, expires_at=Instant(NOW + 1), host=EU, fixed_host=False, client=None,
    customer_app=False, fixed_client=False,
)  # fmt: skip
LEAVING = Start(
    state_hash="new", cookie_hash="mine", flow_nonce="flow", form_digest="this", code_verifier=b"v",
    flow_expires_at=Instant(NOW + 600),
    host=EU, client_id="", client=None, offered=True,
)  # fmt: skip
HERE = {
    "stage": "started",
    "cookie_hash": "mine",
    "form_digest": "this",
    "flow_expires_at": NOW + 600,
    "started_at": NOW - 60,
}
HELD = {"stage": "started", "state_hash": "held", "flow_expires_at": NOW + 1}
PARKED = {"stage": "authorized", "code": b"code", "code_expires_at": NOW + 1}

SESSION_WRITES: dict[str, Callable[[Sessions], object]] = {
    "put": lambda to: to.put(replace(OPEN, label="another")),
    "start": lambda to: to.start(OPEN.session, LEAVING, NOW),
    "start, own app": lambda to: to.start(OPEN.session, replace(LEAVING, client=b"c", client_id="c"), NOW),
    "start, none offered": lambda to: to.start(OPEN.session, replace(LEAVING, offered=False), NOW),
    "start again": lambda to: to.start_again(OPEN.session, LEAVING, NOW),
    "faulty form": lambda to: to.note_faulty_form(OPEN.session, "mine", NOW),
    "failure": lambda to: to.count_failure(OPEN.session, "mine", NOW),
    "authorize": lambda to: to.authorize(
        OPEN.session, state_hash="held", code=b"c", code_expires_at=Instant(NOW + 45), ticket_hash="t", now=NOW
    ),
    "deny": lambda to: to.deny(OPEN.session, state_hash="held", now=NOW),
    "exchange": lambda to: to.begin_exchange(OPEN, "an-exchange", now=NOW, until=Instant(NOW + 60)),
    "save": lambda to: to.save(OPEN.session, b"tokens"),
    "fail": lambda to: to.fail(OPEN.session, Stage.EXCHANGING, "refused"),
}

OVER = {"expires_at": NOW}
OWN_APP = {"customer_app": True}
SESSION_CASES = [
    ("put", {}, False),
    ("put", {"tenant": GONE}, True),
    ("start", {}, True),
    *((name, {"stage": "denied"}, True) for name in ("start", "faulty form")),
    *((name, {"stage": "completed"}, False) for name in ("start", "faulty form")),
    *((name, OVER, False) for name in ("start", "faulty form")),
    *((name, PARKED, False) for name in ("start", "faulty form")),
    *((name, PARKED | {"code_expires_at": NOW}, True) for name in ("start", "faulty form")),
    *((name, {"code_expires_at": NOW, "stage": "completed"}, False) for name in ("start", "faulty form")),
    *((name, HERE | {"cookie_hash": "another's"}, False) for name in ("start", "faulty form")),
    *((name, HERE | {"cookie_hash": "another's", "flow_expires_at": NOW}, True) for name in ("start", "faulty form")),
    ("faulty form", HERE, True),
    ("faulty form", {}, True),
    ("start", HERE | {"started_at": NOW, "stage": "denied"}, True),
    ("start", HERE | {"started_at": NOW, "form_digest": GONE}, True),
    ("start", HERE | {"started_at": NOW, "form_digest": "that"}, True),
    ("start", HERE | {"started_at": NOW - REPEAT_LIFE}, True),
    ("start", HERE | {"started_at": NOW - REPEAT_LIFE + 1}, False),
    ("start", {TODAY: MAX_STARTS_PER_DAY - 1}, True),
    ("start", {TODAY: MAX_STARTS_PER_DAY}, False),
    ("start", {"fixed_host": True}, True),
    ("start", {"host": "us2.ninjarmm.com"}, True),
    ("start", {"host": "us2.ninjarmm.com", "fixed_host": True}, False),
    ("start", {"client": b"c", **OWN_APP}, True),
    ("start", OWN_APP, False),
    ("start, own app", {}, False),
    ("start, own app", OWN_APP, True),
    ("start, own app", {"fixed_client": True, **OWN_APP}, False),
    ("start, none offered", {}, False),
    ("start, none offered", {"client": b"c"}, False),
    ("start, none offered", OWN_APP, False),
    ("start, none offered", {"client": b"c", **OWN_APP}, True),
    ("start again", HERE, False),
    ("start again", HERE | {"started_at": NOW - REPEAT_LIFE + 1}, True),
    ("start again", HERE | {"started_at": NOW, "stage": "denied"}, False),
    ("start again", HERE | {"started_at": NOW, "cookie_hash": "another's"}, False),
    ("start again", HERE | {"started_at": NOW, "form_digest": "that"}, False),
    ("start again", HERE | {"started_at": NOW, TODAY: MAX_STARTS_PER_DAY}, False),
    ("start again", HERE | {"started_at": NOW} | OVER, False),
    ("failure", {"cookie_hash": "mine"}, True),
    ("failure", {"cookie_hash": "mine", "failures": MAX_FAILURES - 1}, True),
    ("failure", {"cookie_hash": "mine", "failures": MAX_FAILURES}, False),
    ("failure", {"cookie_hash": "another's"}, False),
    ("failure", {"cookie_hash": "mine"} | OVER, False),
    *((name, HELD, True) for name in ("authorize", "deny")),
    *((name, HELD | {"stage": "created"}, False) for name in ("authorize", "deny")),
    *((name, HELD | {"state_hash": "another"}, False) for name in ("authorize", "deny")),
    *((name, HELD | {"flow_expires_at": NOW}, False) for name in ("authorize", "deny")),
    ("exchange", PARKED, True),
    ("exchange", PARKED | {"stage": "started"}, False),
    ("exchange", PARKED | {"code_expires_at": NOW}, False),
    *((name, {"stage": "exchanging"}, True) for name in ("save", "fail")),
    *((name, {"stage": "exchanged"}, False) for name in ("save", "fail")),
]


@pytest.mark.parametrize(("name", "change", "applies"), SESSION_CASES)
def test_a_session_takes_each_step_only_from_where_it_is(
    aws: AwsAccount, config: Config, sessions: Sessions, name: str, change: Mapping[str, Any], applies: bool
) -> None:
    dynamodb = aws.client("dynamodb")
    item = changed(rows.session_item(OPEN), change)
    if "tenant" in item:
        dynamodb.put_item(TableName=config.sessions_table, Item=item)
    before = dynamodb.scan(TableName=config.sessions_table)["Items"]

    with suppress(AwsError):
        SESSION_WRITES[name](sessions)

    assert (before != dynamodb.scan(TableName=config.sessions_table)["Items"]) == applies


@pytest.mark.parametrize(("sender", "is_first"), [(OPEN.session, True), ("ses_another", False)])
def test_a_code_belongs_to_the_session_that_sent_it_first(sessions: Sessions, sender: Any, is_first: bool) -> None:
    assert sessions.is_first_use("code", OPEN.session, NOW)

    assert sessions.is_first_use("code", sender, NOW) == is_first


@pytest.mark.parametrize(
    ("starts", "left"), [({}, True), ({TODAY: MAX_STARTS_PER_DAY - 1}, True), ({TODAY: MAX_STARTS_PER_DAY}, False)]
)
def test_a_session_that_may_not_start_again_today_is_known_by_its_row(starts: Mapping[str, int], left: bool) -> None:
    assert starts_left(rows.item(starts), NOW) == left
