"""What comes of an attempt that brought no tokens: what the answer means decides, and doubt is remembered."""

from collections.abc import Callable

import httpx
import pytest

from broker import policy
from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, host_breaker
from broker.adapters.connections import Connections
from broker.adapters.queues import Trigger
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.adapters.seal import Seal
from broker.config import Config
from broker.model import ConnectionState, Instant, Purpose, Reason, Status, TenantId
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, NinjaOneTransport
from tests.support.journey import ref
from tests.support.refreshing import Refreshing
from tools.requirements import req

APP = OPERATOR_APPS["eu"].client_id
HOST = "eu.ninjarmm.com"
DAY = 86_400
HTML = b"<html>Rate limit</html>"

Trap = Callable[[NinjaOne, NinjaOneTransport], object]


@pytest.fixture
def breakers(aws: AwsAccount, config: Config) -> BreakerStore:
    return BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table)


def fault(kind: str) -> Trap:
    return lambda ninjaone, _: ninjaone.faults.plan(Fault(kind))


def says(status: int, body: bytes | dict[str, object], **headers: str) -> Trap:
    return lambda _, network: network.answer(status, body, **headers)


def fails(error: type[httpx.TransportError]) -> Trap:
    return lambda _, network: network.fail(error)


def is_free(row: ConnectionState) -> bool:
    return row.lease_until is None and row.lease_id is None


def due_in(refreshing: Refreshing, state: ConnectionState) -> float:
    due = refreshing.row(state).refresh_at
    assert due is not None
    return due - refreshing.clock.now()


# Nothing was carried out ----------------------------------------------------------------------------------------------

NOT_DONE: dict[str, tuple[Trap, str]] = {
    "no connection": (fails(httpx.ConnectError), "not_sent"),
    "no connection in time": (fails(httpx.ConnectTimeout), "not_sent"),
    "not routed": (fault("html_404"), "unavailable"),
    "html with 403": (says(403, HTML), "unavailable"),
    "another word": (says(400, {"error": "try_later"}), "unavailable"),
}


@req("I05")
@pytest.mark.parametrize("name", NOT_DONE)
def test_what_was_not_carried_out_gives_the_lease_back_and_comes_again_in_a_minute(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, name: str
) -> None:
    trap, figure = NOT_DONE[name]
    trap(refreshing.ninjaone, network)

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert is_free(row)
    assert (row.status, row.failures, row.struck_at, row.outcome_unknown, row.version) == (
        Status.ACTIVE,
        1,
        None,
        False,
        1,
    )
    assert 60 <= due_in(refreshing, state) < 76
    assert refreshing.figures()[figure] == 1
    clock.advance(60)
    refreshing.refresh(state)
    assert refreshing.row(state).version == 2


# Doubt ----------------------------------------------------------------------------------------------------------------

AMBIGUOUS: dict[str, Trap] = {
    "502": fault("html_502"),
    "500": fault("500"),
    "html with 200": fault("html_200_rate_limit"),
    "half of the answer": fault("truncated_json"),
    "done and lost": fault("lost_response"),
    "done and 502": fault("html_502_after_commit"),
    "reset": fault("reset"),
    "late": lambda ninjaone, _: ninjaone.faults.plan(Fault("slow", seconds=66)),
    "redirect": says(302, b"", location="https://evil.example/"),
    "redirect to no address": says(302, b"", location="https://["),
    "redirect to no host": says(302, b"", location="http://a..b/"),
    "no token": says(200, {"token_type": "Bearer"}),
}


@req("I05", "L02")
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_may_have_been_carried_out_is_not_asked_again_before_a_late_request_has_died(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, name: str
) -> None:
    AMBIGUOUS[name](refreshing.ninjaone, network)

    refreshing.when_due(state)

    row, now = refreshing.row(state), clock.now()
    assert (row.status, row.failures, row.outcome_unknown, row.version) == (Status.ACTIVE, 1, True, 1)
    assert row.lease_until == now + 60
    assert row.lease_id
    assert due_in(refreshing, state) == 60 + 10 + 1, "the first second in which the lease has surely ended"
    assert refreshing.figures()["ambiguous"] == 1
    asked = len(network.requests)
    clock.advance(70)
    refreshing.refresh(state)
    assert len(network.requests) == asked


