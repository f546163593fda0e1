"""A link whose connection is approved afterwards: why nothing came of it is published, since nobody waits for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from broker import policy
from broker.adapters.epoch import Epoch
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable, BrokerError, Misconfigured, SessionExpired, SessionSpent
from broker.flows.complete import FAILURES
from broker.model import Binding, Seconds, SessionId, Stage
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import TENANT, Journey

SCHEMA = json.loads((Path(__file__).parents[2] / "events/schemas/session.failed.json").read_text())
DEAD_CODE = {"error": "invalid_token"}

Entries = list[dict[str, Any]]


@pytest.fixture
def accepted(aws: AwsAccount) -> Iterator[Entries]:
    """The entries of PutEvents that reach AWS."""
    entries: Entries = []
    hooks = aws.client("events").meta.events

    def note(params: dict[str, Any], **_: Any) -> None:
        entries.extend(json.loads(params["body"])["Entries"])

    hooks.register_last("before-call.events.PutEvents", note)
    yield entries
    hooks.unregister("before-call.events.PutEvents", note)


def arrived(journey: Journey, **opening: Any) -> SessionId:
    return journey.home(binding=Binding.APPROVAL, binding_challenge="", **opening).session


def details(entries: Entries) -> list[dict[str, Any]]:
    """Read the events, each checked against its schema."""
    for entry in entries:
        event = {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
        Draft202012Validator(SCHEMA).validate(event)
    return [json.loads(entry["Detail"]) for entry in entries]


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (400, DEAD_CODE, "code-refused"),
        (400, {"error": "unauthorized_client"}, "grant-not-ticked"),
        (401, {"error": "invalid_client"}, "wrong-client-secret"),
        (200, {"access_token": "at", "token_type": "Bearer"}, "no-refresh-token"),
        (500, {}, "outcome-unknown"),
    ],
)
def test_the_product_hears_why_no_connection_came_of_a_link_and_it_is_counted(
    journey: Journey,
    broker: Broker,
    network: NinjaOneTransport,
    sessions: Sessions,
    accepted: Entries,
    lines: LogLines,
    status: int,
    answer: dict[str, object],
    reason: str,
) -> None:
    session = arrived(journey)
    network.answer(status, answer)

    broker.complete_unattended(session)

    [heard] = details(accepted)
    found = sessions.get(session)
    assert found is not None
    assert (heard["tenant_id"], heard["session_id"], heard["reason"]) == (TENANT, session, reason)
    assert found.stage is Stage.FAILED
    broker.log.flush()
    assert len([line for line in lines if "completions_failed" in line]) == 1


def test_one_answer_of_the_bus_that_is_lost_costs_nothing(
    journey: Journey, broker: Broker, network: NinjaOneTransport, accepted: Entries, aws_faults: AwsFaults
) -> None:
    session = arrived(journey)
    network.answer(400, DEAD_CODE)
    aws_faults.lose_reply("events.PutEvents")

    broker.complete_unattended(session)

    first, second = details(accepted)
    assert first["id"] == second["id"]


def test_what_the_bus_does_not_take_is_published_when_the_queue_delivers_the_message_again(
    journey: Journey,
    broker: Broker,
    network: NinjaOneTransport,
    accepted: Entries,
    aws_faults: AwsFaults,
    lines: LogLines,
) -> None:
    session = arrived(journey)
    network.answer(400, DEAD_CODE)
    aws_faults.refuse("events.PutEvents", times=2)

    with pytest.raises(AwsUnavailable):
        broker.complete_unattended(session)
    unheard = list(accepted)
    broker.complete_unattended(session)

    broker.log.flush()
    assert unheard == []
    assert [heard["reason"] for heard in details(accepted)] == ["code-refused"]
    assert len(network.tokens_asked) == 1
    assert any("events_not_sent" in line for line in lines)


@pytest.mark.parametrize("late", [True, False], ids=["a message that comes late", "a code that died meanwhile"])
def test_a_code_that_ran_out_before_it_was_sent_is_published(
    journey: Journey,
    broker: Broker,
    clock: Clock,
    network: NinjaOneTransport,
    accepted: Entries,
    aws_faults: AwsFaults,
    *,
    late: bool,
) -> None:
    session = arrived(journey)
    if late:
        clock.advance(policy.CODE_LIFE)
    else:
        aws_faults.refuse("kms.GenerateDataKey", times=999)

    broker.complete_unattended(session)

    assert [heard["reason"] for heard in details(accepted)] == ["session-expired"]
    assert network.requests == []


def test_after_a_code_that_ran_out_the_link_works_again_and_each_failure_is_an_event_of_its_own(
    journey: Journey, broker: Broker, clock: Clock, accepted: Entries, lines: LogLines
) -> None:
    opened = journey.open(binding=Binding.APPROVAL, binding_challenge="", life=Seconds(policy.DAY))
    for _ in range(2):
        journey.arrive(journey.agree(journey.leave(opened)))
        clock.advance(policy.CODE_LIFE)
        broker.complete_unattended(opened.session)
    journey.arrive(journey.agree(journey.leave(opened)))

    broker.complete_unattended(opened.session)

    first, second = details(accepted)
    assert first["id"] != second["id"]
    assert len(lines.named("connection.stored")) == 1


def test_what_an_operator_can_still_put_right_is_no_end(
    journey: Journey, broker: Broker, clock: Clock, accepted: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is not activated until after the code was exchanged: the consent waits, longer than a code lives."""
    session = arrived(journey)
    active = iter([1, None, None, 1])
    monkeypatch.setattr(Epoch, "active", lambda _: next(active))

    with pytest.raises(Misconfigured):
        broker.complete_unattended(session)
    clock.advance(policy.CODE_LIFE)
    with pytest.raises(Misconfigured):
        broker.complete_unattended(session)
    broker.complete_unattended(session)

    assert accepted == []


def test_a_message_that_comes_again_after_the_connection_was_deleted_is_no_failure(
    journey: Journey, broker: Broker, aws: AwsAccount, config: Config, accepted: Entries, lines: LogLines
) -> None:
    session = arrived(journey)
    broker.complete_unattended(session)
    dynamodb, table = aws.client("dynamodb"), config.connections_table
    for row in dynamodb.scan(TableName=table)["Items"]:
        dynamodb.delete_item(TableName=table, Key={name: row[name] for name in ("tenant", "connection")})

    broker.complete_unattended(session)

    broker.log.flush()
    assert accepted == []
    assert not any("completions_failed" in line for line in lines)


def test_the_schema_knows_every_reason() -> None:
    known = SCHEMA["properties"]["detail"]["properties"]["reason"]["enum"]

    kinds: list[type[BrokerError]] = [*FAILURES.values(), SessionExpired, SessionSpent]
    assert known == sorted(kind.slug() for kind in kinds)
