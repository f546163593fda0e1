"""Reading many rows at once: any may be missing, and an unreadable one must not hide the others."""

from contextlib import suppress
from dataclasses import dataclass

from broker.adapters import rows
from broker.model import Connection, ConnectionState


@dataclass(frozen=True)
class Listed:
    """One page of a tenant's connections.

    Attributes:
        after: where the next page begins; None after the last one
        unread: how many rows this release can't read; the others are listed without them
    """

    connections: list[Connection]
    after: str | None
    unread: int


def readable(items: list[rows.Item]) -> tuple[list[ConnectionState], int]:
    """Read state rows; return them, and how many can't be read."""
    found: list[ConnectionState] = []
    for item in items:
        with suppress(*rows.UNREADABLE):
            found.append(rows.connection_state(item))
    return found, len(items) - len(found)


def whole_pairs(items: list[rows.Item], last: rows.Item | None) -> tuple[list[rows.Item], rows.Item | None]:
    """If a page ends between a state row and its profile, drop the state row, so that the next page begins with it."""
    if last is None or len(items) == 1 or _is_profile(items[-1]):
        return items, last
    return items[:-1], items[-2]


def pairs(items: list[rows.Item]) -> tuple[list[Connection], int]:
    """Pair state rows with the profiles that follow them; return the pairs, and how many rows can't be read."""
    found: list[Connection] = []
    state, unread = None, 0
    for item in items:
        try:
            if not _is_profile(item):
                state = rows.connection_state(item)
            elif state and item["connection"]["S"] == state.connection + rows.PROFILE:
                found.append(Connection(state, rows.profile(item)))
        except rows.UNREADABLE:
            unread += 1
    return found, unread


def _is_profile(item: rows.Item) -> bool:
    return bool(item["connection"]["S"].endswith(rows.PROFILE))
