"""Read one connection, or a page of a tenant's, with what holds each."""

from dataclasses import dataclass
from functools import cache

from broker.adapters.breakers import BreakerStore
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.errors import UnknownConnection
from broker.flows.pause import Pause, pause_to_show
from broker.model import Connection, ConnectionRef, TenantId


@dataclass(frozen=True)
class ListedConnection:
    """A connection with what holds it.

    Attributes:
        pause: why its refreshes fail for now, though the customer need not reconnect; None if nothing holds it
    """

    connection: Connection
    pause: Pause | None = None


@dataclass(frozen=True)
class Page:
    """A page of a tenant's connections, and where the next page begins."""

    connections: list[ListedConnection]
    after: str | None


class ListConnections:
    """Reads connections, never anything sealed."""

    def __init__(self, connections: Connections, breakers: BreakerStore, clock: Clock, log: Log) -> None:
        self._connections, self._breakers, self._clock, self._log = connections, breakers, clock, log

    def one(self, ref: ConnectionRef) -> ListedConnection:
        """Return one connection. Raises UnknownConnection or AwsError."""
        found = self._connections.get_without_secrets(ref)
        if found is None:
            raise UnknownConnection
        return self._shown([found])[0]

    def page(self, tenant: TenantId, *, limit: int, after: str | None) -> Page:
        """Return a page. Unreadable rows are logged for the operator and hide no others. Raises AwsError."""
        found = self._connections.get_page(tenant, limit=limit, after=after)
        if found.unread:
            self._log.event("rows.unreadable", Level.ERROR, tenant=tenant, unread=found.unread)
            self._log.count("rows_unreadable", found.unread)
        return Page(self._shown(found.connections), found.after)

    def _shown(self, found: list[Connection]) -> list[ListedConnection]:
        """Add what holds each connection; each breaker is read once, a host's only if a connection of it fails."""
        read, now = cache(self._breakers.read_open_state), instant(self._clock)
        return [ListedConnection(each, pause_to_show(each.state, read, now)) for each in found]
