"""Keeping what NinjaOne gave: in the row, else in the rescue store, else sealed in the log; never nowhere."""

import base64
from dataclasses import replace
from typing import Any

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
from broker.edge.wiring import Broker
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionState, Instant, Purpose, Reason, Status, TenantId
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import OWN, Journey, ref
from tests.support.refreshing import Refreshing
from tools.requirements import req

DAY = 86_400
APP = OPERATOR_APPS["eu"].client_id


@pytest.fixture
def rescue(aws: AwsAccount, config: Config) -> RescueStore:
    return RescueStore(AwsClient("s3", aws.client("s3")), config.rescue_bucket)


def is_save(body: dict[str, Any]) -> bool:
    """Tell the save from the lease, which writes the same row."""
    return "#access = :access" in body.get("UpdateExpression", "")


def is_free(row: ConnectionState) -> bool:
    return row.lease_until is None and row.lease_id is None


# Saving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_save_whose_acknowledgement_was_lost_is_known_as_done(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport, times: int
) -> None:
    refreshing.wait_for(state)
    aws_faults.lose_reply("dynamodb.UpdateItem", times=times, only=is_save)

    refreshing.refresh(state)

    assert (refreshing.row(state).version, refreshing.is_live(state)) == (2, True)
    assert len(network.requests) == 1
    assert refreshing.figures()["spilled"] == 0
    assert len(refreshing.lines.named("refresh.done")) == 1


def test_a_store_that_refuses_for_a_while_gets_the_tokens_in_the_end(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, clock: Clock
) -> None:
    refreshing.wait_for(state)
    aws_faults.refuse("dynamodb.UpdateItem", times=6, only=is_save)

    refreshing.refresh(state)

    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0]
    assert (refreshing.row(state).version, refreshing.is_live(state)) == (2, True)


def test_a_store_that_refuses_to_the_end_leaves_the_tokens_to_the_rescue_store_in_time(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, rescue: RescueStore, seal: Seal, clock: Clock
) -> None:
    refreshing.wait_for(state)
    begun = clock.now()
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=is_save)
    aws_faults.refuse("s3.PutObject", times=3)

    refreshing.refresh(state)

    kept = rescue.get(ref(state), 1)
    row = refreshing.row(state)
    assert kept is not None
    spot = state.ref.aad(2)
    newest = seal.open(kept.refresh, Purpose.REFRESH, spot).reveal()
    assert not refreshing.ninjaone.oracle.why_dead(newest)
    assert (row.version, row.lease_until) == (1, begun + 250)
    assert clock.now() - begun <= 180 - 15 - 10
    figures = refreshing.figures()
    assert (figures["spilled"], figures["unsaved"]) == (1, 0)
    assert [line["level"] for line in refreshing.lines.named("refresh.spilled")] == ["ERROR"]


def test_rescued_tokens_are_adopted_instead_of_presenting_the_old_one(
    refreshing: Refreshing,
    state: ConnectionState,
    aws_faults: AwsFaults,
    rescue: RescueStore,
    network: NinjaOneTransport,
    clock: Clock,
) -> None:
    refreshing.wait_for(state)
    aws_faults.refuse("dynamodb.UpdateItem", times=60, only=is_save)
    refreshing.refresh(state)
    aws_faults.end()

    clock.advance(261)
    refreshing.refresh(state)

    row = refreshing.row(state)
    assert len(network.requests) == 1
    assert (row.version, row.status) == (2, Status.ACTIVE)
    assert is_free(row)
    assert refreshing.is_live(state)
    assert rescue.get(ref(state), 1) is None
    assert refreshing.figures()["rescued"] == 1
    refreshing.when_due(state)
    assert refreshing.row(state).version == 3


