"""A flood that takes every execution that people can take: refreshing has its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Semaphore
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from broker.flows.connect import FindSession
from local.browser import Browser
from local.world import World
from tests.support.http_flow import Answers, Backend, Flow
from tests.support.local_world import still_world
from tools.requirements import req

EXECUTIONS = 12
RESERVED = 8
CUSTOMERS = 3
TENANT = "acme"


@contextmanager
def flooded(world: World, executions: int) -> Iterator[list[int]]:
    """Let people hold so many executions, and come without end besides; give what these were answered."""
    held, over, look = Semaphore(0), Event(), FindSession.__call__

    def slowly(self: FindSession, session: Any) -> Any:
        held.release()
        over.wait()
        return look(self, session)

    def visit(_number: int) -> int:
        address = f"{world.connect_url}/connect/ses_{'a' * 26}"
        return httpx.get(address, trust_env=False, timeout=None).status_code

    with patch.object(FindSession, "__call__", slowly), ThreadPoolExecutor(executions) as crowd:
        waiting = [crowd.submit(visit, number) for number in range(executions)]
        for _ in waiting:
            held.acquire()
        try:
            yield [visit(number) for number in range(20)]
        finally:
            over.set()
    assert {each.result() for each in waiting} == {410}


def versions(backend: Backend) -> list[int]:
    listed = backend.get(f"/v1/tenants/{TENANT}/connections").json()["connections"]
    return [each["version"] for each in listed]


def refreshed(*, reserved: str) -> tuple[list[int], list[int], set[str]]:
    """Connect, flood, and let an hour's refreshes come due; give what people were answered, what became of the
    connections, and which functions got no execution."""
    with still_world(parameters={"ReserveRefreshes": reserved}, executions=EXECUTIONS) as world:
        backend = Backend(world, Answers())
        with Browser() as browser:
            for _ in range(CUSTOMERS):
                Flow(world, backend, browser, TENANT).connect()
        world.clock.advance(2900)
        with flooded(world, EXECUTIONS - (RESERVED if reserved == "yes" else 0)) as answered:
            world.run_event_sources()
        throttled = {folder for folder, what in world.failures if what.startswith("Throttled")}
        made = versions(backend)
        backend.close()
        return answered, made, throttled


@req("M04", "O04")
def test_a_flood_that_takes_every_execution_leaves_refreshing_its_own() -> None:
    answered, made, throttled = refreshed(reserved="yes")

    assert set(answered) == {503}, "the flood did not reach its limit"
    assert made == [2] * CUSTOMERS
    assert throttled.isdisjoint({"sweep", "refresh"})


@req("M04")
def test_without_a_reservation_a_flood_holds_refreshing_up_and_costs_no_connection() -> None:
    """SECURITY.md says so; the tokens in hand outlast it by half an hour."""
    answered, made, throttled = refreshed(reserved="no")

    assert set(answered) == {503}
    assert made == [1] * CUSTOMERS
    assert "sweep" in throttled


@pytest.mark.parametrize("reserved", ["yes", "no"])
def test_what_is_reserved_is_what_this_test_says(reserved: str) -> None:
    with still_world(parameters={"ReserveRefreshes": reserved, "Proxy": "off"}) as world:
        kept = sum(each.concurrency or 0 for each in world.template.functions.values())

    assert kept == (RESERVED if reserved == "yes" else 0)