@pytest.mark.parametrize("trap", [fails(httpx.ReadTimeout), says(404, HTML)])
def test_a_wait_after_many_failures_is_at_most_an_eighth_of_what_is_left_of_the_token(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, network: NinjaOneTransport, trap: Trap
) -> None:
    connections.record_failure(state, {"failures": 8}, ())
    trap(refreshing.ninjaone, network)

    refreshing.when_due(state)

    left = state.token_expires_at - refreshing.clock.now()
    assert 71 < due_in(refreshing, state) == int(left / 8)


def test_an_answer_that_was_lost_on_its_way_is_honestly_called_lost_in_rotation(
    refreshing: Refreshing, state: ConnectionState
) -> None:
    """NinjaOne rotated the token and nobody has the new one: no client can do anything about that."""
    refreshing.ninjaone.faults.plan(Fault("lost_response"))

    while refreshing.row(state).status is Status.ACTIVE:
        refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.status, row.reason) == (Status.NEEDS_REAUTH, Reason.LOST_IN_ROTATION)
    figures = refreshing.figures()
    assert (figures["needs_reauth"], figures["lost_in_rotation"]) == (1, 1)


def test_an_attempt_that_nobody_ended_leaves_doubt(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, clock: Clock
) -> None:
    """Its invocation was killed between the lease and the note."""
    refreshing.wait_for(state)
    now = Instant(int(clock.now()))
    connections.lease(
        refreshing.row(state), lease_id="x", now=now, until=Instant(now + 250), expired_before=Instant(now - 10)
    )
    clock.advance(261)
    refreshing.ninjaone.faults.plan(Fault("html_404"))

    refreshing.refresh(state)

    assert refreshing.row(state).outcome_unknown


# The client app -------------------------------------------------------------------------------------------------------

CONFIG: dict[str, Trap] = {
    "invalid_client": lambda ninjaone, _: ninjaone.admin.rotate_secret(APP),
    "unknown_client": lambda ninjaone, _: ninjaone.admin.delete_app(APP),
    "unauthorized_client": lambda ninjaone, _: ninjaone.admin.tick_grant_type(APP, "refresh_token", ticked=False),
    "invalid_scope": lambda ninjaone, _: ninjaone.admin.tick_scope(APP, "management", ticked=False),
    "invalid_request": says(400, {"error": "invalid_request"}),
    "unsupported_grant_type": says(400, {"error": "unsupported_grant_type"}),
}


@req("I05", "K03")
@pytest.mark.parametrize("cause", CONFIG)
def test_a_fault_of_the_client_app_is_never_the_customers(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, cause: str
) -> None:
    CONFIG[cause](refreshing.ninjaone, network)

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert is_free(row)
    assert (row.status, row.struck_at, row.outcome_unknown, row.refresh) == (Status.ACTIVE, None, False, state.refresh)
    assert 60 <= due_in(refreshing, state) <= 76
    assert refreshing.figures()["config"] == 1


@req("K03")
def test_after_a_right_secret_was_stored_a_connection_goes_on_within_three_minutes(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock
) -> None:
    """However long the secret was wrong, and though its token has ended."""
    clock.advance(4000)
    for _ in range(8):
        network.answer(401, {"error": "invalid_client"})
        refreshing.when_due(state)

    assert due_in(refreshing, state) <= 120


# Throttled ------------------------------------------------------------------------------------------------------------


@req("O03")
@pytest.mark.parametrize(("says_wait", "wait"), [("", 60), ("7", 60), ("300", 300), ("9999", 900)])
def test_a_connection_that_is_throttled_waits_for_as_long_as_it_is_told(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, says_wait: str, wait: int
) -> None:
    network.answer(429, HTML, retry_after=says_wait)

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert is_free(row)
    assert (row.status, row.failures, row.outcome_unknown) == (Status.ACTIVE, 1, False)
    assert wait <= due_in(refreshing, state) < wait + 16
    assert refreshing.figures()["throttled"] == 1


