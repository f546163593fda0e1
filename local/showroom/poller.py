"""A backend that needs tokens: it asks for them again and again, and counts what it gets."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any

from local.product.backend import Backend, Problem

EVERY = 3.0
"""Seconds between two rounds."""
ENOUGH = 10
"""Seconds that it wants a token to last."""
AT_ONCE = 1.0
"""Seconds within which an answer needs no patience."""


@dataclass
class PollCounts:
    """What was got while something was switched on.

    least   the shortest lifetime seen, in seconds
    """

    fault: str
    since: float
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


class Poller:
    """Asks for a token of every connection there is, from its start until it is stopped."""

    def __init__(self, backend: Backend, known: Callable[[], Mapping[str, str]], first: PollCounts) -> None:
        """Take whom to ask.

        known   connections, with their tenants
        """
        self._backend, self._known = backend, known
        self.counts = [first]
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to ask; once begun, go on."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()

    def stop(self) -> None:
        """Let no further round begin; one that waits for its tokens is not waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1)

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
                counts.refuse(problem.status)
        else:
            with self._lock:
                counts.count(token, time.monotonic() - began)
