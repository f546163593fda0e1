"""Why a connection's tokens are not refreshed for now, and until when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from broker import policy
from broker.adapters.breakers import Breaker, app_breaker, app_breaker_of, host_breaker
from broker.model import ConnectionState, Instant, Status
from broker.ninjaone import UNKNOWN_CLIENT, is_about_app


class HeldBy(StrEnum):
    """What holds a connection."""

    CONNECTION = "connection"
    CUSTOMER_APP = "customer_app"
    CLIENT_APP = "client_app"
    HOST = "host"


REFUSED_APP: Mapping[str, tuple[str, str]] = {
    "invalid_client": (
        "NinjaOne refuses the secret of the customer's own client app, which was probably changed there",
        "Let the customer enter the new secret: open a connect session with purpose client_secret.",
    ),
    "unauthorized_client": (
        "NinjaOne does not let the customer's own client app renew tokens",
        "Let the customer tick Authorization code and Refresh token in the client app's allowed grant types.",
    ),
    UNKNOWN_CLIENT: (
        "NinjaOne does not know the customer's own client app any more",
        "Let the customer reconnect with another client app.",
    ),
}
"""Why NinjaOne refuses a client app that its customer registered → what that means, and what to do.

See docs/understand/ninjaone.md §9 U4.
"""


@dataclass(frozen=True)
class Pause:
    """Why a connection waits.

    Attributes:
        held_by: its own last failure; a refusal of the customer's own client app; or the circuit breaker of the
            operator's client app, of all customers' own apps on the host, or of the host
        cause: of that failure, or of the one that opened the breaker, by its name in ``ninjaone.Outcome.code``
        until: when this connection is tried again; None while an open breaker tries one connection a minute
        detail: all of this as a sentence for people
    """

    held_by: HeldBy
    cause: str
    until: Instant | None
    detail: str


def pause_of(state: ConnectionState, read_open_state: Callable[[str], Breaker]) -> Pause | None:
    """Return what holds an active connection: an open breaker rather than its own failures; None if nothing does.

    Args:
        read_open_state: reads a breaker by its name
    """
    if state.status is not Status.ACTIVE:
        return None
    held_by_host = read_open_state(host_breaker(state.host.name))
    if held_by_host.is_open:
        return _by_breaker(
            HeldBy.HOST, held_by_host.cause, f"NinjaOne's host {state.host.name} renews no tokens for now"
        )
    app = read_open_state(app_breaker_of(state))
    if state.customer_app and is_about_app(state.cause):
        return _by_refused_app(state, None if app.is_open else state.refresh_at)
    if app.is_open:
        which = "client apps that customers registered" if state.customer_app else "the client app"
        return _by_breaker(HeldBy.CLIENT_APP, app.cause, f"NinjaOne refuses {which} on {state.host.name}")
    return _by_own_failures(state) if state.failures else None


def pause_to_show(state: ConnectionState, read_open_state: Callable[[str], Breaker], now: Instant) -> Pause | None:
    """Return what holds a connection that its owner should see as paused; None if nothing does.

    One whose last refresh succeeded is not paused as soon as its host's breaker opens: while its token lasts, nobody
    lacks anything. An open breaker of the operator's client app is shown at once, since the operator has to act.
    """
    if _is_failing(state, now):
        return pause_of(state, read_open_state)
    if state.customer_app:
        return None
    app = app_breaker(state.host.name, state.client_id)
    opened = read_open_state(app)
    return pause_of(state, lambda name: opened if name == app else Breaker()) if opened.is_open else None


def _is_failing(state: ConnectionState, now: Instant) -> bool:
    """Return whether callers are told to wait, or soon may be.

    NinjaOne rejected the refresh token and that is not believed yet, attempts failed repeatedly, or the access token
    has expired.
    """
    is_expired = state.token_expires_at <= now
    return state.struck_at is not None or state.failures >= policy.PAUSED_AFTER or is_expired


def is_customer_app_refused(row: Mapping[str, Any]) -> bool:
    """Return whether an active connection is paused because NinjaOne refuses its customer's own client app.

    Args:
        row: attributes as they are stored: status, customer_app, cause, failures
    """
    is_paused = row.get("status") == Status.ACTIVE and row.get("failures", 0) >= policy.PAUSED_AFTER
    return is_paused and row.get("customer_app", False) and is_about_app(row.get("cause", ""))


def _by_breaker(held_by: HeldBy, cause: str, what: str) -> Pause:
    rule = "Until it does again, one connection a minute is tried; then all go on."
    return Pause(held_by, cause, None, f"{what} ({cause}). {rule}")


def _by_refused_app(state: ConnectionState, until: Instant | None) -> Pause:
    what, todo = REFUSED_APP[state.cause]
    return Pause(HeldBy.CUSTOMER_APP, state.cause, until, f"{what} ({state.cause}). {todo}{_next_attempt(until)}")


def _by_own_failures(state: ConnectionState) -> Pause:
    cause = f" ({state.cause})" if state.cause else ""
    what = f"NinjaOne did not renew the tokens of this connection{cause}."
    return Pause(HeldBy.CONNECTION, state.cause, state.refresh_at, what + _next_attempt(state.refresh_at))


def _next_attempt(due: Instant | None) -> str:
    return f" It is asked again at {datetime.fromtimestamp(due, UTC):%H:%M:%S on %-d %B %Y} UTC." if due else ""
