"""The client's errors are the broker's: one class for each problem type, in the same families."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from broker import errors as theirs
from broker.edge import problems
from broker.errors import BrokerError
from ninjaone_connect import errors as ours

FAMILIES = ("CallerError", "CustomerMustAct", "ClientAppError", "Retryable", "ServerFault")


def kinds(family: type[Any]) -> Iterator[type[Any]]:
    """Every class below a family."""
    for kind in family.__subclasses__():
        yield kind
        yield from kinds(kind)


def made(kind: type[BrokerError]) -> BrokerError:
    """An error of the broker's, with the facts that its class asks for."""
    facts: dict[str, Any] = {}
    if kind is theirs.ConnectionPaused:
        facts = {"held_by": "host", "cause": "status_503", "until": None, "retry_after": 61}
    if issubclass(kind, theirs.ClientAppError):
        facts = {"customer_app": True}
    if kind is theirs.NeedsReauth:
        facts = {"reason": "revoked", "connection": "con_x"}
    if kind is theirs.InvalidRequest:
        return theirs.InvalidRequest(
            theirs.Fault(
                "label", "Use a text of 1 to 80 characters, without control or bidirectional-override characters."
            )
        )
    return kind(**facts)


BROKERS = [kind for family in FAMILIES for kind in kinds(getattr(theirs, family))]


def test_the_two_trees_have_the_same_leaves() -> None:
    for family in FAMILIES:
        broker = {kind.__name__ for kind in kinds(getattr(theirs, family))}
        client = {kind.__name__ for kind in kinds(getattr(ours, family))}
        assert client == broker


@pytest.mark.parametrize("kind", BROKERS, ids=lambda kind: kind.__name__)
def test_a_problem_of_the_broker_s_becomes_the_class_of_its_name(kind: type[BrokerError]) -> None:
    error = made(kind)
    sent = json.loads(problems.problem(error, "request-1"))

    heard = ours.problem(problems.error_response(error).status, sent)

    assert type(heard).__name__ == kind.__name__
    assert (heard.detail, heard.request_id, heard.retry_after) == (error.detail, "request-1", error.retry_after)
    assert error.detail in str(heard)
    assert (" before the next try." in str(heard)) == (error.retry_after is not None)
    assert not re.search("shortly|moment|second or two", error.detail), "how long is said once, and in seconds"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1, "1 second"), (119, "119 seconds"), (234, "4 minutes"), (240, "4 minutes"), (7201, "3 hours")],
)
def test_a_wait_is_said_in_one_sentence_rounded_up(seconds: int, said: str) -> None:
    heard = ours.problem(503, {"detail": "NinjaOne is busy.", "retry_after": seconds, "request_id": "r"})

    assert str(heard) == f"NinjaOne is busy. Wait {said} before the next try. [r]"


def test_a_connection_that_needs_its_customer_says_which_and_why() -> None:
    sent = json.loads(problems.problem(theirs.NeedsReauth("consent_ended", "con_x"), "r"))

    heard = ours.problem(409, sent)

    assert isinstance(heard, ours.NeedsReauth)
    assert (heard.reason, heard.connection_id) == ("consent_ended", "con_x")
    assert "reconnect" in str(heard)


def test_a_connection_that_is_paused_says_what_holds_it_and_until_when() -> None:
    paused = theirs.ConnectionPaused("Wait.", held_by="connection", cause="throttled", until=1_800_000_000)

    heard = ours.problem(503, json.loads(problems.problem(paused, "r")))

    assert isinstance(heard, ours.ConnectionPaused)
    assert (heard.held_by, heard.cause, heard.until) == ("connection", "throttled", 1_800_000_000)


def test_every_fault_is_named_in_the_message() -> None:
    error = theirs.InvalidRequest(theirs.Fault("label", "Too long."), theirs.Fault("region", "Use one of eu."))

    heard = ours.problem(400, json.loads(problems.problem(error, "r")))

    assert isinstance(heard, ours.InvalidRequest)
    assert [fault.field for fault in heard.faults] == ["label", "region"]
    assert "label: Too long. region: Use one of eu." in str(heard)


def test_a_problem_type_of_the_future_is_still_a_problem() -> None:
    heard = ours.problem(418, {"type": ours.PREFIX + "teapot", "detail": "Short and stout."})

    assert type(heard) is ours.Problem
    assert str(heard) == "Short and stout."


def test_a_problem_without_words_says_its_status() -> None:
    assert str(ours.problem(418, {})) == "The broker answered 418."


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = set(ours.__doc__.replace(",", " ").replace(":", " ").split()) if ours.__doc__ else set()

    assert {kind.__name__ for kind in kinds(ours.ConnectError)} <= drawn
