"""A breaker counts tenants, opens after a quiet time, lets one connection a minute pass, and closes with a grant."""

import pytest

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import (
    MAX_FAILING_TENANTS,
    Breaker,
    BreakerStore,
    app_breaker,
    app_of_breaker,
    customer_apps_breaker,
    host_breaker,
    tenant_hash,
)
from broker.adapters.connections import Connections
from broker.adapters.queues import Trigger
from broker.config import Config
from broker.model import ConnectionState, Host, Instant, Seconds, TenantId
from local.aws.account import AwsAccount
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock
from tests.support.fates import DEAD, Fates, Says, says, tenants
from tests.support.journey import OWN, Journey
from tests.support.refreshing import Refreshing
from tools.requirements import req

APP = OPERATOR_APPS["eu"].client_id
NAME = "eu.ninjarmm.com"
HOST = host_breaker(NAME)
BUSY = says(502)
NOW = Instant(START)
ACME, GLOBEX, HOOLI = (TenantId(name) for name in ("acme", "globex", "hooli"))


@pytest.fixture
def breakers(aws: AwsAccount, config: Config) -> BreakerStore:
    return BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table)


@pytest.fixture
def four(journey: Journey, fates: Fates, connections: Connections) -> list[ConnectionState]:
    """Four tenants, each with one connection, all due at one instant."""
    return due(connections, tenants(journey, fates, 4))


def due(connections: Connections, states: list[ConnectionState], after: int = 2000) -> list[ConnectionState]:
    for state in states:
        connections.record_failure(state, {"refresh_at": START + after}, ())
    return states


def open_breaker(breakers: BreakerStore, name: str, now: float, *failing: TenantId) -> None:
    """Let tenants fail until the breaker opens."""
    at = Instant(int(now))
    for tenant in failing or (ACME, GLOBEX):
        breakers.add_failure(name, tenant, at, "status_502")
    breakers.open(name, breakers.read(name), at, "status_502")


# The row --------------------------------------------------------------------------------------------------------------


def test_a_breaker_has_the_name_of_what_it_holds() -> None:
    assert app_of_breaker(app_breaker(NAME, "client-1")) == (NAME, "client-1")
    assert app_of_breaker(HOST) is None
    assert app_of_breaker(customer_apps_breaker(NAME)) is None


def test_another_tenant_is_another_than_ones_own() -> None:
    mine, both = (
        Breaker(failing=frozenset(map(tenant_hash, each)), grants=tuple((tenant_hash(one), NOW) for one in each))
        for each in ([ACME], [ACME, GLOBEX])
    )

    assert [each.others_failing(ACME) for each in (Breaker(), mine, both)] == [False, False, True]
    assert [each.others_granted(ACME, NOW) for each in (Breaker(), mine, both)] == [False, False, True]
    assert not both.others_granted(ACME, Instant(NOW + 1))


def test_a_row_remembers_a_limited_number_of_tenants(breakers: BreakerStore) -> None:
    for number in range(MAX_FAILING_TENANTS + 1):
        found = breakers.add_failure(HOST, TenantId(f"tenant-{number}"), NOW, "status_502")

    assert len(found.failing) == MAX_FAILING_TENANTS


def test_a_grant_forgets_the_failures_and_remembers_the_last_two_tenants(breakers: BreakerStore) -> None:
    for at, tenant in enumerate((ACME, GLOBEX, GLOBEX, HOOLI)):
        seen = breakers.add_failure(HOST, TenantId("ill"), NOW, "dead")
        assert breakers.add_grant(HOST, seen, tenant, Instant(NOW + at))

    found = breakers.read(HOST)
    assert found == Breaker(grants=((tenant_hash(HOOLI), Instant(NOW + 3)), (tenant_hash(GLOBEX), Instant(NOW + 2))))
    assert not breakers.add_grant(HOST, found, ACME, NOW), "nothing to forget"
    assert found.others_granted(HOOLI, Instant(NOW + 2))
    assert not found.others_granted(HOOLI, Instant(NOW + 3))


