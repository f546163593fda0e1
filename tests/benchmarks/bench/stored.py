"""A DynamoDB table with many rows: its due index in order, and the units of every call by DynamoDB's own rules."""

from base64 import b64decode, b64encode
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from math import ceil
from typing import Any

from tests.verification.simulation.aws import ok
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.tables import Index, Key, Table
from tests.verification.simulation.values import Item

# ruff: noqa: N803  # the API's own names

WRITE_UNIT, READ_UNIT = 1024, 4096  # bytes
ENTRY = 100  # bytes that DynamoDB adds for each entry of an index
Place = tuple[int, Key]


class Rows(Table):
    """The connections: like any table, but that its index is kept in order, and that writes are counted."""

    def __init__(self) -> None:
        super().__init__(
            "connections", ("tenant", "connection"), lambda: 0.0, {"due": Index(("due_shard", "refresh_at"))}
        )
        self.shards: defaultdict[int, list[Place]] = defaultdict(list)
        self.units: dict[str, float] = defaultdict(float)

    def write(self, key: Key, item: Item | None) -> None:
        """Replace, create or (None) delete one item."""
        old = self.items.get(key)
        self.units["control" if key[0].startswith("#") else "write"] += ceil(max(size(old), size(item), 1) / WRITE_UNIT)
        before, after = _place(key, old), _place(key, item)
        if before != after:
            self._move(before, after)
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item

    def _move(self, before: tuple[int, Place] | None, after: tuple[int, Place] | None) -> None:
        if before:
            held = self.shards[before[0]]
            held.pop(bisect_left(held, before[1]))
            self.units["index"] += 1
        if after:
            insort(self.shards[after[0]], after[1])
            self.units["index"] += 1


class Store(DynamoDB):
    """A client for that table."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.calls: Counter[str] = Counter()
        super().__init__([self.rows], lambda: 0.0)

    def query(  # type: ignore[override]  # of the due index alone
        self, *, Limit: int = 100, ExclusiveStartKey: Item | None = None, **asked: Any
    ) -> dict[str, Any]:
        """Read a page of the due index."""
        values = asked["ExpressionAttributeValues"]
        held = self.rows.shards[int(values[":shard"]["N"])]
        end = bisect_right(held, (int(values[":until"]["N"]), ("~",)))
        start = bisect_right(held, _after(ExclusiveStartKey)) if ExclusiveStartKey else 0
        page = [_entry(host) for host in held[start : min(end, start + Limit)]]
        self.rows.units["read"] += ceil(sum(size(entry) + ENTRY for entry in page) / READ_UNIT) / 2 or 0.5
        more = {"LastEvaluatedKey": page[-1]} if len(page) == Limit else {}
        return ok(Items=page, Count=len(page), **more)

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what was asked, and say what it took."""
        asked.pop("ReturnConsumedCapacity", None)
        self.calls[operation] += 1
        before = sum(self.rows.units.values())
        found = getattr(self, operation)(**asked)
        if operation in {"get_item", "batch_get_item"}:
            self.rows.units["read"] += self._read(asked, found)
        found.pop("ResponseMetadata", None)
        capacity = {"TableName": "connections", "CapacityUnits": sum(self.rows.units.values()) - before}
        return {**found, "ConsumedCapacity": [capacity] if operation == "batch_get_item" else capacity}

    def _read(self, asked: dict[str, Any], found: dict[str, Any]) -> float:
        if "Key" in asked:
            read, rows = asked, [self.rows.items.get(self.rows.key(asked["Key"]))]
        else:
            read, rows = asked["RequestItems"]["connections"], found["Responses"]["connections"]
        units = sum(ceil(max(size(row), 1) / READ_UNIT) for row in rows)
        return units if read.get("ConsistentRead") else units / 2


def size(item: Item | None) -> int:
    """Count an item's bytes as DynamoDB does."""
    return sum(len(name) + _bytes(*next(iter(cell.items()))) for name, cell in (item or {}).items())


def _bytes(kind: str, held: Any) -> int:
    if kind == "N":
        return len(held.strip("-0")) // 2 + 2
    return 1 if kind == "BOOL" else len(held.encode() if kind == "S" else held)


def _place(key: Key, item: Item | None) -> tuple[int, Place] | None:
    if not item or "refresh_at" not in item or "due_shard" not in item:
        return None
    return int(item["due_shard"]["N"]), (int(item["refresh_at"]["N"]), key)


def _after(start: Item) -> Place:
    return int(start["refresh_at"]["N"]), (start["tenant"]["S"], start["connection"]["S"])


def _entry(host: Place) -> Item:
    refresh_at, (tenant, connection) = host
    return {"tenant": {"S": tenant}, "connection": {"S": connection}, "refresh_at": {"N": str(refresh_at)}}


def from_wire(held: Any) -> Any:
    """Read JSON as DynamoDB's protocol writes it: binary values are base64."""
    if isinstance(held, dict):
        if set(held) == {"B"} and isinstance(held["B"], str):
            return {"B": b64decode(held["B"])}
        return {name: from_wire(each) for name, each in held.items()}
    return [from_wire(each) for each in held] if isinstance(held, list) else held


def to_wire(held: Any) -> Any:
    """Write what ``json`` can't."""
    return b64encode(held).decode() if isinstance(held, bytes) else held
