"""Completing is as careful as refreshing: a consent survives refused writes, kills and lost answers.

Whoever calls again goes on from where the session stands, and all who call hear the same.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from broker import policy
from broker.adapters.connections import Connections
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    AwsRefused,
    AwsUnavailable,
    BrokerError,
    Busy,
    CodeRefused,
    ConsentLost,
    GrantNotTicked,
    SealBroken,
    SessionSpent,
)
from broker.flows.callback import ReturnTo
from broker.model import Binding, ConnectionState, Profile, Purpose, Seconds, Session, Stage, Status
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from tests.support.aws_faults import AwsFaults, throttled, unreachable
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import OWN, Journey, ref
from tools.requirements import req

DEAD = policy.COMPLETE_TIMEOUT + 11
"""Seconds after which a call that was killed is known to be dead."""


class Killed(BaseException):
    """The platform ends the function: nothing of it goes on."""


def denied() -> Exception:
    return ClientError({"Error": {"Code": "AccessDeniedException"}}, "Anything")


def killed() -> Any:
    """A kill, where a fault is wanted."""
    return Killed()


def saving(body: dict[str, Any]) -> bool:
    """Find the write that keeps what the code was exchanged for."""
    return '":exchanged"' in json.dumps(body)


def once(home: ReturnTo, journey: Journey) -> None:
    """Complete in a call that is killed on its way."""
    with pytest.raises(Killed):
        journey.complete(home)


def row(aws: AwsAccount, config: Config, home: ReturnTo) -> dict[str, Any]:
    key = {"session": {"S": home.session}}
    found: dict[str, Any] = aws.client("dynamodb").get_item(TableName=config.sessions_table, Key=key)["Item"]
    return found


def consents(aws: AwsAccount, config: Config) -> list[str]:
    found = aws.client("s3").list_objects_v2(Bucket=config.rescue_bucket, Prefix="consents/")
    return [each["Key"] for each in found.get("Contents", [])]


def session(sessions: Sessions, home: ReturnTo) -> Session:
    found = sessions.get(home.session)
    assert found is not None
    return found


def killed_while_saving(journey: Journey, aws_faults: AwsFaults) -> ReturnTo:
    """Come home with an approval, and complete in a call that is killed before it keeps what it got for the code."""
    home = journey.home(binding=Binding.APPROVAL, binding_challenge="")
    aws_faults.refuse("dynamodb.UpdateItem", only=saving, error=killed())
    with pytest.raises(Killed):
        journey.broker.complete_unattended(home.session)
    return home


# Writes that are refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [throttled, denied, unreachable])
@pytest.mark.parametrize("call", ["dynamodb.UpdateItem", "dynamodb.TransactWriteItems"])
def test_writes_that_are_refused_for_twenty_seconds_cost_no_consent(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, connections: Connections,
    error: Callable[[], Exception], call: str,
) -> None:  # fmt: skip
    home = journey.home()
    until = clock.now() + 20
    refuse = lambda: aws_faults.refuse(call, times=99, only=lambda _: clock.now() < until, error=error())  # noqa: E731
    network.meanwhile.append(refuse)

    made = journey.complete(home)

    assert clock.now() >= until
    assert connections.get(ref(made[0])) is not None
    assert journey.complete(home) == made
    assert len(network.tokens_asked) == 1


def test_completing_again_reads_each_row_once(journey: Journey, aws_faults: AwsFaults) -> None:
    home = journey.home()
    journey.complete(home)
    aws_faults.watch("dynamodb.GetItem")

    journey.complete(home)

    assert aws_faults.asked["dynamodb.GetItem"] == len(["the session", "the state row", "the profile row"])


@pytest.mark.parametrize("error", [throttled, denied])
def test_a_consent_that_the_table_refuses_to_the_end_waits_in_the_rescue_store(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, lines: LogLines, aws: AwsAccount,
    config: Config, error: Callable[[], Exception],
) -> None:  # fmt: skip
    home, began = journey.home(customer_app=True, client=OWN), clock.now()
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=saving, error=error())
    aws_faults.refuse("s3.PutObject", times=2, error=error())

    with pytest.raises((AwsUnavailable, AwsRefused)):
        journey.complete(home)
    assert clock.now() - began < policy.COMPLETE_TIMEOUT
    assert consents(aws, config) == [f"consents/{home.session}"]

    aws_faults.end()
    made = journey.complete(home)

    assert (made[0].status, made[0].client_id) == (Status.ACTIVE, OWN.id)
    assert journey.complete(home) == made
    assert len(network.tokens_asked) == 1
    assert [name for name in lines.names if name.startswith("consent.")] == ["consent.spilled", "consent.rescued"]


def test_a_consent_that_can_be_kept_nowhere_is_said_to_be_lost_once_nobody_can_have_it(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, lines: LogLines
) -> None:
    home, began = journey.home(), clock.now()
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=saving)
    aws_faults.refuse("s3.PutObject", times=999)

    with pytest.raises(AwsUnavailable):
        journey.complete(home)
    assert clock.now() - began <= policy.COMPLETE_TIMEOUT - policy.COMPLETE_SLACK - policy.AWS_CALL
    assert [line["level"] for line in lines.named("consent.unsaved")] == ["ERROR"]

    clock.advance(DEAD)
    for _ in range(2):
        with pytest.raises(ConsentLost, match="start again"):
            journey.complete(home)


@pytest.mark.parametrize(("error", "heard"), [(denied, AwsRefused), (throttled, AwsUnavailable)])
def test_a_rescue_store_that_does_not_answer_is_no_proof_that_a_consent_is_lost(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, error: Callable[[], Exception], heard: type[Exception]
) -> None:
    home = journey.home()
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=saving)
    with pytest.raises(AwsUnavailable):
        journey.complete(home)
    aws_faults.end()
    clock.advance(DEAD)
    aws_faults.refuse("s3.GetObject", times=999, error=error())

    with pytest.raises(heard):
        journey.complete(home)

    aws_faults.end()
    assert journey.complete(home)


def test_a_consent_waits_while_the_restored_table_waits_to_be_activated(
    journey: Journey, clock: Clock, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    """It stays for an hour at least, whenever its session would have ended."""
    home, epoch = journey.home(), json.dumps({"epoch": 1, "table": config.connections_table})

    def put(value: str) -> None:
        aws.client("ssm").put_parameter(Name=config.epoch_parameter, Value=value, Type="String", Overwrite=True)

    aws_faults.before("dynamodb.TransactWriteItems", lambda: put(json.dumps({"epoch": 2, "table": "another"})))
    aws_faults.refuse("dynamodb.TransactWriteItems", times=999)
    with pytest.raises(Exception):  # noqa: B017, PT011  # whichever of the two it met last
        journey.complete(home)

    aws_faults.end()
    put(epoch)
    clock.advance(policy.CONSENT_KEPT - 600)

    assert int(row(aws, config, home)["expires_at"]["N"]) > clock.now()
    assert journey.complete(home)


@pytest.mark.parametrize(("seconds", "is_made"), [(40, True), (999, False)])
def test_taking_the_code_is_tried_on_while_it_lives(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, *, seconds: int, is_made: bool
) -> None:
    home, began = journey.home(), clock.now()
    refused = lambda body: clock.now() < began + seconds and '"exchanging"' in json.dumps(body)  # noqa: E731
    aws_faults.refuse("dynamodb.UpdateItem", times=999, only=refused)

    if is_made:
        assert journey.complete(home)
    else:
        with pytest.raises(AwsUnavailable):
            journey.complete(home)

    assert clock.now() - began <= policy.CODE_LIFE
    assert len(network.tokens_asked) == is_made


# Kills ----------------------------------------------------------------------------------------------------------------


def test_a_kill_before_the_first_durable_write_is_said_to_all_who_ask(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, lines: LogLines
) -> None:
    """The one window that no client can close. Until the call is surely dead, nobody is told anything for certain."""
    home = journey.home()
    aws_faults.refuse("dynamodb.UpdateItem", only=saving, error=killed())
    once(home, journey)

    with pytest.raises(Busy):
        journey.complete(home)
    clock.advance(90)
    with pytest.raises(Busy):
        journey.complete(home)
    clock.advance(15)

    for _ in range(2):
        with pytest.raises(ConsentLost, match="start again"):
            journey.complete(home)
    assert len(network.tokens_asked) == 1
    assert len(lines.named("consent.lost")) == 1


@pytest.fixture
def exchanging(journey: Journey, aws_faults: AwsFaults, sessions: Sessions) -> Session:
    """A session whose code was taken by a call that was killed."""
    home = journey.home()
    aws_faults.refuse("dynamodb.UpdateItem", only=saving, error=killed())
    once(home, journey)
    return session(sessions, home)


@pytest.mark.parametrize(
    ("seconds", "pauses"), [(3.5, [0.5, 1, 2]), (3.4, [0.5, 1]), (99, [0.5, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2])]
)
def test_a_call_waits_for_another_as_long_as_both_its_own_time_and_the_gateway_allow(
    journey: Journey, exchanging: Session, clock: Clock, seconds: float, pauses: list[float]
) -> None:
    with pytest.raises(Busy):
        journey.broker.complete._redeem.wait(exchanging, until=clock.now() + seconds)

    assert clock.slept == pauses


def test_an_unattended_completion_that_meets_another_call_is_tried_on_and_has_not_failed(
    journey: Journey, broker: Broker, clock: Clock, aws_faults: AwsFaults, lines: LogLines
) -> None:
    home = killed_while_saving(journey, aws_faults)
    began = clock.now()

    with pytest.raises(Busy):
        broker.complete_unattended(home.session)

    broker.log.flush()
    assert clock.now() - began > 2 * policy.COMPLETE_WAIT
    assert not any("completions_failed" in line for line in lines)


def test_a_call_is_dead_once_its_time_is_over_and_not_before(
    journey: Journey, exchanging: Session, clock: Clock
) -> None:
    clock.advance(exchanging.exchanging_until - clock.now())
    with pytest.raises(Busy):
        journey.broker.complete._redeem.wait(exchanging, until=clock.now())

    clock.advance(1)
    assert journey.broker.complete._redeem.wait(exchanging, until=clock.now()).failure == "ConsentLost"


def test_a_session_that_was_deleted_meanwhile_is_spent(
    journey: Journey, exchanging: Session, clock: Clock, aws: AwsAccount, config: Config
) -> None:
    key = {"session": {"S": exchanging.session}}
    aws.client("dynamodb").delete_item(TableName=config.sessions_table, Key=key)

    with pytest.raises(SessionSpent):
        journey.broker.complete._redeem.wait(exchanging, until=clock.now())


@pytest.mark.parametrize("kept", [None, "", "[]", "{}"])
def test_what_a_session_keeps_in_no_known_form_is_an_alarm(
    journey: Journey, exchanging: Session, seal: Seal, kept: str | None
) -> None:
    place = code_aad(exchanging, exchanging.ticket_hash)
    sealed = None if kept is None else seal.seal(seal.data_key(Purpose.EXCHANGED), Secret(kept), place)

    with pytest.raises(SealBroken):
        journey.broker.complete._redeem.opened(replace(exchanging, exchanged=sealed))


def test_a_kill_after_the_first_durable_write_costs_nothing(
    journey: Journey, network: NinjaOneTransport, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = journey.home(customer_app=True, client=OWN, label="Head office")
    monkeypatch.setattr(network, "handle_request", killing_at_the_organizations(network))
    once(home, journey)
    monkeypatch.undo()

    made = journey.complete(home)

    assert connections.get(ref(made[0])) is not None
    assert made[1].label == "Head office"
    assert [each.name for each in made[1].organizations] == ["Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß"]
    assert len(network.tokens_asked) == 1


def killing_at_the_organizations(network: NinjaOneTransport) -> Callable[[httpx.Request], httpx.Response]:
    """Kill the function when it looks at what its token opens."""
    usual = network.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise Killed
        return usual(request)

    return handle


@pytest.mark.parametrize("applied", [False, True])
def test_a_kill_while_the_connection_is_stored_costs_nothing(
    journey: Journey, aws_faults: AwsFaults, network: NinjaOneTransport, connections: Connections, *, applied: bool
) -> None:
    home = journey.home()
    if applied:
        aws_faults.retry_after_success("dynamodb.TransactWriteItems")
    aws_faults.refuse("dynamodb.TransactWriteItems", error=killed())
    once(home, journey)

    made = journey.complete(home)

    assert connections.get(ref(made[0])) is not None
    assert journey.complete(home) == made
    assert len(network.tokens_asked) == 1


# Two calls at once ----------------------------------------------------------------------------------------------------


def test_a_second_call_during_the_first_waits_and_hears_the_same(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, sessions: Sessions
) -> None:
    """The first stands still between its answer and its write; it goes on while the second waits."""
    home, kept = journey.home(), []

    def seen(body: dict[str, Any]) -> bool:
        kept.append(body)
        return saving(body)

    aws_faults.refuse("dynamodb.UpdateItem", only=seen, error=killed())
    once(home, journey)
    blob = base64.b64decode(kept[-1]["ExpressionAttributeValues"][":exchanged"]["B"])
    clock.plan(7, lambda: sessions.save(home.session, blob))
    before = clock.now()

    made = journey.complete(home)

    assert 7 <= clock.now() - before <= 10
    assert journey.complete(home) == made
    assert len(network.tokens_asked) == 1


def test_two_calls_that_store_one_connection_make_one(
    journey: Journey, aws_faults: AwsFaults, network: NinjaOneTransport, aws: AwsAccount, config: Config
) -> None:
    home, others = journey.home(), []
    aws_faults.before("dynamodb.TransactWriteItems", lambda: others.append(journey.complete(home)))

    made = journey.complete(home)

    assert others == [made]
    assert aws.client("dynamodb").scan(TableName=config.connections_table)["Count"] == 2
    assert len(network.tokens_asked) == 1


@pytest.mark.parametrize(("error", "heard"), [("invalid_grant", CodeRefused), ("unauthorized_client", GrantNotTicked)])
def test_a_refusal_that_the_first_heard_is_what_the_second_hears(
    journey: Journey, clock: Clock, network: NinjaOneTransport, aws_faults: AwsFaults, error: str,
    heard: type[BrokerError],
) -> None:  # fmt: skip
    home = journey.home()
    network.answer(400, {"error": error})
    aws_faults.refuse("dynamodb.UpdateItem", only=lambda body: heard.__name__ in json.dumps(body))

    for _ in range(2):
        with pytest.raises(heard):
            journey.complete(home)
    assert len(network.tokens_asked) == 1


def test_a_session_that_ended_in_a_way_that_this_release_does_not_know_is_spent(
    journey: Journey, sessions: Sessions, aws: AwsAccount, config: Config
) -> None:
    home = journey.home()
    sessions.fail(home.session, Stage.AUTHORIZED, "SomethingNewer")

    with pytest.raises(SessionSpent):
        journey.complete(home)


def test_a_session_whose_host_is_lost_before_its_connection_is_stored_is_spent(
    journey: Journey, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    home = journey.home()
    aws_faults.refuse("dynamodb.TransactWriteItems", error=killed())
    once(home, journey)
    key = {"session": {"S": home.session}}
    aws.client("dynamodb").update_item(
        TableName=config.sessions_table, Key=key, UpdateExpression="REMOVE host, #region",
        ExpressionAttributeNames={"#region": "region"},
    )  # fmt: skip

    with pytest.raises(SessionSpent):
        journey.complete(home)


def test_a_session_that_is_deleted_while_the_table_refuses_makes_no_connection(
    journey: Journey, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    home = journey.home()
    key = {"session": {"S": home.session}}
    delete = lambda: aws.client("dynamodb").delete_item(TableName=config.sessions_table, Key=key)  # noqa: E731
    aws_faults.before("dynamodb.TransactWriteItems", delete)

    with pytest.raises(AwsUnavailable):
        journey.complete(home)


# Nothing stays --------------------------------------------------------------------------------------------------------


@req("C11", "K05")
def test_what_a_session_kept_is_gone_when_its_connection_is_stored(
    journey: Journey, aws: AwsAccount, config: Config, aws_faults: AwsFaults
) -> None:
    home, seen = journey.home(customer_app=True, client=OWN), []
    aws_faults.before("dynamodb.TransactWriteItems", lambda: seen.append(row(aws, config, home)))

    journey.complete(home)

    assert {name for name, cell in seen[0].items() if "B" in cell} == {"exchanged", "client"}
    assert not [name for name, cell in row(aws, config, home).items() if "B" in cell]


def test_what_a_session_kept_opens_in_no_other_session(
    journey: Journey, aws: AwsAccount, config: Config, aws_faults: AwsFaults, sessions: Sessions
) -> None:
    """Attack: whoever writes into the table moves a consent into a session of their own."""
    home, other = journey.home(), journey.home()
    aws_faults.refuse("dynamodb.TransactWriteItems", error=killed())
    once(home, journey)
    moved = session(sessions, home).exchanged
    aws.client("dynamodb").update_item(
        TableName=config.sessions_table,
        Key={"session": {"S": other.session}},
        UpdateExpression="SET exchanged = :moved, stage = :stage",
        ExpressionAttributeValues={":moved": {"B": moved}, ":stage": {"S": "exchanged"}},
    )

    with pytest.raises(SealBroken):
        journey.complete(other)


# Reconnecting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(journey: Journey, clock: Clock) -> tuple[ConnectionState, Profile]:
    made = journey.connect()
    clock.advance(100)
    return made


@pytest.mark.parametrize("error", [throttled, denied])
@pytest.mark.parametrize("seconds", [2, 40, 600])
def test_a_reconnect_that_is_refused_loses_neither_consent(
    journey: Journey, old: tuple[ConnectionState, Profile], clock: Clock, aws_faults: AwsFaults, ninjaone: NinjaOne,
    connections: Connections, broker: Broker, seconds: int, error: Callable[[], Exception],
) -> None:  # fmt: skip
    """Where a second consent ends the first, the new one is the only one left."""
    ninjaone.switches.update({"second_consent_kills_first": True})
    home = journey.home(connection=old[0].connection)
    until = clock.now() + seconds
    aws_faults.refuse("dynamodb.TransactWriteItems", times=9999, only=lambda _: clock.now() < until, error=error())

    if seconds > 60:
        with pytest.raises((AwsUnavailable, AwsRefused)):
            journey.complete(home)
        assert connections.get(ref(old[0])) is not None
        clock.advance(seconds)
    state, _ = journey.complete(home)

    token = broker.get_token(ref(state), min_ttl=Seconds(0))
    assert ninjaone.oracle.accepts("eu.ninjarmm.com", token.access.reveal())


def test_a_consent_that_a_later_one_overtook_is_not_stored(
    journey: Journey, old: tuple[ConnectionState, Profile], clock: Clock, aws_faults: AwsFaults,
    connections: Connections, sessions: Sessions,
) -> None:  # fmt: skip
    first = journey.home(connection=old[0].connection)
    clock.advance(1)
    second, kept = journey.home(connection=old[0].connection), []
    aws_faults.before("dynamodb.TransactWriteItems", lambda: kept.append(journey.complete(second)))

    for _ in range(2):
        with pytest.raises(SessionSpent):
            journey.complete(first)

    assert connections.get_state(ref(old[0])) == kept[0][0]
    assert session(sessions, first).exchanged is None


def test_a_later_consent_takes_the_place_of_one_that_was_stored_meanwhile(
    journey: Journey,
    old: tuple[ConnectionState, Profile],
    clock: Clock,
    aws_faults: AwsFaults,
    connections: Connections,
) -> None:
    first = journey.home(connection=old[0].connection)
    clock.advance(1)
    second = journey.home(connection=old[0].connection)
    aws_faults.before("dynamodb.TransactWriteItems", lambda: journey.complete(first))

    made = journey.complete(second)

    assert connections.get_state(ref(old[0])) == made[0]
    assert made[0].consented_at == old[0].consented_at + 101


# Without a person who waits -------------------------------------------------------------------------------------------


def test_a_message_whose_call_was_killed_too_early_says_so_once(
    journey: Journey, broker: Broker, aws_faults: AwsFaults, clock: Clock, lines: LogLines
) -> None:
    home = killed_while_saving(journey, aws_faults)
    clock.advance(140)

    broker.complete_unattended(home.session)
    broker.complete_unattended(home.session)
    assert len(lines.named("consent.lost")) == 1
    assert lines.named("session.failed")[0]["reason"] == ConsentLost.slug()
