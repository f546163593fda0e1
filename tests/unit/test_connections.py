"""Looking at connections, and ending one."""

from typing import Any

import httpx
import pytest

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, app_breaker, customer_apps_breaker, host_breaker
from broker.adapters.connections import Connections
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable, Busy, NotActive, UnknownConnection
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Instant, Profile, Status, TenantId
from broker.ninjaone import _ABOUT_APP
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import OWN, TENANT, Journey, ref
from tests.support.refreshing import Refreshing
from tools.requirements import req

UNKNOWN = ConnectionId("con_" + "a" * 26)


@pytest.fixture
def made(journey: Journey, network: NinjaOneTransport) -> tuple[ConnectionState, Profile]:
    connection = journey.connect()
    network.requests.clear()
    return connection


@pytest.fixture
def breakers(aws: AwsAccount, config: Config) -> BreakerStore:
    return BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table)


def listed(broker: Broker, limit: int) -> list[ConnectionId]:
    """Turn the pages of a list until the last."""
    found, after, pages = list[ConnectionId](), None, 0
    while pages == 0 or after:
        page = broker.list_connections.page(TENANT, limit=limit, after=after)
        found += [each.connection.state.connection for each in page.connections]
        after, pages = page.after, pages + 1
        assert pages < 10
    return found


# Looking --------------------------------------------------------------------------------------------------------------


def test_a_connection_is_shown_without_anything_sealed(broker: Broker, made: tuple[ConnectionState, Profile]) -> None:
    shown = broker.list_connections.one(ref(made[0]))

    assert (shown.connection.state.connection, shown.connection.state.status, shown.connection.state.host) == (
        made[0].connection, Status.ACTIVE, made[0].host,
    )  # fmt: skip
    assert shown.connection.profile == made[1]
    assert (shown.connection.state.access, shown.connection.state.refresh, shown.connection.profile.client) == (
        None,
        None,
        None,
    )
    assert shown.pause is None


def test_a_list_that_can_be_read_whole_says_nothing_to_the_operator(
    broker: Broker, made: tuple[ConnectionState, Profile], lines: LogLines
) -> None:
    assert listed(broker, 10) == [made[0].connection]

    assert lines.named("rows.unreadable") == []


@req("H02", "H08")
@pytest.mark.parametrize("strange", ["tenant", "connection"])
def test_an_unknown_and_a_foreign_connection_look_alike(
    broker: Broker, made: tuple[ConnectionState, Profile], strange: str
) -> None:
    asked = (
        ConnectionRef(TenantId("globex"), made[0].connection) if strange == "tenant" else ConnectionRef(TENANT, UNKNOWN)
    )

    with pytest.raises(UnknownConnection):
        broker.list_connections.one(asked)
    with pytest.raises(UnknownConnection):
        broker.disconnect(asked)


def test_a_connection_is_paused_while_the_breaker_of_its_client_app_is_open(
    broker: Broker, made: tuple[ConnectionState, Profile], breakers: BreakerStore
) -> None:
    state = made[0]
    name = app_breaker(state.host.name, state.client_id)
    for each in (name, host_breaker(state.host.name)):
        seen = breakers.add_failure(each, TenantId("another"), Instant(START), "invalid_client")
        breakers.open(each, seen, Instant(START), "invalid_client")

    pause = broker.list_connections.one(ref(state)).pause
    assert pause
    assert (pause.held_by, pause.cause, pause.until) == ("client_app", "invalid_client", None)
    assert "invalid_client" in pause.detail
    breakers.add_grant(name, seen, TenantId("another"), Instant(START))
    assert broker.list_connections.one(ref(state)).pause is None


@pytest.mark.parametrize(
    ("change", "paused"),
    [
        ({"failures": 1}, False),
        ({"failures": 1, "token_expires_at": START}, True),  # no caller gets a token
        ({"failures": 0, "token_expires_at": START}, False),
        ({"failures": 2}, True),
        ({"failures": 1, "struck_at": START}, True),
        ({"failures": 9, "struck_at": START, "status": "needs_reauth", "reason": "revoked"}, False),
    ],
)
def test_a_connection_is_paused_while_ninjaone_refuses_it_and_that_may_pass(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, change: dict[str, object], *,
    paused: bool,
) -> None:  # fmt: skip
    connections.record_failure(made[0], change, ())

    assert (broker.list_connections.one(ref(made[0])).pause is not None) is paused


