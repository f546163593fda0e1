"""``pages`` through the broker's real function: whole lists, and failures of NinjaOne's and of the proxy's own."""

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from broker import proxy_policy
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from broker.model import ConnectionState
from functions.proxy.app import handler
from local.aws.gateway import payload
from local.aws.gateway.sigv4 import DEMO
from local.cloudformation.resources import Api, Route
from ninjaone_connect import Connect, pages
from ninjaone_connect.errors import CursorExpired, CursorRepeats, ListIncomplete, NotJson
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.faults import Fault
from tests.support.broker_world import Clock, NinjaOneTransport
from tests.support.client_stage import API, KEYS
from tests.support.lists import BOARD, DEVICES, FIELDS, PATHS, REPORT, ROWS, TICKET, WHOLE
from tools.requirements import req

GATEWAY = Api("Api", "abc1234567", API, signed=True)
ROUTE = "/v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}"
CONTEXT = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 29_000)


class ThroughTheBroker:
    """The client, API Gateway's event, the function, and the emulator behind it."""

    def __init__(self, broker: Broker, ref: ConnectionState, network: NinjaOneTransport, core: NinjaOne) -> None:
        self._entry, self._ref = handler.bind(broker), ref
        self.network, self.core = network, core
        core.switches.update({"list_rows": ROWS})

    def client(self) -> httpx.Client:
        connect = Connect(API, credentials=KEYS, transport=httpx.MockTransport(self._answer))
        return connect.ninjaone(self._ref.tenant, self._ref.connection)

    def fault(self, kind: str, **more: Any) -> None:
        self.core.faults.plan(Fault(kind, on="api", **more))

    def read(self, path: str, **more: Any) -> list[int]:
        with self.client() as ninjaone:
            rows = [row for page in pages(ninjaone, path, **more) for row in page]
        return sorted(row["id"] if "id" in row else row["deviceId"] for row in rows)

    @property
    def asked(self) -> int:
        """How often NinjaOne's API was asked."""
        return sum("/v2/" in request.url.path for request in self.network.requests)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        arrived = payload.HttpRequest(
            request.method, target, "HTTP/1.1", request.url.host, "192.0.2.1", dict(request.headers), request.content
        )
        path = unquote(target.partition("?")[0]).partition("/ninjaone/")[2]
        named = {"tenant": self._ref.tenant, "connection": self._ref.connection, "path": path}
        route, request_id = Route(GATEWAY.id, "ANY", ROUTE, signed=True), payload.request_id()
        event = payload.event(arrived, GATEWAY, route, request_id=request_id, parameters=named, caller=DEMO)
        made = self._entry(event, CONTEXT)
        body = base64.b64decode(made["body"]) if made["isBase64Encoded"] else made["body"].encode()
        return httpx.Response(made["statusCode"], headers=made["headers"], content=body)


Begin = Callable[..., ThroughTheBroker]


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[float]:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    return waits


@pytest.fixture
def home(
    config: Config, ports: Ports, state: ConnectionState, network: NinjaOneTransport, ninjaone: NinjaOne,
    waited: list[float],
) -> ThroughTheBroker:  # fmt: skip
    broker = Broker(replace(config, proxy_policy=proxy_policy.read("* GET,POST /v2/*")), ports)
    return ThroughTheBroker(broker, state, network, ninjaone)


@pytest.mark.parametrize("path", PATHS)
def test_every_family_comes_whole(path: str, home: ThroughTheBroker) -> None:
    assert home.read(path, page_size=20) == WHOLE


@pytest.mark.parametrize("kind", ["html_502", "html_503", "429", "reset"])
@pytest.mark.parametrize("path", [DEVICES, TICKET, "/v2/activities", REPORT])
def test_a_get_that_fails_in_the_middle_is_sent_again(path: str, kind: str, home: ThroughTheBroker) -> None:
    home.fault(kind, skip=2, times=3)

    assert home.read(path, page_size=10) == WHOLE


@pytest.mark.parametrize("kind", ["html_502_after_commit", "lost_response"])
@pytest.mark.parametrize("path", [REPORT, FIELDS])
def test_a_page_whose_cursor_moved_on_is_never_left_out_unseen(path: str, kind: str, home: ThroughTheBroker) -> None:
    """Sent again, the proxy would get the page behind the one that was lost, and the caller could not know."""
    home.core.switches.update({"last_cursor": "absent"})
    home.fault(kind, skip=1)

    with pytest.raises(ListIncomplete):
        home.read(path, page_size=20)


def test_a_cursor_that_ended_or_repeats_is_told(home: ThroughTheBroker, clock: Clock) -> None:
    home.core.switches.update({"cursor_seconds": 60})
    for path in (REPORT, FIELDS):
        walk = pages(home.client(), path, page_size=20)
        next(walk)
        clock.advance(61)
        with pytest.raises(CursorExpired):
            list(walk)

    home.core.switches.update({"cursor_seconds": 3600, "cursor_repeats": True})
    for path in (REPORT, FIELDS):
        with pytest.raises(CursorRepeats):
            home.read(path, page_size=20)


def test_a_page_in_place_of_json_is_the_proxy_s_problem_and_not_waited_for(
    home: ThroughTheBroker, waited: list[float]
) -> None:
    home.fault("html_200_rate_limit", skip=2)

    with pytest.raises(NotJson):
        home.read(DEVICES, page_size=20)
    assert (home.asked, waited) == (3, [])


def test_the_wait_that_ninjaone_names_comes_through(home: ThroughTheBroker, waited: list[float]) -> None:
    home.fault("429_retry_after", seconds=25, skip=1, times=2)

    assert home.read(DEVICES, page_size=20) == WHOLE
    assert waited == [25, 25]


@req("Q02")
@pytest.mark.parametrize("kind", ["html_502", "429", "reset", "lost_response"])
def test_a_post_is_never_sent_twice(kind: str, home: ThroughTheBroker) -> None:
    home.fault(kind, skip=1)

    with pytest.raises(ListIncomplete):
        home.read(BOARD, page_size=20)
    assert home.asked == 2


def test_a_502_of_ninjaone_s_passes_and_one_of_the_proxy_s_is_raised(home: ThroughTheBroker) -> None:
    home.fault("html_502")
    home.fault("html_404")
    client = home.client()

    assert client.get("/v2/devices").status_code == 502
    with pytest.raises(NotJson, match="answered 404"):
        client.get("/v2/devices")
