"""A backend that needs tokens: it asks for them again and again, and counts what it gets, for each tenant."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from local.product.backend import Backend, Problem

EVERY = 3.0
"""Seconds between two rounds."""
ENOUGH = 10
"""Seconds that it wants a token to last."""
AT_ONCE = 1.0
"""Seconds within which an answer counts as given at once."""


@dataclass
class Figures:
    """What one tenant's connections got.

    Attributes:
        least: the shortest lifetime seen, in seconds
    """

    given: int = 0
    waited: int = 0
    needs_customer: int = 0
    not_yet: int = 0
    otherwise: int = 0
    least: int | None = None

    def count(self, token: Mapping[str, Any], took: float) -> None:
        """Count a token."""
        self.given += took < AT_ONCE
        self.waited += took >= AT_ONCE
        left = int(token["expires_in"])
        self.least = left if self.least is None else min(self.least, left)

    def refuse(self, status: int) -> None:
        """Count a refusal."""
        self.needs_customer += status == 409
        self.not_yet += status == 503
        self.otherwise += status not in {409, 503}


@dataclass
class PollCounts:
    """What was got while the same things were switched on.

    Attributes:
        what: the things, in words
        until: Unix seconds; None while it lasts
    """

    what: str
    since: float
    until: float | None = None
    tenants: dict[str, Figures] = field(default_factory=lambda: defaultdict(Figures))


class Poller:
    """Asks for a token of every connection there is, from its start until it is stopped."""

    def __init__(self, backend: Backend, known: Callable[[], Mapping[str, str]], first: PollCounts) -> None:
        """Store whom to ask.

        Args:
            known: connections, with their tenants
        """
        self._backend, self._known = backend, known
        self.counts = [first]
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask, unless it has begun."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()

    def stop(self) -> None:
        """Begin no further round; a round that waits for tokens is not waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def begin(self, what: str, now: float) -> None:
        """Close the last row of counts, and count from now on in a new one."""
        with self._lock:
            self.counts[-1].until = now
            self.counts.append(PollCounts(what, now))

    def ask(self) -> None:
        """Ask once for all, at the same time."""
        if known := self._known():
            with ThreadPoolExecutor(len(known)) as pool:
                list(pool.map(self._ask, known.values(), known))

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self.ask()

    def _ask(self, tenant: str, connection: str) -> None:
        """Ask; the answer counts for what was switched on when it was asked for."""
        counts, began = self.counts[-1], time.monotonic()
        try:
            token = self._backend.token(tenant, connection, min_ttl=ENOUGH)
        except Problem as problem:
            with self._lock:
                counts.tenants[tenant].refuse(problem.status)
        else:
            with self._lock:
                counts.tenants[tenant].count(token, time.monotonic() - began)