def test_a_connection_that_fails_says_why_and_when_it_is_tried_again(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, breakers: BreakerStore
) -> None:
    state = made[0]
    connections.record_failure(state, {"failures": 2, "cause": "throttled", "refresh_at": 1_800_000_000}, ())

    pause = broker.list_connections.one(ref(state)).pause
    assert pause
    assert (pause.held_by, pause.cause, pause.until) == ("connection", "throttled", 1_800_000_000)
    assert pause.detail == (
        "NinjaOne did not renew the tokens of this connection (throttled). "
        "It is asked again at 08:00:00 on 15 January 2027 UTC."
    )
    name = host_breaker(state.host.name)
    seen = breakers.add_failure(name, TenantId("another"), Instant(START), "status_503")
    breakers.open(name, seen, Instant(START), "status_503")

    pause = broker.list_connections.one(ref(state)).pause
    assert pause
    assert (pause.held_by, pause.cause) == ("host", "status_503")
    assert state.host.name in pause.detail


@pytest.mark.parametrize("customer_app", [True, False])
def test_a_refused_app_of_a_customer_s_own_is_called_that(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, *, customer_app: bool
) -> None:
    change = {"failures": 2, "cause": "invalid_client", "customer_app": customer_app}
    connections.record_failure(made[0], change, ())

    pause = broker.list_connections.one(ref(made[0])).pause
    assert pause
    assert pause.held_by == ("customer_app" if customer_app else "connection")
    assert ("the customer's own client app" in pause.detail) is customer_app


@pytest.mark.parametrize("cause", sorted(_ABOUT_APP))
def test_each_refusal_of_a_customer_s_app_says_what_the_customer_has_to_do(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, cause: str
) -> None:
    change = {"failures": 2, "cause": cause, "customer_app": True, "refresh_at": 1_800_000_000}
    connections.record_failure(made[0], change, ())

    pause = broker.list_connections.one(ref(made[0])).pause
    assert pause
    assert (pause.held_by, pause.cause, pause.until) == ("customer_app", cause, 1_800_000_000)
    assert "Let the customer" in pause.detail


def test_behind_an_open_breaker_a_refused_app_of_a_customer_s_own_is_still_called_that(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, breakers: BreakerStore
) -> None:
    change = {"failures": 2, "customer_app": True, "refresh_at": 1_800_000_000}
    refused = connections.record_failure(made[0], change | {"cause": "invalid_client"}, ())
    assert isinstance(refused, ConnectionState)
    name = customer_apps_breaker(made[0].host.name)
    seen = breakers.add_failure(name, TenantId("another"), Instant(START), "invalid_client")
    breakers.open(name, seen, Instant(START), "invalid_client")

    pause = broker.list_connections.one(ref(made[0])).pause
    assert pause
    assert (pause.held_by, pause.until) == ("customer_app", None)  # one connection a minute is tried

    connections.record_failure(refused, change | {"cause": "throttled"}, ())
    pause = broker.list_connections.one(ref(made[0])).pause
    assert pause
    assert (pause.held_by, pause.cause) == ("client_app", "invalid_client")
    assert "client apps that customers registered" in pause.detail


def test_the_breaker_of_one_app_is_looked_at_once_for_a_page(
    journey: Journey, broker: Broker, aws_faults: AwsFaults
) -> None:
    for _ in range(3):
        journey.connect()
    aws_faults.watch("dynamodb.GetItem")

    broker.list_connections.page(TENANT, limit=50, after=None)

    assert aws_faults.asked["dynamodb.GetItem"] == 1


def test_a_profile_without_its_row_is_not_taken_for_that_of_the_row_before(
    broker: Broker, journey: Journey, aws: AwsAccount, config: Config
) -> None:
    journey.connect()
    orphan = {"tenant": {"S": TENANT}, "connection": {"S": f"con_{'z' * 26}#profile"}, "label": {"S": "another's"}}
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=orphan)

    assert len(broker.list_connections.page(TENANT, limit=50, after=None).connections) == 1


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("torn", range(4))
def test_no_connection_falls_between_two_pages_because_another_lacks_a_row(
    broker: Broker, journey: Journey, aws: AwsAccount, config: Config, torn: int, limit: int
) -> None:
    """Rows go in their time one by one, so that for hours one of a connection's two may be left."""
    there = sorted(journey.connect()[0].connection for _ in range(4))
    half = there.pop(torn)
    key = {"tenant": {"S": TENANT}, "connection": {"S": f"{half}#profile"}}
    aws.client("dynamodb").delete_item(TableName=config.connections_table, Key=key)

    assert listed(broker, limit) == there
    with pytest.raises(UnknownConnection):
        broker.list_connections.one(ConnectionRef(TENANT, half))