@req("O03")
@pytest.mark.parametrize("trigger", [Trigger.DUE, Trigger.URGENT])
def test_nobody_shortens_a_wait(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, clock: Clock, trigger: Trigger
) -> None:
    network.answer(429, HTML, retry_after="300")
    refreshing.when_due(state)
    clock.advance(due_in(refreshing, state) - 1)

    refreshing.refresh(state, trigger=trigger, min_ttl=9999)

    assert len(network.requests) == 1


# Dead verdicts --------------------------------------------------------------------------------------------------------


def serve_another(breakers: BreakerStore, clock: Clock) -> None:
    """Let NinjaOne grant tokens to another tenant on this host."""
    seen = breakers.add_failure(host_breaker(HOST), TenantId("any"), Instant(int(clock.now())), "status_502")
    breakers.add_grant(host_breaker(HOST), seen, TenantId("another"), Instant(int(clock.now())))


@req("I05")
@pytest.mark.parametrize("error", ["invalid_token", "invalid_grant", "expired_token"])
def test_a_token_is_dead_after_two_verdicts_with_another_tenant_served_between(
    refreshing: Refreshing, state: ConnectionState, clock: Clock, breakers: BreakerStore, error: str
) -> None:
    refreshing.ninjaone.switches.update({"dead_refresh_error": error})
    refreshing.revoke(state)

    refreshing.when_due(state)
    first = refreshing.row(state)
    assert (first.status, first.failures, first.struck_at) == (Status.ACTIVE, 1, clock.now())
    assert is_free(first)
    assert 60 <= due_in(refreshing, state) <= 76
    serve_another(breakers, clock)

    refreshing.when_due(state)
    second = refreshing.row(state)
    assert (second.status, second.reason, second.needs_reauth_since) == (
        Status.NEEDS_REAUTH, Reason.REVOKED, clock.now(),
    )  # fmt: skip
    assert (second.refresh, second.access, second.version) == (state.refresh, state.access, 1)
    assert is_free(second)
    figures = refreshing.figures()
    assert (figures["dead_verdict"], figures["needs_reauth"], figures["lost_in_rotation"]) == (2, 1, 0)
    (line,) = refreshing.lines.named("connection.needs_reauth")
    assert (line["tenant"], line["connection"], line["reason"]) == (state.tenant, state.connection, "revoked")
    assert refreshing.lines.named("refresh.verdict_doubted") == []


@req("I05")
def test_verdicts_that_no_other_tenant_contradicts_are_believed_after_half_an_hour(
    refreshing: Refreshing, state: ConnectionState, clock: Clock
) -> None:
    refreshing.revoke(state)
    refreshing.when_due(state)
    struck_at = clock.now()

    while refreshing.row(state).status is Status.ACTIVE:
        refreshing.when_due(state)

    assert 1800 <= clock.now() - struck_at < 1800 + 600
    assert refreshing.row(state).struck_at == struck_at
    assert refreshing.lines.named("refresh.verdict_doubted")


def test_a_grant_before_the_first_verdict_proves_nothing(
    refreshing: Refreshing, state: ConnectionState, clock: Clock, breakers: BreakerStore
) -> None:
    serve_another(breakers, clock)
    refreshing.revoke(state)

    for _ in range(2):
        refreshing.when_due(state)

    assert (refreshing.row(state).status, refreshing.row(state).failures) == (Status.ACTIVE, 2)


def test_a_breaker_that_can_not_be_read_confirms_no_verdict(
    refreshing: Refreshing, state: ConnectionState, clock: Clock, breakers: BreakerStore, aws_faults: AwsFaults,
    network: NinjaOneTransport,
) -> None:  # fmt: skip
    refreshing.revoke(state)
    refreshing.when_due(state)
    serve_another(breakers, clock)
    network.meanwhile.append(
        lambda: aws_faults.refuse("dynamodb.GetItem", only=lambda body: "#breakers" in str(body["Key"]))
    )

    refreshing.when_due(state)

    assert (refreshing.row(state).status, refreshing.figures()["put_off"]) == (Status.ACTIVE, 0)


def test_a_verdict_that_is_not_repeated_is_forgotten(refreshing: Refreshing, state: ConnectionState) -> None:
    refreshing.ninjaone.faults.plan(Fault("spurious_dead_token"))
    refreshing.when_due(state)

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.status, row.version, row.failures, row.struck_at) == (Status.ACTIVE, 2, 0, None)


