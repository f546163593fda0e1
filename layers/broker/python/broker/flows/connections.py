"""List connections, and look at one."""

from dataclasses import dataclass

from broker.adapters.breakers import Brakes, app_brake
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections, Ref
from broker.adapters.log import Level, Log
from broker.errors import UnknownConnection
from broker.model import Hot, Profile, TenantId


@dataclass(frozen=True)
class Shown:
    """A connection as it may be shown.

    paused   its client app is held by a brake: the operator's turn, not the customer's
    """

    hot: Hot
    profile: Profile
    paused: bool = False


@dataclass(frozen=True)
class Page:
    """Some of a tenant's connections, and where the next page begins."""

    shown: list[Shown]
    after: str | None


class Show:
    """Looks at connections; nothing sealed is ever read."""

    def __init__(self, connections: Connections, brakes: Brakes, clock: Clock, log: Log) -> None:
        self._connections, self._brakes, self._clock, self._log = connections, brakes, clock, log

    def one(self, ref: Ref) -> Shown:
        """Look at one. Raises   UnknownConnection, Busy"""
        found = self._connections.shown(ref)
        if found is None:
            raise UnknownConnection
        return self._shown([found])[0]

    def page(self, tenant: TenantId, *, limit: int, after: str | None) -> Page:
        """Look at some; what can't be read is said to the operator and hides no other. Raises   Busy"""
        found = self._connections.page(tenant, limit=limit, after=after)
        if found.unread:
            self._log.event("rows.passed_over", Level.ERROR, tenant=tenant, unread=found.unread)
            self._log.count("rows_unread", found.unread)
        return Page(self._shown(found.pairs), found.after)

    def _shown(self, found: list[tuple[Hot, Profile]]) -> list[Shown]:
        """Look at the brake of each client app once."""
        names = {app_brake(hot.place.host, hot.client_id) for hot, _ in found}
        held = {name for name in names if self._is_held(name)}
        return [Shown(hot, profile, app_brake(hot.place.host, hot.client_id) in held) for hot, profile in found]

    def _is_held(self, name: str) -> bool:
        brake = self._brakes.read(name)
        return brake is not None and brake.until > instant(self._clock)
