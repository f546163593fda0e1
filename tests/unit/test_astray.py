"""Rows that somebody wrote by hand: they lead no token out of the house, and hold up none of their neighbours."""

import json
import re
from typing import Any

import pytest

from broker.adapters import rows
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import BrokerError, UntrustedHost
from broker.model import ConnectionState, Seconds
from local.aws.account import AwsAccount
from local.browser import refresh_target
from tests.support.broker_world import LogLines, NinjaOneTransport
from tests.support.events import event
from tests.support.invoke import invoke
from tests.support.journey import Journey, ref
from tests.support.refreshing import Refreshing
from tools.requirements import req

SOON = {"S": "soon"}


def write(aws: AwsAccount, table: str, key: rows.Item, **cells: dict[str, str]) -> None:
    """Write into a row as a console does."""
    for name, cell in cells.items():
        aws.client("dynamodb").update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET #name = :cell",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":cell": cell},
        )


@pytest.fixture
def written(aws: AwsAccount, config: Config) -> Any:
    """Change attributes of a connection: ``written(row, host={"S": "evil.example"})``."""

    def change(state: ConnectionState, part: str = "", **cells: dict[str, str]) -> None:
        write(aws, config.connections_table, rows.key(state.tenant, state.connection + part), **cells)

    return change


def hosts(network: NinjaOneTransport) -> set[str]:
    return {request.url.host for request in network.requests}


@req("J03")
def test_a_host_written_into_a_row_is_sent_nothing_and_tells_the_operator(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, written: Any
) -> None:
    state, _ = journey.connect()
    written(state, host={"S": "evil.example"})
    network.requests.clear()

    refreshing.when_due(state)

    assert network.requests == []
    assert [line["level"] for line in refreshing.lines.named("host.untrusted")] == ["ERROR"]
    assert refreshing.lines.named("seal.broken") == []
    assert refreshing.figures()["seal_broken"] == 1, "it fires the same alarm"
    assert refreshing.row(state).lease_id is None


@req("J03")
def test_a_host_written_into_a_session_is_sent_no_code(
    journey: Journey, network: NinjaOneTransport, aws: AwsAccount, config: Config
) -> None:
    session = journey.open()
    query = journey.agree(journey.leave(session))
    write(aws, config.sessions_table, {"session": {"S": session.session}}, host={"S": "evil.example"})
    home = journey.arrive(query)
    network.requests.clear()

    with pytest.raises(BrokerError):
        journey.complete(home)

    assert "evil.example" not in hosts(network)


@req("J03")
def test_a_host_written_into_a_row_is_named_to_no_caller(journey: Journey, broker: Broker, written: Any) -> None:
    state, _ = journey.connect()
    written(state, host={"S": "evil.example"})

    with pytest.raises(UntrustedHost):
        broker.get_token(ref(state), min_ttl=Seconds(60))


def test_an_end_of_such_a_connection_sends_its_token_nowhere(
    journey: Journey, broker: Broker, network: NinjaOneTransport, written: Any
) -> None:
    state, _ = journey.connect()
    written(state, host={"S": "evil.example"})
    network.requests.clear()

    _, revoked = broker.disconnect(ref(state))

    assert not revoked
    assert network.requests == []


@pytest.mark.parametrize(
    "name", ["lease_until", "struck_at", "tried_at", "sent_at", "consented_at", "token_expires_at"]
)
def test_a_value_of_another_kind_holds_up_its_own_row_alone_before_anything_is_asked(
    journey: Journey, refreshing: Refreshing, network: NinjaOneTransport, written: Any, name: str
) -> None:
    state, odd = journey.connect()[0], journey.connect()[0]
    written(odd, **{name: SOON})
    refreshing.wait_for(state)
    network.requests.clear()

    refreshing.refresh(state, odd)

    assert refreshing.row(state).version == 2
    assert len(network.requests) == 1
    assert refreshing.figures()["rows_unreadable"] == 1


def test_a_breaker_that_cannot_be_read_holds_nobody(
    journey: Journey, refreshing: Refreshing, aws: AwsAccount, config: Config
) -> None:
    state, _ = journey.connect()
    key = {"tenant": {"S": "#breakers"}, "connection": {"S": "host eu.ninjarmm.com"}}
    write(aws, config.connections_table, key, opened_at={"S": "then"})

    refreshing.when_due(state)

    assert refreshing.row(state).version == 2


@pytest.mark.parametrize("metadata", ["5", "[]", "null", "{"])
def test_a_profile_of_another_kind_is_left_out_of_a_list(
    journey: Journey, broker: Broker, lines: LogLines, written: Any, metadata: str
) -> None:
    state, odd = journey.connect()[0], journey.connect()[0]
    written(odd, rows.PROFILE, metadata={"S": metadata})

    page = broker.list_connections.page(state.tenant, limit=10, after=None)

    assert [each.connection.state.connection for each in page.connections] == [state.connection]


def test_a_page_that_fixes_a_host_of_ones_own_sends_all_that_its_form_is_asked_for(broker: Broker) -> None:
    from functions.authorize.app import handler as authorize
    from functions.connect.app import handler as connect
    from functions.session.app import handler as session

    body = {
        "end_user_id": "u",
        "binding_challenge": "a" * 43,
        "return_to": "main",
        "tenant_name": "Acme",
        "host": "acme.rmmservice.eu",
        "client": "customer",
        "client_credentials": {"client_id": "app-1", "client_secret": "s-1"},
    }
    asked = event("POST /v1/tenants/{tenant}/connect-sessions", tenant="acme", body=body)
    opened = json.loads(answered(session, broker, asked)["body"])["session_id"]
    page = answered(connect, broker, event("GET /connect/{session}", session=opened))["body"]
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)) | {"go_anyway": "yes"}
    headers = {"sec-fetch-site": "same-origin"}

    answer = answered(
        authorize, broker, event("POST /connect/{session}/authorize", session=opened, form=form, headers=headers)
    )

    assert answer["statusCode"] == 200
    assert refresh_target(answer["body"]).startswith("https://acme.rmmservice.eu/ws/oauth/authorize?")


def answered(handler: Any, broker: Broker, asked: Any) -> Any:
    return invoke(handler.bind(broker), asked)
