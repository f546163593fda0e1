"""A customer changed the secret of their own client app: they enter the new one, and the connection goes on."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker import policy
from broker.adapters.connections import Connections
from broker.adapters.queues import RefreshBatch, Trigger, read_batch
from broker.adapters.rows import session_item
from broker.adapters.seal import Seal
from broker.adapters.sessions import MAX_STARTS_PER_DAY, Sessions
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    AnotherBrowser,
    AwsUnavailable,
    Busy,
    InvalidRequest,
    NeedsReauth,
    NotActive,
    NotApproved,
    NotAuthorized,
    SealBroken,
    SessionExpired,
    SessionSpent,
    TooManyRequests,
    UnknownConnection,
    UnknownSession,
)
from broker.flows.complete import CompleteRequest
from broker.flows.enter_secret import EnteredSecret
from broker.flows.store_secret import SUPERSEDED
from broker.model import (
    ConnectionId,
    ConnectionState,
    Instant,
    Purpose,
    Session,
    SessionId,
    SessionPurpose,
    Stage,
    TenantId,
)
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import OWN, VERIFIER, Journey, ref
from tools.requirements import req

APP = CUSTOMER_APPS["eu"]


@pytest.fixture
def state(journey: Journey) -> ConnectionState:
    """A connection with the customer's own client app."""
    return journey.connect(customer_app=True, client=OWN)[0]


@pytest.fixture
def new(ninjaone: NinjaOne, state: ConnectionState) -> Secret:
    """The customer has NinjaOne make a new secret; the old one is worth nothing from then on."""
    return Secret(ninjaone.admin.rotate_secret(APP.client_id))


def opened(journey: Journey, state: ConnectionState, **changes: Any) -> Session:
    purpose = {"purpose": SessionPurpose.CLIENT_SECRET, "scopes": frozenset(), "connection": state.connection}
    return journey.open(**purpose | changes)


def enter(journey: Journey, session: Session, secret: Secret) -> EnteredSecret:
    """Send the page's form; the browser keeps its cookie."""
    entered = journey.broker.enter_secret(session.session, secret, journey.cookies.get(session.session))
    journey.cookies[session.session] = entered.cookie
    return entered


def proof_of(journey: Journey, entered: EnteredSecret, **changes: Any) -> CompleteRequest:
    ticket = parse_qs(urlsplit(entered.location).query)["ticket"][0]
    proof: dict[str, Any] = {
        "tenant": journey.tenant,
        "end_user_id": journey.end_user,
        "ticket": Secret(ticket),
        "binding_verifier": VERIFIER,
    }
    return CompleteRequest(**proof | changes)


def complete(journey: Journey, entered: EnteredSecret, **changes: Any) -> ConnectionState:
    session = entered.session.session
    return journey.broker.complete(session, proof_of(journey, entered, **changes), confirm_account_change=False).state


def refresh(broker: Broker, state: ConnectionState, clock: Clock) -> None:
    broker.refresh(RefreshBatch(Trigger.DUE, (ref(state),)), clock.left(180))


def held_secret(connections: Connections, seal: Seal, state: ConnectionState) -> str:
    profile = connections.get_profile(ref(state))
    assert profile
    return seal.open(profile.client or b"", Purpose.CLIENT, ref(state).aad()).reveal()


def now_of(connections: Connections, state: ConnectionState) -> ConnectionState:
    found = connections.get_state(ref(state))
    assert found
    return found


# The whole way --------------------------------------------------------------------------------------------------------


@req("D01")
def test_a_connection_whose_secret_was_changed_goes_on_with_the_new_one_and_no_consent(
    journey: Journey, broker: Broker, connections: Connections, state: ConnectionState, new: Secret, clock: Clock,
    aws: AwsAccount, config: Config, lines: LogLines,
) -> None:  # fmt: skip
    for wait in (3000, 125):
        clock.advance(wait)
        refresh(broker, state, clock)
    refused = now_of(connections, state)
    assert (refused.failures, refused.cause) == (2, "invalid_client")

    made = complete(journey, enter(journey, opened(journey, state), new))

    assert (made.failures, made.cause, made.refresh_at) == (0, "", int(clock.now()))
    assert (made.version, made.consented_at, made.refresh) == (
        state.version, state.consented_at, state.refresh,
    )  # fmt: skip
    [batch] = batches(aws, config)
    assert batch == RefreshBatch(Trigger.DUE, (ref(state),))
    clock.advance(1)
    broker.refresh(batch, clock.left(180))
    renewed = now_of(connections, state)
    assert (renewed.version, renewed.failures) == (state.version + 1, 0)
    assert [line["connection"] for line in lines.named("secret.replaced")] == [state.connection]


