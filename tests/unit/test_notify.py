"""What the event bus is told: the rows are written by the real adapters, the changes read from the stream they make."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from jsonschema import Draft202012Validator

from broker import policy
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, app_breaker, host_breaker
from broker.adapters.clock import SystemClock, entropy
from broker.adapters.connections import RECONNECT_STEP, Connections
from broker.adapters.stream import read_change
from broker.adapters.workers import Threads
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from broker.flows.pause import REFUSED_APP
from broker.model import (
    Connection,
    ConnectionId,
    ConnectionRef,
    ConnectionState,
    Host,
    Instant,
    Profile,
    Reason,
    Seconds,
    SessionId,
    Status,
    TenantId,
)
from broker.ninjaone import _ABOUT_APP
from functions.notify.app import handler
from local.aws.account import AwsAccount
from local.cloudformation.template import Template
from tests.support.invoke import invoke
from tools.requirements import req

ROOT = Path(__file__).parents[2]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "events/schemas").glob("*.json")}
NOW = Instant(1_800_000_000)
REF = ConnectionRef(TenantId("northwind"), ConnectionId("con_" + "a" * 26))
SECRETS = (b"sealed access", b"sealed refresh", b"sealed client")
HOST, APP = "eu.ninjarmm.com", "kR4tWq8ZVn2bYp"

ROW = ConnectionState(
    tenant=REF.tenant,
    connection=REF.connection,
    status=Status.ACTIVE,
    host=Host("eu", HOST),
    client_id=APP,
    customer_app=True,
    version=1,
    fence=0,
    epoch=1,
    token_expires_at=Instant(NOW + 3600),
    sent_at=NOW,
    consented_at=NOW,
    scopes=frozenset({"monitoring"}),
    access=SECRETS[0],
    refresh=SECRETS[1],
)
PROFILE = Profile(
    tenant=REF.tenant,
    connection=REF.connection,
    label="Ana's laptop",
    organizations=(),
    metadata={"owner": "ana@northwind.example"},
    created_at=NOW,
    connected_at=NOW,
    client=SECRETS[2],
)


class Account:
    """The table, its stream, the function, and a queue that hears every event of the bus."""

    def __init__(self, aws: AwsAccount, template: Template) -> None:
        self.aws, self.table = aws, next(table for table in template.tables if table.stream)
        self.lines: list[str] = []
        self.position = 0
        environment = template.functions["notify"].environment
        sessions = environment["SESSIONS_TABLE"]
        self.connections = Connections(
            AwsClient("dynamodb", aws.client("dynamodb")), self.table.name, due_index="due", sessions_table=sessions
        )
        self.breakers = BreakerStore(AwsClient("dynamodb", aws.client("dynamodb")), self.table.name)
        ports = Ports(SystemClock(), entropy, aws.client, self.no_ninjaone, Threads(), self.lines.append)
        self.entry = handler.bind(Broker(Config.from_env(environment), ports))
        self._listen(environment["EVENT_BUS"])
        self._sessions = (f"ses_{'a' * 24}{letter}2" for letter in "bcdefgh")
        self._session_table = sessions

    @staticmethod
    def no_ninjaone() -> Any:
        raise AssertionError("notify has no business with NinjaOne")

    def _listen(self, bus: str) -> None:
        events = self.aws.client("events")
        self.ear = self.aws.client("sqs").create_queue(QueueName="ear")["QueueUrl"]
        arn = "arn:aws:sqs:eu-west-1:123456789012:ear"
        events.put_rule(Name="all", EventBusName=bus, EventPattern='{"source": ["ninjaone-connect"]}')
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "ear", "Arn": arn}])

    def keep(self, state: ConnectionState, replaces: ConnectionState | None = None) -> ConnectionState:
        """Store a connection as completing a session does."""
        session = next(self._sessions)
        row = {"session": {"S": session}, "stage": {"S": "exchanged"}}
        self.aws.client("dynamodb").put_item(TableName=self._session_table, Item=row)
        self.connections.put(Connection(state, PROFILE), replaces=replaces, session=SessionId(session))
        return state

    def save(self, state: ConnectionState, *remove: str, **change: Any) -> ConnectionState:
        """Store new tokens as a refresh does."""
        saved = self.connections.save(state, {"version": state.version + 1, **change}, remove)
        assert isinstance(saved, ConnectionState)
        return saved

    def settle(self, state: ConnectionState, **change: Any) -> ConnectionState:
        """Note what came of a refresh."""
        settled = self.connections.record_failure(state, change, ())
        assert isinstance(settled, ConnectionState)
        return settled

    def changes(self) -> list[dict[str, Any]]:
        """The stream's records since they were last asked for."""
        found = self.aws.changes(self.table, self.position)
        self.position += len(found)
        return found

    def work(self, records: list[dict[str, Any]]) -> list[str]:
        """Run the function; give the sequence numbers it reports as failed."""
        answer = invoke(self.entry, {"Records": records})
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def heard(self) -> list[dict[str, Any]]:
        """Every event since it was last asked for, each checked against its schema."""
        received = []
        while True:
            some = self.aws.client("sqs").receive_message(QueueUrl=self.ear, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            messages = some.get("Messages", [])
            if not messages:
                break
            received += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                self.aws.client("sqs").delete_message(QueueUrl=self.ear, ReceiptHandle=message["ReceiptHandle"])
        for event in received:
            Draft202012Validator(SCHEMAS[event["detail-type"]]).validate(event)
        return sorted(received, key=lambda event: int(event["detail"]["sequence"]))

    def told(self) -> list[dict[str, Any]]:
        """What is heard of everything that changed since."""
        assert self.work(self.changes()) == []
        return self.heard()

    def names(self) -> list[str]:
        return [event["detail-type"].removeprefix("connection.") for event in self.told()]


@pytest.fixture
def account(aws: AwsAccount, template: Template) -> Account:
    return Account(aws, template)


@req("D08")
def test_a_new_connection_is_told_once_and_its_refreshes_are_not(account: Account) -> None:
    made = account.keep(ROW)
    [event] = account.told()

    assert event["detail-type"] == "connection.connected"
    assert event["detail"] | {"id": "", "sequence": "", "at": 0} == {
        "id": "", "sequence": "", "at": 0,
        "tenant_id": "northwind", "connection_id": REF.connection, "version": 1, "reconnected": False,
    }  # fmt: skip

    leased = account.connections.lease(made, lease_id="a", now=NOW, until=Instant(NOW + 250), expired_before=NOW)
    assert isinstance(leased, ConnectionState)
    account.save(leased, access=b"next", expires_at=NOW + 7200)

    assert account.names() == []


def test_an_account_that_is_probably_connected_twice_is_told_with_its_connection(account: Account) -> None:
    account.keep(replace(ROW, same_as=ConnectionId("con_" + "b" * 26)))

    [event] = account.told()
    assert event["detail"]["probably_same_as"] == "con_" + "b" * 26


def test_a_connection_that_needs_its_customer_says_why_and_recovery_is_told(account: Account) -> None:
    dead = account.settle(account.keep(ROW), status=Status.NEEDS_REAUTH.value, reason=Reason.REVOKED.value)
    probed = account.settle(dead, struck_at=NOW)
    account.save(probed, "reason", status=Status.ACTIVE.value)

    _, ended, recovered = account.told()

    assert (ended["detail-type"], ended["detail"]["reason"]) == ("connection.needs_reauth", "revoked")
    assert (recovered["detail-type"], recovered["detail"]["version"]) == ("connection.recovered", 2)


def test_a_reconnect_is_a_connection_and_no_recovery(account: Account) -> None:
    dead = account.settle(account.keep(ROW), status=Status.NEEDS_REAUTH.value, reason=Reason.REVOKED.value)
    again = replace(ROW, version=1 + RECONNECT_STEP, fence=RECONNECT_STEP, consented_at=Instant(NOW + 9))
    account.keep(again, replaces=dead)

    _, _, event = account.told()

    assert (event["detail-type"], event["detail"]["reconnected"]) == ("connection.connected", True)


def test_a_reconnect_of_a_healthy_connection_is_told_too(account: Account) -> None:
    made = account.keep(ROW)
    again = replace(ROW, version=1 + RECONNECT_STEP, fence=RECONNECT_STEP, consented_at=Instant(NOW + 9))
    account.keep(again, replaces=made)

    assert account.names() == ["connected", "connected"]


def test_a_connection_that_waits_for_approval_is_not_called_connected_before(account: Account) -> None:
    pending = account.keep(replace(ROW, status=Status.PENDING_APPROVAL))
    assert account.names() == ["pending_approval"]

    account.connections.approve(pending, {"status": Status.ACTIVE.value}, NOW)
    [event] = account.told()

    assert (event["detail-type"], event["detail"]["reconnected"]) == ("connection.connected", False)


@pytest.mark.parametrize("cause", sorted(REFUSED_APP))
def test_a_customer_s_own_app_that_ninjaone_refuses_is_told_with_what_to_do(account: Account, cause: str) -> None:
    refused = account.settle(account.keep(ROW), failures=1, cause=cause)
    assert account.names() == ["connected"]  # one refusal may be NinjaOne's mistake

    refused = account.settle(refused, failures=2)
    account.settle(refused, failures=3)
    [event] = account.told()

    assert event["detail-type"] == "connection.client_app_refused"
    assert event["detail"] | {"id": "", "sequence": "", "at": 0} == {
        "id": "", "sequence": "", "at": 0, "tenant_id": "northwind", "connection_id": REF.connection, "version": 1,
        "host": HOST, "client_id": APP, "cause": cause, "todo": REFUSED_APP[cause][1],
    }  # fmt: skip


def test_a_customer_s_own_app_that_is_refused_once_more_later_is_told_again(account: Account) -> None:
    refused = account.settle(account.keep(ROW), failures=2, cause="invalid_client")
    saved = account.connections.save(refused, {"version": 2}, ())
    assert isinstance(saved, ConnectionState)
    account.settle(saved, failures=2, cause="invalid_client")

    assert account.names() == ["connected", "client_app_refused", "client_app_refused"]


@pytest.mark.parametrize(
    ("state", "change"),
    [
        (replace(ROW, customer_app=False), {"cause": "invalid_client"}),
        (ROW, {"cause": "throttled"}),
        (replace(ROW, status=Status.NEEDS_REAUTH, reason=Reason.REVOKED), {"cause": "invalid_client"}),
    ],
)
def test_other_failures_are_no_refusal_of_a_customer_s_own_app(
    account: Account, state: ConnectionState, change: dict[str, str]
) -> None:
    kept = account.keep(state)
    account.told()
    account.settle(kept, failures=2, **change)

    assert account.names() == []


def test_what_to_do_is_known_for_each_refusal_of_an_app() -> None:
    known = SCHEMAS["connection.client_app_refused"]["properties"]["detail"]["properties"]["cause"]["enum"]

    assert set(known) == set(REFUSED_APP) == set(_ABOUT_APP)


def test_the_coming_end_of_consent_is_told_at_each_warning(account: Account) -> None:
    warned = account.save(account.keep(ROW), warned_at=NOW + 10)
    account.save(account.save(warned, access=b"next"), warned_at=NOW + 20)

    _, first, second = account.told()

    assert {first["detail-type"], second["detail-type"]} == {"connection.consent_ending"}
    assert first["detail"]["consent_ends_at"] == NOW + policy.CONSENT_LIFE


def test_one_change_may_be_two_events_with_ids_of_their_own(account: Account) -> None:
    dead = account.settle(account.keep(ROW), status=Status.NEEDS_REAUTH.value, reason=Reason.REVOKED.value)
    account.told()
    account.save(dead, "reason", status=Status.ACTIVE.value, warned_at=NOW + 10)

    events = account.told()

    assert {event["detail-type"] for event in events} == {"connection.recovered", "connection.consent_ending"}
    assert len({event["detail"]["id"] for event in events}) == 2


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.NEEDS_REAUTH, Status.PENDING_APPROVAL])
def test_a_disconnected_connection_is_told_and_its_later_deletion_is_not(account: Account, status: Status) -> None:
    made = account.keep(replace(ROW, status=status, reason=Reason.REVOKED))
    account.told()
    account.connections.disconnect(made, NOW, "mark")
    assert account.names() == ["disconnected"]

    delete(account)

    assert account.names() == []


