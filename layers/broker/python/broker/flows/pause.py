"""What holds a connection whose tokens are not renewed for now, and until when."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from broker.adapters.breakers import Breaker, app_breaker_of, host_breaker
from broker.model import ConnectionState, Instant, Status
from broker.ninjaone import is_about_app


class HeldBy(StrEnum):
    """What has to change before NinjaOne is asked for everybody again."""

    CONNECTION = "connection"
    CLIENT_APP = "client_app"
    HOST = "host"


@dataclass(frozen=True)
class Pause:
    """Why a connection waits.

    held_by   its own last failure, or the circuit breaker of its client app or host
    cause     of that failure, or of the one that opened the breaker, by its name in ``ninjaone.Outcome.code``
    until     when this connection is tried again; None while a breaker lets one connection a minute pass
    detail    the same as a sentence for people
    """

    held_by: HeldBy
    cause: str
    until: Instant | None
    detail: str


def pause_of(state: ConnectionState, opening: Callable[[str], Breaker]) -> Pause | None:
    """Say what holds an active connection: an open breaker before its own failures; None where nothing does.

    opening   reads the breaker of a name
    """
    if state.status is not Status.ACTIVE:
        return None
    held_by_host = opening(host_breaker(state.host.name))
    if held_by_host.is_open:
        return _held(HeldBy.HOST, held_by_host.cause, f"NinjaOne's host {state.host.name} renews no tokens for now")
    app = opening(app_breaker_of(state))
    if app.is_open:
        return _held(HeldBy.CLIENT_APP, app.cause, f"NinjaOne refuses the client app on {state.host.name}")
    return _own(state) if state.failures else None


def _held(held_by: HeldBy, cause: str, what: str) -> Pause:
    rule = "Until it does again, one connection a minute is tried; then all go on."
    return Pause(held_by, cause, None, f"{what} ({cause}). {rule}")


def _own(state: ConnectionState) -> Pause:
    what = "NinjaOne did not renew the tokens of this connection"
    if state.customer_app and is_about_app(state.cause):
        what = "NinjaOne refuses the customer's own client app: its id or secret may have been changed there"
    cause = f" ({state.cause})" if state.cause else ""
    due = state.refresh_at
    again = f" It is asked again at {datetime.fromtimestamp(due, UTC):%H:%M:%S on %-d %B %Y} UTC." if due else ""
    return Pause(HeldBy.CONNECTION, state.cause, due, f"{what}{cause}.{again}")
