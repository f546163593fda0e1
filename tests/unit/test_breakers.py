"""What stops many refreshes at once: a wrong client app, a host that throttles or fails, verdicts by the dozen."""

import httpx
import pytest

from broker.adapters.aws import AwsClient
from broker.adapters.breakers import Breaker, Breakers, FailureWindow, app_breaker, app_of_breaker, host_breaker
from broker.adapters.connections import Connections
from broker.adapters.queues import Trigger
from broker.config import Config
from broker.flows.refresh.context import BatchContext
from broker.model import ConnectionState, Host, Instant, Seconds, Status
from local.aws.account import AwsAccount
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, NinjaOneTransport
from tests.support.journey import Journey
from tests.support.refreshing import Refreshing
from tools.requirements import req

APP = OPERATOR_APPS["eu"].client_id
HOST = "eu.ninjarmm.com"
HTML = b"<html>Rate limit</html>"
HELD = app_breaker(HOST, APP)


@pytest.fixture
def breakers(aws: AwsAccount, config: Config) -> Breakers:
    return Breakers(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table)


def connected(
    journey: Journey, network: NinjaOneTransport, connections: Connections, many: int
) -> list[ConnectionState]:
    """Make connections that all come due at one instant."""
    made = [journey.connect()[0] for _ in range(many)]
    for state in made:
        connections.record_failure(state, {"refresh_at": START + 2000}, ())
    network.requests.clear()
    return made


@pytest.fixture
def four(journey: Journey, network: NinjaOneTransport, connections: Connections) -> list[ConnectionState]:
    return connected(journey, network, connections, 4)


@pytest.fixture
def state(four: list[ConnectionState]) -> ConnectionState:
    return four[0]


def pull(breakers: Breakers, name: str, seconds: float, *, level: int = 0) -> None:
    breakers.trip(name, Breaker(Instant(int(seconds)), level, "invalid_client"))


def unstored(aws_faults: AwsFaults) -> None:
    """Refuse every write to a control row."""
    aws_faults.refuse("dynamodb.UpdateItem", times=99, only=lambda body: "#brakes" in str(body["Key"]))


# A client app ---------------------------------------------------------------------------------------------------------


def test_a_brake_has_the_name_of_what_it_holds() -> None:
    assert app_of_breaker(app_breaker(HOST, "client-1")) == (HOST, "client-1")
    assert app_of_breaker(host_breaker(HOST)) is None
    assert app_of_breaker("fleet") is None


@req("K03")
def test_one_wrong_secret_costs_one_request_and_no_connection(
    refreshing: Refreshing, four: list[ConnectionState], network: NinjaOneTransport, breakers: Breakers
) -> None:
    refreshing.ninjaone.admin.rotate_secret(APP)

    refreshing.when_due(*four)

    assert len(network.requests) == 1
    rows = [refreshing.row(state) for state in four]
    assert {(row.status, row.strikes, row.version, row.lease_until) for row in rows} == {(Status.ACTIVE, 0, 1, None)}
    assert all(row.refresh_at and row.refresh_at >= refreshing.clock.now() + 60 for row in rows)
    breaker = breakers.read(HELD)
    assert breaker == Breaker(Instant(int(refreshing.clock.now()) + 60), 0, "invalid_client")


@pytest.mark.parametrize("name", [HELD, host_breaker(HOST)])
def test_what_a_brake_holds_is_not_asked_and_comes_back_after_it(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers, network: NinjaOneTransport, name: str
) -> None:
    refreshing.wait_for(state)
    pull(breakers, name, refreshing.clock.now() + 600, level=2)

    refreshing.order(state)

    row, now = refreshing.row(state), refreshing.clock.now()
    assert network.requests == []
    assert (row.fence, row.lease_until) == (0, None)
    assert row.refresh_at is not None
    assert now + 600 <= row.refresh_at <= now + 600 + 2 * 240


def test_a_connection_that_is_due_later_still_keeps_its_time(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers, clock: Clock, network: NinjaOneTransport
) -> None:
    clock.advance(700)
    pull(breakers, HELD, clock.now() + 1)
    due = refreshing.row(state).refresh_at

    refreshing.order(state, why=Trigger.URGENT, min_ttl=3000)

    assert refreshing.row(state).refresh_at == due
    assert network.requests == []


