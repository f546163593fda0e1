"""Functions called as Lambda calls them."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from local.aws.lambda_runtime import PAYLOAD_LIMIT, Context, Entry, Failed, GaveUp, Runtime, Throttled, TooLarge
from local.cloudformation.resources import Function


def runtime(function: Function, entry: Entry, **changes: Any) -> Runtime:
    return Runtime(replace(function, **changes), lambda: entry)


def test_event_and_answer_pass_as_json(function: Function) -> None:
    sent = {"a": (1, 2)}

    assert runtime(function, lambda event, _: event).invoke(sent) == {"a": [1, 2]}


def test_the_context_counts_down_from_the_functions_timeout(function: Function) -> None:
    seen: list[Context] = []

    runtime(function, lambda _, context: seen.append(context)).invoke({})

    assert 0 < seen[0].get_remaining_time_in_millis() <= function.timeout * 1000
    assert (seen[0].function_name, seen[0].memory_limit_in_mb) == (function.name, str(function.memory))


def test_every_call_has_a_request_id_of_its_own(function: Function) -> None:
    called = runtime(function, lambda _, context: context.aws_request_id)

    assert called.invoke({}) != called.invoke({})


def test_a_failure_names_the_exception_and_not_its_text(function: Function) -> None:
    def fail(_event: Any, _context: Any) -> None:
        raise ValueError("secret")

    with pytest.raises(Failed, match=r"^ValueError$"):
        runtime(function, fail).invoke({})


def test_each_failure_is_told(function: Function) -> None:
    told: list[tuple[str, str]] = []

    with pytest.raises(Failed):
        Runtime(function, lambda: lambda *_: {1}, lambda *what: told.append(what)).invoke({})

    assert told == [(function.folder, "Failed: TypeError")]


def test_an_answer_that_is_no_json_is_a_failure(function: Function) -> None:
    with pytest.raises(Failed, match="TypeError"):
        runtime(function, lambda *_: {1, 2}).invoke({})


def test_what_lambda_does_not_pass_is_not_passed(function: Function) -> None:
    asked: list[int] = []
    room = PAYLOAD_LIMIT - len('{"body": ""}')

    def echo(event: dict[str, str], _context: Any) -> object:
        asked.append(len(event["body"]))
        return {"body": "x" * (room + 1)} if event["body"] == "more" else event

    called = runtime(function, echo)
    assert len(called.invoke({"body": "x" * room})["body"]) == room
    with pytest.raises(TooLarge):
        called.invoke({"body": '"' * (room // 2 + 1)})
    with pytest.raises(TooLarge):
        called.invoke({"body": "é" * (room // 2 + 1)})
    with pytest.raises(Failed, match="TooLarge"):
        called.invoke({"body": "more"})
    assert asked == [room, 4]


def test_an_environment_is_used_again_but_never_by_two_calls_at_once(function: Function) -> None:
    started: list[int] = []
    both, inside = threading.Barrier(2), threading.local()

    def start() -> Entry:
        started.append(1)

        def entry(event: dict[str, Any], _context: Context) -> Any:
            assert not getattr(inside, "busy", False)
            if event["wait"]:
                both.wait(60)
            return len(started)

        return entry

    called = Runtime(function, start)
    called.invoke({"wait": False})
    called.invoke({"wait": False})
    assert len(started) == 1

    threads = [threading.Thread(target=called.invoke, args=({"wait": True},)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(started) == 2


def test_what_outlasts_its_timeout_fails(function: Function) -> None:
    done = threading.Event()

    with pytest.raises(Failed, match="timed out after 0 s"):
        runtime(function, lambda *_: done.wait(60), timeout=0).invoke({})
    done.set()


def test_a_caller_may_give_up_before_the_function_does(function: Function) -> None:
    done = threading.Event()

    with pytest.raises(GaveUp):
        runtime(function, lambda *_: done.wait(60)).invoke({}, patience=0)
    done.set()


def test_no_more_calls_run_at_once_than_are_reserved(function: Function) -> None:
    begun, done = threading.Event(), threading.Event()

    def entry(_event: Any, _context: Any) -> None:
        begun.set()
        done.wait(60)

    called = runtime(function, entry, concurrency=1)
    first = threading.Thread(target=called.invoke, args=({},))
    first.start()
    begun.wait(60)

    with pytest.raises(Throttled):
        called.invoke({})
    done.set()
    first.join()
    assert called.invoke({}) is None
