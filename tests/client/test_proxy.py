"""NinjaOne through the broker: signed requests without a token, NinjaOne's answers as they are, the broker's raised."""

import json
import time
from typing import Any

import httpx
import pytest

from ninjaone_connect import AsyncConnect, Connect, async_pages, errors, pages
from tests.client import loop
from tests.support.client_stage import API, CON, KEYS, problem

BASE = f"{API}/v1/tenants/northwind/connections/{CON}/ninjaone"


class Broker:
    """Answers in turn, the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def client(self) -> httpx.Client:
        transport = httpx.MockTransport(self)
        return Connect(API, credentials=KEYS, transport=transport).ninjaone("northwind", CON)

    def async_client(self) -> httpx.AsyncClient:
        transport = httpx.MockTransport(self)
        return AsyncConnect(API, credentials=KEYS, transport=transport).ninjaone("northwind", CON)


def passed(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body, headers={"x-ninjaone-connect": "passed"})


def test_a_request_goes_below_the_connection_and_is_signed_with_its_body() -> None:
    broker = Broker(passed([]))

    broker.client().post("/v2/tickets", params={"a": "b c"}, json={"x": 1})

    (request,) = broker.asked
    assert str(request.url.copy_with(query=None)) == f"{BASE}/v2/tickets"
    assert request.url.params["a"] == "b c"
    assert json.loads(request.content) == {"x": 1}
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")
    assert "content-type" in request.headers["authorization"]


@pytest.mark.parametrize("status", [200, 401, 403, 404, 409, 429, 500, 503])
def test_what_ninjaone_answers_comes_as_it_is(status: int) -> None:
    assert Broker(passed({"a": 1}, status)).client().get("/v2/devices").status_code == status


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem("call-refused", 403), errors.CallRefused),
        (problem("needs-reauth", 409, reason="revoked"), errors.NeedsReauth),
        (problem("too-large", 413), errors.TooLarge),
        (httpx.Response(413, json={"message": "Request Entity Too Large"}), errors.TooLarge),
        (problem("not-json", 502), errors.NotJson),
        (problem("call-unanswered", 504), errors.CallUnanswered),
        (httpx.Response(503, json={"message": "Service Unavailable"}), errors.NoAnswer),
        (httpx.Response(403, json={"message": "Forbidden"}), errors.Forbidden),
        (httpx.Response(404, json={"message": "Not Found"}), errors.NotTheBroker),
        (httpx.Response(404, text="nginx"), errors.NotTheBroker),
        (httpx.Response(200, json=[]), errors.NotTheBroker),
        (httpx.Response(200, json={}), errors.NotTheBroker),
    ],
)
def test_what_the_broker_answers_itself_is_raised(answer: httpx.Response, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Broker(answer).client().get("/v2/devices")

    async def ask() -> None:
        async with Broker(answer).async_client() as ninjaone:
            await ninjaone.get("/v2/devices")

    with pytest.raises(kind):
        loop.run(ask())


@pytest.mark.parametrize(
    "url", ["https://evil.example/v2/x", "http://b4ck3nd.execute-api.eu-west-1.amazonaws.com/v2/x"]
)
def test_nothing_is_signed_for_another_host(url: str) -> None:
    broker = Broker(passed([]))

    with pytest.raises(errors.WrongHost, match="/v2/devices"):
        broker.client().get(url)
    assert broker.asked == []


@pytest.mark.parametrize("path", ["/v2/../../con_2/ninjaone/v2/x", "/../../con_2/ninjaone/v2/x", "/..", "/v2/../.."])
def test_a_path_with_dot_segments_is_not_signed_for_another_connection(path: str) -> None:
    broker = Broker(passed([]))

    with broker.client() as ninjaone, pytest.raises(errors.WrongHost, match="leads out of this connection"):
        ninjaone.get(path)

    assert broker.asked == []


def test_pages_go_through_the_broker_and_wait_for_what_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    answers = [
        problem("no-token-yet", 503, retry_after=2), passed([{"id": 1}]), httpx.Response(503, json={"message": "x"}),
        problem("too-many-requests", 429, retry_after=7), passed([{"id": 2}]), passed([]),
    ]  # fmt: skip
    broker = Broker(*answers)

    assert [row["id"] for page in pages(broker.client(), "/v2/devices") for row in page] == [1, 2]
    assert (waited[0], waited[2]) == (2, 7)


def test_tasks_read_pages_through_the_broker() -> None:
    async def read() -> list[Any]:
        async with Broker(passed([{"id": 1}]), passed([])).async_client() as ninjaone:
            return [row async for page in async_pages(ninjaone, "/v2/devices") for row in page]

    assert loop.run(read()) == [{"id": 1}]


@pytest.mark.parametrize("slug", ["not-json", "needs-reauth", "call-refused"])
def test_pages_do_not_wait_for_what_does_not_pass(slug: str) -> None:
    broker = Broker(problem(slug, 502))

    with pytest.raises(errors.Problem):
        list(pages(broker.client(), "/v2/devices"))
    assert len(broker.asked) == 1


def test_a_broker_whose_operator_did_not_switch_the_proxy_on_is_told_as_such() -> None:
    with pytest.raises(errors.NotTheBroker, match="Proxy=on"):
        Broker(httpx.Response(404, json={"message": "Not Found"})).client().get("/v2/devices")
