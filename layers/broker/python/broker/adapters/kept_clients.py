"""HTTP clients whose connection to NinjaOne stays open from one call to the next.

A TLS handshake takes two journeys more than the call itself. AWS Lambda keeps a process for many invocations, but it
freezes it in between, for as long as it likes: meanwhile the other end may close the connection, unseen.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from broker.adapters.clock import Clock
from broker.adapters.http import HttpClient
from broker.model import ConnectionRef

IDLE = 5.0
"""Seconds for which an idle client is kept: less than servers keep theirs, and what httpx allows a connection by the
monotonic clock. That clock may stand still in a frozen process; this is counted by the time of day."""
MOST = 16
"""Clients kept at a time; of more, the one that was used longest ago is closed."""


class KeptClients:
    """One client for each connection of a tenant's.

    Never one for two: whatever an answer leaves behind in a socket can't become the answer to another tenant.
    """

    def __init__(self, make: Callable[[], HttpClient], clock: Clock) -> None:
        self._make, self._clock = make, clock
        self._kept: dict[ConnectionRef, tuple[HttpClient, float]] = {}

    @contextmanager
    def client(self, ref: ConnectionRef) -> Iterator[HttpClient]:
        """Lend the connection's client, or a new one, to one caller at a time; keep it unless they raise."""
        web = self._taken(ref) or self._make()
        with ExitStack() as unless_kept:
            unless_kept.callback(web.close)
            yield web
            unless_kept.pop_all()
        self._keep(ref, web)

    def _taken(self, ref: ConnectionRef) -> HttpClient | None:
        web, since = self._kept.pop(ref, (None, 0.0))
        if web is None or 0 <= self._clock.now() - since < IDLE:
            return web
        web.close()
        return None

    def _keep(self, ref: ConnectionRef, web: HttpClient) -> None:
        dropped = [self._kept.pop(ref, None)]
        self._kept[ref] = web, self._clock.now()
        if len(self._kept) > MOST:
            dropped.append(self._kept.pop(next(iter(self._kept))))
        for each in filter(None, dropped):
            each[0].close()
