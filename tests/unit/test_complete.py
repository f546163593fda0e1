"""Completing: the person is proved, the code is sent once, and the connection is whole or not there."""

import json
from itertools import product
from typing import Any

import pytest

from broker import oauth, policy
from broker.adapters.connections import Connections
from broker.adapters.seal import Seal
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.errors import (
    AccessDenied,
    AwsUnavailable,
    BindingMismatch,
    BrokerError,
    Misconfigured,
    NotAuthorized,
    SessionExpired,
    SessionSpent,
)
from broker.flows.callback import AuthorizeResult, ReturnTo
from broker.model import Purpose, Session, SessionId, Stage, Status
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults, unreachable
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import CONNECT_URL, END_USER, EU, OWN, TENANT, Journey, ref
from tools.requirements import req

WRONG: dict[str, Any] = {
    "tenant": "globex",
    "end_user_id": "user-18",
    "binding_verifier": Secret("w" * 43),
    "ticket": Secret("t" * 43),
}


def stage(sessions: Sessions, session: SessionId) -> Stage:
    found = sessions.get(session)
    assert found is not None
    return found.stage


@pytest.fixture
def stored(aws: AwsAccount, config: Config) -> Any:
    """Every row of the connections table."""
    return lambda: aws.client("dynamodb").scan(TableName=config.connections_table)["Items"]


# The proof ------------------------------------------------------------------------------------------------------------


@req("D02")
@pytest.mark.parametrize(("authorized", "in_time"), list(product([True, False], repeat=2)))
def test_only_all_of_the_proof_completes(
    journey: Journey, clock: Clock, network: NinjaOneTransport, stored: Any, *, authorized: bool, in_time: bool
) -> None:
    """Tenant, end user, verifier, ticket, stage and the code's age: 64 combinations, of which one passes."""
    home = journey.home() if authorized else ReturnTo(begun(journey).session, None, AuthorizeResult.AGREED)
    if not in_time:
        clock.advance(policy.CODE_LIFE)
    ended: dict[tuple[str, ...], type[BrokerError] | None] = {}

    for right in sorted(product([True, False], repeat=4)):
        wrong = tuple(name for name, holds in zip(WRONG, right, strict=True) if not holds)
        ended[wrong] = attempt(journey, home, {name: WRONG[name] for name in wrong})

    proved = {wrong: each for wrong, each in ended.items() if each is not BindingMismatch}
    if not authorized:
        assert proved == {(): NotAuthorized, ("ticket",): NotAuthorized}
    else:
        assert proved == {(): None if in_time else SessionExpired}
    assert len(network.tokens_asked) == len(stored()) // 2 == (authorized and in_time)


def begun(journey: Journey) -> Session:
    session = journey.open()
    journey.leave(session)
    return session


def attempt(journey: Journey, home: ReturnTo, changes: dict[str, Any]) -> type[BrokerError] | None:
    try:
        journey.complete(home, **changes)
    except BrokerError as error:
        return type(error)
    return None


def test_an_unknown_session_proves_nothing(journey: Journey) -> None:
    home = journey.home()
    unknown = ReturnTo(SessionId("ses_" + "a" * 26), home.location, home.result)

    with pytest.raises(BindingMismatch):
        journey.complete(unknown)


@req("G10")
def test_what_is_not_proved_is_logged(journey: Journey, lines: LogLines) -> None:
    home = journey.home()

    with pytest.raises(BindingMismatch):
        journey.complete(home, end_user_id="user-18")

    (line,) = lines.named("session.binding_mismatch")
    assert line["session"] == home.session
    assert END_USER not in "".join(lines.text)


def test_a_person_who_denied_is_said_so(journey: Journey) -> None:
    session = journey.open()
    home = journey.arrive(journey.agree(journey.leave(session), decision="deny"))

    with pytest.raises(AccessDenied):
        journey.complete(home)


def test_a_session_that_ran_out_before_the_person_came_back_is_over(journey: Journey, clock: Clock) -> None:
    home = ReturnTo(begun(journey).session, None, AuthorizeResult.AGREED)
    clock.advance(1800)

    with pytest.raises(SessionExpired):
        journey.complete(home)


@pytest.mark.parametrize("dies", ["before", "meanwhile"])
def test_a_code_that_died_is_not_sent(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, dies: str
) -> None:
    home = journey.home()
    aws_faults.watch("dynamodb.UpdateItem")
    if dies == "before":
        clock.advance(policy.CODE_LIFE)
    else:
        aws_faults.before("dynamodb.UpdateItem", lambda: clock.advance(policy.CODE_LIFE))

    with pytest.raises(SessionExpired):
        journey.complete(home)

    assert network.requests == []
    assert (aws_faults.asked["dynamodb.UpdateItem"] == 0) == (dies == "before")


