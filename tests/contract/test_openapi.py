"""The OpenAPI documents say what the template routes and what the handlers answer: no more, no less."""

import ast
import json
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest

from broker import errors
from broker.edge import browser, problems, session
from broker.edge.pages import Notice
from broker.errors import BrokerError
from broker.model import Reason, Status
from broker.ninjaone import REGIONS
from local.cloudformation.template import Template, read
from ninjaone_connect import AsyncConnect, Connect, calls, model
from tests.contract.documents import Answer, Operation, document
from tools.requirements import req

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "layers/broker/python/broker"
API, CONNECT = document("api"), document("connect")
NEEDED = {"ProductName": "Example Product", "ReturnUrls": "main=https://app.example/return", "Proxy": "on"}
FUNCTIONS = {
    route.key: name
    for name, function in read(ROOT / "template.yaml", NEEDED).functions.items()
    for route in function.routes
}
OPERATIONS = [*API.operations(), *CONNECT.operations()]
ANSWERS = [answer for operation in OPERATIONS for answer in operation.answers]


def shown(thing: Operation | Answer) -> str:
    return f"{thing.operation.name}-{thing.status}" if isinstance(thing, Answer) else thing.name


every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=shown)
every_call = pytest.mark.parametrize("operation", list(API.operations()), ids=shown)
every_answer = pytest.mark.parametrize("answer", ANSWERS, ids=shown)


@pytest.mark.parametrize("name", ["api", "connect"])
def test_a_document_is_valid_openapi(name: str) -> None:
    raw = document(name).raw

    assert raw["openapi"] == "3.1.0"
    openapi_spec_validator.validate(raw)


def test_the_documents_have_the_routes_of_the_template(template: Template) -> None:
    for api_of, documented in ((True, API), (False, CONNECT)):
        ids = {each.id for each in template.apis if each.signed is api_of}
        routes = {route.key for each in template.functions.values() for route in each.routes if route.api in ids}
        assert {operation.route for operation in documented.operations()} == routes


@req("H01")
def test_what_asks_for_a_signature_says_so(template: Template) -> None:
    signed = {route.key: route.signed for each in template.functions.values() for route in each.routes}

    for operation in OPERATIONS:
        asked = operation.said.get("security", operation.document.raw["security"])
        assert bool(asked) is signed[operation.route], operation.name


@every_answer
def test_every_answer_has_examples_and_they_are_as_their_schema_says(answer: Answer) -> None:
    examples = [
        (example, content["schema"])
        for content in answer.contents.values()
        for example in answer.operation.document.examples(content).values()
    ]
    headers = answer.said.get("headers", {})

    assert examples or headers.get("Location", {}).get("examples")
    for example, schema in examples:
        answer.operation.document.validate(example, schema)


@every_operation
def test_every_request_has_examples_and_they_are_as_their_schema_says(operation: Operation) -> None:
    for content in operation.request_contents.values():
        examples = operation.document.examples(content)
        assert examples
        for example in examples.values():
            operation.document.validate(example, content["schema"])


# Names ---------------------------------------------------------------------------------------------------------


@every_operation
def test_an_operation_bears_the_name_of_its_view(operation: Operation) -> None:
    """One word for a use case: the operation's name leads to the view, and to every log line of its requests."""
    if operation.name == "notice":  # shown by whatever answers at `$default`
        return
    views = ast.parse((ROOT / f"functions/{function_of(operation)}/app.py").read_text()).body
    assert operation.name in {view.name for view in views if isinstance(view, ast.FunctionDef)}
    assert (BROKER / f"flows/{function_of(operation)}.py").is_file()


# Problems ---------------------------------------------------------------------------------------------------------


