"""HTTP clients whose connection to NinjaOne stays open from one call to the next.

A new connection costs two round trips more than the call itself. AWS Lambda keeps a process for many invocations, but
freezes it in between for any length of time; meanwhile the other end may close the connection without being noticed.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from broker.adapters.clock import Clock
from broker.adapters.http import HttpClient
from broker.model import ConnectionRef

MAX_IDLE_SECONDS = 5.0
"""Seconds for which an idle client is kept: less than servers keep their end open. httpx has the same limit, but counts
it by the monotonic clock, which may stand still while the process is frozen; this one is counted by the time of day."""
MAX_CLIENTS = 16
"""Clients kept at a time; beyond that, the least recently used one is closed."""


class HttpClientPool:
    """One HTTP client for each of a tenant's connections.

    No client serves two connections, so that bytes left over in a socket can't become the answer to another tenant.
    """

    def __init__(self, make: Callable[[], HttpClient], clock: Clock) -> None:
        self._make, self._clock = make, clock
        self._kept: dict[ConnectionRef, tuple[HttpClient, float]] = {}

    @contextmanager
    def client(self, ref: ConnectionRef) -> Iterator[HttpClient]:
        """Lend the connection's client, or a new one, to one caller at a time; keep it unless the caller raises."""
        web = self._taken(ref) or self._make()
        with ExitStack() as unless_kept:
            unless_kept.callback(web.close)
            yield web
            unless_kept.pop_all()
        self._keep(ref, web)

    def _taken(self, ref: ConnectionRef) -> HttpClient | None:
        web, since = self._kept.pop(ref, (None, 0.0))
        if web is None or 0 <= self._clock.now() - since < MAX_IDLE_SECONDS:
            return web
        web.close()
        return None

    def _keep(self, ref: ConnectionRef, web: HttpClient) -> None:
        dropped = [self._kept.pop(ref, None)]
        self._kept[ref] = web, self._clock.now()
        if len(self._kept) > MAX_CLIENTS:
            dropped.append(self._kept.pop(next(iter(self._kept))))
        for each in filter(None, dropped):
            each[0].close()
