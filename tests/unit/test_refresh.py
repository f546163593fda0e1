"""One refresh, step by step: nothing is presented twice, and what can't be done now stays due."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from broker.adapters import rows
from broker.adapters.connections import Connections
from broker.adapters.queues import RefreshBatch, Trigger
from broker.adapters.seal import Seal
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Host, Instant, Status, TenantId
from local.aws.account import AwsAccount
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults, unreachable
from tests.support.broker_world import START, Clock, NinjaOneTransport
from tests.support.journey import OWN, TENANT, Journey, ref
from tests.support.refreshing import Refreshing
from tools.requirements import req

NEW_SECRET = "a-new-secret"


@pytest.fixture
def neighbour(journey: Journey, network: NinjaOneTransport) -> ConnectionState:
    made, _ = journey.connect()
    network.requests.clear()
    return made


def is_free(row: ConnectionState) -> bool:
    return row.lease_until is None and row.lease_id is None


# A refresh that works -------------------------------------------------------------------------------------------------


@req("I03")
def test_a_due_connection_gets_new_tokens_and_the_old_are_replaced(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    before = refreshing.held(state)

    refreshing.when_due(state)

    row, now = refreshing.row(state), refreshing.clock.now()
    assert refreshing.held(state) != before
    assert refreshing.is_live(state)
    assert (row.version, row.fence, row.status) == (2, 1, Status.ACTIVE)
    assert is_free(row)
    assert (row.sent_at, row.token_expires_at) == (now, now + 3600)
    assert row.refresh_at is not None
    assert now + 1800 <= row.refresh_at <= now + 2160
    assert row.access != state.access
    assert len(network.requests) == 1


@req("I02", "I04", "G09")
def test_the_token_is_presented_at_its_own_host_with_its_own_app_and_no_scope(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport
) -> None:
    us2, _ = journey.connect(host=Host("us2", "us2.ninjarmm.com"), email="ada@cascade.example")
    network.requests.clear()
    presented = refreshing.held(us2)

    refreshing.when_due(us2)

    (request,) = network.requests
    assert str(request.url) == "https://us2.ninjarmm.com/ws/oauth/token"
    assert network.tokens_asked == [
        {
            "grant_type": "refresh_token",
            "refresh_token": presented,
            "client_id": OPERATOR_APPS["us2"].client_id,
            "client_secret": OPERATOR_APPS["us2"].client_secret,
        }
    ]


@req("I03")
@pytest.mark.parametrize("rotation", ["static_omit_field", "static_same_token"])
def test_without_a_new_refresh_token_the_old_one_stays(
    refreshing: Refreshing, state: ConnectionState, rotation: str
) -> None:
    refreshing.ninjaone.switches.update({"rotation": rotation})
    before = refreshing.held(state)

    for _ in range(3):
        refreshing.when_due(state)

    assert refreshing.held(state) == before
    assert refreshing.row(state).version == 4
    assert refreshing.is_live(state)


def test_the_customers_own_app_refreshes_with_its_own_secret(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, aws_faults: AwsFaults
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    network.requests.clear()
    aws_faults.watch("secretsmanager.GetSecretValue")

    refreshing.when_due(state)

    assert refreshing.is_live(state)
    assert network.tokens_asked[0]["client_secret"] == OWN.secret.reveal()
    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 0


def test_what_came_due_together_comes_due_together_again(
    refreshing: Refreshing,
    state: ConnectionState,
    neighbour: ConnectionState,
    connections: Connections,
    network: NinjaOneTransport,
) -> None:
    for each in (state, neighbour):
        connections.record_failure(each, {"refresh_at": START + 2000}, ())
    network.meanwhile.append(lambda: refreshing.clock.advance(30))

    refreshing.when_due(state, neighbour)

    first, second = refreshing.row(state), refreshing.row(neighbour)
    assert first.refresh_at == second.refresh_at
    assert abs(first.sent_at - second.sent_at) == 30


@pytest.mark.parametrize(("status", "level"), [(200, "DEBUG"), (429, "WARNING")])
def test_an_answer_of_ninjaone_that_is_no_grant_is_a_warning(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, status: int, level: str
) -> None:
    if status != 200:
        network.answer(status, {})

    refreshing.when_due(state)

    assert [line["level"] for line in refreshing.lines.named("refresh.answered")] == [level]


def test_one_line_of_a_batch_names_all_that_it_renewed(
    refreshing: Refreshing, state: ConnectionState, neighbour: ConnectionState
) -> None:
    refreshing.when_due(state, neighbour)

    (line,) = refreshing.lines.named("batch.done")
    assert (line["level"], line["trigger"]) == ("INFO", "due")
    assert line["renewed"].split() == [state.connection, neighbour.connection]
    assert [line["version"] for line in refreshing.lines.named("refresh.done")] == [2, 2]
    assert not {"batch.unknown_rows", "batch.faulty"} & {*refreshing.lines.names}
    figures = refreshing.figures()
    assert (figures["attempts"], figures["renewed"]) == (2, 2)
    assert not {"rows_unreadable", "tokens_expired"} & {*figures}


def test_a_batch_that_renewed_nothing_says_nothing_of_it(refreshing: Refreshing, state: ConnectionState) -> None:
    refreshing.refresh(state)

    assert refreshing.lines.named("batch.done") == []


# Who is refreshed -----------------------------------------------------------------------------------------------------


def test_the_row_decides_whether_it_is_due_never_the_batch(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, aws_faults: AwsFaults
) -> None:
    clock.advance(1700)
    aws_faults.watch("kms.GenerateDataKey")

    refreshing.refresh(state)

    assert network.requests == []
    assert refreshing.row(state) == state
    assert aws_faults.asked["kms.GenerateDataKey"] == 0, "nothing to do needs no keys"


def test_a_caller_who_needs_a_longer_token_gets_one_ahead_of_time(
    refreshing: Refreshing, state: ConnectionState, clock: Clock
) -> None:
    clock.advance(700)

    refreshing.refresh(state, trigger=Trigger.URGENT, min_ttl=3000)

    assert refreshing.row(state).version == 2


def test_a_token_that_ninjaone_refused_is_replaced_if_the_row_still_has_it(
    refreshing: Refreshing, state: ConnectionState, clock: Clock, network: NinjaOneTransport
) -> None:
    clock.advance(59)
    refreshing.refresh(state, trigger=Trigger.URGENT, refused_version=1)
    clock.advance(1)
    refreshing.refresh(state, trigger=Trigger.URGENT, refused_version=2)
    assert network.requests == []

    refreshing.refresh(state, trigger=Trigger.URGENT, refused_version=1)
    assert refreshing.row(state).version == 2

    clock.advance(60)
    refreshing.refresh(state, trigger=Trigger.URGENT, refused_version=1)
    assert (refreshing.row(state).version, len(network.requests)) == (2, 1)


@req("I06")
def test_what_was_disconnected_is_not_refreshed(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    refreshing.wait_for(state)
    refreshing.broker.disconnect(ref(state))
    network.requests.clear()

    refreshing.refresh(state)

    assert network.requests == []


def test_unknown_and_foreign_ids_are_said_and_do_no_harm(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    refreshing.wait_for(state)
    strange = (
        ConnectionRef(TenantId("globex"), state.connection),
        ConnectionRef(TENANT, ConnectionId("con_" + "a" * 26)),
    )

    refreshing.broker.refresh(
        RefreshBatch(Trigger.DUE, (strange[0], ref(state), strange[1])), refreshing.clock.left(180)
    )

    assert refreshing.row(state).version == 2
    assert len(network.requests) == 1
    assert [line["missing"] for line in refreshing.lines.named("batch.unknown_rows")] == [2]


def test_malformed_ids_are_counted(refreshing: Refreshing, state: ConnectionState) -> None:
    refreshing.wait_for(state)

    refreshing.broker.refresh(RefreshBatch(Trigger.DUE, (ref(state),), faults=3), refreshing.clock.left(180))

    assert [line["faults"] for line in refreshing.lines.named("batch.faulty")] == [3]
    assert refreshing.row(state).version == 2


def test_a_batch_of_more_than_one_read_is_worked_whole(
    refreshing: Refreshing, state: ConnectionState, monkeypatch: pytest.MonkeyPatch, neighbour: ConnectionState
) -> None:
    monkeypatch.setattr("broker.adapters.connections.MAX_KEYS_PER_READ", 1)

    refreshing.when_due(state, neighbour)

    assert (refreshing.row(state).version, refreshing.row(neighbour).version) == (2, 2)


# The epoch ------------------------------------------------------------------------------------------------------------


def activate(aws: AwsAccount, config: Config, **value: object) -> None:
    text = json.dumps({"epoch": 1, "table": config.connections_table} | value)
    aws.client("ssm").put_parameter(Name=config.epoch_parameter, Value=text, Type="String", Overwrite=True)


@req("J08")
def test_a_restored_table_presents_nothing(
    refreshing: Refreshing, state: ConnectionState, aws: AwsAccount, config: Config, network: NinjaOneTransport
) -> None:
    activate(aws, config, table="another")

    refreshing.when_due(state)

    assert network.requests == []
    assert refreshing.row(state) == state
    assert refreshing.figures()["epoch_inactive"] == 1
    assert [line["level"] for line in refreshing.lines.named("epoch.inactive")] == ["ERROR"]


@req("J08")
def test_a_row_of_another_epoch_is_not_presented(
    refreshing: Refreshing, state: ConnectionState, aws: AwsAccount, config: Config, network: NinjaOneTransport
) -> None:
    activate(aws, config, epoch=2)

    refreshing.when_due(state)

    assert network.requests == []
    assert [line["epoch"] for line in refreshing.lines.named("refresh.other_epoch")] == [1]


# What is needed comes before the lease --------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["ssm.GetParameter", "dynamodb.BatchGetItem", "kms.GenerateDataKey"])
def test_a_batch_that_can_not_be_begun_touches_nothing_and_comes_again(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport, call: str
) -> None:
    refreshing.wait_for(state)
    aws_faults.refuse(call, error=unreachable())

    with pytest.raises(AwsUnavailable):
        refreshing.refresh(state)
    assert network.requests == []
    assert refreshing.row(state) == state
    assert refreshing.figures()["put_off"] == 1

    refreshing.refresh(state)
    assert refreshing.row(state).version == 2


@pytest.mark.parametrize("call", ["kms.Decrypt", "secretsmanager.GetSecretValue", "dynamodb.GetItem"])
def test_a_connection_that_lacks_something_now_is_put_off_untouched(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport, call: str
) -> None:
    refreshing.wait_for(state)
    aws_faults.refuse(
        call, times={"secretsmanager.GetSecretValue": 1, "dynamodb.GetItem": 3}.get(call, 2), error=unreachable()
    )
    fresh = replace(refreshing, broker=Broker(refreshing.broker.config, refreshing.broker.ports))

    fresh.refresh(state)

    assert network.requests == []
    assert refreshing.row(state) == state
    assert [line["error"] for line in refreshing.lines.named("refresh.put_off")] == ["AwsUnavailable"]
    fresh.refresh(state)
    assert refreshing.row(state).version == 2


@req("J03")
@pytest.mark.parametrize("refresh", [b"", b"torn", "access"])
def test_a_blob_that_does_not_open_is_an_alarm_and_changes_nothing(
    refreshing: Refreshing,
    state: ConnectionState,
    neighbour: ConnectionState,
    connections: Connections,
    network: NinjaOneTransport,
    refresh: bytes | str,
) -> None:
    connections.record_failure(state, {"refresh": state.access if isinstance(refresh, str) else refresh or b"\1"}, ())
    torn = refreshing.row(state)

    refreshing.when_due(state, neighbour)

    assert refreshing.row(state) == torn
    assert refreshing.row(neighbour).version == 2
    assert len(network.requests) == 1
    assert refreshing.figures()["seal_broken"] == 1
    (line,) = refreshing.lines.named("seal.broken")
    assert (line["level"], line["connection"]) == ("ERROR", state.connection)


@req("L02")
@pytest.mark.parametrize("bug", [ValueError, httpx.InvalidURL, UnicodeError, RecursionError])
def test_a_bug_costs_the_connection_that_brings_it_to_light_and_is_counted(
    refreshing: Refreshing, state: ConnectionState, neighbour: ConnectionState, monkeypatch: pytest.MonkeyPatch,
    bug: type[Exception],
) -> None:  # fmt: skip
    """Whatever a row makes a library raise, the others of its batch get their tokens."""
    opened = Seal.open

    def odd(self: Seal, sealed: bytes, *rest: Any) -> Any:
        if sealed == state.refresh:
            raise bug("a text that may quote what was sent")
        return opened(self, sealed, *rest)

    monkeypatch.setattr(Seal, "open", odd)

    refreshing.when_due(state, neighbour)

    assert refreshing.row(neighbour).version == 2
    (line,) = refreshing.lines.named("refresh.crashed")
    assert (line["connection"], line["error"], line["level"]) == (state.connection, bug.__name__, "ERROR")
    assert "quote" not in "".join(refreshing.lines.text)
    assert refreshing.figures()["internal_errors"] == 1


@pytest.mark.parametrize("lost", ["secret", "profile"])
def test_an_own_app_without_its_sealed_secret_is_an_alarm(
    journey: Journey, refreshing: Refreshing, aws: AwsAccount, config: Config, lost: str, connections: Connections
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    if lost == "secret":
        connections.forget_profile(ref(state), state.sent_at)
    else:
        key = rows.key(state.tenant, f"{state.connection}#profile")
        aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key)

    refreshing.when_due(state)

    assert refreshing.row(state) == state
    assert refreshing.figures()["seal_broken"] == 1


# The lease ------------------------------------------------------------------------------------------------------------


def lease_of_another(connections: Connections, state: ConnectionState, *, now: float, until: float) -> ConnectionState:
    seen = connections.get_state(ref(state))
    assert seen is not None
    taken = connections.lease(
        seen,
        lease_id="another",
        now=Instant(int(now)),
        until=Instant(int(until)),
        expired_before=Instant(int(now) - 10),
    )
    assert isinstance(taken, ConnectionState)
    return taken


def test_a_lease_is_taken_before_ninjaone_is_asked(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    seen = list[ConnectionState]()
    network.meanwhile.append(lambda: seen.append(refreshing.row(state)))

    refreshing.when_due(state)

    (during,) = seen
    assert during.lease_until == refreshing.clock.now() + 250
    assert during.lease_id
    assert (during.fence, during.version, during.tried_at) == (1, 1, refreshing.clock.now())


def test_whatever_asks_for_it_a_refresh_that_failed_just_now_is_not_tried_again(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    network.fail(httpx.ConnectError)
    refreshing.when_due(state)
    refreshing.clock.advance(50)

    refreshing.refresh(state)
    refreshing.refresh(state, trigger=Trigger.URGENT, min_ttl=3600)
    assert len(network.requests) == 1

    refreshing.clock.advance(10)
    refreshing.refresh(state, trigger=Trigger.URGENT, min_ttl=3600)
    assert len(network.requests) == 1, "a caller does not shorten the wait"
    refreshing.refresh(state)
    assert len(network.requests) == 2


def test_a_row_under_a_lease_is_left_alone_until_its_holder_is_surely_dead(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, network: NinjaOneTransport, clock: Clock
) -> None:
    refreshing.wait_for(state)
    lease_of_another(connections, state, now=clock.now(), until=clock.now() + 250)

    clock.advance(260)
    refreshing.refresh(state)
    assert network.requests == []

    clock.advance(1)
    refreshing.refresh(state)
    assert len(network.requests) == 1
    assert refreshing.row(state).version == 2


@req("I03")
@pytest.mark.parametrize("moment", ["the lease is written", "NinjaOne answers", "the tokens are saved"])
@pytest.mark.parametrize("trigger", [Trigger.DUE, Trigger.URGENT])
def test_of_two_refreshes_at_once_one_presents_the_token(
    refreshing: Refreshing,
    state: ConnectionState,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
    moment: str,
    trigger: Trigger,
) -> None:
    """Another execution environment runs a whole refresh in the middle of the first one, on the same thread."""
    refreshing.wait_for(state)
    presented = refreshing.held(state)
    other = replace(refreshing, broker=Broker(refreshing.broker.config, refreshing.broker.ports))
    runs = list[int]()

    def run() -> None:
        other.refresh(state, trigger=trigger, min_ttl=3600)
        runs.append(len(network.requests))

    def run_at_the_next_write() -> None:
        aws_faults.before("dynamodb.UpdateItem", run)

    if moment == "the lease is written":
        run_at_the_next_write()
    else:
        network.meanwhile.append(run if moment == "NinjaOne answers" else run_at_the_next_write)
    refreshing.refresh(state)

    assert runs == [1], "the other one ran, once, and NinjaOne had one request by then"
    assert [form["refresh_token"] for form in network.tokens_asked] == [presented]
    assert refreshing.row(state).version == 2
    assert refreshing.is_live(state)


def test_a_lease_on_a_row_that_is_gone_asks_nothing(
    refreshing: Refreshing,
    state: ConnectionState,
    aws: AwsAccount,
    config: Config,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
) -> None:
    refreshing.wait_for(state)
    key = rows.key(state.tenant, state.connection)
    gone = {"TableName": config.connections_table, "Key": key}
    aws_faults.before("dynamodb.UpdateItem", lambda: aws.client("dynamodb").delete_item(**gone))

    refreshing.refresh(state)

    assert network.requests == []
    assert refreshing.figures()["internal_errors"] == 0


@pytest.mark.parametrize("times", [1, 2])
def test_a_lease_whose_acknowledgement_was_lost_is_known_as_ones_own(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport, times: int
) -> None:
    refreshing.wait_for(state)
    aws_faults.lose_reply("dynamodb.UpdateItem", times=times)

    refreshing.refresh(state)

    row = refreshing.row(state)
    assert (row.version, row.fence) == (2, 1)
    assert len(network.requests) == 1


# The time left --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "refreshed"), [(143, False), (144, True)])
def test_a_refresh_is_begun_only_with_time_for_all_of_it(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, seconds: float, *, refreshed: bool
) -> None:
    refreshing.when_due(state, seconds=seconds)

    assert len(network.requests) == refreshed
    assert is_free(refreshing.row(state))
    assert refreshing.figures()["put_off"] == (not refreshed)


@pytest.mark.parametrize(("lease_takes", "refreshed"), [(16, True), (17, False)])
def test_a_lease_that_took_too_long_to_get_is_given_back_unused(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, aws_faults: AwsFaults, *,
    lease_takes: int, refreshed: bool,
) -> None:  # fmt: skip
    refreshing.wait_for(state)
    aws_faults.before("dynamodb.UpdateItem", lambda: clock.advance(lease_takes))

    refreshing.refresh(state, seconds=150)

    row = refreshing.row(state)
    assert len(network.requests) == refreshed
    assert is_free(row)
    assert row.refresh_at is not None
    assert (row.refresh_at <= clock.now() + 16) is not refreshed
    assert refreshing.figures()["put_off"] == (not refreshed)


# The client secret ----------------------------------------------------------------------------------------------------


def rotate(refreshing: Refreshing, aws: AwsAccount, config: Config, *, stored: bool = True) -> None:
    """Let the operator make a new client secret at NinjaOne, and store it or not."""
    app = OPERATOR_APPS["eu"].client_id
    refreshing.ninjaone.app(app).secret = NEW_SECRET
    if stored:
        aws.put_secret(config.client_secrets, json.dumps({app: NEW_SECRET}))


@req("K03", "K04")
def test_a_secret_that_was_rotated_in_flight_is_read_anew_and_tried_once_more(
    refreshing: Refreshing, state: ConnectionState, aws: AwsAccount, config: Config, network: NinjaOneTransport,
    clock: Clock,
) -> None:  # fmt: skip
    """There is just enough time for it."""
    refreshing.wait_for(state)
    network.meanwhile += [lambda: rotate(refreshing, aws, config), lambda: clock.advance(16)]

    refreshing.refresh(state, seconds=150)

    assert [form["client_secret"] for form in network.tokens_asked] == [
        OPERATOR_APPS["eu"].client_secret,
        NEW_SECRET,
    ]
    assert refreshing.row(state).version == 2
    assert refreshing.is_live(state)
    figures = refreshing.figures()
    assert (figures["attempts"], figures["config"], figures["renewed"]) == (2, 1, 1)


@req("K03")
@pytest.mark.parametrize("why_not", ["not stored", "not readable", "no time"])
def test_a_secret_that_stays_wrong_is_not_tried_again_and_never_strikes(
    refreshing: Refreshing,
    state: ConnectionState,
    aws: AwsAccount,
    config: Config,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
    clock: Clock,
    why_not: str,
) -> None:
    refreshing.wait_for(state)
    rotate(refreshing, aws, config, stored=False)
    if why_not == "not readable":
        network.meanwhile.append(lambda: aws_faults.refuse("secretsmanager.GetSecretValue", times=9))
    if why_not == "no time":
        network.meanwhile += [lambda: clock.advance(30), lambda: rotate(refreshing, aws, config)]

    refreshing.refresh(state, seconds=150)

    row = refreshing.row(state)
    assert len(network.requests) == 1
    assert (row.status, row.struck_at, row.version) == (Status.ACTIVE, None, 1)
    assert is_free(row)
    assert refreshing.figures()["app_refused"] == 1
    assert bool(refreshing.lines.named("secret.changed")) == (why_not == "no time")


def test_only_a_secret_that_is_refused_is_read_past_the_cache(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, aws_faults: AwsFaults
) -> None:
    network.answer(404, b"<html>")
    aws_faults.watch("secretsmanager.GetSecretValue")

    refreshing.when_due(state)

    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 1


def test_the_customers_own_secret_is_not_looked_up_with_the_operators(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, aws_faults: AwsFaults
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    network.requests.clear()
    refreshing.ninjaone.app(OWN.id).secret = NEW_SECRET
    aws_faults.watch("secretsmanager.GetSecretValue")

    refreshing.when_due(state)

    assert len(network.requests) == 1
    assert aws_faults.asked["secretsmanager.GetSecretValue"] == 0
    assert refreshing.row(state).status is Status.ACTIVE
    assert refreshing.figures()["app_refused"] == 0
