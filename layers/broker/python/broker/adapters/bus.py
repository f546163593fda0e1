"""The event bus: what happened to a connection, delivered at least once, never with a secret.

A listener orders the events of one connection by ``version``, then ``sequence``, and drops an ``id`` that it has seen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.adapters.aws import AwsClient, is_refusal
from broker.errors import AwsError
from broker.model import Instant

SOURCE = "ninjaone-connect"
MAX_ENTRIES_PER_CALL = 10
"""Entries that PutEvents takes at a time."""


Detail = Mapping[str, str | int]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: what EventBridge calls the detail type
        detail: see events/schemas
    """

    kind: str
    at: Instant
    detail: Detail


class Bus:
    """One EventBridge bus."""

    def __init__(self, events: AwsClient, name: str) -> None:
        self._events, self._name = events, name

    def put(self, events: Sequence[Event]) -> int:
        """Put up to ``MAX_ENTRIES_PER_CALL`` events; return how many, counted from the first, the bus accepted."""
        try:
            answer = self._events.call("put_events", Entries=[self._entry(event) for event in events])
        except AwsError:
            return 0
        for number, entry in enumerate(answer["Entries"]):
            if "ErrorCode" in entry:  # the call succeeded, and this one entry did not
                self._events.log_error("put_events", entry["ErrorCode"], refused=is_refusal(entry["ErrorCode"]))
                return number
        return len(events)

    def _entry(self, event: Event) -> dict[str, Any]:
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.kind,
            "Detail": json.dumps(event.detail),
            "Time": event.at,
        }