def test_another_app_and_another_host_go_on(
    journey: Journey, refreshing: Refreshing, state: ConnectionState, breakers: Breakers, clock: Clock
) -> None:
    us2, _ = journey.connect(host=Host("us2", "us2.ninjarmm.com"), email="ada@cascade.example")
    refreshing.wait_for(us2)
    refreshing.wait_for(state)
    pull(breakers, HELD, clock.now() + 600)
    pull(breakers, app_breaker("us2.ninjarmm.com", APP), clock.now() + 600)

    refreshing.order(state, us2)

    assert (refreshing.row(state).version, refreshing.row(us2).version) == (1, 2)


def test_a_brake_that_wore_off_is_forgotten_with_the_first_success(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers
) -> None:
    refreshing.wait_for(state)
    pull(breakers, HELD, refreshing.clock.now(), level=3)

    refreshing.order(state)

    assert refreshing.row(state).version == 2
    assert breakers.read(HELD) is None


def test_a_fault_that_lasts_is_asked_about_less_and_less_often(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers, network: NinjaOneTransport
) -> None:
    refreshing.ninjaone.admin.rotate_secret(APP)
    holds = []
    for _ in range(7):
        refreshing.when_due(state)
        breaker = breakers.read(HELD)
        assert breaker is not None
        holds.append(breaker.until - refreshing.clock.now())

    assert holds == [60, 120, 240, 480, 900, 900, 900]
    assert len(network.requests) == 7


def test_a_brake_that_can_not_be_stored_holds_the_order_all_the_same(
    refreshing: Refreshing,
    four: list[ConnectionState],
    breakers: Breakers,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
) -> None:
    refreshing.ninjaone.admin.rotate_secret(APP)
    unstored(aws_faults)

    refreshing.when_due(*four)

    assert len(network.requests) == 1
    assert breakers.read(HELD) is None
    assert {refreshing.row(state).lease_until for state in four} == {None}


def test_brakes_that_can_not_be_read_put_off(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, aws_faults: AwsFaults
) -> None:
    refreshing.wait_for(state)
    aws_faults.refuse("dynamodb.GetItem", times=2)

    refreshing.order(state)

    assert network.requests == []
    assert refreshing.figures()["put_off"] == 1


def test_a_brake_that_can_not_be_forgotten_costs_no_token(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers, aws_faults: AwsFaults
) -> None:
    refreshing.wait_for(state)
    pull(breakers, HELD, refreshing.clock.now())
    aws_faults.refuse("dynamodb.DeleteItem")

    refreshing.order(state)

    assert (refreshing.row(state).version, refreshing.is_live(state)) == (2, True)


# A host ---------------------------------------------------------------------------------------------------------------


@req("O03")
def test_one_throttled_request_holds_the_whole_host(
    refreshing: Refreshing, four: list[ConnectionState], network: NinjaOneTransport
) -> None:
    network.answer(429, HTML, retry_after="300")

    refreshing.when_due(*four)

    assert len(network.requests) == 1
    assert all((refreshing.row(state).refresh_at or 0) >= refreshing.clock.now() + 300 for state in four)


def begun(refreshing: Refreshing, breakers: Breakers) -> BatchContext:
    """Begin to work an order, as one of several at once."""
    clock, log = refreshing.clock, refreshing.broker.log
    now = Instant(int(clock.now()))
    return BatchContext(Trigger.DUE, Seconds(0), 1, now, 0.0, clock.left(100), breakers=breakers, clock=clock, log=log)


def test_a_success_of_one_order_leaves_the_brake_that_another_pulled_meanwhile(
    refreshing: Refreshing, breakers: Breakers, clock: Clock, state: ConnectionState
) -> None:
    """Both know the one that wore off."""
    pull(breakers, host_breaker(HOST), clock.now() - 1, level=3)
    one, other = begun(refreshing, breakers), begun(refreshing, breakers)
    one.read_breakers([state])
    other.read_breakers([state])
    until = one.trip(host_breaker(HOST), "throttled", at_least=Seconds(600))

    other.succeeded(state)

    assert breakers.read(host_breaker(HOST)) == Breaker(until, 4, "throttled")
    assert other.resume_at(state) == until


