"""Why a connection waits: whose failure holds it, and what people are told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from broker import policy
from broker.adapters.breakers import Breaker, app_breaker, customer_apps_breaker, host_breaker
from broker.flows.pause import HeldBy, Pause, is_customer_app_refused, pause_of, pause_to_show
from broker.model import ConnectionState, Host, Instant, Status
from tests.support.full_rows import STATE

HOST = Host("eu", "eu.ninjarmm.com")
FAILING = replace(
    STATE, status=Status.ACTIVE, host=HOST, customer_app=False, failures=3, cause="unavailable",
    refresh_at=Instant(1_800_000_000),
)  # fmt: skip
OPEN = Breaker(opened_at=Instant(1_799_999_000), cause="throttled")
AT_HOST, AT_APP = host_breaker(HOST.name), app_breaker(HOST.name, STATE.client_id)
AT_CUSTOMERS = customer_apps_breaker(HOST.name)


def paused(open_ones: set[str], **changes: Any) -> Pause | None:
    return pause_of(replace(FAILING, **changes), lambda name: OPEN if name in open_ones else Breaker())


@pytest.mark.parametrize("status", [Status.NEEDS_REAUTH, Status.DISCONNECTED, Status.PENDING_APPROVAL])
def test_only_an_active_connection_is_paused(status: Status) -> None:
    assert paused({AT_HOST, AT_APP}, status=status) is None


def test_nothing_holds_a_connection_that_does_not_fail() -> None:
    assert paused(set(), failures=0) is None


@pytest.mark.parametrize(
    ("open_ones", "changes", "held_by", "cause", "until", "words"),
    [
        ({AT_HOST, AT_APP}, {}, HeldBy.HOST, "throttled", None, "host eu.ninjarmm.com renews no tokens"),
        ({AT_APP}, {}, HeldBy.CLIENT_APP, "throttled", None, "refuses the client app on"),
        ({AT_CUSTOMERS}, {"customer_app": True}, HeldBy.CLIENT_APP, "throttled", None, "that customers registered on"),
        ({AT_APP}, {"customer_app": True}, HeldBy.CONNECTION, "unavailable", 1_800_000_000, "(unavailable). It is"),
        (set(), {}, HeldBy.CONNECTION, "unavailable", 1_800_000_000, "asked again at 08:00:00 on 15 January 2027 UTC"),
        (set(), {"cause": ""}, HeldBy.CONNECTION, "", 1_800_000_000, "of this connection. It is asked again"),
    ],
)
def test_what_holds_a_connection_and_until_when(
    open_ones: set[str], changes: dict[str, Any], held_by: HeldBy, cause: str, until: int | None, words: str
) -> None:
    found = paused(open_ones, **changes)

    assert found is not None
    assert (found.held_by, found.cause, found.until) == (held_by, cause, until)
    assert words in found.detail


def test_a_connection_that_is_not_due_is_not_said_to_be_asked_again() -> None:
    found = paused(set(), refresh_at=None)

    assert found is not None
    assert found.detail == "NinjaOne did not renew the tokens of this connection (unavailable)."


@pytest.mark.parametrize(
    ("open_ones", "changes", "held_by"),
    [
        ({AT_APP}, {"failures": 0}, HeldBy.CLIENT_APP),
        ({AT_HOST}, {"failures": 0}, None),
        ({AT_HOST}, {"failures": 1}, None),
        ({AT_HOST}, {"failures": policy.PAUSED_AFTER}, HeldBy.HOST),
        ({AT_HOST}, {"failures": 1, "struck_at": Instant(1)}, HeldBy.HOST),
        (set(), {"failures": policy.PAUSED_AFTER}, HeldBy.CONNECTION),
        ({AT_APP}, {"failures": 0, "customer_app": True}, None),
        ({AT_CUSTOMERS}, {"failures": 0, "customer_app": True}, None),
        ({AT_HOST}, {"failures": 9, "status": Status.NEEDS_REAUTH}, None),
    ],
)
def test_a_connection_is_shown_as_held_only_where_it_fails_or_nobody_is_granted_with_its_app(
    open_ones: set[str], changes: dict[str, Any], held_by: HeldBy | None
) -> None:
    state = replace(FAILING, **{"struck_at": None} | changes)

    shown = shown_at(state.token_expires_at - 1, state, open_ones)

    assert (shown.held_by if shown else None) is held_by


@pytest.mark.parametrize(
    ("open_ones", "failures", "held_by"),
    [(set(), 0, None), (set(), 1, HeldBy.CONNECTION), ({AT_HOST}, 0, HeldBy.HOST), ({AT_HOST}, 1, HeldBy.HOST)],
)
def test_whatever_holds_a_connection_without_a_valid_token_is_shown(
    open_ones: set[str], failures: int, held_by: HeldBy | None
) -> None:
    state = replace(FAILING, failures=failures, struck_at=None)

    shown = shown_at(state.token_expires_at, state, open_ones)

    assert (shown.held_by if shown else None) is held_by


def shown_at(now: int, state: ConnectionState, open_ones: set[str]) -> Pause | None:
    return pause_to_show(state, lambda name: OPEN if name in open_ones else Breaker(), Instant(now))


REFUSED: Mapping[str, Any] = {
    "status": "active",
    "customer_app": True,
    "cause": "invalid_client",
    "failures": policy.PAUSED_AFTER,
}


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [
        ({}, True),
        ({"failures": policy.PAUSED_AFTER - 1}, False),
        ({"failures": None}, False),
        ({"status": "needs_reauth"}, False),
        ({"customer_app": False}, False),
        ({"customer_app": None}, False),
        ({"cause": "unavailable"}, False),
        ({"cause": None}, False),
    ],
)
def test_when_the_app_of_a_customer_counts_as_refused(changes: Mapping[str, Any], is_refused: bool) -> None:
    row = {name: value for name, value in {**REFUSED, **changes}.items() if value is not None}

    assert is_customer_app_refused(row) is is_refused
