"""What surrounds every view: one line, the figures, an answer whatever happens, and no foreign text."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from broker.adapters.stream import Change
from broker.edge import wiring
from broker.edge.api import answer, api, with_queue
from broker.edge.browser import browser
from broker.edge.handler import Entry, preload
from broker.edge.http import Request, Response
from broker.edge.wiring import Broker
from broker.edge.worker import Context, queue, read_batch, schedule, stream
from broker.errors import AwsUnavailable, InternalError, NoTokenYet, TooManyRequests
from tests.support.broker_world import LogLines
from tests.support.events import CALLER, event
from tests.support.invoke import invoke
from tools.requirements import req

CANARY = "refresh_token=canary-0123456789"
ROUTE = "GET /v1/tenants/{tenant}/things"


def idle(_broker: Broker) -> None:
    """What a view uses that uses nothing."""


def entry(view: Any) -> Entry[dict[str, Any]]:
    return api({ROUTE: view}, warm=idle)


def raising(error: Exception) -> Any:
    def things(*_: Any) -> Response:
        raise error

    return things


def things(_broker: Broker, request: Request) -> Response:
    return answer({"tenant": request.path_parameters["tenant"]})


@pytest.fixture
def asked() -> dict[str, Any]:
    return event(ROUTE, tenant="acme")


def test_a_view_is_found_by_its_route(broker: Broker, asked: dict[str, Any]) -> None:
    answered = invoke(entry(things).bind(broker), asked)

    assert (answered["statusCode"], answered["body"]) == (200, '{"tenant": "acme"}')
    assert answered["headers"]["content-type"] == "application/json; charset=utf-8"


@req("H10", "G10")
def test_every_line_names_function_caller_and_what_the_path_names(
    broker: Broker, asked: dict[str, Any], lines: LogLines
) -> None:
    def things(broker: Broker, _: Request) -> Response:
        broker.log.event("thing.done")
        return answer({})

    invoke(entry(things).bind(broker), asked)

    (line,) = lines.named("thing.done")
    assert (line["function"], line["request_id"], line["principal"], line["tenant"]) == (
        "things", "lambda-1", CALLER, "acme",
    )  # fmt: skip


@req("P01")
def test_an_error_of_ours_is_answered_and_logged_once(broker: Broker, asked: dict[str, Any], lines: LogLines) -> None:
    answered = invoke(entry(raising(NoTokenYet())).bind(broker), asked)

    assert answered["statusCode"] == 503
    assert answered["headers"]["content-type"] == "application/problem+json; charset=utf-8"
    assert answered["headers"]["retry-after"] == "2"
    (line,) = lines.named("things.refused")
    assert (line["error"], line["status"], line["level"]) == ("NoTokenYet", 503, "WARNING")
    assert line["reference"] == json.loads(answered["body"])["request_id"] == asked["requestContext"]["requestId"]


@req("G01", "G07", "P01")
@pytest.mark.parametrize(
    "error", [ValueError(CANARY), KeyError(CANARY), AssertionError(CANARY), RecursionError(CANARY)]
)
def test_whatever_else_breaks_is_answered_without_a_word_of_it(
    broker: Broker, asked: dict[str, Any], lines: LogLines, error: Exception
) -> None:
    answered = invoke(entry(raising(error)).bind(broker), asked)

    assert answered["statusCode"] == 500
    assert CANARY not in repr(answered)
    assert CANARY not in "".join(lines.text)
    (line,) = lines.named("things.crashed")
    assert (line["error"], line["level"]) == (type(error).__name__, "ERROR")
    assert "test_handler.py:" in line["at"]
    assert any(each.get("internal_errors") == [1.0] for each in lines)


@req("G01", "P01")
def test_people_get_a_page_whatever_breaks(broker: Broker, lines: LogLines) -> None:
    made = browser(raising(ValueError(CANARY)), warm=idle).bind(broker)

    answered = invoke(made, event("GET /connect/{session}", session="x"))

    assert answered["statusCode"] == 500
    assert re.search("Reference for support: <code>[A-Z2-7]{4}-[A-Z2-7]{4}</code>", str(answered["body"]))
    assert CANARY not in repr(answered) + "".join(lines.text)


@req("P01")
def test_a_route_that_nobody_serves_is_answered(broker: Broker) -> None:
    answered = invoke(entry(things).bind(broker), event("GET /elsewhere"))

    assert answered["statusCode"] == 500


@req("P01")
@pytest.mark.parametrize("made", [{}, {"requestContext": None}, {"routeKey": None, "headers": None}])
def test_an_event_of_another_shape_is_answered(broker: Broker, made: dict[str, Any]) -> None:
    assert invoke(entry(things).bind(broker), made)["statusCode"] == 500
    assert invoke(browser(raising(KeyError("x")), warm=idle).bind(broker), made)["statusCode"] == 500


def test_a_wait_of_its_own_is_passed_on(broker: Broker, asked: dict[str, Any]) -> None:
    answered = invoke(entry(raising(TooManyRequests(retry_after=7))).bind(broker), asked)

    assert (answered["statusCode"], answered["headers"]["retry-after"]) == (429, "7")


@req("H11")
def test_a_caller_who_asks_too_much_is_told_to_slow_down(broker: Broker, asked: dict[str, Any]) -> None:
    made = entry(things).bind(broker)

    statuses = [invoke(made, asked)["statusCode"] for _ in range(101)]

    assert statuses == [200] * 100 + [429]


def test_the_time_left_comes_from_lambda(broker: Broker) -> None:
    seen = list[float]()
    made = schedule(lambda _, context: seen.append(context.seconds_left()), warm=idle)

    invoke(made.bind(broker), {})
    made.bind(broker)({}, SimpleNamespace())
    made.bind(broker)({}, None)

    assert seen == [29.0, 0.0, 0.0]


# Queues, schedules, streams -------------------------------------------------------------------------------------------


def records(*bodies: str) -> dict[str, Any]:
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies, start=1)]}


@req("G01")
def test_a_message_that_fails_does_not_take_its_neighbours_along(broker: Broker, lines: LogLines) -> None:
    done = list[str]()

    def work(_broker: Broker, body: str, _context: Context) -> None:
        if body == "busy":
            raise AwsUnavailable
        if body == "bug":
            raise ValueError(CANARY)
        done.append(body)

    answered = invoke(queue(work, warm=idle).bind(broker), records("a", "busy", "b", "bug", "c"))

    assert answered == {"batchItemFailures": [{"itemIdentifier": "m-2"}, {"itemIdentifier": "m-4"}]}
    assert done == ["a", "b", "c"]
    assert [line["message_id"] for line in lines.named("message.failed")] == ["m-2"]
    assert [line["message_id"] for line in lines.named("message.crashed")] == ["m-4"]
    assert CANARY not in "".join(lines.text)


def test_a_message_that_is_no_batch_is_said_and_dropped(broker: Broker, lines: LogLines) -> None:
    def refresh(broker: Broker, body: str, _context: Context) -> None:
        assert read_batch(broker, body) is None

    answered = invoke(queue(refresh, warm=idle).bind(broker), records("{}", "x"))

    assert answered == {"batchItemFailures": []}
    assert len(lines.named("batch.unreadable")) == 2


def test_a_schedule_that_fails_fails_without_foreign_text(broker: Broker, lines: LogLines) -> None:
    def tick(_broker: Broker, _context: Context) -> None:
        raise ValueError(CANARY)

    with pytest.raises(InternalError) as failed:
        invoke(schedule(tick, warm=idle).bind(broker), {})

    assert failed.value.__suppress_context__
    assert CANARY not in str(failed.value) + "".join(lines.text)
    assert [line["error"] for line in lines.named("tick.failed")] == ["InternalError"]


def test_a_schedule_that_has_to_wait_says_so(broker: Broker, lines: LogLines) -> None:
    def tick(_broker: Broker, _context: Context) -> None:
        raise AwsUnavailable

    with pytest.raises(AwsUnavailable):
        invoke(schedule(tick, warm=idle).bind(broker), {})
    assert [line["error"] for line in lines.named("tick.failed")] == ["AwsUnavailable"]


@pytest.mark.parametrize(("stopped", "failures"), [(None, []), ("7", [{"itemIdentifier": "7"}])])
def test_a_stream_comes_again_from_where_it_stopped(
    broker: Broker, stopped: str | None, failures: list[dict[str, str]]
) -> None:
    def told(_broker: Broker, _changes: list[Change]) -> str | None:
        return stopped

    assert invoke(stream(told, warm=idle).bind(broker), {"Records": []}) == {"batchItemFailures": failures}


def test_one_function_may_answer_requests_and_work_messages(broker: Broker, asked: dict[str, Any]) -> None:
    seen = list[str]()
    made = with_queue(entry(things), lambda _, body, __: seen.append(body)).bind(broker)

    assert invoke(made, asked)["statusCode"] == 200
    assert invoke(made, records("a")) == {"batchItemFailures": []}
    assert seen == ["a"]


# Wiring ---------------------------------------------------------------------------------------------------------------


def test_outside_of_lambda_nothing_is_wired_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)

    made = Entry("thing", lambda *_: None, None)

    assert preload(made, raising(AssertionError("touched"))) is made


def test_on_lambda_what_a_function_uses_is_made_at_its_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in {
        **environment,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    wiring.broker.cache_clear()
    touched = list[object]()

    made = preload(Entry("sweep", lambda broker, *_: broker, None), lambda broker: touched.append(broker.find_session))

    assert touched == [wiring.broker().find_session]
    assert invoke(made, {}) is wiring.broker()
    wiring.broker.cache_clear()