@req("O03")
def test_a_shorter_wait_of_one_order_leaves_the_longer_one_of_another(
    refreshing: Refreshing, breakers: Breakers, clock: Clock, state: ConnectionState
) -> None:
    one, other = begun(refreshing, breakers), begun(refreshing, breakers)
    one.read_breakers([state])
    other.read_breakers([state])
    until = one.trip(host_breaker(HOST), "throttled", at_least=Seconds(600))

    told = other.trip(host_breaker(HOST), "throttled")

    assert (told, other.resume_at(state)) == (until, until)
    assert until == clock.now() + 600
    assert breakers.read(host_breaker(HOST)) == Breaker(until, 0, "throttled")


def test_a_longer_wait_of_one_order_takes_the_place_of_a_shorter_one_of_another(
    refreshing: Refreshing, breakers: Breakers, clock: Clock, state: ConnectionState
) -> None:
    one, other = begun(refreshing, breakers), begun(refreshing, breakers)
    one.read_breakers([state])
    other.read_breakers([state])
    one.trip(host_breaker(HOST), "throttled")

    until = other.trip(host_breaker(HOST), "throttled", at_least=Seconds(600))

    assert until == clock.now() + 600
    assert breakers.read(host_breaker(HOST)) == Breaker(until, 0, "throttled")


def test_two_successes_at_once_forget_one_brake(
    refreshing: Refreshing, breakers: Breakers, clock: Clock, state: ConnectionState
) -> None:
    pull(breakers, HELD, clock.now() - 1)
    one, other = begun(refreshing, breakers), begun(refreshing, breakers)
    one.read_breakers([state])
    other.read_breakers([state])

    one.succeeded(state)
    other.succeeded(state)

    assert breakers.read(HELD) is None
    assert other.resume_at(state) is None


def test_a_success_that_was_under_way_leaves_the_brake(
    refreshing: Refreshing, breakers: Breakers, clock: Clock, state: ConnectionState
) -> None:
    """Both requests had left when one of them was told to wait; what the other one got proves nothing."""
    now, context = Instant(int(clock.now())), begun(refreshing, breakers)
    until = context.trip(host_breaker(HOST), "throttled", at_least=Seconds(300))

    context.succeeded(state)

    assert until == now + 300
    assert context.trip(host_breaker(HOST), "throttled", at_least=Seconds(60)) == until, "the longer wait stays"

    assert context.resume_at(state) == now + 300
    assert breakers.read(host_breaker(HOST)) is not None


@pytest.mark.parametrize("kind", ["html_503", "html_404"])
def test_three_failures_in_a_row_hold_the_host(
    refreshing: Refreshing, four: list[ConnectionState], network: NinjaOneTransport, breakers: Breakers, kind: str
) -> None:
    refreshing.ninjaone.faults.plan(Fault(kind, times=None))

    refreshing.when_due(*four)

    assert len(network.requests) == 3
    assert breakers.read(host_breaker(HOST)) is not None
    assert (refreshing.row(four[3]).fence, refreshing.row(four[3]).outcome_unknown) == (0, False)


def test_a_success_in_between_lets_the_host_go_on(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, breakers: Breakers, connections: Connections
) -> None:
    six = connected(journey, network, connections, 6)
    for fails in (True, True, False, True, True, False):
        if fails:
            network.fail(httpx.ConnectError)
        else:
            network.canned.append(lambda request: network._deliver(network._asked(request), request))

    refreshing.when_due(*six)

    assert len(network.requests) == 6
    assert breakers.read(host_breaker(HOST)) is None


def test_a_host_that_fails_while_its_brake_can_not_be_stored_is_left_alone_for_this_order(
    refreshing: Refreshing, four: list[ConnectionState], network: NinjaOneTransport, aws_faults: AwsFaults
) -> None:
    refreshing.ninjaone.faults.plan(Fault("html_404", times=None))
    unstored(aws_faults)

    refreshing.when_due(*four)

    assert len(network.requests) == 3
    assert {refreshing.row(state).lease_until for state in four} == {None}
    assert refreshing.figures()["put_off"] == 1


@req("O03")
def test_a_longer_wait_takes_the_place_of_a_shorter_one(
    refreshing: Refreshing,
    state: ConnectionState,
    four: list[ConnectionState],
    network: NinjaOneTransport,
    breakers: Breakers,
) -> None:
    """Two workers were under way when the host began to throttle."""
    network.answer(429, HTML, retry_after="100")
    refreshing.when_due(state)
    first = breakers.read(host_breaker(HOST))
    refreshing.clock.advance(120)
    network.answer(429, HTML, retry_after="3000")

    refreshing.when_due(four[1])

    second = breakers.read(host_breaker(HOST))
    assert first is not None
    assert second is not None
    assert (first.level, second.level) == (0, 1)
    assert second.until - refreshing.clock.now() == 3000


