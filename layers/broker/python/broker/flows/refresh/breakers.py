"""The circuit breakers of one batch. The rules: docs/understand/refresh.md, When NinjaOne fails."""

from collections.abc import Iterable
from contextlib import suppress

from broker import policy
from broker.adapters.breakers import (
    Breaker,
    BreakerStore,
    app_breaker_of,
    host_breaker,
    tenant_hash,
)
from broker.adapters.clock import Clock, instant
from broker.adapters.log import Level, Log
from broker.errors import AwsError
from broker.model import ConnectionState, Instant, Status
from broker.ninjaone import Outcome


class Breakers:
    """The breakers, read once for each batch and then updated by what the batch itself sees and writes.

    Worker threads share them without a lock. Each only replaces whole, frozen values in a dictionary, and the table
    decides by conditional writes who opens or closes a breaker, so a stale value costs at most a needless write.
    """

    def __init__(self, store: BreakerStore, clock: Clock, log: Log) -> None:
        self._store, self._clock, self._log = store, clock, log
        self._known: dict[str, Breaker] = {}
        self._trials: set[tuple[str, str]] = set()

    def read(self, rows: Iterable[ConnectionState]) -> None:
        """Read the breakers of the rows, each once; one that can't be read is read again when a row needs it."""
        with suppress(AwsError):
            for name in sorted({name for row in rows for name in _names(row)}):
                self._find(name)

    def choose_trials(self, rows: Iterable[ConnectionState]) -> None:
        """Choose one connection for each open breaker to try, unless another was tried within the last minute.

        Tenants that are not failing come first, then connections whose last attempt succeeded, then tokens that expire
        soonest. Connections whose trial failed take turns with those of failing tenants. So every tenant gets a turn,
        and the first connection that is granted tokens closes the breaker for all.
        """
        candidates: dict[str, list[ConnectionState]] = {}
        for row in rows:
            with suppress(AwsError):  # if the breaker can't be read, the row is put off when its turn comes
                for name in self._open(row)[:1]:
                    candidates.setdefault(name, []).append(row)
        for name, waiting in candidates.items():
            self._pass(min(waiting, key=lambda row: self._rank(name, row)))

    def lets_pass(self, row: ConnectionState) -> bool:
        """Return whether NinjaOne may be called for a connection now. Raises AwsError."""
        return not self._open(row) or self.is_trial(row)

    def is_trial(self, row: ConnectionState) -> bool:
        """Return whether this connection is the trial of an open breaker."""
        return (row.tenant, row.connection) in self._trials

    def is_open(self, row: ConnectionState) -> bool:
        """Return whether a breaker of this row is open. Raises AwsError."""
        return bool(self._open(row))

    def granted(self, row: ConnectionState) -> None:
        """Record that NinjaOne granted tokens, which clears all failures; a row without failures is not written."""
        for name in _names(row):
            known = self._known.get(name, Breaker())
            if known.since is not None:
                self._known[name] = Breaker()
                with suppress(AwsError):  # the next grant records it
                    self._close(name, known, row)

    def failed(self, row: ConnectionState, outcome: Outcome) -> None:
        """Record that NinjaOne granted nothing: a tenant fails once a connection fails whose last attempt succeeded.

        Further failures of the same connection, or of one that needs its customer, are not counted.
        """
        if row.failures or row.status is Status.NEEDS_REAUTH:
            return
        name = app_breaker_of(row) if outcome.is_about_app else host_breaker(row.host.name)
        with suppress(AwsError):  # the next failure records it
            self._fail(name, row, outcome.code)

    def latest(self, row: ConnectionState) -> Breaker:
        """Read the breaker of a row's host as it is now. Raises AwsError."""
        return self._store.read(host_breaker(row.host.name))

    def _pass(self, row: ConnectionState) -> None:
        """Claim the trial of each breaker that is open for this row."""
        with suppress(AwsError):
            if all(self._take(name, row) for name in self._open(row)):
                self._trials.add((row.tenant, row.connection))

    def _take(self, name: str, row: ConnectionState) -> bool:
        gap = policy.FAILING_TRIAL_INTERVAL if self._is_failing(name, row) else policy.TRIAL_INTERVAL
        return self._store.claim_trial(name, self._now(), gap)

    def _rank(self, name: str, row: ConnectionState) -> tuple[bool, bool, Instant]:
        """Return a sort key: rows that are not failing first, by token expiry; then the failing ones, taking turns."""
        turn = (row.tried_at or Instant(0)) if row.failures else row.token_expires_at
        return self._is_failing(name, row), row.failures > 0, turn

    def _is_failing(self, name: str, row: ConnectionState) -> bool:
        """Return whether a row's tenant is failing, or the row was tried in vain since the breaker opened.

        Without the latter, a dead token whose tenant is not counted as failing would take every trial.
        """
        breaker = self._find(name)
        was_tried = (row.tried_at or 0) >= (breaker.opened_at or 0)
        return was_tried or tenant_hash(row.tenant) in breaker.failing

    def _close(self, name: str, known: Breaker, row: ConnectionState) -> None:
        if self._store.add_grant(name, known, row.tenant, self._now()) and known.opened_at is not None:
            self._log.event("breaker.closed", breaker=name, seconds=self._now() - known.opened_at)

    def _fail(self, name: str, row: ConnectionState, cause: str) -> None:
        known, now = self._find(name), self._now()
        if tenant_hash(row.tenant) not in known.failing:
            known = self._known[name] = self._store.add_failure(name, row.tenant, now, cause)
        if _opens(known, now):
            self._known[name], opened = self._store.open(name, known, now, cause)
            if opened:
                self._tell(name, known, cause)

    def _tell(self, name: str, seen: Breaker, cause: str) -> None:
        """Log that it opened. Customers' own apps are theirs to fix, so those do not alarm the operator."""
        own = name.startswith("customer-apps")
        level = Level.WARNING if own else Level.ERROR
        self._log.event("breaker.opened", level, breaker=name, cause=cause, tenants=len(seen.failing))
        if not own:
            self._log.count("breaker_opened")

    def _open(self, row: ConnectionState) -> list[str]:
        return [name for name in _names(row) if self._find(name).is_open]

    def _find(self, name: str) -> Breaker:
        if name not in self._known:
            self._known[name] = self._store.read(name)
        return self._known[name]

    def _now(self) -> Instant:
        return instant(self._clock)


def _opens(breaker: Breaker, now: Instant) -> bool:
    """Return whether this failure opens the breaker: several tenants fail, and nothing was granted for a while."""
    if breaker.is_open or breaker.since is None:
        return False
    return len(breaker.failing) >= policy.BREAKER_TENANTS and now - breaker.since >= policy.BREAKER_QUIET


def _names(row: ConnectionState) -> tuple[str, str]:
    return host_breaker(row.host.name), app_breaker_of(row)
