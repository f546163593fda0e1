"""What a call makes of each answer, and of none; what is sent again, and what never."""

import json
from collections.abc import Callable
from email.utils import formatdate
from time import time
from typing import Any

import httpx
import pytest

from ninjaone_connect import Connect, calls, errors
from tests.client import loop
from tests.support.client_stage import API, CON, CONNECTION, NINJAONE, Api, problem

OK = httpx.Response(200, json=CONNECTION)
TOKEN = httpx.Response(
    200, json={"access_token": "t", "expires_at": 1, "expires_in": 1, "api_base_url": NINJAONE, "version": 1}
)
PROOF: dict[str, Any] = {"end_user_id": "ana", "ticket": "secret-ticket", "binding_verifier": "secret-verifier"}
WISH: dict[str, Any] = {"end_user_id": "ana", "tenant_name": "Northwind", "return_to": "main"}

Ask = Callable[[Connect], object]
REPEATABLE: dict[str, Ask] = {
    "connection": lambda connect: connect.connection("northwind", CON),
    "connections": lambda connect: list(connect.connections("northwind")),
    "token": lambda connect: connect.token("northwind", CON),
    "complete": lambda connect: connect.complete("northwind", "ses_x", **PROOF),
}
ONCE: dict[str, Ask] = {
    "open_session": lambda connect: connect.open_session("northwind", **WISH),
    "approve": lambda connect: connect.approve("northwind", CON),
    "disconnect": lambda connect: connect.disconnect("northwind", CON),
}
PASSING = {
    "cut off": httpx.Response(503, json={"message": "Service Unavailable"}),
    "function died": httpx.Response(500, json={"message": "Internal Server Error"}),
    "throttled by AWS": httpx.Response(429, json={"message": "Too Many Requests"}),
    "busy": problem("busy", 503, retry_after=0),
    "no connection": httpx.ConnectError("secret-detail"),
    "no answer": httpx.ReadTimeout("secret-detail"),
    "torn": httpx.RemoteProtocolError("secret-detail"),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; what would have been waited is kept."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("ninjaone_connect.client.time.sleep", waits.append)
    monkeypatch.setattr("ninjaone_connect.client.asyncio.sleep", sleep)
    return waits


@pytest.mark.parametrize("ask", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_what_may_not_be_sent_twice_is_sent_once(ask: Ask, failure: httpx.Response | Exception) -> None:
    api = Api(failure, OK)

    with api.connect() as connect, pytest.raises(errors.ConnectError) as caught:
        ask(connect)

    assert len(api.asked) == 1
    assert "secret" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_a_failure_that_passes_is_not_seen_by_who_reads(failure: httpx.Response | Exception) -> None:
    for ask, answer in ((REPEATABLE["connection"], OK), (REPEATABLE["token"], TOKEN)):
        api = Api(failure, failure, answer)
        with api.connect() as connect:
            ask(connect)
        assert len(api.asked) == 3


@pytest.mark.parametrize("ask", REPEATABLE.values(), ids=REPEATABLE)
def test_tries_come_to_an_end(ask: Ask, quick: list[float]) -> None:
    api = Api(httpx.ConnectError("down"))

    with api.connect() as connect, pytest.raises(errors.NotReached) as caught:
        ask(connect)

    assert len(api.asked) == 4
    assert len(quick) == 3
    assert API in str(caught.value)


def test_waits_grow_and_stay_within_the_caller_s_patience(quick: list[float]) -> None:
    with Api(httpx.ConnectError("down")).connect() as connect, pytest.raises(errors.NotReached):
        connect.token("northwind", CON)

    assert all(0.1 * 2**n <= wait <= 0.3 * 2**n for n, wait in enumerate(quick))


def test_a_wait_that_the_broker_names_is_kept_when_patience_lasts(quick: list[float]) -> None:
    api = Api(problem("no-token-yet", 503, retry_after=10), TOKEN)

    with api.connect(patience=10) as connect:
        connect.token("northwind", CON)

    assert quick == [10]


def test_a_token_that_is_not_there_yet_is_asked_for_until_patience_ends(quick: list[float]) -> None:
    api = Api(problem("no-token-yet", 503, retry_after=2))

    with api.connect(patience=20) as connect, pytest.raises(errors.NoTokenYet):
        connect.token("northwind", CON)

    assert quick == [2] * 10


def test_the_time_that_the_broker_held_the_caller_counts_as_waiting(
    quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    instants = iter([0.0, 8.0, 18.0, 28.0])
    monkeypatch.setattr("ninjaone_connect.answers.time.monotonic", lambda: next(instants))
    api = Api(problem("no-token-yet", 503, retry_after=2))

    with api.connect(patience=20) as connect, pytest.raises(errors.NoTokenYet):
        connect.token("northwind", CON)

    assert quick == [2, 2]


def test_a_wait_longer_than_patience_goes_to_the_caller(quick: list[float]) -> None:
    api = Api(problem("no-token-yet", 503, retry_after=10), TOKEN)

    with api.connect(patience=9) as connect, pytest.raises(errors.NoTokenYet) as caught:
        connect.token("northwind", CON)

    assert (quick, len(api.asked), caught.value.retry_after) == ([], 1, 10)


@pytest.mark.parametrize(
    "slug", ["misconfigured", "internal-error", "unknown-connection", "needs-reauth", "not-approved"]
)
def test_what_does_not_pass_is_not_asked_again(slug: str) -> None:
    api = Api(problem(slug, 409))

    with api.connect() as connect, pytest.raises(errors.Problem):
        connect.token("northwind", CON)

    assert len(api.asked) == 1


def test_after_an_unanswered_approval_the_message_asks_to_look() -> None:
    with Api(httpx.ReadTimeout("x")).connect() as connect, pytest.raises(errors.NoAnswer) as caught:
        connect.approve("northwind", CON)

    assert "Look whether it was carried out" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (httpx.Response(404, json={"message": "Not Found"}), errors.NotTheBroker, "BackendApiUrl"),
        (httpx.Response(302, headers={"location": "/login"}), errors.NotTheBroker, "BackendApiUrl"),
        (httpx.Response(200, text="<html>Welcome to the proxy"), errors.NotTheBroker, "BackendApiUrl"),
        (httpx.Response(200, json=[]), errors.NotTheBroker, "BackendApiUrl"),
        (httpx.Response(200, json={"organizations": 1}), errors.NotTheBroker, "BackendApiUrl"),
        (httpx.Response(403, json={"message": "Forbidden"}), errors.Forbidden, "execute-api:Invoke"),
        (httpx.Response(403, headers={"date": "not a date"}), errors.Forbidden, "eu-west-1"),
    ],
)
def test_an_answer_that_is_not_the_broker_s_says_what_to_check(
    answer: httpx.Response, kind: type[Exception], hint: str
) -> None:
    with Api(answer).connect() as connect, pytest.raises(kind, match=hint):
        connect.connection("northwind", CON)


@pytest.mark.parametrize(("off", "word"), [(-600, "ahead"), (600, "behind")])
def test_a_clock_that_is_off_is_told_from_a_missing_permission(off: int, word: str) -> None:
    theirs = formatdate(time() + off, usegmt=True)
    refused = httpx.Response(403, json={"message": "Forbidden"}, headers={"date": theirs})

    with Api(refused).connect() as connect, pytest.raises(errors.ClockSkew, match=f"seconds {word}.*NTP"):
        connect.connection("northwind", CON)


def test_pages_follow_one_another_until_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(first: int, cursor: str | None) -> httpx.Response:
        rows = [CONNECTION | {"version": first + n} for n in range(2)]
        return httpx.Response(200, json={"connections": rows, "cursor": cursor})

    api = Api(page(1, "con_b"), page(3, "con_d"), page(5, None))

    with api.connect() as connect:
        found = [each.version for each in connect.connections("northwind", page_size=2)]

    assert found == [1, 2, 3, 4, 5, 6]
    assert [dict(each.url.params) for each in api.asked] == [
        {"limit": "2"},
        {"limit": "2", "cursor": "con_b"},
        {"limit": "2", "cursor": "con_d"},
    ]


def test_a_page_is_asked_for_when_it_is_needed() -> None:
    api = Api(httpx.Response(200, json={"connections": [CONNECTION], "cursor": "con_b"}))

    with api.connect() as connect:
        first = next(connect.connections("northwind"))

    assert (first.connection_id, len(api.asked)) == (CON, 1)


def test_fields_of_a_newer_broker_are_left_out() -> None:
    with Api(httpx.Response(200, json=CONNECTION | {"colour": "blue"})).connect() as connect:
        assert connect.connection("northwind", CON).label == "Main account"


def test_names_of_tenants_stay_one_segment_of_the_path() -> None:
    api = Api(OK)

    with api.connect() as connect:
        connect.connection("north/wind?x", CON)

    assert api.asked[0].url.raw_path == f"/v1/tenants/north%2Fwind%3Fx/connections/{CON}".encode()


def test_the_async_client_asks_reads_and_waits_alike(quick: list[float]) -> None:
    made = {"session_id": "ses_x", "connect_url": "https://connect.example/connect/ses_x", "expires_at": 1}
    page = httpx.Response(200, json={"connections": [CONNECTION], "cursor": None})
    gone = httpx.Response(200, json=CONNECTION | {"revoked": True})
    answers = (httpx.Response(201, json=made), OK, httpx.ConnectError("x"), page, OK, TOKEN, OK, gone)
    asynchronous, synchronous = Api(*answers), Api(*answers)

    async def ask() -> list[object]:
        async with asynchronous.async_connect() as connect:
            return [
                await connect.open_session("northwind", **WISH),
                await connect.complete("northwind", "ses_x", **PROOF),
                [each async for each in connect.connections("northwind")],
                await connect.connection("northwind", CON),
                await connect.token("northwind", CON),
                await connect.approve("northwind", CON),
                await connect.disconnect("northwind", CON),
            ]

    with synchronous.connect() as connect:
        expected: list[object] = [
            connect.open_session("northwind", **WISH),
            connect.complete("northwind", "ses_x", **PROOF),
            list(connect.connections("northwind")),
            connect.connection("northwind", CON),
            connect.token("northwind", CON),
            connect.approve("northwind", CON),
            connect.disconnect("northwind", CON),
        ]

    assert loop.run(ask()) == expected
    assert [(each.method, each.url, each.content) for each in asynchronous.asked] == [
        (each.method, each.url, each.content) for each in synchronous.asked
    ]
    assert len(quick) == 2


def test_a_failure_reaches_the_async_caller() -> None:
    async def ask() -> None:
        async with Api(problem("needs-reauth", 409, reason="revoked")).async_connect() as connect:
            await connect.token("northwind", CON)

    with pytest.raises(errors.NeedsReauth, match="About needs-reauth"):
        loop.run(ask())


def test_what_is_asked_for_is_sent_as_it_is() -> None:
    api = Api(httpx.Response(201, json={"session_id": "ses_x", "connect_url": "u", "expires_at": 1}))

    with api.connect() as connect:
        connect.open_session("northwind", **WISH)

    assert json.loads(api.asked[0].content) == WISH


@pytest.mark.parametrize("name", [".", "..", ""])
def test_a_name_that_would_lead_to_another_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        calls.connection(name, CON)
    with pytest.raises(ValueError, match="must not be empty"):
        calls.disconnect("acme", name)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="must not hold half a character"):
        calls.connection("acme\udce4", CON)


def test_a_call_does_not_print_what_it_sends() -> None:
    request = {"client_credentials": {"client_id": "a", "client_secret": "a-secret"}, "ticket": "a-secret"}

    assert "a-secret" not in repr(calls.session("acme", request))  # type: ignore[arg-type]  # as much as matters
