"""Each thing is broken once, for real, and its alarm fires: the figures on the way are those that functions wrote."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from botocore.exceptions import ClientError

from broker.adapters import rows
from broker.adapters.queues import Trigger
from broker.config import Config
from broker.edge.browser import cookie_name
from broker.edge.wiring import Broker
from broker.errors import AwsUnavailable, BrokerError
from broker.model import Binding, ConnectionRef, ConnectionState, TenantId
from local.aws.account import AwsAccount
from local.cloudformation.template import Template
from ninjaone_emulator import NinjaOne
from tests.deployment.template.alarms import Figures, fires, length
from tests.deployment.template.stack import ROOT, alarms
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.invoke import context, invoke
from tests.support.journey import Journey, ref

ALARMS = alarms().of("AWS::CloudWatch::Alarm")
MINUTE = 60
ALWAYS = 100_000


@dataclass
class Watched:
    """The functions at work, and CloudWatch hearing them."""

    broker: Broker
    lines: LogLines
    clock: Clock
    aws: AwsAccount
    template: Template
    figures: Figures = field(default_factory=Figures)

    def call(self, folder: str, event: Any) -> Any:
        """Run a function, and note what Lambda, API Gateway and the function itself say of it."""
        entry = import_module(f"functions.{folder}.app").handler.bind(self.broker)
        answer = None
        try:
            answer = invoke(entry, event, context(self.clock, self.template.functions[folder].timeout))
        except BrokerError:
            self.function(folder, "Errors", 1)
        if answer and answer.get("statusCode", 0) >= 500:
            self.note("AWS/ApiGateway", "5xx", "ApiId", "<BackendApi>", 1)
        self.figures.read(self.lines)
        self.lines.clear()
        return answer

    def note(self, namespace: str, metric: str, dimension: str, value: str, figure: float) -> None:
        """Note what AWS itself measures."""
        self.figures.note((namespace, metric, frozenset({(dimension, value)})), self.clock.now(), figure)

    def queue(self, queue: str, metric: str, figure: float) -> None:
        """Note what SQS measures of a queue."""
        self.note("AWS/SQS", metric, "QueueName", f"<{queue}.QueueName>", figure)

    def function(self, folder: str, metric: str, figure: float) -> None:
        """Note what Lambda measures of a function."""
        self.note("AWS/Lambda", metric, "FunctionName", f"<{folder.capitalize()}Function>", figure)

    def refresh(self, *refs: ConnectionRef, trigger: Trigger = Trigger.DUE) -> Any:
        """Work one batch."""
        return self.call("refresh", batch(refs, trigger))

    def sweep(self) -> None:
        """Let the schedule tick."""
        self.call("sweep", {})

    def fires(self, name: str) -> bool:
        """Look at an alarm when its current period is over."""
        period = length(ALARMS[name])
        return fires(ALARMS[name], self.figures, (self.clock.now() // period + 1) * period)


def batch(refs: Sequence[ConnectionRef], trigger: Trigger) -> dict[str, Any]:
    body = {"trigger": trigger.value, "min_ttl": 0, "connections": [[each.tenant, each.connection] for each in refs]}
    return {"Records": [{"messageId": "m", "body": json.dumps(body)}]}


def sample(name: str) -> Any:
    return json.loads((ROOT / f"events/{name}.json").read_text())


@pytest.fixture
def watched(broker: Broker, lines: LogLines, clock: Clock, aws: AwsAccount, template: Template) -> Watched:
    return Watched(broker, lines, clock, aws, template)


def connected(journey: Journey, lines: LogLines, count: int = 1) -> list[ConnectionState]:
    """Make connections; their lines are of no interest here."""
    made = [journey.connect()[0] for _ in range(count)]
    lines.clear()
    return made


def until_due(clock: Clock, made: Sequence[ConnectionState]) -> list[ConnectionRef]:
    clock.advance(max(each.refresh_at or 0 for each in made) - clock.now() + 1)
    return [ref(each) for each in made]


# Refreshing ----------------------------------------------------------------------------------------------------------


def test_silence_of_the_sweep_fires(watched: Watched, clock: Clock) -> None:
    for _ in range(10):
        watched.sweep()
        clock.advance(MINUTE)
    working = watched.fires("RefreshingStopped")
    clock.advance(10 * MINUTE)

    assert not working
    assert watched.fires("RefreshingStopped")


def test_a_batch_that_waits_fires(watched: Watched, clock: Clock, aws: AwsAccount, config: Config) -> None:
    sqs = aws.client("sqs")
    sqs.send_message(QueueUrl=config.refresh_queue, MessageBody="{}")

    def look() -> bool:
        (message,) = sqs.receive_message(
            QueueUrl=config.refresh_queue, VisibilityTimeout=0, MessageSystemAttributeNames=["SentTimestamp"]
        )["Messages"]
        age = clock.now() - int(message["Attributes"]["SentTimestamp"]) / 1000
        watched.queue("RefreshQueue", "ApproximateAgeOfOldestMessage", age)
        watched.queue("RefreshQueue", "ApproximateNumberOfMessagesVisible", 1)
        return watched.fires("RefreshingBehind")

    clock.advance(5 * MINUTE)
    assert not look()
    clock.advance(12 * MINUTE)
    look()
    clock.advance(5 * MINUTE)
    assert look()


def test_a_batch_that_failed_and_is_hidden_does_not_fire_alone(watched: Watched, clock: Clock) -> None:
    """It stays hidden for 1,080 s and counts as the oldest message meanwhile; nothing waits behind it."""
    for age in (950, 1250):
        clock.advance(5 * MINUTE)
        watched.queue("RefreshQueue", "ApproximateAgeOfOldestMessage", age)
        watched.queue("RefreshQueue", "ApproximateNumberOfMessagesVisible", 1)
        watched.queue("RefreshQueue", "ApproximateNumberOfMessagesVisible", 0)

    assert not watched.fires("RefreshingBehind")


@pytest.mark.parametrize("name", ["refresh_queue", "urgent_queue"])
def test_a_batch_given_up_fires(
    watched: Watched,
    clock: Clock,
    aws: AwsAccount,
    config: Config,
    aws_faults: AwsFaults,
    template: Template,
    name: str,
) -> None:
    """Parameter Store is down for hours: no order can even be begun."""
    sqs, dead_letters = (
        aws.client("sqs"),
        next(each for each in template.queues if each.logical_id == "DeadLetterQueue"),
    )
    aws_faults.refuse("ssm.GetParameter", times=ALWAYS)
    sqs.send_message(QueueUrl=getattr(config, name), MessageBody=batch([], Trigger.DUE)["Records"][0]["body"])

    def look() -> bool:
        waiting = aws.visible(dead_letters)
        watched.queue("DeadLetterQueue", "ApproximateNumberOfMessagesVisible", waiting)
        return watched.fires("DeadLettersWaiting")

    before = look()
    for _ in range(6):
        for message in sqs.receive_message(QueueUrl=getattr(config, name)).get("Messages", ()):
            failed = watched.call("refresh", {"Records": [{"messageId": "m", "body": message["Body"]}]})
            assert failed["batchItemFailures"]
        clock.advance(1081)

    assert not before
    assert look()


def saving(body: dict[str, Any]) -> bool:
    """Recognize the write that stores tokens."""
    return "#access" in body.get("UpdateExpression", "")


def test_a_token_that_dynamodb_refuses_fires_as_rescued(
    watched: Watched, clock: Clock, journey: Journey, aws_faults: AwsFaults, lines: LogLines
) -> None:
    refs = until_due(clock, connected(journey, lines))
    aws_faults.refuse("dynamodb.UpdateItem", times=ALWAYS, only=saving)

    watched.refresh(*refs)

    assert watched.fires("TokensRescued")
    assert not watched.fires("TokenUnsaved")


def test_a_token_that_waits_in_the_rescue_store_fires_again_with_a_sweep(
    watched: Watched, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    aws.client("s3").put_object(Bucket=config.rescue_bucket, Key=f"rescue/acme/con_{'a' * 26}/3", Body=b"{}")

    watched.sweep()

    assert watched.fires("TokensRescued")


def test_a_token_that_nothing_takes_fires(
    watched: Watched, clock: Clock, journey: Journey, aws_faults: AwsFaults, lines: LogLines
) -> None:
    refs = until_due(clock, connected(journey, lines))
    aws_faults.refuse("dynamodb.UpdateItem", times=ALWAYS, only=saving)
    aws_faults.refuse("s3.PutObject", times=ALWAYS)

    watched.refresh(*refs)

    assert watched.fires("TokenUnsaved")


def test_a_consent_that_nothing_takes_fires(watched: Watched, journey: Journey, aws_faults: AwsFaults) -> None:
    home = journey.home()
    aws_faults.refuse("dynamodb.UpdateItem", times=ALWAYS, only=lambda body: ":exchanged" in json.dumps(body))
    before = watched.fires("TokenUnsaved")
    aws_faults.refuse("s3.PutObject", times=ALWAYS)

    with pytest.raises(AwsUnavailable):
        journey.complete(home)
    watched.broker.log.flush()
    watched.figures.read(watched.lines)

    assert not before
    assert watched.fires("TokenUnsaved")


def test_a_second_refresh_under_a_living_lease_fires(
    watched: Watched,
    clock: Clock,
    journey: Journey,
    network: NinjaOneTransport,
    lines: LogLines,
    aws: AwsAccount,
    config: Config,
) -> None:
    (one,) = until_due(clock, connected(journey, lines))

    def intrude() -> None:
        aws.client("dynamodb").update_item(
            TableName=config.connections_table,
            Key={"tenant": {"S": one.tenant}, "connection": {"S": one.connection}},
            UpdateExpression="ADD fence :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    network.meanwhile.append(intrude)
    watched.refresh(one)

    assert watched.fires("LeaseBroken")


def test_a_twentieth_of_unclear_answers_fires_and_one_alone_does_not(
    watched: Watched, clock: Clock, journey: Journey, network: NinjaOneTransport, lines: LogLines
) -> None:
    refs = until_due(clock, connected(journey, lines, 22))

    network.fail(httpx.ReadTimeout)
    watched.refresh(refs[0])
    alone = watched.fires("AnswersUnclear")
    watched.refresh(*refs[1:11])
    network.fail(httpx.ReadError)
    watched.refresh(*refs[11:])

    assert not alone
    assert watched.fires("AnswersUnclear")


def refused_twice(watched: Watched, clock: Clock, refs: Sequence[ConnectionRef], ninjaone: NinjaOne) -> None:
    """Let NinjaOne forget every grant, and try until verdicts are believed."""
    for grant in ninjaone.oracle.grants():
        ninjaone.admin.revoke_grant(grant.id)
    for _ in range(60):
        watched.refresh(*refs)
        clock.advance(MINUTE)


def test_many_lost_connections_fire(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, ninjaone: NinjaOne
) -> None:
    refs = until_due(clock, connected(journey, lines, 11))

    refused_twice(watched, clock, refs, ninjaone)

    assert watched.fires("ConnectionsLost")
    assert not watched.fires("BreakerOpen"), "one tenant opens no breaker"


def test_a_wrong_client_secret_fires(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, aws: AwsAccount, config: Config
) -> None:
    refs = until_due(clock, connected(journey, lines))
    wrong = dict.fromkeys(config.client_ids.values(), "not-the-secret-of-this-app")
    aws.put_secret(config.client_secrets, json.dumps(wrong))

    for _ in range(15):
        watched.refresh(*refs)
        clock.advance(MINUTE)

    assert watched.fires("BreakerOpen")
    assert not watched.fires("ConnectionsLost")


def test_a_kms_that_does_not_answer_fires(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, aws_faults: AwsFaults
) -> None:
    """A fleet of one is enough: what is put off is requested again each minute."""
    refs = until_due(clock, connected(journey, lines))
    clock.advance(15 * MINUTE - clock.now() % (15 * MINUTE))
    aws_faults.refuse("kms.GenerateDataKey", times=ALWAYS)

    for minute in range(14):
        assert watched.fires("RefreshesPutOff") == (minute >= 10)
        watched.sweep()
        watched.refresh(*refs)
        clock.advance(MINUTE)


def test_a_disabled_key_fires_and_a_throttled_one_does_not(
    watched: Watched, aws_faults: AwsFaults, clock: Clock, journey: Journey, lines: LogLines
) -> None:
    (one,) = until_due(clock, connected(journey, lines))
    aws_faults.refuse("kms.Decrypt", times=2)  # asked for the whole batch first, then for the connection
    watched.refresh(one)
    before = watched.fires("AwsRefused")
    disabled = ClientError({"Error": {"Code": "DisabledException", "Message": ""}}, "Decrypt")
    aws_faults.refuse("kms.Decrypt", times=2, error=disabled)

    watched.refresh(one)

    assert not before
    assert watched.fires("AwsRefused")


def test_a_few_put_off_among_many_do_not_fire(watched: Watched, clock: Clock) -> None:
    start = clock.now() // (15 * MINUTE) * (15 * MINUTE)
    for name, figure in (("requested", 1000), ("put_off", 12)):
        series = ("NinjaOneConnect", name, frozenset({("service", "local")}))
        watched.figures.note(series, start, figure)

    assert not watched.fires("RefreshesPutOff")
    watched.figures.note(series, start, 60)
    assert watched.fires("RefreshesPutOff")


def test_a_restored_table_fires_until_it_is_activated(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, aws: AwsAccount, config: Config
) -> None:
    refs = until_due(clock, connected(journey, lines))
    value = json.dumps({"epoch": 1, "table": "another"})
    aws.client("ssm").put_parameter(Name=config.epoch_parameter, Value=value, Overwrite=True)

    watched.refresh(*refs)

    assert watched.fires("EpochInactive")


def test_a_changed_row_fires(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, aws: AwsAccount, config: Config
) -> None:
    (one,) = until_due(clock, connected(journey, lines))
    aws.client("dynamodb").update_item(
        TableName=config.connections_table,
        Key={"tenant": {"S": one.tenant}, "connection": {"S": one.connection}},
        UpdateExpression="SET #refresh = :other",
        ExpressionAttributeNames={"#refresh": "refresh"},
        ExpressionAttributeValues={":other": {"B": b"\x01\x00\x04none" + bytes(40)}},
    )

    watched.refresh(one)

    assert watched.fires("SealBroken")


# Answering and telling -----------------------------------------------------------------------------------------------


def request(name: str, one: ConnectionRef, body: Any = None) -> Any:
    """Address a sample request to a connection."""
    event = sample(name)
    event["pathParameters"] = {"tenant": TenantId(one.tenant), "connection": one.connection}
    event["body"] = json.dumps(body) if body is not None else event.get("body")
    event["isBase64Encoded"] = False
    return event


def test_a_token_on_its_last_seconds_fires(watched: Watched, clock: Clock, journey: Journey, lines: LogLines) -> None:
    (state,) = connected(journey, lines)
    clock.advance(state.token_expires_at - clock.now() - 600)
    assert watched.call("token", request("token", ref(state), {"min_ttl": 0}))["statusCode"] == 200
    fresh = watched.fires("TokensNearExpiry")
    clock.advance(570)

    assert watched.call("token", request("token", ref(state), {"min_ttl": 0}))["statusCode"] == 200

    assert not fresh
    assert watched.fires("TokensNearExpiry")


def test_an_event_bus_that_refuses_fires(watched: Watched, aws_faults: AwsFaults) -> None:
    aws_faults.refuse("events.PutEvents", times=ALWAYS)

    watched.call("notify", sample("notify"))

    assert watched.fires("EventsUndelivered")


def test_a_bug_fires(watched: Watched, aws_faults: AwsFaults, journey: Journey, lines: LogLines) -> None:
    (state,) = connected(journey, lines)
    aws_faults.refuse("dynamodb.GetItem", error=KeyError("a bug of ours"))

    answer = watched.call("token", request("token", ref(state), {}))

    assert answer["statusCode"] == 500
    assert watched.fires("InternalError")


@pytest.mark.parametrize("looked_for", ["refreshed", "listed"])
def test_a_row_that_can_not_be_read_fires(
    watched: Watched, aws: AwsAccount, config: Config, journey: Journey, lines: LogLines, looked_for: str
) -> None:
    strange, _ = connected(journey, lines, 2)
    event = request("connections", ref(strange)) | {"routeKey": "GET /v1/tenants/{tenant}/connections"}
    watched.call("connections", event)
    before = watched.fires("RowsUnreadable")
    damaged = rows.connection_state_item(strange) | {"status": {"S": "frozen"}}
    aws.client("dynamodb").put_item(TableName=config.connections_table, Item=damaged)

    if looked_for == "listed":
        assert watched.call("connections", event)["statusCode"] == 200
    else:
        watched.refresh(ref(strange))

    assert not before
    assert watched.fires("RowsUnreadable")


def test_a_sweep_that_fails_fires(watched: Watched, aws_faults: AwsFaults) -> None:
    watched.sweep()
    before = watched.fires("RefreshersFailing")
    aws_faults.refuse("dynamodb.Query", times=ALWAYS)

    watched.sweep()

    assert not before
    assert watched.fires("RefreshersFailing")


def test_a_function_killed_while_it_answers_fires(watched: Watched) -> None:
    """No line of ours tells of it: Lambda counts it."""
    watched.function("complete", "Errors", 1)

    assert watched.fires("FunctionsFailing")
    assert not watched.fires("RefreshersFailing")


def test_answers_that_fail_for_minutes_fire_and_a_single_one_does_not(
    watched: Watched, clock: Clock, aws_faults: AwsFaults, journey: Journey, lines: LogLines
) -> None:
    (state,) = connected(journey, lines)
    aws_faults.refuse("dynamodb.Query", times=ALWAYS)
    event = request("connections", ref(state))
    watched.call("connections", event)
    alone = watched.fires("ApisFailing")

    for _ in range(12):
        assert watched.call("connections", event)["statusCode"] == 503
        clock.advance(50)

    assert not alone
    assert watched.fires("ApisFailing")


def test_people_who_come_back_and_are_turned_away_fire(
    watched: Watched, clock: Clock, aws_faults: AwsFaults, journey: Journey
) -> None:
    """They are redirected to a page, which API Gateway takes for success."""
    session = journey.open()
    query = journey.agree(journey.leave(session))
    brought = f"{cookie_name(session.session)}={journey.cookies[session.session].reveal()}"
    state = dict(parse_qsl(query))
    event = sample("callback") | {"rawQueryString": query, "queryStringParameters": state, "cookies": [brought]}
    aws_faults.refuse("dynamodb.GetItem", times=12)

    for _ in range(12):
        assert "/notice/try-again-later" in watched.call("callback", event)["headers"]["location"]
        clock.advance(50)
    during = watched.fires("ApisFailing")
    clock.advance(15 * MINUTE)
    for _ in range(12):
        assert "/notice/expired" in watched.call("callback", event)["headers"]["location"]
        clock.advance(50)

    assert during
    assert not watched.fires("ApisFailing")


def test_a_host_that_answers_no_more_fires_for_a_fleet_of_two(
    watched: Watched, clock: Clock, journey: Journey, lines: LogLines, network: NinjaOneTransport
) -> None:
    """Too few tenants for a breaker, and too few attempts for a share of them to mean anything."""
    refs = until_due(clock, connected(journey, lines, 2))

    for _ in range(60):
        network.canned.clear()
        network.answer(503)
        network.answer(503)
        watched.refresh(*refs)
        clock.advance(MINUTE)

    assert watched.fires("TokensExpired")


def test_a_connection_that_waits_for_approval_and_could_not_be_made_fires(
    watched: Watched, journey: Journey, aws: AwsAccount, config: Config
) -> None:
    session = journey.open(binding=Binding.APPROVAL, binding_challenge="")
    journey.arrive(journey.agree(journey.leave(session)))
    aws.put_secret(config.client_secrets, json.dumps({"another": "x"}))

    answer = watched.call(
        "complete", {"Records": [{"messageId": "m", "body": json.dumps({"session": session.session})}]}
    )

    assert answer["batchItemFailures"]
    assert watched.fires("CompletionsFailed")


@pytest.mark.parametrize("folder", ["sweep", "refresh", "notify"])
def test_a_throttled_refresher_fires(watched: Watched, folder: str) -> None:
    watched.function(folder, "Throttles", 1)

    assert watched.fires("RefreshersThrottled")
    assert not watched.fires("FunctionsThrottled")


def test_a_throttled_caller_fires(watched: Watched) -> None:
    watched.function("token", "Throttles", 1)

    assert watched.fires("FunctionsThrottled")


def test_three_sweeps_dropped_in_a_row_fire_and_one_does_not(watched: Watched) -> None:
    watched.function("sweep", "AsyncEventsDropped", 1)
    alone = watched.fires("SweepsDropped")
    watched.function("sweep", "AsyncEventsDropped", 2)

    assert not alone
    assert watched.fires("SweepsDropped")


def test_changes_read_a_quarter_of_an_hour_late_fire(watched: Watched, clock: Clock) -> None:
    watched.function("notify", "IteratorAge", 16 * MINUTE * 1000)
    clock.advance(5 * MINUTE)
    watched.function("notify", "IteratorAge", 4 * MINUTE * 1000)
    caught_up = not watched.fires("EventsLate")
    watched.function("notify", "IteratorAge", 21 * MINUTE * 1000)

    assert caught_up
    assert watched.fires("EventsLate")


def test_a_completion_that_no_function_takes_fires(watched: Watched) -> None:
    """It expires after a minute, and no dead-letter queue hears of it."""
    watched.queue("CompletionQueue", "ApproximateAgeOfOldestMessage", 3)
    taken = not watched.fires("CompletionsWaiting")
    watched.queue("CompletionQueue", "ApproximateAgeOfOldestMessage", 45)

    assert taken
    assert watched.fires("CompletionsWaiting")


def test_every_alarm_has_been_made_to_fire_here() -> None:
    text = (ROOT / "tests/deployment/template/test_firing.py").read_text(encoding="utf-8")

    assert {name for name in ALARMS if re.search(rf'(assert|return) watched\.fires\("{name}"\)', text)} == ALARMS.keys()