@pytest.mark.parametrize("row", ["", "#profile"])
@pytest.mark.parametrize(
    "change",
    [
        {"status": {"S": "frozen"}, "organizations": {"S": "{"}},
        {"status": {"N": "1"}, "organizations": {"N": "1"}},
        {"scopes": {"N": "1"}, "metadata": {"N": "1"}},
        {"version": {"N": "1.5"}, "created_at": {"N": "1.5"}},
    ],
)
def test_a_row_that_can_not_be_read_hides_no_other(
    broker: Broker, journey: Journey, aws: AwsAccount, config: Config, lines: LogLines, row: str, change: dict[str, Any]
) -> None:
    first, strange, last = sorted(journey.connect()[0].connection for _ in range(3))
    key = {"tenant": {"S": TENANT}, "connection": {"S": strange + row}}
    item = aws.client("dynamodb").get_item(TableName=config.connections_table, Key=key)["Item"]
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item={**item, **change})

    assert listed(broker, limit=50) == [first, last]
    assert [(line["tenant"], line["unread"]) for line in lines.named("rows.unreadable")] == [(TENANT, 1)]


# Ending ---------------------------------------------------------------------------------------------------------------


@req("I06")
def test_a_connection_is_forgotten_here_and_revoked_there(
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    connections: Connections,
    ninjaone: NinjaOne,
    network: NinjaOneTransport,
    clock: Clock,
) -> None:
    clock.advance(60)

    whole, revoked = broker.disconnect(ref(made[0]))
    ended, profile = whole.state, whole.profile

    (grant,) = ninjaone.oracle.grants()
    assert revoked
    assert ninjaone.oracle.live_refresh_token(grant.id) is None
    assert (ended.status, ended.access, ended.refresh, ended.refresh_at, ended.due_shard) == (
        Status.DISCONNECTED, None, None, None, None,
    )  # fmt: skip
    assert (ended.version, ended.fence) == (made[0].version + 1, made[0].fence + 1)
    assert ended.disconnected_at == START + 60
    assert connections.get_state(ref(made[0])) == ended
    assert profile == made[1]
    assert [each.url.path for each in network.requests] == ["/ws/oauth/revoke"]


@req("I02", "K05")
def test_the_customers_own_app_revokes_and_its_secret_is_forgotten(
    journey: Journey, broker: Broker, connections: Connections, network: NinjaOneTransport
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)

    _, revoked = broker.disconnect(ref(state))

    assert revoked
    assert network.sent("/ws/oauth/revoke")[0]["client_secret"] == OWN.secret.reveal()
    found = connections.get_profile(ref(state))
    assert found is not None
    assert found.client is None


def trap(what: str, network: NinjaOneTransport, ninjaone: NinjaOne, aws_faults: AwsFaults) -> None:
    """Let a revocation fail in one way."""
    if what in {"404", "405"}:
        ninjaone.switches.update({"revoke": what})
    elif what == "no connection":
        network.fail(httpx.ConnectError)
    elif what == "no answer":
        network.fail(httpx.ReadTimeout)
    else:
        aws_faults.refuse(what)


@req("I06")
@pytest.mark.parametrize(
    "what", ["404", "405", "no connection", "no answer", "kms.Decrypt", "secretsmanager.GetSecretValue"]
)
def test_a_connection_ends_here_even_when_it_can_not_be_revoked_there(
    journey: Journey,
    ninjaone: NinjaOne,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
    connections: Connections,
    what: str,
) -> None:
    state, _ = journey.connect()
    fresh = Broker(journey.broker.config, journey.broker.ports)
    trap(what, network, ninjaone, aws_faults)

    whole, revoked = fresh.disconnect(ref(state))
    ended = whole.state

    assert not revoked
    assert ended.status is Status.DISCONNECTED
    assert connections.get_state(ref(state)) == ended


