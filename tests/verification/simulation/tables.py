"""One DynamoDB table in memory: items, a lagging index, and what an eventually consistent read sees."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.verification.simulation.values import Item, Value, comparable, copied

Key = tuple[Any, ...]


def never() -> float:
    """Return no lag at all."""
    return 0.0


@dataclass
class Index:
    """A KEYS_ONLY global secondary index; it follows its table `lag` seconds behind."""

    keys: tuple[str, ...]
    entries: dict[Key, Item] = field(default_factory=dict)
    pending: deque[tuple[float, Key, Item | None]] = field(default_factory=deque)

    def note(self, now: float, lag: float, key: Key, entry: Item | None) -> None:
        """Let a change of the table arrive here `lag` seconds later, and never before an earlier change.

        Without a lag it is here at once, also where a test then sets its clock back.
        """
        if not lag and not self.pending:
            self._take(key, entry)
            return
        last = self.pending[-1][0] if self.pending else now
        self.pending.append((max(now + lag, last), key, entry))

    def caught_up(self, now: float) -> dict[Key, Item]:
        """Return the entries a query sees now."""
        while self.pending and self.pending[0][0] <= now:
            _, key, entry = self.pending.popleft()
            self._take(key, entry)
        return self.entries

    def _take(self, key: Key, entry: Item | None) -> None:
        if entry is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = entry


@dataclass
class Table:
    """Items by key. `stale` and `lag` answer how many seconds behind a weak read and an index may be."""

    name: str
    keys: tuple[str, ...]
    now: Callable[[], float]
    indexes: dict[str, Index] = field(default_factory=dict)
    items: dict[Key, Item] = field(default_factory=dict)
    stale: Callable[[], float] = never
    lag: Callable[[], float] = never
    watchers: list[Callable[[Key, Item | None, Item | None], None]] = field(default_factory=list)
    stale_reads: int = 0
    before: dict[Key, tuple[float, Item | None]] = field(default_factory=dict)

    def key(self, item: Item) -> Key:
        """Return an item's identity.

        Raises:
            KeyError, a key attribute is missing
        """
        return tuple(comparable(item[name]) for name in self.keys)

    def write(self, key: Key, item: Item | None) -> None:
        """Replace, create or (None) delete one item."""
        old = self.items.get(key)
        self.before[key] = (self.now(), old)
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        for index in self.indexes.values():
            index.note(self.now(), self.lag(), key, self.entry(index, item))
        for watch in self.watchers:
            watch(key, old, item)

    def entry(self, index: Index, item: Item | None) -> Item | None:
        """Return what an index holds of an item: keys only, or nothing when it lacks an index key."""
        if item is None or any(name not in item for name in index.keys):
            return None
        return {name: item[name] for name in (*self.keys, *index.keys)}

    def read(self, key: Key, *, consistent: bool) -> Item | None:
        """Return one item, as it is or (weakly) as it was a moment ago."""
        if not consistent and key in self.before:
            replaced, old = self.before[key]
            if replaced > self.now() - self.stale():
                self.stale_reads += 1
                return old
        return self.items.get(key)

    def partition(self, value: Value, index: str | None, *, consistent: bool) -> Iterator[Item]:
        """Yield the items of one partition of the table or of an index, in no order."""
        wanted = comparable(value)
        if index is None:
            for key in list(self.items):
                item = self.read(key, consistent=consistent) if key[0] == wanted else None
                if item is not None:
                    yield item
            return
        (hash_key, *_) = self.indexes[index].keys
        for key, item in self.indexes[index].caught_up(self.now()).items():
            self.stale_reads += self.entry(self.indexes[index], self.items.get(key)) != item
            if comparable(item[hash_key]) == wanted:
                yield item

    def snapshot(self) -> dict[Key, Item]:
        """Copy every item, as a backup does."""
        return {key: copied(item) for key, item in self.items.items()}

    def restore(self, backup: dict[Key, Item]) -> None:
        """Put a backup in place of what is here."""
        for key in [*self.items]:
            self.write(key, None)
        for key, item in backup.items():
            self.write(key, copied(item))
