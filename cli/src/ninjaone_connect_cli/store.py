"""The table of connections, whole: what only an operator may do. Every write compares what it was decided on.

A refresh that is at work is never disturbed: a row whose version or fence moved is left for the next pass.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from broker.adapters import rows
from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.dynamo import ConditionalUpdate, ConditionFailed, update
from broker.errors import AwsUnavailable
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Profile, Status, TenantId, connection_id

TRIES = 6
CANCELLED = ("TransactionCanceledException",)
_NEW = {"ConditionExpression": "attribute_not_exists(#tenant)", "ExpressionAttributeNames": {"#tenant": "tenant"}}
"""The condition of a put that must not replace a row."""
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One item of the table, as it was read."""

    item: rows.Item

    @property
    def tenant(self) -> TenantId:
        return TenantId(self.item["tenant"]["S"])

    @property
    def key(self) -> str:
        """The sort key: a connection's id, or its id and ``#profile``."""
        return str(self.item["connection"]["S"])

    @property
    def ref(self) -> ConnectionRef:
        """Which connection it belongs to."""
        return ConnectionRef(self.tenant, ConnectionId(self.key.removesuffix(rows.PROFILE)))

    @property
    def sealed(self) -> dict[str, bytes]:
        """What it holds sealed, by the attribute's name."""
        return {name: bytes(self.item[name].get("B", b"")) for name in rows.SEALED if name in self.item}

    @property
    def state(self) -> ConnectionState | None:
        """The state row, where it is one that can be read."""
        try:
            return rows.connection_state(self.item) if connection_id(self.key) else None
        except rows.UNREADABLE:
            return None

    @property
    def is_later(self) -> bool:
        """Return whether a later release wrote it, which may understand more of it."""
        written = self.item.get("schema", {}).get("N", "0")
        return not written.isdigit() or int(written) > rows.SCHEMA

    @property
    def is_unreadable(self) -> bool:
        """Return whether it is a state row that a later release wrote, or that was damaged."""
        return bool(connection_id(self.key)) and self.state is None

    @property
    def was_ended(self) -> bool:
        """Return whether its connection was ended on purpose, as far as the row shows it, readable or not."""
        status = self.item.get("status", {}).get("S")
        return status == Status.DISCONNECTED or (status not in {*Status} and not self.sealed)

    @property
    def fence(self) -> int:
        """The fencing token, also of a row that can't be read; 0 where it has none."""
        fence = self.item.get("fence", {}).get("N", "0")
        return int(fence) if str(fence).isdigit() else 0