def test_a_token_that_does_not_open_is_forgotten_all_the_same(
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    connections: Connections,
    lines: LogLines,
    network: NinjaOneTransport,
) -> None:
    connections.record_failure(made[0], {"refresh": b"torn"}, ())

    _, revoked = broker.disconnect(ref(made[0]))

    assert not revoked
    assert network.requests == []
    assert [line["error"] for line in lines.named("revocation.skipped")] == ["SealBroken"]


def test_a_connection_that_was_forgotten_before_has_nothing_to_revoke(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, network: NinjaOneTransport
) -> None:
    change = {"status": "needs_reauth", "reason": "revoked", "needs_reauth_since": START}
    connections.record_failure(made[0], change, ("access", "refresh"))

    whole, revoked = broker.disconnect(ref(made[0]))
    ended = whole.state

    assert (ended.status, ended.reason, ended.needs_reauth_since) == (Status.DISCONNECTED, None, None)
    assert not revoked
    assert network.requests == []


def test_a_connection_ends_once(
    broker: Broker, made: tuple[ConnectionState, Profile], network: NinjaOneTransport
) -> None:
    broker.disconnect(ref(made[0]))
    asked = len(network.requests)

    with pytest.raises(NotActive):
        broker.disconnect(ref(made[0]))
    assert len(network.requests) == asked


def test_a_store_that_refuses_ends_nothing_and_revokes_nothing(
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    connections: Connections,
    aws_faults: AwsFaults,
    network: NinjaOneTransport,
) -> None:
    """Revoked there and still held here would be a connection that lies about itself."""
    aws_faults.refuse("dynamodb.TransactWriteItems", times=2)

    with pytest.raises(AwsUnavailable):
        broker.disconnect(ref(made[0]))

    assert connections.get_state(ref(made[0])) == made[0]
    assert network.requests == []


@req("I06")
@pytest.mark.parametrize("fault", ["refuse", "lose_reply", "retry_after_success"])
def test_an_end_whose_write_fails_once_is_known_as_done(
    journey: Journey,
    broker: Broker,
    connections: Connections,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
    lines: LogLines,
    fault: str,
) -> None:
    """Of the last one no error tells: the answer was lost, and botocore asked again by itself."""
    state, _ = journey.connect(customer_app=True, client=OWN)
    getattr(aws_faults, fault)("dynamodb.TransactWriteItems")

    whole, revoked = broker.disconnect(ref(state))
    ended = whole.state

    assert revoked
    assert connections.get_state(ref(state)) == ended
    assert (ended.status, ended.version) == (Status.DISCONNECTED, state.version + 1)
    assert is_forgotten(connections, state)
    assert len(network.sent("/ws/oauth/revoke")) == len(lines.named("connection.disconnected")) == 1


def test_an_end_that_overtook_a_lease_and_was_not_acknowledged_is_known_as_done(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, aws_faults: AwsFaults
) -> None:
    until, expired_before = Instant(START + 250), Instant(START - 10)
    aws_faults.lose_reply("dynamodb.TransactWriteItems")
    aws_faults.before(
        "dynamodb.TransactWriteItems",
        lambda: connections.lease(
            made[0], lease_id="x", now=Instant(START), until=until, expired_before=expired_before
        ),
    )

    assert broker.disconnect(ref(made[0]))[1]


@req("I06")
@pytest.mark.parametrize("damage", ["SET organizations = :wrong", "REMOVE label"])
def test_a_connection_ends_whatever_is_wrong_with_its_profile(
    journey: Journey, broker: Broker, connections: Connections, aws: AwsAccount, config: Config, damage: str
) -> None:
    state, _ = journey.connect()
    key = {"tenant": {"S": state.tenant}, "connection": {"S": f"{state.connection}#profile"}}
    table = {"TableName": config.connections_table, "Key": key}
    if damage.startswith("SET"):
        aws.client("dynamodb").update_item(
            **table, UpdateExpression=damage, ExpressionAttributeValues={":wrong": {"N": "7"}}
        )
    else:
        aws.client("dynamodb").delete_item(**table)

    ended, revoked = broker.disconnect(ref(state))

    assert revoked
    assert (ended.profile.label, ended.profile.organizations) == ("", ())
    assert "forget_at" in aws.client("dynamodb").get_item(**table)["Item"]