@req("I06")
@pytest.mark.parametrize("held_up_by", ["breaker", "secret"])
def test_rescued_tokens_are_adopted_whatever_holds_requests_up(
    refreshing: Refreshing, state: ConnectionState, rescue: RescueStore, seal: Seal, network: NinjaOneTransport,
    connections: Connections, aws: AwsAccount, config: Config, held_up_by: str,
) -> None:  # fmt: skip
    """To adopt them asks NinjaOne nothing."""
    rescue.put(ref(state), 1, rescued(refreshing, state, seal))
    connections.record_failure(state, {"outcome_unknown": True}, ())
    refreshing.wait_for(state)
    if held_up_by == "secret":
        aws.put_secret(config.client_secrets, "{}")
    else:
        store, name = (
            BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table),
            host_breaker(state.host.name),
        )
        now = Instant(int(refreshing.clock.now()))
        store.open(name, store.add_failure(name, TenantId("another"), now, "throttled"), now, "throttled")

    refreshing.refresh(state)

    assert refreshing.row(state).version == 2
    assert network.requests == []


def test_when_both_stores_refuse_the_tokens_are_in_the_log_sealed(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, seal: Seal, clock: Clock
) -> None:
    refreshing.wait_for(state)
    begun = clock.now()
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=is_save)
    aws_faults.refuse("s3.PutObject", times=999)

    refreshing.refresh(state)

    (line,) = refreshing.lines.named("refresh.unsaved")
    sealed = base64.b64decode(line["sealed_refresh"])
    newest = seal.open(sealed, Purpose.REFRESH, state.ref.aad(2)).reveal()
    assert not refreshing.ninjaone.oracle.why_dead(newest)
    assert (line["level"], line["tenant"], line["connection"], line["version"]) == (
        "ERROR", state.tenant, state.connection, 1,
    )  # fmt: skip
    assert newest not in "".join(refreshing.lines.text)
    assert refreshing.figures()["unsaved"] == 1
    assert clock.now() - begun <= 180 - 10


@pytest.mark.parametrize("answered_after", [0, 20, 35, 50, 65])
def test_when_both_stores_hang_the_tokens_are_in_the_log_before_the_invocation_is_killed(
    refreshing: Refreshing,
    state: ConnectionState,
    aws_faults: AwsFaults,
    clock: Clock,
    network: NinjaOneTransport,
    answered_after: int,
) -> None:
    """Each call of AWS lasts as long as one can, NinjaOne takes its time, and there was none to spare before."""

    def hangs(call: dict[str, Any]) -> bool:
        is_lease = "#lease_id = :lease_id" in call.get("UpdateExpression", "")
        clock.advance(10 if is_lease else policy.AWS_CALL)
        return not is_lease

    refreshing.wait_for(state)
    timing = Timing(180)
    killed_at = clock.now() + timing.min_to_start
    network.meanwhile.append(lambda: clock.advance(answered_after))
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=lambda call: "#breakers" not in str(call) and hangs(call))
    aws_faults.refuse("s3.PutObject", times=999, only=hangs)

    refreshing.refresh(state, seconds=timing.min_to_start)

    assert len(refreshing.lines.named("refresh.unsaved")) == 1
    assert (aws_faults.asked["dynamodb.UpdateItem"] >= 1, aws_faults.asked["s3.PutObject"] >= 1) == (True, True)
    assert clock.now() <= killed_at - timing.slack


# The rescue store -----------------------------------------------------------------------------------------------------


def in_doubt(refreshing: Refreshing, state: ConnectionState) -> None:
    """Let an attempt end without a clear answer: now there may be a rescued token."""
    refreshing.ninjaone.faults.plan(Fault("html_502"))
    refreshing.when_due(state)
    refreshing.clock.advance(90)


def test_a_rescue_store_that_can_not_be_read_keeps_the_token_from_being_presented(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport, clock: Clock
) -> None:
    in_doubt(refreshing, state)
    before = refreshing.row(state)
    aws_faults.refuse("s3.GetObject")

    refreshing.refresh(state)

    assert len(network.requests) == 1
    assert refreshing.row(state) == before
    assert refreshing.figures()["put_off"] == 1
    clock.advance(60)
    refreshing.refresh(state)
    assert (refreshing.row(state).version, refreshing.row(state).outcome_unknown) == (2, False)