def test_a_row_that_an_operator_deletes_is_a_connection_that_ended(account: Account) -> None:
    account.keep(ROW)
    account.told()

    delete(account)

    assert account.names() == ["disconnected"]


def delete(account: Account) -> None:
    key = {"tenant": {"S": REF.tenant}, "connection": {"S": REF.connection}}
    account.aws.client("dynamodb").delete_item(TableName=account.table.name, Key=key)


def trip(account: Account, name: str) -> None:
    """Let a breaker open."""
    seen = account.breakers.add_failure(name, TenantId("northwind"), NOW, "invalid_client")
    account.breakers.add_failure(name, TenantId("globex"), NOW, "invalid_client")
    account.breakers.open(name, seen, NOW, "invalid_client")


def reset(account: Account, name: str) -> None:
    """Let a breaker close."""
    account.breakers.add_grant(name, account.breakers.read(name), TenantId("globex"), NOW)


def test_a_client_app_that_ninjaone_refuses_pauses_once_and_resumes_once(account: Account) -> None:
    name = app_breaker(HOST, APP)
    trip(account, name)
    account.breakers.claim_trial(name, Instant(NOW + 60), Seconds(50))
    reset(account, name)

    paused, resumed = account.told()

    app = {"host": HOST, "client_id": APP}
    assert paused["detail-type"] == "connection.paused"
    assert paused["detail"].items() >= (app | {"cause": "invalid_client"}).items()
    assert resumed["detail-type"] == "connection.resumed"
    assert resumed["detail"].items() >= app.items()