def test_a_tenant_that_is_granted_twice_leaves_the_other_one_remembered(breakers: BreakerStore) -> None:
    for at, tenant in enumerate((ACME, GLOBEX, GLOBEX)):
        seen = breakers.add_failure(HOST, TenantId("ill"), NOW, "dead")
        breakers.add_grant(HOST, seen, tenant, Instant(NOW + at))

    assert breakers.read(HOST).grants == ((tenant_hash(GLOBEX), Instant(NOW + 2)), (tenant_hash(ACME), NOW))


def test_a_breaker_is_opened_once_and_not_after_a_grant(breakers: BreakerStore) -> None:
    seen = breakers.add_failure(HOST, ACME, NOW, "status_502")
    assert breakers.open(HOST, seen, Instant(NOW + 60), "throttled")[1]
    assert not breakers.open(HOST, seen, Instant(NOW + 61), "throttled")[1]
    breakers.add_grant(HOST, seen, GLOBEX, Instant(NOW + 70))

    found, opened = breakers.open(HOST, seen, Instant(NOW + 80), "throttled")

    assert (found.is_open, opened) == (False, False)


# Opening --------------------------------------------------------------------------------------------------------------


@req("O03")
def test_a_breaker_opens_when_a_second_tenant_fails_and_a_while_passed_without_a_grant(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, clock: Clock, breakers: BreakerStore
) -> None:
    fates.give(BUSY, *four)
    refreshing.wait_for(four[0])
    refreshing.refresh(four[0], four[1])
    clock.advance(44)
    refreshing.refresh(four[2])
    assert not breakers.read(HOST).is_open

    clock.advance(1)
    refreshing.refresh(four[3])

    assert breakers.read(HOST).opened_at == clock.now()
    (line,) = refreshing.lines.named("breaker.opened")
    assert (line["breaker"], line["tenants"], line["level"]) == (HOST, 4, "ERROR")
    assert refreshing.figures()["breaker_opened"] == 1


@req("O03")
def test_two_tenants_are_enough_and_only_who_opens_a_breaker_says_so(
    journey: Journey, refreshing: Refreshing, four: list[ConnectionState], fates: Fates, clock: Clock,
    connections: Connections, breakers: BreakerStore, aws_faults: AwsFaults,
) -> None:  # fmt: skip
    """A second connection of one fails while another batch, with a second one of the other, opens the breaker."""
    more = [Journey(journey.broker, journey.ninjaone, tenant=each.tenant).connect()[0] for each in four[:2]]
    fates.watch(*due(connections, more))
    fates.give(BUSY, *more, *four[:2])
    refreshing.wait_for(more[0])
    refreshing.refresh(*four[:2])
    clock.advance(45)
    assert not breakers.read(HOST).is_open

    aws_faults.before("dynamodb.UpdateItem", lambda: refreshing.refresh(more[1]))
    refreshing.refresh(more[0])

    assert breakers.read(HOST).is_open
    assert [line["tenants"] for line in refreshing.lines.named("breaker.opened")] == [2]


def test_a_tenant_that_fails_is_noted_once(
    journey: Journey, refreshing: Refreshing, fates: Fates, connections: Connections, aws_faults: AwsFaults
) -> None:
    both = due(connections, [journey.connect()[0] for _ in range(2)])
    fates.watch(*both)
    fates.give(BUSY, *both)
    refreshing.wait_for(both[0])
    aws_faults.watch("dynamodb.UpdateItem")

    refreshing.refresh(*both)

    assert aws_faults.asked["dynamodb.UpdateItem"] == 2 * len(both) + 1, "leases, failures, and one breaker"


@req("O03")
def test_one_tenant_opens_no_breaker_whatever_it_is_told(
    journey: Journey, refreshing: Refreshing, fates: Fates, connections: Connections, breakers: BreakerStore
) -> None:
    three = [journey.connect()[0] for _ in range(3)]
    fates.watch(*three)
    fates.give(says(429, retry_after="3600"), *three)
    for number, state in enumerate(three):
        due(connections, [state], 2000 + 60 * number)
        refreshing.when_due(state)

    assert breakers.read(HOST).failing == {tenant_hash(three[0].tenant)}
    assert not breakers.read(HOST).is_open