@pytest.mark.parametrize("why", ["refused", "adopted"])
def test_a_rescue_store_that_says_another_thing_under_the_lease_keeps_the_token_from_being_presented(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport,
    rescue: RescueStore, seal: Seal, why: str,
) -> None:  # fmt: skip
    """It is looked at before the lease and under it; in between, it fails or another attempt adopts what it held."""
    in_doubt(refreshing, state)
    if why == "refused":
        aws_faults.before("dynamodb.UpdateItem", lambda: aws_faults.refuse("s3.GetObject"))
    else:
        rescue.put(ref(state), 1, rescued(refreshing, state, seal))
        aws_faults.before("dynamodb.UpdateItem", lambda: rescue.delete(ref(state), 1))

    before = refreshing.row(state).refresh_at
    refreshing.refresh(state)

    assert len(network.requests) == 1
    assert is_free(refreshing.row(state))
    assert refreshing.row(state).refresh_at == (before if why == "refused" else refreshing.clock.now())
    figures = refreshing.figures()
    assert (figures["put_off"], figures["internal_errors"]) == (1, 0)


def test_tokens_that_an_earlier_attempt_spills_before_the_lease_are_restored_and_ninjaone_is_not_asked(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, network: NinjaOneTransport,
    rescue: RescueStore, seal: Seal,
) -> None:  # fmt: skip
    in_doubt(refreshing, state)
    aws_faults.before("dynamodb.UpdateItem", lambda: rescue.put(ref(state), 1, rescued(refreshing, state, seal)))

    refreshing.refresh(state)

    assert len(network.requests) == 1
    assert (refreshing.row(state).version, rescue.get(ref(state), 1)) == (2, None)


def rescued(refreshing: Refreshing, state: ConnectionState, seal: Seal, *, version: int = 1) -> SealedTokens:
    """Seal what an earlier attempt might have got."""
    spot = state.ref.aad(version + 1)
    token = refreshing.ninjaone.oracle.chain(refreshing.ninjaone.oracle.grants()[0].id)[-1]
    now = int(refreshing.clock.now())
    return SealedTokens(
        access=seal.seal(seal.data_key(Purpose.ACCESS), Secret("access"), spot),
        refresh=seal.seal(seal.data_key(Purpose.REFRESH), Secret(token), spot),
        expires_at=Instant(now + 3600),
        scopes=frozenset({"monitoring", "management"}),
        sent_at=Instant(now),
    )


def test_an_orphan_older_than_the_row_is_dropped_and_nothing_is_presented(
    refreshing: Refreshing, state: ConnectionState, rescue: RescueStore, seal: Seal, network: NinjaOneTransport
) -> None:
    refreshing.when_due(state)
    rescue.put(ref(state), 1, rescued(refreshing, state, seal))
    before = refreshing.row(state)

    refreshing.clock.advance(120)
    refreshing.refresh(state, trigger=Trigger.RESCUE)

    after = refreshing.row(state)
    assert len(network.requests) == 1
    assert rescue.get(ref(state), 1) is None
    assert replace(after, fence=before.fence, tried_at=before.tried_at) == before


def test_an_adoption_that_the_store_refuses_leaves_the_tokens_where_they_are(
    refreshing: Refreshing, state: ConnectionState, rescue: RescueStore, seal: Seal, aws_faults: AwsFaults
) -> None:
    rescue.put(ref(state), 1, rescued(refreshing, state, seal))
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=is_save)

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    assert rescue.get(ref(state), 1) is not None
    assert refreshing.figures()["put_off"] == 1