@req("D02")
def test_what_waits_for_approval_is_completed_by_no_proof(
    journey: Journey, aws: AwsAccount, config: Config, network: NinjaOneTransport
) -> None:
    home = journey.home()
    aws.client("dynamodb").update_item(
        TableName=config.sessions_table,
        Key={"session": {"S": home.session}},
        UpdateExpression="SET binding = :approval",
        ExpressionAttributeValues={":approval": {"S": "approval"}},
    )

    with pytest.raises(BindingMismatch):
        journey.complete(home)
    assert network.requests == []


# What is made ---------------------------------------------------------------------------------------------------------


def test_a_connection_is_made_whole(
    journey: Journey, connections: Connections, sessions: Sessions, seal: Seal, ninjaone: NinjaOne
) -> None:
    home = journey.home(label="Head office", metadata={"crm": "42"})

    state, profile = journey.complete(home)

    assert connections.get_state(ref(state)) == state
    assert connections.get_profile(ref(state)) == profile
    assert stage(sessions, home.session) is Stage.COMPLETED
    assert (state.tenant, state.status, state.host, state.customer_app) == (TENANT, Status.ACTIVE, EU, False)
    assert (state.client_id, state.version, state.fence, state.epoch) == (OPERATOR_APPS["eu"].client_id, 1, 0, 1)
    assert (state.token_expires_at, state.sent_at, state.consented_at) == (START + 3600, START, START)
    assert state.scopes == {"monitoring", "management", "offline_access"}
    assert state.refresh_at is not None
    assert START + 1800 <= state.refresh_at <= START + 2844
    assert state.due_shard == policy.shard(state.connection)
    assert (profile.label, profile.metadata) == ("Head office", {"crm": "42"})
    assert [each.name for each in profile.organizations] == ["Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß"]
    assert (profile.created_at, profile.connected_at, profile.client) == (START, START, None)

    spot = state.aad
    assert state.access is not None
    assert state.refresh is not None
    refresh = seal.open(state.refresh, Purpose.REFRESH, spot)
    assert ninjaone.oracle.accepts("eu.ninjarmm.com", seal.open(state.access, Purpose.ACCESS, spot).reveal())
    grant = ninjaone.oracle.grant_of(refresh.reveal())
    assert grant is not None
    assert ninjaone.oracle.live_refresh_token(grant.id) == refresh.reveal()


@req("A06", "C12")
def test_the_code_is_sent_once_with_the_redirect_uri_and_the_verifier(
    journey: Journey, network: NinjaOneTransport
) -> None:
    leaving = journey.leave(journey.open())
    journey.complete(journey.arrive(journey.agree(leaving)))

    (form,) = network.tokens_asked
    assert form["grant_type"] == "authorization_code"
    assert form["redirect_uri"] == f"{CONNECT_URL}/callback/eu"
    assert oauth.challenge(Secret(form["code_verifier"])) in leaving.location
    assert form["client_id"] == OPERATOR_APPS["eu"].client_id
    assert form["client_secret"] == OPERATOR_APPS["eu"].client_secret


@req("K05")
def test_the_customers_own_app_is_sealed_beside_the_connection(
    journey: Journey, seal: Seal, network: NinjaOneTransport
) -> None:
    state, profile = journey.connect(customer_app=True, client=OWN)

    assert (state.customer_app, state.client_id) == (True, OWN.id)
    assert profile.client is not None
    assert seal.open(profile.client, Purpose.CLIENT, state.ref.aad()) == OWN.secret
    assert network.tokens_asked[0]["client_secret"] == OWN.secret.reveal()


@req("D08")
def test_a_connection_that_is_made_is_logged(journey: Journey, lines: LogLines) -> None:
    state, _ = journey.connect()

    (line,) = lines.named("connection.stored")
    assert (line["tenant"], line["connection"], line["region"]) == (TENANT, state.connection, "eu")


def test_completing_again_takes_the_whole_proof_again(journey: Journey) -> None:
    home = journey.home()
    journey.complete(home)

    for name, wrong in WRONG.items():
        with pytest.raises(BindingMismatch):
            journey.complete(home, **{name: wrong})


def test_a_code_that_another_call_took_is_not_sent(
    journey: Journey, aws_faults: AwsFaults, network: NinjaOneTransport
) -> None:
    home, others = journey.home(), []
    aws_faults.before("dynamodb.UpdateItem", lambda: others.append(journey.complete(home)))

    assert journey.complete(home) == others[0]
    assert len(network.tokens_asked) == 1