def test_a_host_that_throttles_is_nobody_s_event(account: Account) -> None:
    trip(account, host_breaker(HOST))
    reset(account, host_breaker(HOST))

    assert account.names() == []


def test_what_is_told_again_has_the_same_id(account: Account) -> None:
    account.keep(ROW)
    records = account.changes()

    account.work(records)
    [first] = account.heard()
    account.work(records)
    [second] = account.heard()

    assert first["detail"] == second["detail"]


@contextmanager
def refusing(account: Account, entries: set[int]) -> Iterator[None]:
    """Let the bus refuse some of the next entries, counted over all calls."""
    seen = count()

    def answer(parsed: dict[str, Any], **_: Any) -> None:
        for entry in parsed["Entries"]:
            if next(seen) in entries:
                entry.clear()
                entry["ErrorCode"] = "ThrottlingException"
        parsed["FailedEntryCount"] = len(entries)

    events = account.aws.client("events").meta.events
    events.register("after-call.events.PutEvents", answer)
    yield
    events.unregister("after-call.events.PutEvents", answer)


@pytest.mark.parametrize("entry", [0, 3, 9, 10, 12])
def test_from_the_first_event_that_the_bus_refuses_on_all_comes_again(account: Account, entry: int) -> None:
    name = app_breaker(HOST, APP)
    for _ in range(7):
        trip(account, name)
        reset(account, name)
    records = account.changes()
    with refusing(account, {entry, entry + 1}):
        failed = account.work(records)

    record = 4 * (entry // 2) + 2 + entry % 2  # two failures, the opening, the closing
    assert failed == [records[record]["dynamodb"]["SequenceNumber"]]
    (line,) = (json.loads(text) for text in account.lines if "events.not_sent" in text)
    assert line["left"] == 14 - entry
    assert not any("events.sent" in text for text in account.lines)


def test_what_was_told_is_one_line_and_nothing_is_none(account: Account) -> None:
    account.work([])
    assert not any("events.sent" in text for text in account.lines)

    account.keep(ROW)
    account.told()
    (line,) = (json.loads(text) for text in account.lines if "events.sent" in text)
    assert line["events"] == 1


def test_a_row_of_a_tenant_that_is_named_like_a_breaker_is_none(account: Account) -> None:
    row = {"tenant": {"S": "acme"}, "connection": {"S": app_breaker(HOST, APP)}, "opened_at": {"N": "1"}}
    account.aws.client("dynamodb").put_item(TableName=account.table.name, Item=row)

    assert account.told() == []


def test_a_bus_that_does_not_answer_loses_nothing(account: Account) -> None:
    account.keep(ROW)
    records = account.changes()

    def absent(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://secret.example")

    events = account.aws.client("events").meta.events
    events.register("before-call.events.PutEvents", absent)
    failed = account.work(records)
    events.unregister("before-call.events.PutEvents", absent)

    assert failed == [hot_record(records)["dynamodb"]["SequenceNumber"]]
    assert "secret.example" not in "".join(account.lines)
    assert account.work(records) == []
    assert [event["detail-type"] for event in account.heard()] == ["connection.connected"]


def hot_record(records: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in records if each["dynamodb"]["Keys"]["connection"]["S"] == REF.connection)


ODD: dict[str, dict[str, Any]] = {
    "a status of another release": {"status": {"S": "frozen"}},
    "no consent": {"consented_at": None},
    "no reason": {"status": {"S": "needs_reauth"}, "reason": None},
    "half a number": {"warned_at": {"N": "1.5"}},
    "a warning in words": {"warned_at": {"S": "soon"}},
    "a reason in bytes": {"status": {"S": "needs_reauth"}, "reason": {"B": b"revoked"}},
}


@pytest.mark.parametrize("name", ODD)
def test_a_row_that_can_not_be_read_holds_up_no_other(account: Account, name: str) -> None:
    changed = {attribute: cell for attribute, cell in ODD[name].items() if cell}
    odd = {
        "tenant": {"S": "acme"}, "connection": {"S": "con_" + "b" * 26},
        "status": {"S": "active"}, "version": {"N": "1"}, "consented_at": {"N": str(NOW)},
    }  # fmt: skip
    item = {attribute: cell for attribute, cell in (odd | changed).items() if ODD[name].get(attribute, cell)}
    account.aws.client("dynamodb").put_item(TableName=account.table.name, Item=item)
    account.keep(ROW)

    told = account.told()

    assert (told[-1]["detail-type"], told[-1]["detail"]["connection_id"]) == ("connection.connected", REF.connection)
    (line,) = (json.loads(text) for text in account.lines if "change.unreadable" in text)
    assert (line["tenant"], line["row"]) == ("acme", "con_" + "b" * 26)
    assert sum(json.loads(text).get("rows_unreadable", [0])[0] for text in account.lines) == 1


def test_nothing_binary_is_read_even_where_a_damaged_row_holds_it_in_place_of_a_text(account: Account) -> None:
    """An event is JSON, and bytes in one would end the whole batch."""
    account.keep(ROW)
    record = hot_record(account.changes())
    record["dynamodb"]["NewImage"]["host"] = {"B": b"eu.ninjarmm.com"}

    assert "host" not in read_change(record).new
    assert read_change(record).new["status"] == {"S": "active"}


def test_of_a_row_that_can_only_be_read_in_part_that_part_is_told(account: Account) -> None:
    dead = account.settle(account.keep(ROW), status=Status.NEEDS_REAUTH.value, reason=Reason.REVOKED.value)
    account.told()
    account.save(dead, "reason", status=Status.ACTIVE.value)
    records = account.changes()
    records[-1]["dynamodb"]["NewImage"]["warned_at"] = {"S": "soon"}
    account.work(records)

    assert [event["detail-type"] for event in account.heard()] == ["connection.recovered"]


@req("G01", "J04")
def test_nothing_sealed_and_nothing_of_a_person_leaves(account: Account) -> None:
    account.keep(ROW)
    records = account.changes()
    carried = json.dumps(records)
    account.work(records)
    said = json.dumps(account.heard()) + "".join(account.lines)

    assert "ana@northwind.example" in carried  # the stream does carry whole rows
    assert all(word not in said for word in ("c2VhbGVk", "sealed", "Ana", "ana@northwind.example"))


def test_every_event_has_a_schema_with_an_example_of_its_own() -> None:
    of_connections = "connected pending_approval needs_reauth recovered client_app_refused consent_ending disconnected"

    connection_events = {f"connection.{kind}" for kind in (*of_connections.split(), "paused", "resumed")}
    assert set(SCHEMAS) == {*connection_events, "session.failed"}
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        [example] = schema["examples"]
        Draft202012Validator(schema).validate(example)
        assert example["detail-type"] == name


def test_the_schema_knows_every_reason() -> None:
    known = SCHEMAS["connection.needs_reauth"]["properties"]["detail"]["properties"]["reason"]["enum"]

    assert known == [reason.value for reason in Reason]
