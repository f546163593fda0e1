"""List connections, and look at one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from broker import policy
from broker.adapters.breakers import Breaker, BreakerStore, app_breaker
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.errors import UnknownConnection
from broker.flows.pause import Pause, pause_of
from broker.model import Connection, ConnectionRef, ConnectionState, TenantId


@dataclass(frozen=True)
class ListedConnection:
    """A connection as it may be shown.

    Attributes:
        pause: NinjaOne refuses it, or the client app, and that may pass: there is nothing yet for the customer to do
    """

    connection: Connection
    pause: Pause | None = None


@dataclass(frozen=True)
class Page:
    """Some of a tenant's connections, and where the next page begins."""

    connections: list[ListedConnection]
    after: str | None


class ListConnections:
    """Looks at connections; nothing sealed is ever read."""

    def __init__(self, connections: Connections, breakers: BreakerStore, log: Log) -> None:
        self._connections, self._breakers, self._log = connections, breakers, log

    def one(self, ref: ConnectionRef) -> ListedConnection:
        """Look at one. Raises UnknownConnection or Busy."""
        found = self._connections.without_secrets(ref)
        if found is None:
            raise UnknownConnection
        return self._shown([found])[0]

    def page(self, tenant: TenantId, *, limit: int, after: str | None) -> Page:
        """Look at some; what can't be read is said to the operator and hides no other. Raises Busy."""
        found = self._connections.page(tenant, limit=limit, after=after)
        if found.unread:
            self._log.event("rows.unreadable", Level.ERROR, tenant=tenant, unread=found.unread)
            self._log.count("rows_unreadable", found.unread)
        return Page(self._shown(found.connections), found.after)

    def _shown(self, found: list[Connection]) -> list[ListedConnection]:
        """Look at each breaker once; that of a host only where a connection fails by itself too."""
        opening = cache(self._breakers.opening)
        return [ListedConnection(each, _pause(each.state, opening)) for each in found]


def _pause(state: ConnectionState, opening: Callable[[str], Breaker]) -> Pause | None:
    """Say what holds a connection that NinjaOne refuses again and again, or whose client app nobody is granted with."""
    if _is_failing(state):
        return pause_of(state, opening)
    if state.customer_app:
        return None
    app = app_breaker(state.host.name, state.client_id)
    return pause_of(state, lambda name: opening(name) if name == app else Breaker()) if opening(app).is_open else None


def _is_failing(state: ConnectionState) -> bool:
    """Say whether NinjaOne called the token dead without being believed yet, or grants nothing again and again."""
    return state.struck_at is not None or state.failures >= policy.PAUSED_AFTER