def test_a_verdict_on_a_token_that_was_replaced_meanwhile_is_dropped(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, network: NinjaOneTransport
) -> None:
    network.answer(400, {"error": "invalid_token"})
    network.meanwhile.append(lambda: connections.save(refreshing.row(state), {"version": 2, "access": b"new"}, ()))

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.version, row.failures, row.access) == (2, 0, b"new")
    assert len(refreshing.lines.named("refresh.verdict_outdated")) == 1


def test_a_verdict_on_a_connection_that_is_gone_is_dropped(
    refreshing: Refreshing, state: ConnectionState, aws: AwsAccount, config: Config, network: NinjaOneTransport
) -> None:
    key = {"tenant": {"S": state.tenant}, "connection": {"S": state.connection}}
    network.answer(400, {"error": "invalid_token"})
    network.meanwhile.append(lambda: aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key))

    refreshing.when_due(state)

    assert len(refreshing.lines.named("refresh.verdict_outdated")) == 1


def test_before_a_strike_the_rescue_store_is_asked(
    refreshing: Refreshing,
    state: ConnectionState,
    seal: Seal,
    aws: AwsAccount,
    config: Config,
    network: NinjaOneTransport,
) -> None:
    """The token is dead, for it was rotated: an earlier attempt could only rescue the new one."""
    spot = state.ref.aad(2)
    kept = SealedTokens(
        seal.seal(seal.data_key(Purpose.ACCESS), Secret("a"), spot),
        seal.seal(seal.data_key(Purpose.REFRESH), Secret("r"), spot),
        Instant(state.token_expires_at + 3600),
        frozenset(),
        state.sent_at,
    )
    rescue = RescueStore(AwsClient("s3", aws.client("s3")), config.rescue_bucket)
    network.answer(400, {"error": "invalid_token"})
    network.meanwhile.append(lambda: rescue.put(ref(state), 1, kept))

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.version, row.failures, row.refresh) == (2, 0, kept.refresh)
    assert refreshing.figures()["rescued"] == 1


@pytest.mark.parametrize("call", ["dynamodb.GetItem", "s3.GetObject"])
def test_a_verdict_that_can_not_be_checked_does_not_count(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, aws_faults: AwsFaults, call: str
) -> None:
    refreshing.revoke(state)
    network.meanwhile.append(lambda: aws_faults.refuse(call))

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.status, row.failures) == (Status.ACTIVE, 0)
    assert row.lease_until is not None
    assert refreshing.figures()["put_off"] == 1


# A connection that needs its customer ---------------------------------------------------------------------------------


@pytest.fixture
def dead(refreshing: Refreshing, state: ConnectionState, breakers: BreakerStore, clock: Clock) -> ConnectionState:
    refreshing.revoke(state)
    refreshing.when_due(state)
    serve_another(breakers, clock)
    refreshing.when_due(state)
    assert refreshing.row(state).status is Status.NEEDS_REAUTH
    return state


def test_a_dead_connection_is_tried_after_two_minutes_then_after_twice_as_long_and_daily_at_last(
    refreshing: Refreshing, dead: ConnectionState, network: NinjaOneTransport, connections: Connections
) -> None:
    a_month_ago = int(refreshing.clock.now()) - 30 * DAY  # which a probe that fails again does not call the reason
    connections.record_failure(refreshing.row(dead), {"consented_at": a_month_ago}, ())
    asked, row = len(network.requests), refreshing.row(dead)
    waits = []
    for _ in range(13):
        waits.append(due_in(refreshing, dead))
        refreshing.when_due(dead)

    again = refreshing.row(dead)
    assert waits == [min(120 * 2**number, DAY) for number in range(13)]
    assert len(network.requests) == asked + 13
    assert (again.status, again.reason, again.needs_reauth_since) == (row.status, row.reason, row.needs_reauth_since)
    assert refreshing.figures()["needs_reauth"] == 1
    assert len(refreshing.lines.named("connection.needs_reauth")) == 1