def test_a_grant_between_two_failures_keeps_a_breaker_closed(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, clock: Clock, breakers: BreakerStore
) -> None:
    fates.give(BUSY, four[0], four[2])
    refreshing.when_due(four[0])
    clock.advance(30)
    refreshing.refresh(four[1])
    clock.advance(30)
    refreshing.refresh(four[2])

    assert breakers.read(HOST).since == clock.now()
    assert not breakers.read(HOST).is_open
    assert refreshing.figures()["internal_errors"] == 0


def test_only_the_first_failure_of_a_connection_counts(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore
) -> None:
    fates.give(BUSY, *four[:2])
    refreshing.when_due(*four[:2])
    for _ in range(3):
        refreshing.when_due(*four[:2])

    assert not breakers.read(HOST).is_open


@pytest.mark.parametrize("answer", [DEAD, BUSY])
def test_what_needs_its_customer_is_no_failing_tenant(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, connections: Connections, breakers: BreakerStore,
    answer: Says,
) -> None:  # fmt: skip
    connections.record_failure(
        four[0], {"status": "needs_reauth", "reason": "revoked", "needs_reauth_since": START}, ()
    )
    fates.give(answer, four[0])

    refreshing.when_due(four[0])

    assert not breakers.read(HOST).failing


def test_a_failure_that_can_not_be_noted_costs_only_the_note(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore, aws_faults: AwsFaults
) -> None:
    fates.give(BUSY, four[0])
    aws_faults.refuse("dynamodb.UpdateItem", times=9, only=lambda body: "#breakers" in str(body["Key"]))

    refreshing.when_due(four[0])

    assert (refreshing.row(four[0]).failures, breakers.read(HOST).failing) == (1, frozenset())
    assert refreshing.figures()["put_off"] == 0


@req("K03")
@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_a_refusal_of_the_operators_app_is_about_that_app(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore, error: str
) -> None:
    fates.give(says(401, error), four[0])

    refreshing.when_due(four[0])

    assert breakers.read(app_breaker(NAME, APP)).failing == {tenant_hash(four[0].tenant)}
    assert not breakers.read(HOST).failing
    assert refreshing.figures()["app_refused"] == 1


def test_an_open_breaker_of_customers_own_apps_wakes_nobody(
    journey: Journey, refreshing: Refreshing, fates: Fates, connections: Connections, breakers: BreakerStore
) -> None:
    first, second = due(connections, tenants(journey, fates, 2, customer_app=True, client=OWN))
    fates.give(says(401, "invalid_client"), first, second)
    refreshing.when_due(first)
    refreshing.clock.advance(45)

    refreshing.refresh(second)

    assert breakers.read(customer_apps_breaker(NAME)).is_open
    assert [line["level"] for line in refreshing.lines.named("breaker.opened")] == ["WARNING"]
    assert refreshing.figures()["breaker_opened"] == 0


@pytest.mark.parametrize("answer", [says(400, "invalid_scope"), says(403), says(400, "invalid_request")])
def test_what_can_be_about_one_grant_is_not_about_the_app(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore, answer: object
) -> None:
    fates.give(answer, four[0])  # type: ignore[arg-type]  # parametrized

    refreshing.when_due(four[0])

    assert not breakers.read(app_breaker(NAME, APP)).failing
    assert refreshing.figures()["app_refused"] == 0


# Open -----------------------------------------------------------------------------------------------------------------


@req("O03")
@pytest.mark.parametrize("name", [HOST, app_breaker(NAME, APP)])
def test_an_open_breaker_holds_all_but_one_and_what_it_holds_stays_due(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore, name: str
) -> None:
    refreshing.wait_for(four[0])
    fates.give(BUSY, *four)
    open_breaker(breakers, name, refreshing.clock.now() - 60)

    refreshing.refresh(*four)
    refreshing.refresh(*four)

    assert len(fates.asked) == 1
    held = [row for row in fates.rows(four) if row.fence == 0]
    assert [(row.refresh_at, row.lease_until) for row in held] == [(START + 2000, None)] * 3