@pytest.mark.parametrize("under_the_lease", [False, True])
def test_an_adoption_into_a_connection_that_ended_meanwhile_does_nothing(
    refreshing: Refreshing,
    state: ConnectionState,
    rescue: RescueStore,
    seal: Seal,
    aws_faults: AwsFaults,
    broker: Broker,
    *,
    under_the_lease: bool,
) -> None:
    rescue.put(ref(state), 1, rescued(refreshing, state, seal))

    def end() -> None:
        aws_faults.before("s3.GetObject", lambda: broker.disconnect(ref(state)))

    if under_the_lease:
        aws_faults.before("dynamodb.UpdateItem", end)
    else:
        end()

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    row = refreshing.row(state)
    assert (row.status, row.refresh) == (Status.DISCONNECTED, None)
    assert rescue.get(ref(state), 1) is not None
    figures = refreshing.figures()
    assert (figures["rescued"], figures["internal_errors"]) == (0, 0)


def test_rescued_tokens_are_due_by_what_is_left_of_their_life(
    refreshing: Refreshing, state: ConnectionState, rescue: RescueStore, seal: Seal, clock: Clock
) -> None:
    rescue.put(ref(state), 1, rescued(refreshing, state, seal))
    clock.advance(1800)

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    due = refreshing.row(state).refresh_at
    assert due is not None
    assert 0 < due - clock.now() <= 0.6 * 1800


def put_and_end(
    refreshing: Refreshing, state: ConnectionState, rescue: RescueStore, broker: Broker, sealed: SealedTokens
) -> None:
    """Let a connection end while its tokens wait in the rescue store, and NinjaOne not hear of its end."""
    rescue.put(ref(state), 1, sealed)
    refreshing.ninjaone.switches.update({"revoke": "405"})
    broker.disconnect(ref(state))
    refreshing.ninjaone.switches.update({"revoke": "200"})


@req("I06")
def test_what_waits_for_a_connection_that_ended_is_revoked_and_dropped(
    refreshing: Refreshing,
    state: ConnectionState,
    rescue: RescueStore,
    seal: Seal,
    network: NinjaOneTransport,
    broker: Broker,
) -> None:
    put_and_end(refreshing, state, rescue, broker, rescued(refreshing, state, seal))
    ended, (grant,) = refreshing.row(state), refreshing.ninjaone.oracle.grants()
    live = refreshing.ninjaone.oracle.live_refresh_token(grant.id)
    network.requests.clear()

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    assert [each.url.path for each in network.requests] == ["/ws/oauth/revoke"]
    assert [each["token"] for each in network.sent("/ws/oauth/revoke")] == [live]
    assert refreshing.ninjaone.oracle.live_refresh_token(grant.id) is None
    assert (rescue.get(ref(state), 1), refreshing.row(state)) == (None, ended)
    (line,) = refreshing.lines.named("rescue.dropped")
    assert (line["tenant"], line["connection"], line["revoked"]) == (state.tenant, state.connection, 1)
    assert refreshing.figures()["seal_broken"] == 0


def test_what_no_longer_follows_an_ended_row_is_dropped_unrevoked(
    refreshing: Refreshing,
    state: ConnectionState,
    rescue: RescueStore,
    seal: Seal,
    network: NinjaOneTransport,
    broker: Broker,
) -> None:
    refreshing.when_due(state)
    put_and_end(refreshing, state, rescue, broker, rescued(refreshing, state, seal))
    network.requests.clear()

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    assert network.requests == []
    assert list(rescue.waiting(9)) == []


def test_what_waits_for_an_ended_connection_with_an_app_of_its_customers_is_dropped_unrevoked(
    refreshing: Refreshing,
    journey: Journey,
    rescue: RescueStore,
    seal: Seal,
    network: NinjaOneTransport,
    broker: Broker,
) -> None:
    """The app's secret was forgotten with the connection."""
    state, _ = journey.connect(customer_app=True, client=OWN)
    put_and_end(refreshing, state, rescue, broker, rescued(refreshing, state, seal))
    network.requests.clear()

    refreshing.refresh(state, trigger=Trigger.RESCUE)

    assert network.requests == []
    assert rescue.get(ref(state), 1) is None
    assert [line["revoked"] for line in refreshing.lines.named("rescue.dropped")] == [0]
    assert refreshing.figures()["seal_broken"] == 0