def below(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    """Every error that has no errors below it."""
    kinds = kind.__subclasses__()
    for each in kinds:
        yield from below(each)
    if not kinds:
        yield kind


def made(kind: type[BrokerError]) -> BrokerError:
    if kind is errors.InvalidRequest:
        return errors.InvalidRequest(
            errors.Fault(
                "label", "Use a text of 1 to 80 characters, without control or bidirectional-override characters."
            )
        )
    if kind is errors.NeedsReauth:
        return errors.NeedsReauth("revoked", "con_mfrggzdfmztwq2lknnwg23tpoa")
    if kind is errors.ConnectionPaused:
        detail = (
            "The access token ended. NinjaOne did not renew the tokens of this connection (throttled). "
            "It is asked again at 10:04:00 on 1 December 2026 UTC."
        )
        return errors.ConnectionPaused(detail, cause="throttled", until=1_796_119_440, retry_after=121)
    facts: dict[str, Any] = {"customer_app": True} if issubclass(kind, errors.ClientAppError) else {}
    return kind(**facts)


ERRORS = {kind.slug(): made(kind) for kind in below(BrokerError)}
PAGES_ONLY = {"unknown-session", "awaiting-completion", "another-browser", "origin-unverified"}
"""What only a browser meets."""


def test_every_error_is_documented_somewhere() -> None:
    documented = {slug for operation in API.operations() for slug in operation.problems}

    assert documented == ERRORS.keys() - PAGES_ONLY


@pytest.mark.parametrize("slug", sorted(ERRORS.keys() - PAGES_ONLY))
def test_the_example_of_a_problem_is_what_the_broker_writes(slug: str) -> None:
    example = API.raw["components"]["examples"][slug]["value"]

    assert example == json.loads(problems.problem(ERRORS[slug], example["request_id"]))


@every_call
def test_a_problem_stands_under_its_status(operation: Operation) -> None:
    for answer in operation.answers:
        assert {problems.error_response(ERRORS[slug]).status for slug in answer.problems} <= {answer.status}


# What the code behind an operation can raise ----------------------------------------------------------------------

AT_THE_START = {"config", "policy"}
"""Modules that raise while settings are read, before any call."""
ALWAYS = {"InvalidRequest", "TooManyRequests", "InternalError"}
"""Every call to the backend API may meet these: raised at the edge."""

MAKING = {
    "Busy",  # another call is completing the session
    "AccessDenied", "AccountMismatch", "BindingMismatch", "CodeRefused", "ConsentLost", "GrantNotTicked",
    "InsufficientScope",
    "InvalidScope", "NoRefreshToken", "NotActive", "NotAuthorized", "OutcomeUnknown", "ProviderDown",
    "UnexpectedAnswer", "SessionExpired", "SessionSpent", "UnknownClient", "WrongClientSecret", "Misconfigured",
    "SealBroken",
}  # fmt: skip
EXCUSED = {
    "session": {"SealBroken"},  # it seals and opens nothing
    "complete": {"NotPending"},  # of approving
    "approve": MAKING,  # of completing
    "connections": {"UnknownConnection"},  # of looking at one
    "disconnect": {"SealBroken", "Misconfigured"},  # a connection ends even when its revocation can't be made
}
"""Errors that the code behind an operation knows, and this operation never meets, with the reason."""


def raised(module: Path, seen: set[Path]) -> set[str]:
    """The errors that a module of the broker knows, and those of what it imports."""
    if module in seen or not module.is_file() or module.stem in AT_THE_START:
        return set()
    seen.add(module)
    found: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("broker"):
            continue
        names = {alias.name for alias in node.names}
        if node.module == "broker.errors":
            found |= {name for name in names if hasattr(errors, name)}
        else:
            parts = str(node.module).split(".")[1:]
            inner = [BROKER.joinpath(*parts).with_suffix(".py")] if parts else [BROKER / f"{name}.py" for name in names]
            found |= {name for each in inner for name in raised(each, seen)}
    return found


def known(operation: Operation) -> set[str]:
    """The errors that the code behind an operation knows, families and facts left out."""
    leaves = {kind.__name__ for kind in below(BrokerError)}
    return raised(BROKER / f"flows/{function_of(operation)}.py", set()) & leaves


def function_of(operation: Operation) -> str:
    """The function that works an operation's route; its folder and its flow bear the same name."""
    return FUNCTIONS[operation.route]


@every_call
def test_every_error_that_the_code_behind_a_call_knows_is_documented_or_excused(operation: Operation) -> None:
    documented = {type(ERRORS[slug]).__name__ for slug in operation.problems}
    excused = EXCUSED.get(operation.name, set())

    assert documented == (known(operation) | ALWAYS) - excused
    assert excused <= known(operation)


@pytest.mark.parametrize("operation", [each for each in CONNECT.operations() if each.name != "notice"], ids=shown)
def test_every_page_that_an_error_leads_to_is_documented(operation: Operation) -> None:
    reached = known(operation) - EXCUSED.get(operation.name, set())
    kinds = [kind for kind in below(BrokerError) if kind.__name__ in reached | {"InternalError"}]
    notices = {next(browser._NOTICES[each] for each in kind.__mro__ if each in browser._NOTICES) for kind in kinds}
    documented = {(answer.status, name) for answer in operation.answers for name in html_examples(answer)}

    if operation.name == "callback":  # tells every failure at an address without a code in it
        assert {303} <= {answer.status for answer in operation.answers}
    else:
        assert {(notice.status, notice.slug) for notice in notices} <= documented


def html_examples(answer: Answer) -> list[str]:
    return list(answer.operation.document.examples(answer.contents.get("text/html", {})))


def test_the_example_of_a_notice_is_its_heading_under_its_status() -> None:
    notices = {notice.slug: notice for notice in Notice}
    for operation in CONNECT.operations():
        for answer in operation.answers:
            for name in set(html_examples(answer)) & notices.keys():
                example = CONNECT.raw["components"]["examples"][name]["value"]
                assert example == f"<h1>{notices[name].heading.format(product='<bdi>Example Product</bdi>')}</h1>"
                assert answer.status == notices[name].status

    [say] = [each for each in CONNECT.operations() if each.route == "$default"]
    assert {name for answer in say.answers for name in html_examples(answer)} == notices.keys()


# Fields -----------------------------------------------------------------------------------------------------------


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = API.raw["components"]["schemas"][name]
    return found


def test_a_session_request_has_the_fields_that_are_read_and_that_the_client_sends() -> None:
    assert schema("SessionRequest")["properties"].keys() == set(session._FIELDS)
    assert schema("SessionRequest")["properties"].keys() == model.SessionRequest.__annotations__.keys()


@pytest.mark.parametrize("name", ["SessionRequest", "CompleteRequest", "TokenRequest"])
def test_the_client_sends_the_fields_of_a_request(name: str) -> None:
    assert schema(name)["properties"].keys() == getattr(model, name).__annotations__.keys()


@pytest.mark.parametrize("client", [Connect, AsyncConnect])
@pytest.mark.parametrize(
    ("method", "body"), [("open_session", model.SessionRequest), ("complete", model.CompleteRequest)]
)
def test_each_field_of_a_request_is_a_named_parameter_of_the_client(client: type, method: str, body: type) -> None:
    parameters = signature(getattr(client, method)).parameters.values()

    assert {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} == body.__annotations__.keys()


def test_the_client_has_a_call_for_each_operation_and_of_its_name() -> None:
    assert {operation.name for operation in API.operations()} <= vars(calls).keys()


def test_a_connection_has_the_fields_that_the_client_reads() -> None:
    fields = set(model.Connection.__dataclass_fields__)

    assert schema("Connection")["properties"].keys() == fields == set(schema("Connection")["required"])


def test_every_word_of_an_enumeration_is_the_broker_s() -> None:
    connection = schema("Connection")["properties"]

    assert set(connection["status"]["enum"]) == {status.value for status in Status} | {"paused"}
    assert set(connection["reason"]["enum"]) == {reason.value for reason in Reason} | {None}
    assert set(schema("Problem")["properties"]["reason"]["enum"]) == {reason.value for reason in Reason}
    assert schema("SessionRequest")["properties"]["region"]["enum"] == list(REGIONS)
    assert connection["region"]["enum"] == [*REGIONS, "branded"]