class Store:
    """One table of connections."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table
        self._aws = AwsClient("dynamodb", dynamodb)

    def count(self) -> int:
        """Return about how many items there are: DynamoDB counts every six hours."""
        answer = self._dynamodb.describe_table(TableName=self._table)
        return int(answer["Table"]["ItemCount"])

    def items(self) -> Iterator[Row]:
        """Go through all rows of connections; control rows are left out."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        for page in pages:
            yield from (row for row in map(Row, page["Items"]) if not row.tenant.startswith("#"))

    def of_tenant(self, tenant: str) -> Iterator[Row]:
        """Go through the rows of one tenant's connections."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression="tenant = :tenant",
            ExpressionAttributeValues={":tenant": {"S": tenant}},
        )
        for page in pages:
            yield from map(Row, page["Items"])

    def connections(self) -> Iterator[ConnectionState]:
        """Go through all state rows."""
        yield from (row.state for row in self.items() if row.state)

    def row(self, ref: ConnectionRef) -> Row | None:
        """Read a state row as it is now, whether or not it makes sense."""
        found = self._get(ref, ref.connection)
        return Row(found) if found else None

    def state(self, ref: ConnectionRef) -> ConnectionState | None:
        """Read a state row as it is now."""
        found = self.row(ref)
        return found.state if found else None

    def profile(self, ref: ConnectionRef) -> Profile | None:
        """Read a profile row as it is now."""
        found = self._get(ref, ref.connection + rows.PROFILE)
        return rows.profile(found) if found else None

    def change(self, row: Row, change: Mapping[str, Any], *, same: tuple[str, ...]) -> bool:
        """Change attributes of a row while others are as they were read; return whether they were."""
        given = {f"{name}_seen": rows.plain(row.item)[name] for name in same}
        write = ConditionalUpdate.of(*(f"#{name} = :{name}_seen" for name in same), given=given, set=change)
        return not isinstance(self._write(row, write), ConditionFailed)

    def raise_epoch(self, row: ConnectionState, change: Mapping[str, Any]) -> bool:
        """Activate a row, so that its token may be presented, unless it was changed meanwhile."""
        write = ConditionalUpdate.of(
            "#version = :version_seen AND #fence = :fence_seen AND #epoch = :epoch_seen",
            given={"version_seen": row.version, "fence_seen": row.fence, "epoch_seen": row.epoch},
            set=change,
        )
        key = rows.key(row.tenant, row.connection)
        found = retry_while_unavailable(lambda: update(self._aws, self._table, key, write))
        return not isinstance(found, ConditionFailed)

    def make(self, state: ConnectionState, profile: Profile) -> bool:
        """Store a connection whole or not at all; return whether there was none."""
        puts = [self._put(rows.connection_state_item(state), _NEW), self._put(rows.profile_item(profile), {})]
        return self._transact(puts)

    def replace(self, seen: Row, state: ConnectionState, profile: Profile) -> bool:
        """Replace an unusable connection, if it is still as it was read."""
        present = [name for name in ("version", "fence") if name in seen.item]
        missing = [name for name in ("version", "fence") if name not in seen.item]
        clauses = [f"#{name} = :{name}" for name in present] + [f"attribute_not_exists(#{name})" for name in missing]
        same = {
            "ConditionExpression": " AND ".join(clauses),
            "ExpressionAttributeNames": {f"#{name}": name for name in (*present, *missing)},
            **({"ExpressionAttributeValues": {f":{name}": seen.item[name] for name in present}} if present else {}),
        }
        return self._transact(
            [self._put(rows.connection_state_item(state), same), self._put(rows.profile_item(profile), {})]
        )

    def add_profile(self, profile: Profile) -> bool:
        """Store a profile row alone, where there is none; return whether there was none."""
        return self._transact([self._put(rows.profile_item(profile), _NEW)])

    def _put(self, item: rows.Item, condition: Mapping[str, Any]) -> dict[str, Any]:
        return {"Put": {"TableName": self._table, "Item": item, **condition}}

    def _transact(self, puts: list[dict[str, Any]]) -> bool:
        """Write all or nothing; False when the condition did not hold."""

        def write() -> bool:
            try:
                self._aws.call("transact_write_items", expected=CANCELLED, TransactItems=puts)
            except ExpectedError as cancelled:
                if any(
                    reason["Code"] == "ConditionalCheckFailed" for reason in cancelled.response["CancellationReasons"]
                ):
                    return False
                raise AwsUnavailable from None
            return True

        return retry_while_unavailable(write)

    def _write(self, row: Row, write: ConditionalUpdate) -> rows.Item | ConditionFailed:
        key = rows.key(row.tenant, row.key)
        return retry_while_unavailable(lambda: update(self._aws, self._table, key, write))

    def _get(self, ref: ConnectionRef, name: str) -> rows.Item | None:
        key = rows.key(ref.tenant, name)
        answer = self._aws.call("get_item", TableName=self._table, Key=key, ConsistentRead=True)
        found: rows.Item | None = answer.get("Item")
        return found


def retry_while_unavailable(call: Callable[[], T]) -> T:
    """Try again while AWS is unavailable; give up after about a minute."""
    for wait in range(TRIES):
        try:
            return call()
        except AwsUnavailable:
            if wait == TRIES - 1:
                raise
            time.sleep(2**wait)
    raise AssertionError("unreachable")
