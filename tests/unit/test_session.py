"""SessionRequest a connect session, and looking at it."""

import re

import pytest

from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import Sessions
from broker.edge.wiring import Broker
from broker.errors import (
    AwaitingCompletion,
    ReturnNotListed,
    SessionExpired,
    SessionSpent,
    UnknownSession,
)
from broker.model import Binding, Client, Purpose, SessionId, Stage, sha256_hex
from broker.secret import Secret
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines
from tests.support.journey import EU, TENANT, Journey
from tools.requirements import req

OWN = Client("own-app", Secret("customer_app secret"), customer_app=True)
UNKNOWN = SessionId("ses_" + "a" * 26)


def test_a_session_is_kept_as_it_was_asked_for(journey: Journey, sessions: Sessions) -> None:
    opened = journey.open(label="Head office", metadata={"a": "b"}, host=EU, return_to="second")

    found = sessions.get(opened.session)
    assert found == opened
    assert re.fullmatch(r"ses_[a-z2-7]{26}", found.session)
    assert (found.tenant, found.tenant_name, found.label, found.metadata) == (
        TENANT, "Acme MSP", "Head office", {"a": "b"},
    )  # fmt: skip
    assert (found.stage, found.binding, found.return_to) == (Stage.CREATED, Binding.SESSION, "second")
    assert (found.host, found.fixed_host) == (EU, True)
    assert (found.created_at, found.expires_at) == (START, START + 1800)


@req("A07")
def test_offline_access_always_joins_what_is_asked_for(journey: Journey) -> None:
    assert journey.open(scopes=frozenset({"monitoring"})).scopes == {"monitoring", "offline_access"}


@req("A03")
def test_the_end_user_is_kept_as_a_digest(journey: Journey) -> None:
    assert journey.open().end_user_hash == sha256_hex(journey.end_user)


@req("K05")
def test_the_customers_client_secret_is_sealed_for_its_session(journey: Journey, seal: Seal) -> None:
    opened = journey.open(customer_app=True, client=OWN, host=EU)

    assert opened.client is not None
    assert b"customer_app secret" not in opened.client
    assert seal.open(opened.client, Purpose.CLIENT, session_aad(opened.session)) == OWN.secret
    assert (opened.client_id, opened.customer_app, opened.fixed_client) == ("own-app", True, True)


@req("E01")
@pytest.mark.parametrize("key", ["", "third", "MAIN", "https://app.example/return", "https://evil.example"])
def test_a_return_key_that_is_not_listed_opens_nothing(journey: Journey, aws_faults: AwsFaults, key: str) -> None:
    aws_faults.watch("dynamodb.PutItem")

    with pytest.raises(ReturnNotListed):
        journey.open(return_to=key)

    assert aws_faults.asked["dynamodb.PutItem"] == 0


@req("G10")
def test_an_opened_session_is_logged(journey: Journey, lines: LogLines) -> None:
    opened = journey.open()

    (line,) = lines.named("session.opened")
    assert (line["session"], line["tenant"], line["binding"]) == (opened.session, TENANT, "session")


# Looking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", [None, UNKNOWN])
def test_an_unknown_session_is_not_shown(broker: Broker, session: SessionId | None) -> None:
    with pytest.raises(UnknownSession):
        broker.find_session(session)


@req("A13")
def test_a_session_is_shown_for_half_an_hour_though_its_row_stays(
    journey: Journey, broker: Broker, sessions: Sessions, clock: Clock
) -> None:
    opened = journey.open()

    clock.advance(1799)
    assert broker.find_session(opened.session) == opened
    clock.advance(1)
    with pytest.raises(SessionExpired):
        broker.find_session(opened.session)
    assert sessions.get(opened.session) == opened


def test_a_session_can_be_looked_at_until_the_person_agreed(journey: Journey, broker: Broker) -> None:
    opened = journey.open()
    leaving = journey.leave(opened)
    assert broker.find_session(opened.session).stage is Stage.STARTED

    journey.arrive(journey.agree(leaving, decision="deny"))
    assert broker.find_session(opened.session).stage is Stage.DENIED

    home = journey.arrive(journey.agree(journey.leave(opened)))
    with pytest.raises(AwaitingCompletion):
        broker.find_session(opened.session)

    journey.complete(home)
    with pytest.raises(SessionSpent):
        broker.find_session(opened.session)