@pytest.mark.parametrize("call", ["s3.GetObject", "no time"])
def test_what_can_not_be_revoked_now_waits_on(
    refreshing: Refreshing,
    state: ConnectionState,
    rescue: RescueStore,
    seal: Seal,
    aws_faults: AwsFaults,
    broker: Broker,
    call: str,
) -> None:
    put_and_end(refreshing, state, rescue, broker, rescued(refreshing, state, seal))
    if call == "no time":
        refreshing.refresh(state, trigger=Trigger.RESCUE, seconds=100)
    else:
        aws_faults.refuse(call)
        refreshing.refresh(state, trigger=Trigger.RESCUE)

    assert rescue.get(ref(state), 1) is not None
    assert refreshing.figures()["put_off"] == 1


# Overtaken ------------------------------------------------------------------------------------------------------------


@req("I06")
def test_a_refresh_in_flight_does_not_bring_a_disconnected_connection_back(
    refreshing: Refreshing, state: ConnectionState, broker: Broker, network: NinjaOneTransport, rescue: RescueStore
) -> None:
    refreshing.ninjaone.switches.update({"revoke": "405"})
    network.meanwhile.append(lambda: broker.disconnect(ref(state)))
    refreshing.wait_for(state)

    refreshing.refresh(state)

    row = refreshing.row(state)
    assert (row.status, row.access, row.refresh) == (Status.DISCONNECTED, None, None)
    assert rescue.get(ref(state), 1) is None
    assert refreshing.figures()["spilled"] == 0


@req("I06")
@pytest.mark.parametrize("rotation", ["reuse_kills_family", "static_omit_field"])
def test_tokens_that_nobody_wants_any_more_are_given_back(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, network: NinjaOneTransport, rotation: str
) -> None:
    """The disconnection could not revoke what it did not know."""
    refreshing.ninjaone.switches.update({"rotation": rotation})
    network.meanwhile.append(lambda: connections.disconnect(refreshing.row(state), state.sent_at, "mark"))
    refreshing.wait_for(state)

    refreshing.refresh(state)

    (grant,) = refreshing.ninjaone.oracle.grants()
    assert [each.url.path for each in network.requests] == ["/ws/oauth/token", "/ws/oauth/revoke"]
    assert network.sent("/ws/oauth/revoke")[0]["token"] == refreshing.ninjaone.oracle.chain(grant.id)[-1]
    assert refreshing.ninjaone.oracle.live_refresh_token(grant.id) is None


@pytest.mark.parametrize("revoke_ends", ["grant", "token", "person"])
@pytest.mark.parametrize("second_consent", [True, False])
def test_a_refresh_in_flight_does_not_overwrite_a_new_consent(
    refreshing: Refreshing, state: ConnectionState, journey: Journey, network: NinjaOneTransport, *,
    revoke_ends: str, second_consent: bool,
) -> None:  # fmt: skip
    """Whatever a revocation ends, and whether or not the second consent ends the first."""
    switches = {"revoke_ends": revoke_ends, "second_consent_kills_first": second_consent}
    refreshing.ninjaone.switches.update(switches)
    refreshing.wait_for(state)
    home = journey.home(connection=state.connection)
    anew = list[ConnectionState]()
    network.meanwhile.append(lambda: anew.append(journey.complete(home)[0]))

    refreshing.refresh(state)

    assert refreshing.row(state) == anew[0]
    assert refreshing.is_live(state)
    assert network.requests[-1].url.path != "/ws/oauth/revoke", "a revocation may end the new consent, too"
    assert refreshing.figures()["lease_broken"] == 0


def test_a_row_that_was_deleted_by_mistake_has_its_tokens_spilled_and_not_revoked(
    refreshing: Refreshing,
    state: ConnectionState,
    aws: AwsAccount,
    config: Config,
    network: NinjaOneTransport,
    rescue: RescueStore,
) -> None:
    gone = {"TableName": config.connections_table, "Key": rows.key(state.tenant, state.connection)}
    network.meanwhile.append(lambda: aws.client("dynamodb").delete_item(**gone))
    refreshing.wait_for(state)

    refreshing.refresh(state)

    assert "Item" not in aws.client("dynamodb").get_item(**gone)
    assert network.requests[-1].url.path == "/ws/oauth/token"
    assert rescue.get(ref(state), 1) is not None


