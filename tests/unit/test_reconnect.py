"""A reconnect keeps the connection's id, and takes the right NinjaOne account."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from broker.adapters.connections import RECONNECT_STEP, Connections
from broker.adapters.rows import key, profile_item
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AccountMismatch, BrokerError, NotActive, ProviderDown, SessionSpent, UnknownConnection
from broker.model import ConnectionId, ConnectionState, Host, Organization, Profile, Status, TenantId
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne, state
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import EU, OWN, RHONE, Journey, ref
from tools.requirements import req

APP = Host("app", "app.ninjarmm.com")


@pytest.fixture
def old(journey: Journey, clock: Clock) -> tuple[ConnectionState, Profile]:
    made = journey.connect(label="Head office", metadata={"crm": "42"})
    clock.advance(100)
    return made


def again(
    journey: Journey, old: tuple[ConnectionState, Profile], *, confirm: bool = False, **changes: Any
) -> tuple[ConnectionState, Profile]:
    return journey.connect(confirm=confirm, connection=old[0].connection, **changes)


def both(connections: Connections, state: ConnectionState) -> tuple[ConnectionState | None, Profile | None]:
    return connections.get_state(ref(state)), connections.get_profile(ref(state))


def test_the_same_account_keeps_id_label_metadata_and_birthday(
    journey: Journey, old: tuple[ConnectionState, Profile], connections: Connections, clock: Clock
) -> None:
    state, profile = again(journey, old)

    assert both(connections, state) == (state, profile)
    assert state.connection == old[0].connection
    assert (profile.label, profile.metadata, profile.created_at) == ("Head office", {"crm": "42"}, old[1].created_at)
    assert profile.connected_at == state.consented_at == clock.now()
    assert (state.version, state.fence) == (1 + RECONNECT_STEP, RECONNECT_STEP)
    assert state.refresh != old[0].refresh


def test_a_session_for_a_reconnect_names_the_connection_and_the_account_that_it_expects(
    journey: Journey, old: tuple[ConnectionState, Profile]
) -> None:
    opened = journey.open(connection=old[0].connection)
    names = [each.name for each in old[1].organizations]

    assert names
    assert (opened.label, opened.account) == ("Head office", ", ".join(names[:3]))
    assert journey.open(connection=old[0].connection, label="Branch").label == "Branch"
    assert journey.open().account is None


@pytest.mark.parametrize(
    ("count", "named"), [(0, None), (3, "Site 1, Site 2, Site 3"), (5, "Site 1, Site 2, Site 3 and 2 more")]
)
def test_an_account_is_named_by_three_of_its_organizations(
    journey: Journey, old: tuple[ConnectionState, Profile], connections: Connections, aws: AwsAccount, config: Config,
    count: int, named: str | None,
) -> None:  # fmt: skip
    shown = replace(old[1], organizations=tuple(Organization(each + 1, f"Site {each + 1}") for each in range(count)))
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=profile_item(shown))

    assert journey.open(connection=old[0].connection).account == named


def test_what_the_new_session_says_takes_the_place_of_the_old(
    journey: Journey, old: tuple[ConnectionState, Profile]
) -> None:
    _, profile = again(journey, old, label="Branch", metadata={"crm": "43"})

    assert (profile.label, profile.metadata) == ("Branch", {"crm": "43"})


def test_a_connection_that_needs_its_customer_is_active_again(
    journey: Journey, old: tuple[ConnectionState, Profile], connections: Connections
) -> None:
    connections.record_failure(
        old[0], {"status": "needs_reauth", "reason": "revoked", "needs_reauth_since": 7, "failures": 2}, ()
    )

    state, _ = again(journey, old)

    assert (state.status, state.reason, state.needs_reauth_since, state.failures) == (Status.ACTIVE, None, None, 0)
    assert connections.get_state(ref(state)) == state


@req("D05")
@pytest.mark.parametrize(
    ("email", "host"), [(RHONE, EU), ("ada@northwind.example", APP)], ids=["on the same host", "on another host"]
)
def test_another_account_is_refused_and_the_old_tokens_stay(
    journey: Journey,
    old: tuple[ConnectionState, Profile],
    connections: Connections,
    lines: LogLines,
    email: str,
    host: Host,
) -> None:
    """Organization ids begin at 1 in every account: the names tell them apart."""
    with pytest.raises(AccountMismatch):
        again(journey, old, email=email, host=host)

    assert both(connections, old[0]) == old
    assert [line["connection"] for line in lines.named("session.account_mismatch")] == [old[0].connection]


@req("D05")
def test_another_account_is_taken_when_that_is_confirmed(
    journey: Journey, old: tuple[ConnectionState, Profile]
) -> None:
    state, profile = again(journey, old, confirm=True, email="ada@northwind.example", host=APP)

    assert (state.connection, state.host) == (old[0].connection, APP)
    assert [each.name for each in profile.organizations] == ["Harbor Dental", "Pine Street Legal"]


@req("D05")
def test_an_account_that_shows_no_organization_is_no_match(
    journey: Journey, old: tuple[ConnectionState, Profile], ninjaone: NinjaOne, connections: Connections
) -> None:
    ninjaone.switches.update({"organizations_need_admin": True})

    with pytest.raises(AccountMismatch):
        again(journey, old, email="bob@nordlicht.example")
    assert both(connections, old[0]) == old


UNSAID: dict[str, httpx.Response | type[httpx.TransportError]] = {
    "no connection": httpx.ConnectError,
    "no answer": httpx.ReadTimeout,
    "out of order": httpx.Response(503),
    "too many requests": httpx.Response(429, headers={"retry-after": "5"}),
    "a page": httpx.Response(200, text="<html>Maintenance</html>"),
    "another path": httpx.Response(404, text="<html>nginx</html>"),
    "nothing": httpx.Response(200),
    "an object": httpx.Response(200, json={"resultCode": "FAILURE"}),
    "cut in its first entry": httpx.Response(200, text='[{"id": 1, "name": "B\u00e4ck'),
    "longer than is read": httpx.Response(200, text='[{"id": 1, "description": "' + "d" * 1_100_000),
}


@req("D05")
@pytest.mark.parametrize("name", UNSAID)
def test_an_account_that_can_not_be_looked_at_waits_with_its_consent(
    journey: Journey,
    old: tuple[ConnectionState, Profile],
    connections: Connections,
    network: NinjaOneTransport,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """What could not be seen is neither the same account nor another one: the same call is good a moment later."""
    home, asked = journey.home(connection=old[0].connection), network.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        said = UNSAID[name]
        if request.url.path != "/v2/organizations":
            return asked(request)
        if isinstance(said, httpx.Response):
            return httpx.Response(said.status_code, headers=said.headers, stream=httpx.ByteStream(said.content))
        raise said("gone")

    with monkeypatch.context() as patched:
        patched.setattr(network, "handle_request", handle)
        with pytest.raises(ProviderDown):
            journey.complete(home)
    assert both(connections, old[0]) == old
    sent = len(network.sent("/ws/oauth/token"))

    state, _ = journey.complete(home)

    assert (state.connection, state.version) == (old[0].connection, old[0].version + RECONNECT_STEP)
    assert len(network.sent("/ws/oauth/token")) == sent


def test_another_host_is_another_account_whether_or_not_it_shows_one(
    journey: Journey, old: tuple[ConnectionState, Profile], network: NinjaOneTransport
) -> None:
    home = journey.home(connection=old[0].connection, email="ada@northwind.example", host=APP)
    network.answer(200, {"access_token": "at", "token_type": "bearer", "refresh_token": "rt"})
    network.answer(503, b"")

    with pytest.raises(AccountMismatch):
        journey.complete(home)


def test_who_showed_no_account_before_need_not_show_one_now(
    journey: Journey, old: tuple[ConnectionState, Profile], network: NinjaOneTransport, aws: AwsAccount, config: Config
) -> None:
    silent = profile_item(replace(old[1], organizations=()))
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=silent)
    home = journey.home(connection=old[0].connection)
    network.answer(200, {"access_token": "at", "token_type": "bearer", "refresh_token": "rt"})
    network.answer(503, b"")

    assert journey.complete(home)[0].version == old[0].version + RECONNECT_STEP


@req("D05")
@pytest.mark.parametrize("body", [b"[]", b" [ ]\n", b"[7, null]"])
def test_an_account_with_an_empty_list_is_no_match(
    journey: Journey, old: tuple[ConnectionState, Profile], network: NinjaOneTransport, body: bytes
) -> None:
    home = journey.home(connection=old[0].connection)
    network.answer(200, {"access_token": "at", "token_type": "bearer", "refresh_token": "rt"})
    network.answer(200, body)

    with pytest.raises(AccountMismatch):
        journey.complete(home)


def test_one_that_can_not_be_looked_at_is_taken_when_that_is_confirmed(
    journey: Journey, old: tuple[ConnectionState, Profile], network: NinjaOneTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = network.handle_request
    out_of_order = lambda request: httpx.Response(503) if "v2" in request.url.path else asked(request)  # noqa: E731
    monkeypatch.setattr(network, "handle_request", out_of_order)

    state, profile = again(journey, old, confirm=True)

    assert (state.connection, profile.organizations) == (old[0].connection, ())


def test_an_account_that_never_showed_an_organization_is_known_by_its_host(
    journey: Journey, ninjaone: NinjaOne
) -> None:
    ninjaone.switches.update({"organizations_need_admin": True})
    old = journey.connect(email="bob@nordlicht.example")

    state, _ = again(journey, old, email="bob@nordlicht.example")
    assert state.connection == old[0].connection

    with pytest.raises(AccountMismatch):
        again(journey, (state, old[1]), email="bob@northwind.example", host=APP)


def test_one_organization_in_common_is_enough(
    journey: Journey, old: tuple[ConnectionState, Profile], ninjaone: NinjaOne
) -> None:
    kept = (Organization(3, "Kanzlei Voß"), Organization(9, "New"))
    tenant = ninjaone.state.tenants["Nordlicht Systemhaus"]
    named = tuple(state.Organization(each.id, each.name) for each in kept)
    ninjaone.state.people["ada@nordlicht.example"].tenant = replace(tenant, organizations=named)

    _, profile = again(journey, old)

    assert profile.organizations == kept


def test_an_app_of_the_customers_own_may_take_the_place_of_the_operators(
    journey: Journey, old: tuple[ConnectionState, Profile]
) -> None:
    state, profile = again(journey, old, customer_app=True, client=OWN)

    assert (state.customer_app, state.client_id) == (True, OWN.id)
    assert profile.client is not None


@req("H02")
@pytest.mark.parametrize("strange", ["tenant", "connection"])
def test_no_session_is_opened_for_a_connection_that_is_foreign_or_unknown(
    journey: Journey, old: tuple[ConnectionState, Profile], strange: str
) -> None:
    stranger = Journey(journey.broker, journey.ninjaone, tenant=TenantId("globex"))
    here, connection = (
        (stranger, old[0].connection) if strange == "tenant" else (journey, ConnectionId("con_" + "a" * 26))
    )

    with pytest.raises(UnknownConnection):
        here.open(connection=connection)


def test_no_session_is_opened_for_a_connection_that_has_ended(
    journey: Journey, broker: Broker, old: tuple[ConnectionState, Profile]
) -> None:
    broker.disconnect(ref(old[0]))

    with pytest.raises(NotActive):
        journey.open(connection=old[0].connection)


@req("H02")
@pytest.mark.parametrize(("end", "error"), [("disconnect", NotActive), ("delete", UnknownConnection)])
def test_a_connection_that_ended_since_is_not_made_up_and_its_code_not_used(
    journey: Journey,
    broker: Broker,
    old: tuple[ConnectionState, Profile],
    aws: AwsAccount,
    network: NinjaOneTransport,
    end: str,
    error: type[BrokerError],
) -> None:
    home = journey.home(connection=old[0].connection)
    if end == "delete":
        table = broker.config.connections_table
        aws.client("dynamodb").delete_item(TableName=table, Key=key(old[0].tenant, old[0].connection))
    else:
        broker.disconnect(ref(old[0]))
    asked = len(network.requests)

    with pytest.raises(error):
        journey.complete(home)
    assert len(network.requests) == asked


def test_a_connection_that_is_disconnected_meanwhile_stays_so(
    journey: Journey,
    broker: Broker,
    old: tuple[ConnectionState, Profile],
    aws_faults: AwsFaults,
    connections: Connections,
) -> None:
    home = journey.home(connection=old[0].connection)
    aws_faults.before("dynamodb.TransactWriteItems", lambda: broker.disconnect(ref(old[0])))

    for _ in range(2):
        with pytest.raises(NotActive):
            journey.complete(home)

    found = connections.get_state(ref(old[0]))
    assert found is not None
    assert (found.status, found.refresh) == (Status.DISCONNECTED, None)


def test_of_two_reconnects_at_once_one_is_kept(
    journey: Journey,
    old: tuple[ConnectionState, Profile],
    aws_faults: AwsFaults,
    connections: Connections,
    clock: Clock,
) -> None:
    first = journey.home(connection=old[0].connection)
    clock.advance(1)
    second = journey.home(connection=old[0].connection)
    aws_faults.before("dynamodb.TransactWriteItems", lambda: journey.complete(second))

    with pytest.raises(SessionSpent, match="later session"):
        journey.complete(first)

    kept = journey.complete(second)
    assert both(connections, old[0]) == kept
    with pytest.raises(SessionSpent):
        journey.complete(first)


def test_a_refresh_that_is_saved_meanwhile_does_not_stand_in_the_way(
    journey: Journey, old: tuple[ConnectionState, Profile], aws_faults: AwsFaults, connections: Connections
) -> None:
    def refreshed() -> None:
        leased = connections.get_state(ref(old[0]))
        assert leased is not None
        connections.save(leased, {"version": leased.version + 1, "access": b"a", "refresh": b"r"}, ())

    home = journey.home(connection=old[0].connection)
    aws_faults.before("dynamodb.TransactWriteItems", refreshed)

    state, _ = journey.complete(home)

    assert connections.get_state(ref(state)) == state
    assert state.version == old[0].version + RECONNECT_STEP