def test_a_connection_that_lives_after_all_recovers_by_itself(refreshing: Refreshing, dead: ConnectionState) -> None:
    (grant,) = refreshing.ninjaone.oracle.grants()
    grant.revoked = ""

    refreshing.when_due(dead)

    row = refreshing.row(dead)
    assert (row.status, row.reason, row.needs_reauth_since, row.failures) == (Status.ACTIVE, None, None, 0)
    assert (row.version, refreshing.is_live(dead)) == (2, True)
    refreshing.when_due(dead)
    assert refreshing.figures()["recovered"] == 1
    assert len(refreshing.lines.named("connection.recovered")) == 1


def test_what_was_believed_before_needs_no_second_verdict(
    refreshing: Refreshing, state: ConnectionState, connections: Connections
) -> None:
    since = int(refreshing.clock.now())
    connections.record_failure(state, {"status": "needs_reauth", "reason": "revoked", "needs_reauth_since": since}, ())
    refreshing.revoke(state)

    refreshing.when_due(state)

    row, dead_for = refreshing.row(state), refreshing.clock.now() - since
    assert (row.status, row.reason, row.needs_reauth_since, row.failures) == (
        Status.NEEDS_REAUTH,
        Reason.REVOKED,
        since,
        1,
    )
    assert due_in(refreshing, state) == 120 + dead_for


@pytest.mark.parametrize(("dead_for", "is_kept"), [(30 * DAY - 1, True), (30 * DAY, False)])
def test_dead_tokens_are_forgotten_on_the_thirtieth_day(
    refreshing: Refreshing, dead: ConnectionState, connections: Connections, aws: AwsAccount, config: Config, *,
    dead_for: int, is_kept: bool,
) -> None:  # fmt: skip
    refreshing.wait_for(dead)
    since = int(refreshing.clock.now()) - dead_for
    connections.record_failure(refreshing.row(dead), {"needs_reauth_since": since}, ())

    refreshing.refresh(dead)

    row = refreshing.row(dead)
    assert (row.status, is_free(row)) == (Status.NEEDS_REAUTH, True)
    kept = (row.access, row.refresh, row.refresh_at, row.due_shard)
    assert [each is not None for each in kept] == [is_kept] * 4
    assert len(refreshing.lines.named("connection.forgotten")) == (not is_kept)
    key = rows.key(dead.tenant, dead.connection)
    item = aws.client("dynamodb").get_item(TableName=config.connections_table, Key=key)["Item"]
    forget_at = int(refreshing.clock.now()) + policy.FORGOTTEN_KEPT
    assert item.get("forget_at") == (None if is_kept else {"N": str(forget_at)})


def test_a_scope_withdrawn_long_ago_does_not_shorten_the_days_in_which_a_dead_token_is_tried(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, breakers: BreakerStore
) -> None:
    """Its token worked all the while, so it is dead since today only."""
    long_ago = state.sent_at - 31 * DAY
    connections.record_failure(
        state, {"status": "needs_reauth", "reason": "scope_withdrawn", "needs_reauth_since": long_ago}, ()
    )
    refreshing.revoke(state)

    refreshing.when_due(state)
    serve_another(breakers, refreshing.clock)
    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.reason, row.refresh) == (Reason.REVOKED, state.refresh)
    assert due_in(refreshing, state) == 120
    refreshing.clock.advance(29 * DAY)
    refreshing.when_due(state)
    assert refreshing.row(state).refresh is not None


# Notes that are lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trap", [fault("html_404"), fault("spurious_dead_token"), fault("html_502"), fault("429")])
def test_a_note_that_is_lost_leaves_the_lease_to_run_out_by_itself(
    refreshing: Refreshing,
    state: ConnectionState,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
    trap: Trap,
    clock: Clock,
) -> None:
    trap(refreshing.ninjaone, network)
    network.meanwhile.append(
        lambda: aws_faults.refuse("dynamodb.UpdateItem", only=lambda body: "#breakers" not in str(body["Key"]))
    )

    refreshing.when_due(state)

    row = refreshing.row(state)
    assert row.lease_until is not None
    assert len(refreshing.lines.named("lease.not_released")) == 1
    clock.advance(270)
    refreshing.refresh(state)
    assert refreshing.row(state).version == 2