@pytest.mark.parametrize("change", [{"access": b"sealed anew"}, {"fence": 2}])
def test_a_save_whose_acknowledgement_was_lost_is_known_though_the_row_was_changed_since(
    refreshing: Refreshing,
    state: ConnectionState,
    connections: Connections,
    aws_faults: AwsFaults,
    clock: Clock,
    change: dict[str, Any],
) -> None:
    """While a refresh repeats its save, the operator reseals all rows with another key, or another takes the lease."""
    refreshing.wait_for(state)
    is_save = lambda body: "#version = :version" in body.get("UpdateExpression", "")  # noqa: E731
    aws_faults.lose_reply("dynamodb.UpdateItem", only=is_save)
    clock.plan(0.05, lambda: connections.record_failure(refreshing.row(state), change, ()))

    refreshing.refresh(state)

    row = refreshing.row(state)
    assert (row.version, {name: getattr(row, name) for name in change}) == (2, change)
    figures = refreshing.figures()
    assert (figures["lease_broken"], figures["spilled"]) == (0, 0)


def test_a_lease_that_was_broken_loses_nothing_and_is_an_alarm(
    refreshing: Refreshing,
    state: ConnectionState,
    connections: Connections,
    network: NinjaOneTransport,
    rescue: RescueStore,
) -> None:
    """That can't be while an expired lease proves its holder dead; should it be, the tokens are in the rescue store."""

    def take_over() -> None:
        leased = refreshing.row(state)
        connections.save(leased, {"version": 2, "fence": leased.fence + 1, "access": b"theirs"}, ())

    network.meanwhile.append(take_over)
    refreshing.wait_for(state)

    refreshing.refresh(state)

    assert refreshing.row(state).access == b"theirs"
    assert rescue.get(ref(state), 1) is not None
    assert [line["level"] for line in refreshing.lines.named("lease.broken")] == ["ERROR"]
    figures = refreshing.figures()
    assert (figures["lease_broken"], figures["spilled"]) == (1, 1)


# What else a refresh tells --------------------------------------------------------------------------------------------


@req("I04")
def test_a_scope_that_is_withdrawn_needs_the_customer_until_it_comes_back(
    refreshing: Refreshing, state: ConnectionState
) -> None:
    """The tokens are kept meanwhile: they open what is left."""
    refreshing.ninjaone.switches.update({"scope_unticked": "narrowed"})
    refreshing.ninjaone.admin.tick_scope(APP, "management", ticked=False)
    refreshing.when_due(state)
    row, since = refreshing.row(state), refreshing.clock.now()
    assert (row.status, row.reason, row.needs_reauth_since) == (Status.NEEDS_REAUTH, Reason.SCOPE_WITHDRAWN, since)
    assert (row.version, refreshing.is_live(state)) == (2, True)
    refreshing.when_due(state)
    assert refreshing.row(state).needs_reauth_since == since

    refreshing.ninjaone.admin.tick_scope(APP, "management", ticked=True)
    refreshing.when_due(state)

    row = refreshing.row(state)
    assert (row.status, row.reason, row.needs_reauth_since) == (Status.ACTIVE, None, None)
    assert len(refreshing.lines.named("connection.recovered")) == 1


@pytest.mark.parametrize("echo", ["omit", "reordered"])
def test_scopes_that_are_left_out_or_reordered_are_not_withdrawn(
    refreshing: Refreshing, state: ConnectionState, echo: str
) -> None:
    refreshing.ninjaone.switches.update({"scope_echo": echo})

    refreshing.when_due(state)

    assert refreshing.row(state).status is Status.ACTIVE
    assert refreshing.row(state).scopes == state.scopes