def test_tenants_that_do_not_fail_pass_first_then_who_was_granted_last_then_whose_token_ends_first(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, connections: Connections, breakers: BreakerStore
) -> None:
    failing, failed, later, sooner = four
    for state, change in ((failed, {"failures": 1}), (later, {"token_expires_at": START + 9000})):
        connections.record_failure(state, change, ())
    refreshing.wait_for(failing)
    open_breaker(breakers, HOST, refreshing.clock.now(), failing.tenant, ACME)
    fates.give(BUSY, *four)

    for _ in range(5):
        refreshing.clock.advance(100)
        refreshing.refresh(failing, *(state for state in (failed, later, sooner) if not any_asked(fates, state)))

    order = [connection for _, connection in fates.asked]
    assert order == [each.connection for each in (sooner, later, failed, failing)] + [failing.connection]


def test_a_connection_that_passed_in_vain_takes_turns_though_its_tenant_is_not_counted(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, connections: Connections, breakers: BreakerStore
) -> None:
    """It failed before the last grant, which forgot the tenants that fail; its later failures say nothing new."""
    counted, uncounted = four[:2]
    connections.record_failure(uncounted, {"failures": 1}, ())
    refreshing.wait_for(counted)
    open_breaker(breakers, HOST, refreshing.clock.now(), counted.tenant, ACME)
    fates.give(BUSY, counted, uncounted)

    for _ in range(6):
        refreshing.clock.advance(100)
        refreshing.refresh(counted, uncounted)

    asked = [connection for _, connection in fates.asked]
    assert asked == [uncounted.connection, counted.connection] * 3


def test_a_connection_that_was_tried_as_the_breaker_opened_does_not_come_before_those_that_fail(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, connections: Connections, breakers: BreakerStore
) -> None:
    counted, uncounted = four[:2]
    refreshing.wait_for(counted)
    now = refreshing.clock.now()
    connections.record_failure(uncounted, {"failures": 1, "tried_at": int(now)}, ())
    open_breaker(breakers, HOST, now, counted.tenant, ACME)
    fates.give(BUSY, counted, uncounted)

    refreshing.clock.advance(100)
    refreshing.refresh(counted, uncounted)

    assert [connection for _, connection in fates.asked] == [counted.connection]


def any_asked(fates: Fates, state: ConnectionState) -> bool:
    return any(connection == state.connection for _, connection in fates.asked)


def test_a_failing_tenant_leaves_each_minute_to_the_others_first(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore
) -> None:
    """Batches are worked in any order: one with failing tenants only takes a minute that nobody else used."""
    refreshing.wait_for(four[0])
    open_breaker(breakers, HOST, refreshing.clock.now() - 60, four[0].tenant, ACME)
    fates.give(BUSY, *four)

    refreshing.refresh(four[0])
    refreshing.refresh(four[1])

    assert [connection for _, connection in fates.asked] == [four[1].connection]


def test_callers_never_take_a_pass(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore
) -> None:
    refreshing.wait_for(four[0])
    open_breaker(breakers, HOST, refreshing.clock.now() - 600)

    refreshing.refresh(*four, trigger=Trigger.URGENT, min_ttl=3600)

    assert fates.asked == []


@pytest.mark.parametrize(("before", "after"), [(0, 1), (3, 3)])
def test_who_fails_in_passing_waits_no_longer_than_before(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, connections: Connections, breakers: BreakerStore,
    before: int, after: int,
) -> None:  # fmt: skip
    connections.record_failure(four[0], {"failures": before}, ())
    refreshing.wait_for(four[0])
    open_breaker(breakers, HOST, refreshing.clock.now() - 600)
    fates.give(BUSY, four[0])

    refreshing.refresh(four[0])

    assert (len(fates.asked), refreshing.row(four[0]).failures) == (1, after)


