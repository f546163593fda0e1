"""One connection, or one customer's own app, that fails for reasons of its own holds up no neighbour."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from broker.model import Client, ConnectionState
from broker.secret import Secret
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.support.broker_world import Clock, NinjaOneTransport
from tests.support.journey import Journey
from tests.support.refreshing import Refreshing
from tools.requirements import req

OWN = Client(CUSTOMER_APPS["eu"].client_id, Secret(CUSTOMER_APPS["eu"].client_secret), customer_app=True)
NEIGHBOURS = 5
MINUTES = 100

Says = Callable[[], httpx.Response]


def says(status: int, error: str = "", **headers: str) -> Says:
    body = json.dumps({"error": error}).encode() if error else b"<html>"
    named = {name.replace("_", "-"): held for name, held in headers.items()}
    return lambda: httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


TROUBLES: dict[str, tuple[int, Client | None, Says]] = {
    "one that the operator's app is told it may not refresh": (1, None, says(400, "invalid_scope")),
    "one whose own app is throttled for an hour": (1, OWN, says(429, retry_after="3600")),
    "three of one customer's own app that are refused oddly": (3, OWN, says(403, "access_denied")),
    "three of one customer's own app that get no clear answer": (3, OWN, says(502)),
}


def minute(refreshing: Refreshing, states: list[ConnectionState]) -> None:
    """Let a minute pass, and refresh what is due until the next, soonest first: what a sweep orders."""
    refreshing.clock.advance(60)
    due = {state.connection: refreshing.row(state).refresh_at or 0 for state in states}
    ordered = sorted((state for state in states if due[state.connection] <= refreshing.clock.now() + 60),
                     key=lambda state: due[state.connection])  # fmt: skip
    if ordered:
        refreshing.order(*ordered)


@req("O03", "O04", "K03")
@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_connection_in_trouble_of_its_own_lets_no_neighbours_token_end(
    journey: Journey, network: NinjaOneTransport, clock: Clock, refreshing: Refreshing, monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:  # fmt: skip
    many, client, answer = TROUBLES[trouble]
    neighbours: list[ConnectionState] = []
    for _ in range(NEIGHBOURS):
        neighbours.append(journey.connect()[0])
        clock.advance(150)
    opening: dict[str, Any] = {"customer_app": True, "client": client} if client else {}
    ill = [journey.connect(**opening)[0] for _ in range(many)]
    theirs, deliver, asked = {refreshing.held(state) for state in ill}, network.handle_request, list[str]()

    def handle(request: httpx.Request) -> httpx.Response:
        request.read()
        token = dict(parse_qsl(request.content.decode())).get("refresh_token", "")
        if token not in theirs:
            return deliver(request)
        asked.append(token)
        return answer()

    monkeypatch.setattr(network, "handle_request", handle)
    for _ in range(MINUTES):
        minute(refreshing, [*neighbours, *ill])
        assert min(refreshing.row(state).token_expires_at for state in neighbours) > clock.now()

    assert asked, "nobody was in trouble"
    assert all(refreshing.row(state).version >= 3 for state in neighbours)