# The fleet ------------------------------------------------------------------------------------------------------------


def revoked(refreshing: Refreshing, states: list[ConnectionState]) -> None:
    for state in states:
        refreshing.revoke(state)


@req("I05")
def test_many_verdicts_at_once_are_held_and_nobody_is_bothered(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, connections: Connections
) -> None:
    six = connected(journey, network, connections, 6)
    refreshing.ninjaone.faults.plan(Fault("spurious_dead_token", times=12))

    refreshing.when_due(*six)
    refreshing.when_due(*six)

    rows = [refreshing.row(state) for state in six]
    assert {(row.status, row.strikes) for row in rows} == {(Status.ACTIVE, 1)}
    assert all((row.refresh_at or 0) >= refreshing.clock.now() + 900 for row in rows)
    assert refreshing.figures()["verdicts_held"] == 6
    assert {line["level"] for line in refreshing.lines.named("verdict.held")} == {"ERROR"}

    refreshing.when_due(*six)
    assert {refreshing.row(state).version for state in six} == {2}


def test_the_same_number_among_many_that_live_is_believed(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, connections: Connections, breakers: Breakers
) -> None:
    six = connected(journey, network, connections, 6)
    refreshing.wait_for(six[0])
    breakers.count(tried=1000, dead=0, now=Instant(int(refreshing.clock.now())))
    revoked(refreshing, six)

    refreshing.when_due(*six)
    refreshing.when_due(*six)

    assert {refreshing.row(state).status for state in six} == {Status.NEEDS_REAUTH}


def test_verdicts_that_are_true_are_believed_once_the_others_have_calmed_down(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, connections: Connections
) -> None:
    six = connected(journey, network, connections, 6)
    revoked(refreshing, six)

    for _ in range(5):
        refreshing.when_due(*six)

    assert {refreshing.row(state).status for state in six} == {Status.NEEDS_REAUTH}
    assert refreshing.figures()["verdicts_held"] > 0


def test_a_tally_that_can_not_be_counted_holds_the_verdict(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults
) -> None:
    refreshing.revoke(state)
    refreshing.when_due(state)
    unstored(aws_faults)

    refreshing.when_due(state)

    assert (refreshing.row(state).status, refreshing.row(state).strikes) == (Status.ACTIVE, 1)
    assert refreshing.figures()["verdicts_held"] == 1


def test_a_tally_that_can_not_be_handed_in_is_no_failure(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults
) -> None:
    unstored(aws_faults)

    refreshing.when_due(state)

    assert refreshing.row(state).version == 2
    assert len(refreshing.lines.named("tally.lost")) == 1


def test_a_connection_counts_once_however_often_it_is_found_dead(
    refreshing: Refreshing, state: ConnectionState, breakers: Breakers
) -> None:
    refreshing.revoke(state)
    for _ in range(3):
        refreshing.when_due(state)

    now = Instant(int(refreshing.clock.now()))
    told = breakers.count(tried=0, dead=0, now=Instant(now - now % 900))
    assert told.dead + told.dead_before <= 1


def test_a_window_is_a_quarter_of_an_hour_and_the_one_before_stays_in_sight(breakers: Breakers) -> None:
    now = Instant(START)

    assert breakers.count(tried=3, dead=1, now=now) == FailureWindow(3, 1)
    assert breakers.count(tried=2, dead=2, now=Instant(now + 899)) == FailureWindow(5, 3)
    assert breakers.count(tried=1, dead=0, now=Instant(now + 900)) == FailureWindow(1, 0, 5, 3)
    assert breakers.count(tried=1, dead=1, now=Instant(now + 901)) == FailureWindow(2, 1, 5, 3)
    assert breakers.count(tried=4, dead=0, now=Instant(now + 2700)) == FailureWindow(4, 0)


def test_a_window_that_another_began_first_is_left_as_it_is(breakers: Breakers, aws_faults: AwsFaults) -> None:
    now = Instant(START)
    aws_faults.before("dynamodb.UpdateItem", lambda: None)
    breakers.count(tried=1, dead=0, now=Instant(now + 900))

    assert breakers.count(tried=5, dead=5, now=now) == FailureWindow(5, 5)
    assert breakers.count(tried=0, dead=0, now=Instant(now + 900)) == FailureWindow(1, 0)
