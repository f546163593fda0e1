"""List connections, and look at one."""

from dataclasses import dataclass

from broker.adapters.breakers import Breakers, app_breaker
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.errors import UnknownConnection
from broker.model import Connection, ConnectionRef, TenantId


@dataclass(frozen=True)
class ListedConnection:
    """A connection as it may be shown.

    paused   its client app is held by a circuit breaker: the operator has to act, not the customer
    """

    connection: Connection
    paused: bool = False


@dataclass(frozen=True)
class Page:
    """Some of a tenant's connections, and where the next page begins."""

    connections: list[ListedConnection]
    after: str | None


class ListConnections:
    """Looks at connections; nothing sealed is ever read."""

    def __init__(self, connections: Connections, breakers: Breakers, clock: Clock, log: Log) -> None:
        self._connections, self._brakes, self._clock, self._log = connections, breakers, clock, log

    def one(self, ref: ConnectionRef) -> ListedConnection:
        """Look at one. Raises   UnknownConnection, Busy"""
        found = self._connections.without_secrets(ref)
        if found is None:
            raise UnknownConnection
        return self._shown([found])[0]

    def page(self, tenant: TenantId, *, limit: int, after: str | None) -> Page:
        """Look at some; what can't be read is said to the operator and hides no other. Raises   Busy"""
        found = self._connections.page(tenant, limit=limit, after=after)
        if found.unread:
            self._log.event("rows.passed_over", Level.ERROR, tenant=tenant, unread=found.unread)
            self._log.count("rows_unread", found.unread)
        return Page(self._shown(found.connections), found.after)

    def _shown(self, found: list[Connection]) -> list[ListedConnection]:
        """Look at the brake of each client app once."""
        names = {_breaker(each) for each in found}
        held = {name for name in names if self._is_held(name)}
        return [ListedConnection(each, _breaker(each) in held) for each in found]

    def _is_held(self, name: str) -> bool:
        breaker = self._brakes.read(name)
        return breaker is not None and breaker.until > instant(self._clock)


def _breaker(of: Connection) -> str:
    return app_breaker(of.state.host.name, of.state.client_id)