def test_scopes_without_the_one_for_refresh_tokens_are_not_withdrawn(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport
) -> None:
    granted = {"scope": "monitoring management", "token_type": "Bearer", "expires_in": 3600}
    network.answer(200, {"access_token": "a", "refresh_token": "r", **granted})

    refreshing.when_due(state)

    assert (refreshing.row(state).version, refreshing.row(state).status) == (2, Status.ACTIVE)


def test_a_row_that_does_not_say_what_was_agreed_to_learns_it_from_the_first_grant(
    refreshing: Refreshing, state: ConnectionState, connections: Connections
) -> None:
    """Rows of an import: the other system may have asked for less than this deployment does."""
    refreshing.ninjaone.switches.update({"scope_unticked": "narrowed"})
    refreshing.ninjaone.admin.tick_scope(APP, "management", ticked=False)
    connections.record_failure(refreshing.row(state), {"scopes": "offline_access"}, ())

    refreshing.when_due(state)

    first = refreshing.row(state)
    assert (first.status, first.reason) == (Status.ACTIVE, None)
    assert "monitoring" in first.scopes
    assert "management" not in first.scopes
    refreshing.ninjaone.admin.tick_scope(APP, "monitoring", ticked=False)
    refreshing.when_due(state)
    assert refreshing.row(state).reason is Reason.SCOPE_WITHDRAWN, "from then on it is the measure"


def test_a_grant_that_names_no_scopes_teaches_none(
    refreshing: Refreshing, state: ConnectionState, connections: Connections
) -> None:
    refreshing.ninjaone.switches.update({"scope_echo": "omit"})
    connections.record_failure(refreshing.row(state), {"scopes": "offline_access"}, ())

    refreshing.when_due(state)

    assert refreshing.row(state).scopes == frozenset({"offline_access"})


def aged(refreshing: Refreshing, state: ConnectionState, connections: Connections, days: float) -> None:
    """Let the consent be so old, and the connection due."""
    now = int(refreshing.clock.now())
    age = {"consented_at": now - int(days * DAY), "refresh_at": now}
    connections.record_failure(refreshing.row(state), age, ())


def test_the_end_of_consent_is_announced_on_day_21_then_daily_from_day_25_and_not_from_day_35(
    refreshing: Refreshing, state: ConnectionState, connections: Connections, clock: Clock
) -> None:
    refreshing.ninjaone.switches.update({"lifetime": "sliding_30d", "rotation": "static_same_token"})
    announced, day = [], 0.0
    for next_day in (20.9, 21, 22, 24.5, 25, 25.5, 26, 34.5, 35, 36):
        before = len(refreshing.lines.named("consent.ending"))
        clock.advance((next_day - day) * DAY)
        day = next_day
        aged(refreshing, state, connections, day)
        refreshing.refresh(state)
        if len(refreshing.lines.named("consent.ending")) > before:
            announced.append(day)

    assert announced == [21, 25, 26, 34.5]
    assert refreshing.row(state).version == 11


@pytest.mark.parametrize("narrowed", [False, True])
def test_a_save_sets_nothing_that_it_removes(
    refreshing: Refreshing, state: ConnectionState, aws_faults: AwsFaults, *, narrowed: bool
) -> None:
    """DynamoDB refuses such a write; moto does not."""
    seen = list[str]()

    def note(body: dict[str, Any]) -> bool:
        seen.append(body["UpdateExpression"])
        return False

    if narrowed:
        refreshing.ninjaone.switches.update({"scope_unticked": "narrowed"})
        refreshing.ninjaone.admin.tick_scope(APP, "management", ticked=False)
    aws_faults.refuse("dynamodb.UpdateItem", only=note)

    refreshing.when_due(state)

    sets, _, removes = seen[-1].partition(" REMOVE ")
    assert removes
    assert not {each.partition(" = ")[0] for each in sets.removeprefix("SET ").split(", ")} & {*removes.split(", ")}


