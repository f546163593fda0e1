"""A batch: no tenant has all workers, and what ended before it was renewed is counted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from broker.adapters.clock import instant
from broker.adapters.queues import RefreshBatch, Trigger
from broker.flows.refresh.batch import (
    MAX_FAILURES_PER_TENANT,
    MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_PER_TENANT,
    _urgency,
    _WorkQueue,
)
from broker.model import ConnectionId, ConnectionState, Host, Instant, Status, TenantId
from broker.ninjaone import Meaning
from tests.support.broker_world import InlineWorkers
from tests.support.full_rows import STATE
from tests.support.refreshing import Refreshing


def rows(count: int, tenant: str = "acme", host: str = "eu.ninjarmm.com") -> list[ConnectionState]:
    """Make connections of one tenant on one host."""
    each = replace(STATE, tenant=TenantId(tenant), host=Host("eu", host))
    return [replace(each, connection=ConnectionId(f"con_{number}")) for number in range(count)]


def taken(waiting: _WorkQueue) -> list[ConnectionState]:
    """Take all that can be had without anything coming back."""
    found = []
    while row := waiting.take():
        found.append(row)
    return found


def test_a_tenant_has_a_share_of_the_workers_on_each_host() -> None:
    waiting = _WorkQueue([*rows(MAX_IN_FLIGHT_PER_TENANT + 2), *rows(1, "globex"), *rows(1, host="us2.ninjarmm.com")])

    found = taken(waiting)

    assert [row.tenant for row in found] == ["acme"] * MAX_IN_FLIGHT_PER_TENANT + ["globex", "acme"]
    waiting.finish(found[0], None)
    assert [row.connection for row in taken(waiting)] == [f"con_{MAX_IN_FLIGHT_PER_TENANT}"]


@pytest.mark.parametrize(
    ("meanings", "has_more"),
    [
        ([Meaning.UNAVAILABLE] * MAX_FAILURES_PER_TENANT, False),
        ([Meaning.UNAVAILABLE] * (MAX_FAILURES_PER_TENANT - 1), True),
        ([Meaning.UNAVAILABLE] * (MAX_FAILURES_PER_TENANT - 1) + [Meaning.GRANTED, Meaning.DEAD], True),
        ([None] * (MAX_FAILURES_PER_TENANT + 1), True),
    ],
)
def test_after_so_many_failures_in_a_row_the_rest_of_a_tenant_stays_due(
    meanings: list[Meaning | None], has_more: bool
) -> None:
    waiting = _WorkQueue(rows(MAX_FAILURES_PER_TENANT + 5))

    for meaning in meanings:
        row = waiting.take()
        assert row is not None
        waiting.finish(row, meaning)

    assert (waiting.take() is not None) == has_more


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({}, 1),
        ({"token_expires_at": 0}, 1),
        ({"token_expires_at": 1}, 0),
        ({"status": Status.NEEDS_REAUTH}, 0),
        ({"epoch": 2}, 0),
        ({"customer_app": True}, 0),
        ({"access": None}, 0),
    ],
)
def test_tokens_of_the_operators_apps_that_ended_are_counted(
    refreshing: Refreshing, change: Mapping[str, Any], counted: int
) -> None:
    """Times are seconds after the batch began."""
    now = instant(refreshing.clock)
    lasts = {"token_expires_at": Instant(now + change.get("token_expires_at", -5))}
    row = replace(STATE, **{"status": Status.ACTIVE, "epoch": 1, "customer_app": False, **change, **lasts})
    batch = refreshing.broker.refresh._context(RefreshBatch(Trigger.DUE, ()), 1, lambda: 180.0)

    refreshing.broker.refresh._count_expired([row], batch)

    assert refreshing.figures()["tokens_expired"] == counted


@pytest.mark.parametrize(
    ("count", "workers"), [(1, 1), (MAX_IN_FLIGHT, MAX_IN_FLIGHT), (MAX_IN_FLIGHT + 9, MAX_IN_FLIGHT)]
)
def test_a_batch_has_as_many_workers_as_rows_up_to_a_bound(
    refreshing: Refreshing, monkeypatch: pytest.MonkeyPatch, count: int, workers: int
) -> None:
    ran = list[int]()
    monkeypatch.setattr(InlineWorkers, "run", lambda _self, some: ran.append(len(some)))
    batch = refreshing.broker.refresh._context(RefreshBatch(Trigger.DUE, ()), 1, lambda: 180.0)

    refreshing.broker.refresh._work(rows(count), batch)

    assert ran == [workers]


def test_what_passes_comes_first_then_what_ends_soonest_and_what_has_ended_last(refreshing: Refreshing) -> None:
    now = instant(refreshing.clock)
    ended, ends, soon, later, passing = (
        replace(row, token_expires_at=Instant(now + seconds))
        for row, seconds in zip(rows(5), (-1, 0, 1, 9, 99), strict=True)
    )
    batch = refreshing.broker.refresh._context(RefreshBatch(Trigger.DUE, ()), 1, lambda: 180.0)
    batch.breakers._trials.add((passing.tenant, passing.connection))

    found = sorted((ends, ended, later, passing, soon), key=lambda row: _urgency(row, batch))

    assert found == [passing, soon, later, ended, ends]
