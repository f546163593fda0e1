"""What backends ask in few words: a proof, a lifetime, a page; and what a message of a queue asks."""

import json
from urllib.parse import urlencode

import pytest

from broker.edge.complete import complete_request, session_to_complete
from broker.edge.connections import list_page
from broker.edge.http import Request
from broker.edge.token import token_request
from broker.errors import InvalidRequest
from broker.secret import Secret
from tests.support.events import event, request
from tests.support.journey import TENANT

PROOF = {"end_user_id": "user-17", "ticket": "t" * 43, "binding_verifier": "v" * 43}
CONNECTION = "con_" + "a" * 26


def fields(refused: pytest.ExceptionInfo[InvalidRequest]) -> list[str]:
    return [fault.field for fault in refused.value.faults]


@pytest.mark.parametrize("confirmed", [True, False, None])
def test_a_proof_is_read_as_it_was_sent_and_an_account_change_confirmed_where_that_is_said(
    *, confirmed: bool | None
) -> None:
    said = {} if confirmed is None else {"confirm_account_change": confirmed}
    proof, asked = complete_request(TENANT, request(PROOF | said))

    assert (proof.tenant, proof.end_user_id) == (TENANT, "user-17")
    assert (proof.ticket, proof.binding_verifier) == (Secret("t" * 43), Secret("v" * 43))
    assert asked is (confirmed is True)


@pytest.mark.parametrize("verifier", ["v" * 43, "v" * 128, "-._~" * 11])
def test_a_verifier_has_the_characters_of_rfc_7636(verifier: str) -> None:
    assert complete_request(TENANT, request(PROOF | {"binding_verifier": verifier}))[0].binding_verifier == Secret(
        verifier
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"end_user_id": ""}, ["end_user_id"]),
        ({"end_user_id": 17}, ["end_user_id"]),
        ({"ticket": "t" * 42}, ["ticket"]),
        ({"ticket": ""}, ["ticket"]),
        ({"ticket": ["t"]}, ["ticket"]),
        ({"binding_verifier": "v" * 42}, ["binding_verifier"]),
        ({"binding_verifier": "v" * 129}, ["binding_verifier"]),
        ({"binding_verifier": "ä" * 43}, ["binding_verifier"]),
        ({"confirm_account_change": "yes"}, ["confirm_account_change"]),
        ({"tenant": "globex"}, ["tenant"]),
        (
            {"end_user_id": None, "ticket": None, "binding_verifier": None},
            ["end_user_id", "ticket", "binding_verifier"],
        ),
    ],
)
def test_a_fault_of_a_proof_is_named(changes: dict[str, object], named: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        complete_request(TENANT, request(PROOF | changes))

    assert fields(refused) == named


@pytest.mark.parametrize(("body", "seconds"), [(None, 300), ({}, 300), ({"min_ttl": 0}, 0), ({"min_ttl": 3000}, 3000)])
def test_a_lifetime_is_five_minutes_unless_said(body: object, seconds: int) -> None:
    assert token_request(request(body)).min_ttl == seconds


@pytest.mark.parametrize(("body", "version"), [(None, 0), ({"refused_version": 0}, 0), ({"refused_version": 7}, 7)])
def test_no_version_was_refused_unless_said(body: object, version: int) -> None:
    assert token_request(request(body)).refused_version == version


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"min_ttl": 3001}, ["min_ttl"]),
        ({"min_ttl": -1}, ["min_ttl"]),
        ({"min_ttl": "5"}, ["min_ttl"]),
        ({"refused_version": -1}, ["refused_version"]),
        ({"refused_version": 2**53}, ["refused_version"]),
        ({"refused_version": "2"}, ["refused_version"]),
        ({"ttl": 5}, ["ttl"]),
    ],
)
def test_a_lifetime_that_is_none_is_refused(body: object, named: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        token_request(request(body))

    assert fields(refused) == named


def listing(**query: str) -> Request:
    return Request.from_event(event("GET /v1/tenants/{tenant}/connections", tenant=TENANT, query=urlencode(query)))


@pytest.mark.parametrize(("limit", "found"), [("1", 1), ("9", 9), ("10", 10), ("99", 99), ("100", 100)])
def test_a_page_has_as_many_as_asked_for(limit: str, found: int) -> None:
    assert list_page(listing(limit=limit)) == (found, None)


@pytest.mark.parametrize("cursor", [CONNECTION, f"{CONNECTION}#profile"])
def test_a_page_begins_where_the_one_before_ended(cursor: str) -> None:
    assert list_page(listing(cursor=cursor)) == (50, cursor)


@pytest.mark.parametrize("limit", ["0", "101", "007", "-1", "1.5", "ten", "1e2", "²", "9" * 5000, " 5"])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        list_page(listing(limit=limit))

    assert fields(refused) == ["limit"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "con_x", f"{CONNECTION}#other", "#breakers", f"{CONNECTION}#profile#profile"]
)
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        list_page(listing(cursor=cursor))

    assert fields(refused) == ["cursor"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (f"cursor={CONNECTION}&cursor={CONNECTION}", ["cursor"]),
        ("limit=10&cursor=" + CONNECTION + "&limit=", ["limit"]),
        ("limit=1&cursor=x&cursor=&limit=2", ["limit", "cursor"]),
    ],
)
def test_what_is_passed_twice_is_not_taken_for_left_out(query: str, named: list[str]) -> None:
    twice = Request.from_event(event("GET /v1/tenants/{tenant}/connections", tenant=TENANT, query=query))

    with pytest.raises(InvalidRequest) as refused:
        list_page(twice)

    assert fields(refused) == named


def test_both_faults_of_a_page_are_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        list_page(listing(limit="x", cursor="x"))

    assert fields(refused) == ["limit", "cursor"]


def test_a_message_names_the_session_to_complete() -> None:
    session = "ses_" + "a" * 26

    assert session_to_complete(json.dumps({"session": session})) == session


@pytest.mark.parametrize("body", ["", "{}", "x", '{"session": "x"}'])
def test_a_message_that_names_none_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        session_to_complete(body)

    assert fields(refused) == ["session"]