# When it comes due again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [None, policy.LATE_AFTER, policy.LATE_AFTER + 1])
def test_only_what_comes_late_is_spread_widely(
    refreshing: Refreshing,
    state: ConnectionState,
    connections: Connections,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    late: int | None,
) -> None:
    monkeypatch.setattr(refreshing.broker.refresh, "_entropy", lambda count: b"\xff" * count)
    clock.advance(2500)
    now = Instant(int(clock.now()))
    if late is None:
        connections.record_failure(state, {}, ("refresh_at",))
    else:
        connections.record_failure(state, {"refresh_at": now - late}, ())

    refreshing.refresh(state, trigger=Trigger.URGENT, min_ttl=3600)

    anew = late is not None and late > policy.LATE_AFTER
    assert refreshing.row(state).refresh_at == policy.refresh_at(now, Instant(now + 3600), 255 / 256, anew=anew)


# The adaptive policy --------------------------------------------------------------------------------------------------


@pytest.fixture
def adaptive(refreshing: Refreshing, environment: dict[str, str]) -> Refreshing:
    config = Config.from_env({**environment, "REFRESH_POLICY": "adaptive"})
    return replace(refreshing, broker=Broker(config, refreshing.broker.ports))


def test_an_idle_connection_is_kept_alive_twice_a_day(adaptive: Refreshing, state: ConnectionState) -> None:
    adaptive.when_due(state)

    row, now = adaptive.row(state), adaptive.clock.now()
    assert row.refresh_at is not None
    assert now + 0.8 * policy.KEEP_ALIVE <= row.refresh_at < now + policy.KEEP_ALIVE
    assert row.active_until is None


def test_the_token_of_an_idle_connection_ends_as_it_should(adaptive: Refreshing, state: ConnectionState) -> None:
    adaptive.clock.advance(4000)

    adaptive.refresh(state, trigger=Trigger.URGENT, min_ttl=300)

    assert "tokens_expired" not in adaptive.figures()


@pytest.mark.parametrize(("left", "is_idle"), [(0, True), (1, False)])
def test_a_connection_is_idle_from_the_second_on_in_which_its_use_is_over(
    adaptive: Refreshing, state: ConnectionState, connections: Connections, clock: Clock, *, left: int, is_idle: bool
) -> None:
    adaptive.wait_for(state)
    connections.record_failure(state, {"active_until": int(clock.now()) + left}, ())

    adaptive.refresh(state)

    due = adaptive.row(state).refresh_at
    assert due is not None
    assert (due - clock.now() > 3600) is is_idle


def test_a_connection_in_use_is_refreshed_ahead_for_as_long_as_it_is_hot(
    adaptive: Refreshing, state: ConnectionState, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "ACTIVE_LIFE", 3 * 3600)
    clock.advance(4000)
    adaptive.refresh(state, trigger=Trigger.URGENT, min_ttl=300)

    used = adaptive.row(state)
    assert used.active_until == clock.now() + policy.ACTIVE_LIFE
    assert used.refresh_at is not None
    assert used.refresh_at - clock.now() <= 2900

    spans = []
    for _ in range(7):
        before = clock.now()
        adaptive.when_due(state)
        spans.append(clock.now() - before)

    assert max(spans[:4]) < 3600
    assert spans[-1] > 9 * 3600


def test_without_the_adaptive_policy_use_leaves_no_trace(
    refreshing: Refreshing, state: ConnectionState, clock: Clock
) -> None:
    clock.advance(4000)
    refreshing.refresh(state, trigger=Trigger.URGENT, min_ttl=300)

    assert refreshing.row(state).active_until is None


def test_lines_of_a_refresh_hold_no_token(
    refreshing: Refreshing, state: ConnectionState, network: NinjaOneTransport, lines: LogLines
) -> None:
    refreshing.when_due(state)

    text = "".join(lines.text)
    for secret in (network.tokens_asked[0]["refresh_token"], refreshing.held(state), OPERATOR_APPS["eu"].client_secret):
        assert secret not in text
