"""Changes from the stream of the connections table: a row before and after, without its sealed attributes.

The stream carries whole rows, but only the attributes named here are read out of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.adapters import rows
from broker.model import Instant

_READ = (
    "status", "reason", "version", "consented_at", "warned_at", "opened_at", "cause", "failures", "customer_app",
    "host", "client_id", "same_as",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One change of one row.

    Attributes:
        record: the stream's own id of the change, the same however often it is delivered
        sequence: its place in the stream: of two changes of one row, the later has the greater number
        old, new: the attributes that are read of the row before and after; empty where there was no row
    """

    record: str
    sequence: str
    at: Instant
    tenant: str
    row: str
    old: rows.Item
    new: rows.Item

    @property
    def before(self) -> Mapping[str, Any]:
        """The row's attributes before. Raises one of rows.UNREADABLE."""
        return rows.plain(self.old)

    @property
    def after(self) -> Mapping[str, Any]:
        """The row's attributes after. Raises one of rows.UNREADABLE."""
        return rows.plain(self.new)


def read_change(record: Mapping[str, Any]) -> Change:
    """Read a stream record as Lambda passes it; the row's values are decoded only when they are used."""
    told = record["dynamodb"]
    key = rows.plain(told["Keys"])
    return Change(
        record=str(record["eventID"]),
        sequence=str(told["SequenceNumber"]),
        at=Instant(int(told["ApproximateCreationDateTime"])),
        tenant=key["tenant"],
        row=key["connection"],
        old=_state(told, "OldImage"),
        new=_state(told, "NewImage"),
    )


def _state(told: Mapping[str, Any], name: str) -> rows.Item:
    """Pick the attributes that are read, of which none is binary."""
    image: rows.Item = told.get(name, {})
    return {attribute: image[attribute] for attribute in _READ if attribute in image and "B" not in image[attribute]}