@req("O03")
def test_the_first_who_is_granted_closes_the_breaker_for_all(
    refreshing: Refreshing, four: list[ConnectionState], fates: Fates, breakers: BreakerStore
) -> None:
    refreshing.wait_for(four[0])
    open_breaker(breakers, HOST, refreshing.clock.now() - 60)

    refreshing.refresh(*four)

    assert not breakers.read(HOST).is_open
    assert {row.version for row in fates.rows(four)} == {2}, "the passing one went first, and the others after it"
    assert [line["seconds"] for line in refreshing.lines.named("breaker.closed")] == [60]


@req("K03")
def test_another_app_and_another_host_go_on(
    journey: Journey, refreshing: Refreshing, four: list[ConnectionState], breakers: BreakerStore, fates: Fates
) -> None:
    us2, _ = journey.connect(host=Host("us2", "us2.ninjarmm.com"), email="ada@cascade.example")
    refreshing.wait_for(us2)
    fates.give(BUSY, *four)
    for name in (HOST, app_breaker("us2.ninjarmm.com", APP), customer_apps_breaker("us2.ninjarmm.com")):
        open_breaker(breakers, name, refreshing.clock.now())

    refreshing.refresh(four[0], us2)

    assert (refreshing.row(four[0]).version, refreshing.row(us2).version) == (1, 2)


@pytest.mark.parametrize("call", ["passing", "closing"])
def test_a_breaker_that_can_not_be_written_costs_no_token(
    refreshing: Refreshing, four: list[ConnectionState], breakers: BreakerStore, aws_faults: AwsFaults, call: str
) -> None:
    refreshing.wait_for(four[0])
    open_breaker(breakers, HOST, refreshing.clock.now() - 60)
    at = ":latest" if call == "passing" else ":grants"
    aws_faults.refuse("dynamodb.UpdateItem", only=lambda body: at in body.get("ExpressionAttributeValues", {}))

    refreshing.refresh(four[0])

    row = refreshing.row(four[0])
    assert (row.version, row.lease_until) == ((1, None) if call == "passing" else (2, None))
    assert breakers.read(HOST).is_open


# Healthy --------------------------------------------------------------------------------------------------------------


@req("P01")
def test_a_healthy_refresh_writes_to_no_breaker(
    refreshing: Refreshing, four: list[ConnectionState], aws_faults: AwsFaults
) -> None:
    refreshing.wait_for(four[0])
    for call in ("dynamodb.UpdateItem", "dynamodb.GetItem", "s3.GetObject"):
        aws_faults.watch(call)

    refreshing.refresh(*four)

    assert aws_faults.asked["dynamodb.UpdateItem"] == 2 * len(four), "the lease and the save"
    assert aws_faults.asked["dynamodb.GetItem"] == 2, "the breakers of the host and of the app"
    assert aws_faults.asked["s3.GetObject"] == 0, "nothing is in doubt"


@pytest.mark.parametrize(
    ("failures", "token_left", "retry_after", "jitter", "waits"),
    [
        (1, -1, None, 0, 60),
        (2, -1, None, 0, 60),
        (3, -1, None, 0, 120),
        (3, -1, None, 1, 240),
        (5, -1, None, 0, 300),
        (5, 0, None, 0, 300),
        (9, -1, None, 0, 300),
        (10**12, -1, None, 0, 300),
        (9, 1600, None, 0, 200),
        (9, 1600, 30, 0, 60),
        (1, 1600, 300, 0, 300),
        (1, 1600, 300, 1, 316),
        (1, 100, 3600, 0, 900),
    ],
)
def test_a_wait_doubles_within_the_tokens_life_and_follows_what_ninjaone_names(
    failures: int, token_left: int, retry_after: int | None, jitter: float, waits: int
) -> None:
    named = None if retry_after is None else Seconds(retry_after)

    assert policy.retry_wait(failures, token_left, retry_after=named, jitter=jitter) == waits