def batches(aws: AwsAccount, config: Config) -> list[RefreshBatch | None]:
    answer = aws.client("sqs").receive_message(QueueUrl=config.urgent_queue, MaxNumberOfMessages=10)
    return [read_batch(each["Body"]) for each in answer.get("Messages", [])]


def test_the_session_knows_the_app_and_names_the_connection(journey: Journey, state: ConnectionState) -> None:
    session = opened(journey, state)

    assert (session.purpose, session.host, session.client_id) == (
        SessionPurpose.CLIENT_SECRET, state.host, APP.client_id,
    )  # fmt: skip
    assert session.account
    assert session.client is None


# Entering -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, {"error": "invalid_token"}), (401, {"error": "unauthorized_client"}), (503, {}), (429, {}), (200, {})],
)
def test_whatever_says_nothing_of_the_secret_lets_it_pass(
    journey: Journey, state: ConnectionState, new: Secret, network: NinjaOneTransport, status: int, body: dict[str, str]
) -> None:
    network.answer(status, body)

    assert enter(journey, opened(journey, state), new).fault is None


@pytest.mark.parametrize(
    ("status", "body"), [(401, {"error": "invalid_client"}), (404, {"resultCode": "Client app not exist"})]
)
def test_a_refused_secret_and_an_app_that_is_gone_are_told_and_nothing_is_kept(
    journey: Journey, sessions: Sessions, state: ConnectionState, new: Secret, network: NinjaOneTransport, status: int,
    body: dict[str, str],
) -> None:  # fmt: skip
    session = opened(journey, state)
    network.answer(status, body)

    entered = enter(journey, session, new)

    kept = sessions.get(session.session)
    assert kept
    assert (kept.stage, kept.client) == (Stage.CREATED, None)
    assert entered.fault
    assert (entered.fault.field, entered.location) == ("client_secret", "")


def test_the_same_browser_may_enter_again_and_comes_home_with_the_same_ticket(
    journey: Journey,
    connections: Connections,
    seal: Seal,
    state: ConnectionState,
    new: Secret,
    network: NinjaOneTransport,
) -> None:
    session = opened(journey, state)
    network.answer(503)
    first = enter(journey, session, Secret("mistyped"))
    second = enter(journey, session, new)

    assert first.location == second.location
    complete(journey, second)
    assert held_secret(connections, seal, state) == new.reveal()


def test_a_form_without_a_secret_is_shown_again_to_its_own_browser(
    journey: Journey, state: ConnectionState, new: Secret
) -> None:
    session = opened(journey, state)
    note = journey.broker.enter_secret.note_faulty_form
    assert note(session.session, None).session == session.session

    enter(journey, session, new)

    assert note(session.session, journey.cookies[session.session]).session == session.session
    for cookie in (None, Secret("another")):
        with pytest.raises(AnotherBrowser):
            note(session.session, cookie)


def test_a_link_that_runs_out_while_ninjaone_is_asked_takes_no_secret(
    journey: Journey, state: ConnectionState, new: Secret, network: NinjaOneTransport, clock: Clock, lines: LogLines
) -> None:
    session = opened(journey, state)
    network.meanwhile.append(lambda: clock.advance(policy.SESSION_LIFE))

    with pytest.raises(SessionExpired):
        enter(journey, session, new)
    assert lines.named("session.secret_entered") == []


@pytest.mark.parametrize(("is_right", "level"), [(True, "INFO"), (False, "WARNING")])
def test_a_check_of_a_secret_is_a_line_and_a_wrong_one_a_warning(
    journey: Journey, state: ConnectionState, new: Secret, lines: LogLines, is_right: bool, level: str
) -> None:
    enter(journey, opened(journey, state), new if is_right else Secret("a-wrong-one"))

    assert [line["level"] for line in lines.named("secret.checked")] == [level]


