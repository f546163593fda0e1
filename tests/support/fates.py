"""A NinjaOne that answers some connections in its own way, minute after minute."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from broker.model import ConnectionState, TenantId
from tests.support.broker_world import NinjaOneTransport
from tests.support.journey import Journey, ref
from tests.support.refreshing import Refreshing

Says = Callable[[], httpx.Response]


def says(status: int, error: str = "", **headers: str) -> Says:
    """Answer a refresh with a status, and with an OAuth error where one is named."""
    body = json.dumps({"error": error}).encode() if error else b"<html>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


DEAD = says(400, "invalid_token")


@dataclass
class Fates:
    """Decides what NinjaOne answers to the refreshes of each connection; whoever has no fate is served.

    Attributes:
        asked: the time and the connection of each refresh that NinjaOne was sent
    """

    refreshing: Refreshing
    network: NinjaOneTransport
    asked: list[tuple[float, str]] = field(default_factory=list)
    _fates: dict[str, Says] = field(default_factory=dict)
    _grants: dict[str, str] = field(default_factory=dict)
    _serve: Callable[[httpx.Request], httpx.Response] = field(init=False)

    def __post_init__(self) -> None:
        self._serve = self.network.handle_request

    def watch(self, *states: ConnectionState) -> None:
        """Know the refreshes of some connections by their grant."""
        for state in states:
            self._grants[self._grant(self.refreshing.held(state))] = state.connection

    def give(self, answer: Says | None, *states: ConnectionState) -> None:
        """Let NinjaOne answer some connections so from now on; None: serve them again."""
        for state in states:
            if answer is None:
                self._fates.pop(state.connection, None)
            else:
                self._fates[state.connection] = answer

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Stand where the network is."""
        request.read()
        token = dict(parse_qsl(request.content.decode())).get("refresh_token", "")
        connection = self._grants.get(self._grant(token)) if token else None
        if connection is None:
            return self._serve(request)
        self.asked.append((self.refreshing.clock.now(), connection))
        answer = self._fates.get(connection)
        return answer() if answer else self._serve(request)

    def _grant(self, token: str) -> str:
        grant = self.refreshing.ninjaone.oracle.grant_of(token)
        return grant.id if grant else ""

    def rows(self, states: Sequence[ConnectionState]) -> list[ConnectionState]:
        """Read the rows of some connections as they are now."""
        return self.refreshing.connections.get_states([ref(state) for state in states])[0]


def tenants(journey: Journey, fates: Fates, count: int, *, first: int = 1, **connecting: Any) -> list[ConnectionState]:
    """Connect so many tenants, each with one connection; they are numbered from ``first``."""
    made = []
    for number in range(first, first + count):
        tenant = Journey(journey.broker, journey.ninjaone, tenant=TenantId(f"tenant-{number}"))
        made.append(tenant.connect(**connecting)[0])
    fates.watch(*made)
    return made
