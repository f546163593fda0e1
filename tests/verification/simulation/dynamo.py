"""DynamoDB in memory: the operations, answers and refusals the broker relies on, one atomic step each.

A parameter not named here is refused by Python itself, so that nothing is silently ignored.
"""

# ruff: noqa: N803
# The parameters bear the API's own names.

import math
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.verification.simulation import changes, expressions
from tests.verification.simulation.aws import Answer, Exceptions, error, invalid, ok
from tests.verification.simulation.expressions import Names, Values
from tests.verification.simulation.tables import Key, Table
from tests.verification.simulation.values import Item, copied

FAILED = "ConditionalCheckFailedException"
TOKEN_LIFE = 600  # seconds a ClientRequestToken makes a transaction idempotent


class DynamoDB:
    """A DynamoDB client over tables in memory."""

    exceptions = Exceptions()

    def __init__(self, tables: list[Table], now: Callable[[], float]) -> None:
        self.tables = {table.name: table for table in tables}
        self.now = now
        self.tokens: dict[str, float] = {}

    # One item.

    def get_item(
        self,
        *,
        TableName: str,
        Key: Item,
        ConsistentRead: bool = False,
        ProjectionExpression: str | None = None,
        ExpressionAttributeNames: Names | None = None,
    ) -> Answer:
        table, key = self._find(TableName, Key, "GetItem")
        item = table.read(key, consistent=ConsistentRead)
        if item is None:
            return ok()
        return ok(Item=changes.projected(item, ProjectionExpression, ExpressionAttributeNames or {}))

    def put_item(
        self,
        *,
        TableName: str,
        Item: Item,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Names | None = None,
        ExpressionAttributeValues: Values | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> Answer:
        table, key, old = self._checked(
            "PutItem",
            TableName,
            Item,
            (ConditionExpression, ExpressionAttributeNames, ExpressionAttributeValues),
            ReturnValuesOnConditionCheckFailure,
        )
        new = changes.fitting(copied(Item), "PutItem")
        table.write(key, new)
        return ok(**changes.returned(ReturnValues, old, new))

    def delete_item(
        self,
        *,
        TableName: str,
        Key: Item,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Names | None = None,
        ExpressionAttributeValues: Values | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> Answer:
        self._find(TableName, Key, "DeleteItem")
        table, key, old = self._checked(
            "DeleteItem",
            TableName,
            Key,
            (ConditionExpression, ExpressionAttributeNames, ExpressionAttributeValues),
            ReturnValuesOnConditionCheckFailure,
        )
        if old is not None:
            table.write(key, None)
        return ok(**changes.returned(ReturnValues, old, None))

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str | None = None,
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: Names | None = None,
        ExpressionAttributeValues: Values | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> Answer:
        self._find(TableName, Key, "UpdateItem")
        names, found = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        table, key, old = self._checked(
            "UpdateItem",
            TableName,
            Key,
            (ConditionExpression, names, found),
            ReturnValuesOnConditionCheckFailure,
        )
        new = changes.updated(table, old or copied(Key), (UpdateExpression or "", names, found))
        table.write(key, changes.fitting(new, "UpdateItem"))
        return ok(**changes.returned(ReturnValues, old, new))

    # Many items.

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Values,
        ExpressionAttributeNames: Names | None = None,
        IndexName: str | None = None,
        FilterExpression: str | None = None,
        ProjectionExpression: str | None = None,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
        Select: str | None = None,
    ) -> Answer:
        table = self._table(TableName, "Query")
        if IndexName is not None and (IndexName not in table.indexes or ConsistentRead):
            raise invalid("Query", "The table does not have the specified index, or the read is consistent")
        names, found = ExpressionAttributeNames or {}, ExpressionAttributeValues
        keys = table.indexes[IndexName].keys if IndexName else table.keys
        wanted = expressions.equality(KeyConditionExpression, names, keys[0])
        if wanted is None:
            raise invalid("Query", f"Query condition missed key schema element: {keys[0]}")
        matches = changes.read_expression("Query", expressions.condition, KeyConditionExpression)
        held = table.partition(found[wanted], IndexName, consistent=ConsistentRead)
        order = changes.order(table, keys)
        rows = sorted((row for row in held if matches(row, names, found)), key=order)
        if not ScanIndexForward:
            rows.reverse()
        if ExclusiveStartKey is not None:
            rows = changes.after(rows, order, ExclusiveStartKey, forward=ScanIndexForward)
        page = rows if Limit is None else rows[:Limit]
        more: Answer = {}
        if Limit is not None and len(page) == Limit:
            more = {"LastEvaluatedKey": {name: page[-1][name] for name in {*table.keys, *keys}}}
        kept = changes.filtered(page, FilterExpression, names, found)
        answer = {"Count": len(kept), "ScannedCount": len(page), **more}
        if Select != "COUNT":
            answer["Items"] = [changes.projected(row, ProjectionExpression, names) for row in kept]
        return ok(**answer)

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> Answer:
        if sum(len(wanted["Keys"]) for wanted in RequestItems.values()) > 100:
            raise invalid("BatchGetItem", "Too many items requested for the BatchGetItem call")
        found: dict[str, list[Item]] = {}
        for name, wanted in RequestItems.items():
            keys = [self._find(name, key, "BatchGetItem")[1] for key in wanted["Keys"]]
            if len(set(keys)) != len(keys):
                raise invalid("BatchGetItem", "Provided list of item keys contains duplicates")
            consistent = wanted.get("ConsistentRead", False)
            rows = [self.tables[name].read(key, consistent=consistent) for key in keys]
            names = wanted.get("ExpressionAttributeNames", {})
            found[name] = [
                changes.projected(row, wanted.get("ProjectionExpression"), names) for row in rows if row is not None
            ]
        return ok(Responses=found, UnprocessedKeys={})

    def transact_write_items(
        self,
        *,
        TransactItems: list[dict[str, Any]],
        ClientRequestToken: str | None = None,
    ) -> Answer:
        if self.tokens.get(ClientRequestToken or "", -math.inf) > self.now() - TOKEN_LIFE:
            return ok()
        steps = [self._planned(kind, parts) for entry in TransactItems for kind, parts in entry.items()]
        if len({(step[0].name, step[1]) for step in steps}) != len(steps):
            raise invalid("TransactWriteItems", "Transaction request cannot include multiple operations on one item")
        reasons = [step[3] for step in steps]
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise error(
                "TransactionCanceledException",
                "TransactWriteItems",
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            )
        for table, key, change, _ in steps:
            if change is not UNTOUCHED:
                table.write(key, change)
        if ClientRequestToken is not None:
            self.tokens[ClientRequestToken] = self.now()
        return ok()

    # How the operations are made.

    def _table(self, name: str, operation: str) -> Table:
        if name not in self.tables:
            raise error("ResourceNotFoundException", operation, "Requested resource not found")
        return self.tables[name]

    def _find(self, name: str, key: Item, operation: str) -> tuple[Table, Key]:
        table = self._table(name, operation)
        if set(key) != set(table.keys):
            raise invalid(operation, "The provided key element does not match the schema")
        return table, table.key(key)

    def _checked(
        self,
        operation: str,
        name: str,
        item: Item,
        condition: tuple[str | None, Names | None, Values | None],
        on_failure: str,
    ) -> tuple[Table, Key, Item | None]:
        """Find the item and hold the write to its condition."""
        table = self._table(name, operation)
        try:
            key = table.key(item)
        except KeyError as missing:
            raise invalid(operation, "One of the required keys was not given a value") from missing
        if "" in key:
            raise invalid(operation, "The AttributeValue for a key attribute cannot contain an empty string value.")
        old = table.items.get(key)
        text, names, found = condition
        if text is not None and not changes.holds(operation, text, old, (names or {}, found or {})):
            members: Answer = {"Item": copied(old)} if on_failure == "ALL_OLD" and old is not None else {}
            raise error(FAILED, operation, "The conditional request failed", **members)
        return table, key, old

    def _planned(self, kind: str, parts: dict[str, Any]) -> tuple[Table, Key, Any, Answer]:
        """Work out one step of a transaction: where, what is written, and why it may not be."""
        condition = (
            parts.get("ConditionExpression"),
            parts.get("ExpressionAttributeNames", {}),
            parts.get("ExpressionAttributeValues", {}),
        )
        named = parts["Item"] if kind == "Put" else parts["Key"]
        on_failure = parts.get("ReturnValuesOnConditionCheckFailure", "NONE")
        try:
            table, key, old = self._checked("TransactWriteItems", parts["TableName"], named, condition, on_failure)
        except ClientError as failure:
            if failure.response["Error"]["Code"] != FAILED:
                raise
            refusal: Answer = {**failure.response}
            held = {"Item": refusal["Item"]} if "Item" in refusal else {}
            table = self.tables[parts["TableName"]]
            reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", **held}
            return table, table.key(named), UNTOUCHED, reason
        fine = {"Code": "None"}
        if kind == "Put":
            return table, key, changes.fitting(copied(named), "TransactWriteItems"), fine
        if kind == "Update":
            update = (parts["UpdateExpression"], condition[1], condition[2])
            return table, key, changes.updated(table, old or copied(named), update), fine
        return table, key, None if kind == "Delete" else UNTOUCHED, fine


UNTOUCHED: Any = object()
