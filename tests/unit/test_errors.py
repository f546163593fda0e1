"""The tree of failures, and the one table that answers them."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator

import pytest

import broker
from broker import errors
from broker.adapters.log import Level
from broker.edge.problems import PROBLEM, error_response, problem
from broker.errors import (
    AwsError,
    AwsRefused,
    AwsUnavailable,
    BrokerError,
    CallerError,
    ClientAppError,
    CustomerMustAct,
    Fault,
    InvalidRequest,
    NeedsReauth,
    OperatorError,
    Retryable,
    ServerFault,
)
from tools.requirements import req

FAMILIES = (CallerError, CustomerMustAct, ClientAppError, Retryable, ServerFault)
GROUPS = (*FAMILIES, OperatorError)


def below(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def everything() -> list[type[BrokerError]]:
    """All errors of the broker, wherever they are defined."""
    for module in pkgutil.walk_packages(broker.__path__, "broker."):
        importlib.import_module(module.name)
    return sorted(
        {each for each in below(BrokerError) if each.__module__.startswith("broker.")}, key=lambda k: k.__name__
    )


def drawn() -> dict[str, str]:
    """The tree of the docstring: each class and the one above it."""
    above, parents = [""], {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z][A-Za-z]+)", line)
        if found and (found[1] or line == "BrokerError"):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            parents[found[2]] = above[depth - 1] if depth else ""
    return parents


def made(kind: type[BrokerError]) -> BrokerError:
    if kind is NeedsReauth:
        return NeedsReauth("revoked", "con_" + "a" * 26)
    if kind is InvalidRequest:
        return InvalidRequest(Fault("body", "Send a JSON object."))
    return kind(customer_app=False) if issubclass(kind, ClientAppError) else kind()


EVERYTHING = everything()
RAISED = [kind for kind in EVERYTHING if kind is not AwsError]  # that one is only caught


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    families = {each.__name__: each.__bases__[0].__name__ for each in EVERYTHING}

    assert drawn() == {"BrokerError": "", **families}


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_says_what_to_change_and_never_only_what_it_is(kind: type[BrokerError]) -> None:
    error = made(kind)

    assert str(error) == error.detail
    assert error.detail.endswith(".")
    assert error.detail != BrokerError.detail or kind in GROUPS


@req("P01")
@pytest.mark.parametrize("kind", RAISED)
def test_every_error_has_a_status_and_a_level_by_its_family(kind: type[BrokerError]) -> None:
    found = error_response(made(kind))

    family = next(each for each in FAMILIES if issubclass(kind, each))
    assert (
        found.status
        in {
            CallerError: {400, 403, 404, 409, 410, 413, 429},
            CustomerMustAct: {409},
            ClientAppError: {502},
            Retryable: {502, 503, 504},
            ServerFault: {500, 502},
        }[family]
    )
    assert (found.level is Level.ERROR) is (family in {ServerFault, ClientAppError})


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_becomes_problem_details(kind: type[BrokerError]) -> None:
    error = made(kind)

    written = json.loads(problem(error, "request-1"))

    assert written["type"] == PROBLEM + error.slug()
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.slug())
    assert written["title"].lower().replace(" ", "-") == error.slug()
    assert written["status"] == error_response(error).status
    assert written["detail"] == error.detail
    assert written["request_id"] == "request-1"
    assert ("retry_after" in written) is isinstance(error, Retryable | errors.TooManyRequests)


def test_no_two_errors_share_a_slug() -> None:
    slugs = [kind.slug() for kind in RAISED]

    assert len(set(slugs)) == len(slugs)


def test_an_invalid_request_names_every_fault() -> None:
    error = InvalidRequest(Fault("label", "Shorter."), Fault("region", "One of these."))

    written = json.loads(problem(error, ""))

    assert written["faults"] == [
        {"field": "label", "message": "Shorter."},
        {"field": "region", "message": "One of these."},
    ]


@req("H09")
def test_a_lost_connection_tells_why_and_how_to_reconnect() -> None:
    written = json.loads(problem(NeedsReauth("consent_ended", "con_x"), ""))

    assert written["reason"] == "consent_ended"
    assert written["reconnect"]["connection_id"] == "con_x"


def test_the_customers_own_app_wakes_nobody_of_the_operators() -> None:
    assert error_response(errors.UnknownClient(customer_app=True)).level is Level.WARNING
    assert error_response(errors.UnknownClient(customer_app=False)).level is Level.ERROR


def test_a_sentence_and_a_wait_of_its_own_take_the_place_of_the_usual_ones() -> None:
    error = errors.ProviderDown("Another sentence.", retry_after=7)

    assert (error.detail, str(error), error.retry_after) == ("Another sentence.", "Another sentence.", 7)
    assert errors.ProviderDown(retry_after=0).retry_after == 0
    assert (errors.ProviderDown().detail, errors.ProviderDown().retry_after) == (errors.ProviderDown.detail, 30)


def test_both_ways_in_which_aws_fails_are_caught_as_one_and_answered_as_two() -> None:
    assert AwsError.__subclasses__() == [AwsUnavailable, AwsRefused]
    assert (error_response(AwsUnavailable()).status, AwsUnavailable().retry_after) == (503, 5)
    assert (error_response(AwsRefused()).status, AwsRefused().retry_after) == (500, None)
    assert error_response(AwsRefused()).level is Level.ERROR
    assert not issubclass(AwsRefused, Retryable)