def test_a_profile_that_was_left_without_its_connection_is_let_go(
    journey: Journey, broker: Broker, aws: AwsAccount, config: Config
) -> None:
    state, _ = journey.connect(customer_app=True, client=OWN)
    key = {"tenant": {"S": state.tenant}}
    dynamodb, table = aws.client("dynamodb"), config.connections_table
    dynamodb.delete_item(TableName=table, Key=key | {"connection": {"S": state.connection}})

    for _ in range(2):
        with pytest.raises(UnknownConnection):
            broker.disconnect(ref(state))

    (left,) = dynamodb.scan(TableName=table)["Items"]
    assert left["forget_at"] == {"N": str(START + policy.DISCONNECTED_KEPT)}
    assert "client" not in left


def test_asking_again_keeps_an_ended_connection_no_longer(
    journey: Journey, broker: Broker, aws: AwsAccount, config: Config, clock: Clock
) -> None:
    state, _ = journey.connect()
    broker.disconnect(ref(state))

    clock.advance(60)
    with pytest.raises(NotActive):
        broker.disconnect(ref(state))

    key = {"tenant": {"S": state.tenant}}
    names = (state.connection, f"{state.connection}#profile")
    found = [
        aws.client("dynamodb").get_item(TableName=config.connections_table, Key=key | {"connection": {"S": name}})
        for name in names
    ]
    assert {each["Item"]["forget_at"]["N"] for each in found} == {str(START + policy.DISCONNECTED_KEPT)}


@req("I06")
def test_a_token_that_came_meanwhile_is_the_one_that_is_revoked(
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    refreshing: Refreshing,
    network: NinjaOneTransport,
    aws_faults: AwsFaults,
) -> None:
    newer: list[str] = []

    def renewed() -> None:
        refreshing.refresh(made[0])
        newer.append(refreshing.held(made[0]))

    refreshing.wait_for(made[0])
    aws_faults.before("dynamodb.TransactWriteItems", renewed)

    whole, revoked = broker.disconnect(ref(made[0]))
    ended = whole.state

    assert (ended.status, revoked) == (Status.DISCONNECTED, True)
    assert [each["token"] for each in network.sent("/ws/oauth/revoke")] == newer


def test_an_end_that_newer_tokens_overtake_again_and_again_is_not_said_to_be_done(
    broker: Broker, made: tuple[ConnectionState, Profile], connections: Connections, aws_faults: AwsFaults
) -> None:
    def renewed() -> None:
        row = connections.get_state(ref(made[0]))
        assert row is not None
        saved = connections.record_failure(row, {"version": row.version + 1}, ())
        assert isinstance(saved, ConnectionState)

    def each_time() -> None:
        renewed()
        aws_faults.before("dynamodb.GetItem", lambda: aws_faults.before("dynamodb.TransactWriteItems", each_time))

    aws_faults.before("dynamodb.TransactWriteItems", each_time)

    with pytest.raises(Busy):
        broker.disconnect(ref(made[0]))


def is_forgotten(connections: Connections, state: ConnectionState) -> bool:
    """Say whether the client secret of a customer's own app is gone."""
    found = connections.get_profile(ref(state))
    assert found is not None
    return found.client is None


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_connection_that_another_call_ends_first_is_not_ended_twice(
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    connections: Connections,
    aws_faults: AwsFaults,
    network: NinjaOneTransport,
    aws: AwsAccount,
    config: Config,
    is_gone: bool,
) -> None:
    key = {"tenant": {"S": TENANT}, "connection": {"S": made[0].connection}}
    table = config.connections_table
    aws_faults.before(
        "dynamodb.TransactWriteItems",
        lambda: (
            aws.client("dynamodb").delete_item(TableName=table, Key=key)
            if is_gone
            else connections.disconnect(made[0], Instant(START - 1), "other")
        ),
    )

    with pytest.raises(UnknownConnection if is_gone else NotActive):
        broker.disconnect(ref(made[0]))

    assert network.requests == []


def test_a_connection_that_was_made_anew_meanwhile_stays(
    journey: Journey,
    broker: Broker,
    made: tuple[ConnectionState, Profile],
    connections: Connections,
    aws_faults: AwsFaults,
    clock: Clock,
) -> None:
    clock.advance(1)
    home = journey.home(connection=made[0].connection)
    anew = list[Any]()
    aws_faults.before("dynamodb.TransactWriteItems", lambda: anew.append(journey.complete(home)))

    with pytest.raises(Busy):
        broker.disconnect(ref(made[0]))

    assert connections.get_state(ref(made[0])) == anew[0][0]
    assert broker.disconnect(ref(made[0]))[0].state.status is Status.DISCONNECTED