@pytest.mark.parametrize("lost", ["code", "code_verifier", "host", "client"])
def test_a_session_whose_row_is_torn_is_spent(
    journey: Journey, aws: AwsAccount, config: Config, network: NinjaOneTransport, lost: str
) -> None:
    home = journey.home(customer_app=True, client=OWN)
    aws.client("dynamodb").update_item(
        TableName=config.sessions_table,
        Key={"session": {"S": home.session}},
        UpdateExpression="REMOVE " + ("#lost, #region" if lost == "host" else "#lost"),
        ExpressionAttributeNames={"#lost": lost, **({"#region": "region"} if lost == "host" else {})},
    )

    with pytest.raises(SessionSpent):
        journey.complete(home)
    assert network.requests == []


# What is needed is fetched before the code is spent -------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "dynamodb.GetItem",
        "kms.Decrypt",
        "kms.GenerateDataKey",
        "secretsmanager.GetSecretValue",
        "ssm.GetParameter",
        "dynamodb.UpdateItem",
    ],
)
def test_what_can_not_be_had_now_leaves_the_code_for_another_try(
    journey: Journey, clock: Clock, aws_faults: AwsFaults, network: NinjaOneTransport, call: str
) -> None:
    home = journey.home()
    other = Journey(type(journey.broker)(journey.broker.config, journey.broker.ports), journey.ninjaone)
    aws_faults.refuse(call, error=unreachable())

    with pytest.raises(AwsUnavailable):
        other.complete(home)
    assert network.requests == []

    clock.advance(1)
    assert other.complete(home)


def test_a_client_id_that_was_taken_off_the_list_leaves_the_code(
    journey: Journey, environment: dict[str, str], network: NinjaOneTransport
) -> None:
    home = journey.home()
    fewer = Config.from_env({**environment, "CLIENT_IDS": ""})
    later = Journey(type(journey.broker)(fewer, journey.broker.ports), journey.ninjaone)

    with pytest.raises(Misconfigured, match="ClientIds"):
        later.complete(home)
    assert network.requests == []


@req("J08")
def test_a_restored_table_takes_no_connection(
    journey: Journey, aws: AwsAccount, config: Config, network: NinjaOneTransport
) -> None:
    value = json.dumps({"epoch": 2, "table": "another"})
    aws.client("ssm").put_parameter(Name=config.epoch_parameter, Value=value, Type="String", Overwrite=True)
    home = journey.home()

    with pytest.raises(Misconfigured, match="restored"):
        journey.complete(home)
    assert network.requests == []


# Keeping --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", [1, 2, 3])
def test_a_store_that_loses_its_acknowledgement_has_stored_it(
    journey: Journey, aws_faults: AwsFaults, connections: Connections, network: NinjaOneTransport, losses: int
) -> None:
    home = journey.home()
    aws_faults.lose_reply("dynamodb.TransactWriteItems", times=losses)

    state, profile = journey.complete(home)

    assert (connections.get_state(ref(state)), connections.get_profile(ref(state))) == (state, profile)
    assert journey.complete(home) == (state, profile)
    assert len(network.tokens_asked) == 1


def test_a_store_that_refuses_to_the_end_makes_no_half_of_a_connection(
    journey: Journey, aws_faults: AwsFaults, stored: Any, network: NinjaOneTransport, clock: Clock
) -> None:
    home = journey.home()
    aws_faults.refuse("dynamodb.TransactWriteItems", times=999)

    with pytest.raises(AwsUnavailable):
        journey.complete(home)

    assert stored() == []
    assert START + 20 < clock.now() <= START + policy.COMPLETE_TIMEOUT - policy.COMPLETE_SLACK - policy.AWS_CALL
    aws_faults.end()
    assert journey.complete(home)
    assert len(network.tokens_asked) == 1


def test_a_code_out_of_another_session_is_not_sent_again(
    journey: Journey, network: NinjaOneTransport, lines: LogLines
) -> None:
    """Attack: a spent code comes in a session of the attacker's own, so that NinjaOne ends what it gave for it."""
    spent = journey.agree(journey.leave(journey.open()))
    journey.complete(journey.arrive(spent))
    customer_app = journey.agree(journey.leave(journey.open()))
    injected = journey.arrive(customer_app.replace(_code(customer_app), _code(spent)))

    with pytest.raises(SessionSpent):
        journey.complete(injected)

    assert len(network.tokens_asked) == 1
    assert "code.reused" in lines.names


@pytest.mark.parametrize("number", [0, 1])
def test_a_step_by_a_repeated_request_is_taken_once_and_looks_like_no_attack(
    journey: Journey, aws_faults: AwsFaults, lines: LogLines, network: NinjaOneTransport, number: int
) -> None:
    """To spend the code, and to remember it."""
    home = journey.home()
    aws_faults.watch("dynamodb.UpdateItem")
    aws_faults.retry_after_success("dynamodb.UpdateItem", after=number)

    state, _profile = journey.complete(home)

    assert state.connection
    assert len(network.tokens_asked) == 1
    assert "code.reused" not in lines.names


def _code(query: str) -> str:
    return query.partition("code=")[2].partition("&")[0]