def test_attempts_are_counted_and_end(journey: Journey, state: ConnectionState, new: Secret) -> None:
    session = opened(journey, state)
    for _ in range(MAX_STARTS_PER_DAY):
        enter(journey, session, Secret("guess"))

    with pytest.raises(TooManyRequests):
        enter(journey, session, new)


def test_a_link_is_over_when_its_time_is_up_or_it_was_used(
    journey: Journey, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    used, late = opened(journey, state), opened(journey, state)
    complete(journey, enter(journey, used, new))
    with pytest.raises(SessionSpent):
        enter(journey, used, new)

    clock.advance(policy.SESSION_LIFE)
    with pytest.raises(SessionExpired):
        enter(journey, late, new)
    with pytest.raises(UnknownSession):
        journey.broker.enter_secret(SessionId("ses_" + "a" * 26), new, None)


def test_a_session_is_good_for_its_own_purpose_alone(journey: Journey, state: ConnectionState, new: Secret) -> None:
    with pytest.raises(InvalidRequest):
        journey.leave(opened(journey, state), client=OWN)
    with pytest.raises(InvalidRequest):
        enter(journey, journey.open(customer_app=True, connection=state.connection), new)


# Opening --------------------------------------------------------------------------------------------------------------


def test_only_an_active_connection_with_an_app_of_the_customer_s_own_takes_a_secret(
    journey: Journey, connections: Connections, state: ConnectionState
) -> None:
    with pytest.raises(InvalidRequest, match="faults"):
        opened(journey, journey.connect()[0])
    with pytest.raises(UnknownConnection):
        opened(journey, replace(state, connection=ConnectionId("con_" + "a" * 26)))
    with pytest.raises(UnknownConnection):
        opened(Journey(journey.broker, journey.ninjaone, tenant=TenantId("globex")), state)

    dead = connections.record_failure(state, {"status": "needs_reauth", "reason": "consent_ended"}, ())
    assert isinstance(dead, ConnectionState)
    with pytest.raises(NeedsReauth) as refused:
        opened(journey, state)
    assert (refused.value.reason, refused.value.connection) == ("consent_ended", state.connection)
    pending = connections.record_failure(dead, {"status": "pending_approval"}, ())
    assert isinstance(pending, ConnectionState)
    with pytest.raises(NotApproved):
        opened(journey, state)
    connections.disconnect(pending, Instant(1), "mark")
    with pytest.raises(NotActive):
        opened(journey, state)


# Completing -----------------------------------------------------------------------------------------------------------


def test_before_a_secret_was_entered_there_is_nothing_to_complete(
    journey: Journey, sessions: Sessions, state: ConnectionState
) -> None:
    session = opened(journey, state)
    entered = EnteredSecret(session, Secret(""), f"https://app.example/?ticket={'t' * 43}")

    with pytest.raises(NotAuthorized):
        complete(journey, entered)


def test_an_entry_waits_for_ten_minutes_and_no_longer(
    journey: Journey, connections: Connections, seal: Seal, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    entered = enter(journey, opened(journey, state), new)
    clock.advance(policy.SECRET_KEPT)

    with pytest.raises(SessionExpired):
        complete(journey, entered)
    assert held_secret(connections, seal, state) == APP.client_secret


def test_completed_again_it_is_stored_once(
    journey: Journey, sessions: Sessions, state: ConnectionState, new: Secret, lines: LogLines
) -> None:
    entered = enter(journey, opened(journey, state), new)
    first, second = complete(journey, entered), complete(journey, entered)

    assert first == second
    assert first.fence == state.fence + 1
    assert len(lines.named("secret.replaced")) == 1
    done = sessions.get(entered.session.session)
    assert done
    assert (done.stage, done.client) == (Stage.COMPLETED, None)


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_write_whose_answer_is_lost_is_made_once(
    journey: Journey, connections: Connections, seal: Seal, state: ConnectionState, new: Secret,
    aws_faults: AwsFaults, *, is_applied: bool,
) -> None:  # fmt: skip
    entered = enter(journey, opened(journey, state), new)
    (aws_faults.lose_reply if is_applied else aws_faults.refuse)("dynamodb.TransactWriteItems")

    with pytest.raises(AwsUnavailable):
        complete(journey, entered)
    complete(journey, entered)

    assert held_secret(connections, seal, state) == new.reveal()
    assert now_of(connections, state).fence == state.fence + 1


def test_a_session_that_was_rewritten_for_another_connection_opens_nothing(
    journey: Journey, aws: AwsAccount, config: Config, state: ConnectionState, new: Secret, sessions: Sessions
) -> None:
    """Whoever may write the table, and is a customer too, gets nobody else's secret into their own connection."""
    other = journey.connect(customer_app=True, client=replace(OWN, secret=new))[0]
    entered = enter(journey, opened(journey, state), new)
    kept = sessions.get(entered.session.session)
    assert kept
    item = session_item(replace(kept, connection=other.connection))
    row = aws.client("dynamodb").get_item(
        TableName=config.sessions_table, Key={"session": item["session"]}, ConsistentRead=True
    )["Item"]
    aws.client("dynamodb").put_item(TableName=config.sessions_table, Item=row | {"connection": item["connection"]})

    with pytest.raises(SealBroken):
        complete(journey, entered)


# Beside others --------------------------------------------------------------------------------------------------------


def test_a_refresh_that_is_at_work_is_waited_for(
    journey: Journey, connections: Connections, seal: Seal, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    entered = enter(journey, opened(journey, state), new)
    now = int(clock.now())
    leased = connections.lease(
        state, lease_id="a", now=Instant(now), until=Instant(now + 250), expired_before=Instant(now - 10)
    )
    assert isinstance(leased, ConnectionState)

    def refused() -> None:
        change = {"failures": 1, "cause": "invalid_client", "refresh_at": now + 120}
        connections.record_failure(leased, change, ("lease_until", "lease_id"))

    clock.plan(3, refused)
    made = complete(journey, entered)

    assert (made.failures, made.cause) == (0, "")  # the refusal of the old secret holds up nothing
    assert made.fence == leased.fence + 1


def test_a_refresh_that_stays_at_work_lets_the_entry_come_again(
    journey: Journey, connections: Connections, seal: Seal, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    entered = enter(journey, opened(journey, state), new)
    now = int(clock.now())
    connections.lease(state, lease_id="a", now=Instant(now), until=Instant(now + 60), expired_before=Instant(now - 10))

    with pytest.raises(Busy):
        complete(journey, entered)
    assert clock.now() - now <= policy.COMPLETE_WAIT
    assert held_secret(connections, seal, state) == APP.client_secret

    clock.advance(71)
    made = complete(journey, entered)
    assert (made.lease_id, made.lease_until) == ("a", now + 60)  # what that attempt left is looked into by the next
    assert held_secret(connections, seal, state) == new.reveal()


@pytest.mark.parametrize(("ran_out", "waits"), [(11, False), (10, True), (3, True)])
def test_a_refresh_counts_as_dead_once_all_clocks_say_that_its_time_is_over(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret, clock: Clock,
    *, ran_out: int, waits: bool,
) -> None:  # fmt: skip
    entered = enter(journey, opened(journey, state), new)
    now = Instant(int(clock.now()))
    connections.lease(state, lease_id="a", now=now, until=Instant(now - ran_out), expired_before=Instant(now - 10))

    complete(journey, entered)

    assert (clock.now() > now) is waits


def test_the_time_of_the_call_bounds_the_waiting_for_a_refresh(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret, clock: Clock, aws_faults: AwsFaults
) -> None:
    entered = enter(journey, opened(journey, state), new)
    clock.advance(301)  # no data key is held any more
    began = Instant(int(clock.now()))
    connections.lease(state, lease_id="a", now=began, until=Instant(began + 250), expired_before=Instant(began - 10))
    whole = policy.COMPLETE_TIMEOUT - policy.COMPLETE_SLACK
    aws_faults.before("kms.GenerateDataKey", lambda: clock.advance(whole - 2))

    with pytest.raises(Busy):
        complete(journey, entered)
    assert whole - 2 < clock.now() - began <= whole


def test_what_another_call_stored_meanwhile_is_taken_for_done(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    entered = enter(journey, opened(journey, state), new)
    now = Instant(int(clock.now()))
    leased = connections.lease(state, lease_id="a", now=now, until=Instant(now + 250), expired_before=Instant(now - 10))
    assert isinstance(leased, ConnectionState)

    def another() -> None:
        connections.record_failure(leased, {}, ("lease_until", "lease_id"))
        complete(journey, entered)

    clock.plan(2, another)

    assert complete(journey, entered) == now_of(connections, state)


def test_a_session_that_is_gone_meanwhile_stores_nothing(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret, clock: Clock,
    aws: AwsAccount, config: Config,
) -> None:  # fmt: skip
    entered = enter(journey, opened(journey, state), new)
    now = Instant(int(clock.now()))
    connections.lease(state, lease_id="a", now=now, until=Instant(now + 250), expired_before=Instant(now - 10))
    key = {"session": {"S": entered.session.session}}
    clock.plan(2, lambda: aws.client("dynamodb").delete_item(TableName=config.sessions_table, Key=key))

    with pytest.raises(SessionSpent):
        complete(journey, entered)


def test_a_later_consent_keeps_its_own_client_app(
    journey: Journey, connections: Connections, seal: Seal, state: ConnectionState, new: Secret, clock: Clock
) -> None:
    entered = enter(journey, opened(journey, state), new)
    clock.advance(5)
    again = journey.connect(customer_app=True, client=replace(OWN, secret=new), connection=state.connection)[0]

    with pytest.raises(SessionSpent, match=SUPERSEDED.split(",")[0]):
        complete(journey, entered)
    assert now_of(connections, state).version == again.version


@pytest.mark.parametrize(("attribute", "value"), [("client_id", "another-app"), ("host", "oc.ninjarmm.com")])
def test_a_connection_that_uses_another_client_app_by_now_takes_no_secret(
    journey: Journey, aws: AwsAccount, config: Config, state: ConnectionState, new: Secret, attribute: str, value: str
) -> None:
    entered = enter(journey, opened(journey, state), new)
    aws.client("dynamodb").update_item(
        TableName=config.connections_table,
        Key={"tenant": {"S": state.tenant}, "connection": {"S": state.connection}},
        UpdateExpression="SET #attribute = :value",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":value": {"S": value}},
    )

    with pytest.raises(SessionSpent, match=SUPERSEDED.split(",")[0]):
        complete(journey, entered)


def test_a_connection_whose_row_is_gone_takes_no_secret(
    journey: Journey, aws: AwsAccount, config: Config, state: ConnectionState, new: Secret
) -> None:
    entered = enter(journey, opened(journey, state), new)
    key = {"tenant": {"S": state.tenant}, "connection": {"S": state.connection}}
    aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key)

    with pytest.raises(UnknownConnection):
        complete(journey, entered)


def test_a_connection_that_was_disconnected_meanwhile_takes_no_secret(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret
) -> None:
    entered = enter(journey, opened(journey, state), new)
    journey.broker.disconnect(ref(state))

    with pytest.raises(NotActive):
        complete(journey, entered)
    profile = connections.get_profile(ref(state))
    assert profile
    assert profile.client is None


def test_a_queue_that_refuses_leaves_it_to_the_next_sweep(
    journey: Journey, connections: Connections, state: ConnectionState, new: Secret, aws_faults: AwsFaults,
    clock: Clock, lines: LogLines,
) -> None:  # fmt: skip
    entered = enter(journey, opened(journey, state), new)
    aws_faults.refuse("sqs.SendMessage")

    assert complete(journey, entered).refresh_at == int(clock.now())
    assert len(lines.named("refresh.not_requested")) == 1


def test_a_write_compares_row_profile_and_session(
    journey: Journey, broker: Broker, connections: Connections, state: ConnectionState, clock: Clock
) -> None:
    session = enter(journey, opened(journey, state), Secret(APP.client_secret)).session.session
    now = Instant(int(clock.now()))

    def stored(seen: ConnectionState, session: SessionId = session) -> bool:
        return connections.store_secret(seen, b"sealed", session=session, now=now, expired_before=now)

    leased = connections.lease(state, lease_id="a", now=now, until=now, expired_before=now)
    assert isinstance(leased, ConnectionState)
    assert not stored(state)  # the fence moved
    saved = connections.save(leased, {"version": state.version + 1}, ())
    assert isinstance(saved, ConnectionState)
    assert not stored(leased)  # the version moved
    assert not stored(saved, opened(journey, state).session)  # nothing was entered there
    operators = journey.connect()[0]
    assert not stored(operators)  # its profile has no secret to replace
    assert stored(saved)
    assert not stored(now_of(connections, state))  # the session is over
