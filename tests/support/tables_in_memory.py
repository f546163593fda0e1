"""The simulation's DynamoDB for the tables of a template.

A conditional update takes a hundredth of what moto takes, and the unit tests make tens of thousands.
tests/verification/simulation/test_stores.py holds these tables to moto's answers.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from local.aws.account import as_json
from local.cloudformation.arns import REGION
from local.cloudformation.resources import Table as Resource
from tests.verification.simulation.aws import Answer, ok
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.tables import Index, Key, Table
from tests.verification.simulation.values import Item, copied

Record = dict[str, Any]


class TablesInMemory(DynamoDB):
    """The tables of a template, their scans, and the records of their streams."""

    def __init__(self, resources: Sequence[Resource], now: Callable[[], float]) -> None:
        super().__init__([_table(each, now) for each in resources], now)
        self.records: dict[str, list[Record]] = {}
        for each in resources:
            if each.stream:
                self._watch(each)

    def empty(self) -> None:
        """Forget every item and every record."""
        for table in self.tables.values():
            table.items.clear()
            table.before.clear()
            for index in table.indexes.values():
                index.entries.clear()
                index.pending.clear()
        for records in self.records.values():
            records.clear()
        self.tokens.clear()

    def scan(self, *, TableName: str, ConsistentRead: bool = False) -> Answer:  # noqa: N803 (the API's own names)
        items = [copied(item) for item in self._table(TableName, "Scan").items.values()]
        return ok(Items=items, Count=len(items), ScannedCount=len(items))

    def describe_table(self, *, TableName: str) -> Answer:  # noqa: N803
        return ok(Table={"TableStatus": "ACTIVE", "ItemCount": len(self._table(TableName, "DescribeTable").items)})

    def restore_table_to_point_in_time(
        self,
        *,
        SourceTableName: str,  # noqa: N803
        TargetTableName: str,  # noqa: N803
        RestoreDateTime: Any,  # noqa: N803
    ) -> Answer:
        """Copy what is there now, as moto does: tests restore the moment in which they ask."""
        source = self._table(SourceTableName, "RestoreTableToPointInTime")
        made = self.tables[TargetTableName] = Table(TargetTableName, source.keys, self.now)
        made.items.update({key: copied(item) for key, item in source.items.items()})
        return ok(TableDescription={"TableStatus": "CREATING"})

    def delete_table(self, *, TableName: str) -> Answer:  # noqa: N803
        del self.tables[self._table(TableName, "DeleteTable").name]
        return ok()

    def _watch(self, resource: Resource) -> None:
        """Write a record for each change, in the form in which a stream gives it to a function."""
        made, numbers = self.records.setdefault(resource.name, []), count(1)

        def write(_key: Key, old: Item | None, new: Item | None) -> None:
            if old != new:
                made.append(_record(resource, old, new, next(numbers), self.now()))

        self.tables[resource.name].watchers.append(write)


def _table(resource: Resource, now: Callable[[], float]) -> Table:
    keys = tuple(name for name in (resource.hash_key, resource.range_key) if name)
    indexes = {index.name: Index((index.hash_key, index.range_key)) for index in resource.indexes}
    return Table(resource.name, keys, now, indexes)


def _record(resource: Resource, old: Item | None, new: Item | None, number: int, moment: float) -> Record:
    kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    keys = [name for name in (resource.hash_key, resource.range_key) if name]
    some: Item = new or old or {}
    images = {"OldImage": old, "NewImage": new}
    return {
        "eventID": f"{number:032x}",
        "eventName": kind,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": moment,
            "Keys": {name: some[name] for name in keys},
            **{name: as_json(copied(image)) for name, image in images.items() if image is not None},
            "SequenceNumber": str(number),
            "SizeBytes": len(repr(some)),
            "StreamViewType": resource.stream,
        },
        "eventSourceARN": resource.stream_arn,
    }
