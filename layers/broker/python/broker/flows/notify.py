"""Publish what happened to connections on the event bus, derived from the changes of their rows.

connected           made, reconnected or approved
pending_approval    made, and not usable before its approval
needs_reauth        NinjaOne no longer accepts its tokens; says why
recovered           NinjaOne accepts its tokens again, without the customer having done anything
client_app_refused  NinjaOne refuses the client app that the customer registered, for example because the customer
                    changed its secret; says what to do
consent_ending      the estimated end of the customer's consent is near
disconnected        ended, and its tokens deleted
paused, resumed     of a client app on one host, not of one connection: refreshes wait for whoever registered it
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from broker import policy
from broker.adapters import rows
from broker.adapters.breakers import app_of_breaker
from broker.adapters.bus import MAX_ENTRIES_PER_CALL, Bus, Detail, Event
from broker.adapters.log import Level, Log
from broker.adapters.stream import Change
from broker.flows.pause import REFUSED_APP, is_customer_app_refused
from broker.model import Status, connection_id

_BECAME: Mapping[str, str] = {
    Status.ACTIVE: "connected",
    Status.PENDING_APPROVAL: "pending_approval",
    Status.NEEDS_REAUTH: "needs_reauth",
    Status.DISCONNECTED: "disconnected",
}


class Notify:
    """Publishes changes in the order of the stream. An event that is published twice has the same id both times."""

    def __init__(self, bus: Bus, log: Log) -> None:
        self._bus, self._log = bus, log

    def __call__(self, changes: Sequence[Change]) -> str | None:
        """Publish what happened; return the sequence of the first change that failed, or None."""
        told = [(change.sequence, event) for change in changes for event in self._readable(change)]
        for start in range(0, len(told), MAX_ENTRIES_PER_CALL):
            some = told[start : start + MAX_ENTRIES_PER_CALL]
            taken = self._bus.put([event for _, event in some])
            if taken < len(some):
                self._log.event("events.not_sent", Level.ERROR, left=len(told) - start - taken)
                self._log.count("events_not_sent")
                return some[taken][0]
        if told:
            self._log.event("events.sent", events=len(told))
        return None

    def _readable(self, change: Change) -> Iterator[Event]:
        """Yield the events of one change; a row that only another release can read must not block later changes."""
        try:
            yield from what_happened(change)
        except rows.UNREADABLE:
            self._log.event("change.unreadable", Level.ERROR, tenant=change.tenant, row=change.row)
            self._log.count("rows_unreadable")


def what_happened(change: Change) -> Iterator[Event]:
    """Yield the events of one change; most changes are steps of a refresh and have none. Raises rows.UNREADABLE."""
    if connection_id(change.row):
        yield from _of_connection(change)
    elif app := app_of_breaker(change.row):
        yield from _of_app(change, *app)


def _of_connection(change: Change) -> Iterator[Event]:
    before, after = change.before, change.after or {**change.before, "status": Status.DISCONNECTED}
    reconnected = before.get("consented_at") != after["consented_at"]
    if reconnected or before.get("status") != after["status"]:
        kind = _BECAME[after["status"]]
        if kind == "connected" and before.get("status") == Status.NEEDS_REAUTH and not reconnected:
            kind = "recovered"
        yield _connection_event(change, kind, after)
    if is_customer_app_refused(after) and not is_customer_app_refused(before):
        yield _connection_event(change, "client_app_refused", after)
    if after.get("warned_at", 0) > before.get("warned_at", 0):
        yield _connection_event(change, "consent_ending", after)


def _connection_event(change: Change, kind: str, row: Mapping[str, Any]) -> Event:
    more: Detail = {}
    if kind == "connected":
        twice = {"probably_same_as": row["same_as"]} if "same_as" in row else {}
        more = {"reconnected": row["version"] > 1, **twice}
    elif kind == "needs_reauth":
        more = {"reason": row["reason"]}
    elif kind == "consent_ending":
        more = {"consent_ends_at": row["consented_at"] + policy.CONSENT_LIFE}
    elif kind == "client_app_refused":
        which = {name: row[name] for name in ("host", "client_id", "cause")}
        more = {**which, "todo": REFUSED_APP[row["cause"]][1]}
    return _event(
        change, kind, {"tenant_id": change.tenant, "connection_id": change.row, "version": row["version"], **more}
    )


def _of_app(change: Change, host: str, client_id: str) -> Iterator[Event]:
    which = {"host": host, "client_id": client_id}
    was, is_now = "opened_at" in change.before, "opened_at" in change.after
    if is_now and not was:
        yield _event(change, "paused", which | {"cause": change.after["cause"]})
    elif was and not is_now:
        yield _event(change, "resumed", which)


def _event(change: Change, kind: str, detail: Detail) -> Event:
    name: Detail = {"id": f"{change.record}.{kind}", "sequence": change.sequence, "at": change.at}
    return Event(f"connection.{kind}", change.at, {**name, **detail})
