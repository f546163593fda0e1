"""What the stream of the connections table tells: one row before and after, with nothing sealed.

The stream carries whole rows. Only the attributes named here are read out of them; what is sealed stays behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.adapters import rows
from broker.model import Instant

_READ = ("status", "reason", "version", "consented_at", "warned_at", "until", "cause")


@dataclass(frozen=True)
class Change:
    """One change of one row.

    record          the stream's own name for it: the same however often it is read
    sequence        its place in the stream: of two changes of one row, the later has the greater number
    before, after   the row's attributes; empty while there was no row
    """

    record: str
    sequence: str
    at: Instant
    tenant: str
    row: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def read_change(record: Mapping[str, Any]) -> Change:
    """Read a stream record as Lambda passes it."""
    told = record["dynamodb"]
    key = rows.plain(told["Keys"])
    return Change(
        record=str(record["eventID"]),
        sequence=str(told["SequenceNumber"]),
        at=Instant(int(told["ApproximateCreationDateTime"])),
        tenant=key["tenant"],
        row=key["connection"],
        before=_image(told, "OldImage"),
        after=_image(told, "NewImage"),
    )


def _image(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    image: rows.Item = told.get(name, {})
    return rows.plain({attribute: image[attribute] for attribute in _READ if attribute in image})
