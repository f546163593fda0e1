"""Messages between functions: ids only, never a secret.

Shape of a refresh batch    {"trigger": "due" | "urgent" | "rescue", "min_ttl": seconds, "refused_version": number,
                             "connections": [[tenant, id], …]}
Shape of a completion       {"session": id}
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.adapters.aws import AwsClient
from broker.model import ConnectionId, ConnectionRef, Seconds, SessionId, TenantId, connection_id, session_id, tenant_id

NO_TTL = Seconds(0)
BATCH_SIZE = 200
"""Connections in one batch. They come due together again, so they go on sharing data keys. The number was measured."""


class Trigger(StrEnum):
    """Why a refresh was requested."""

    DUE = "due"
    URGENT = "urgent"
    RESCUE = "rescue"


@dataclass(frozen=True)
class RefreshBatch:
    """Connections to refresh.

    Attributes:
        min_ttl: seconds that an urgent caller needs a token to last
        refused_version: NinjaOne refused the access token of this version before it expired; 0: none
        faults: how many entries of the message were malformed
    """

    trigger: Trigger
    refs: tuple[ConnectionRef, ...]
    min_ttl: Seconds = NO_TTL
    refused_version: int = 0
    faults: int = 0


class Queue:
    """One SQS queue."""

    def __init__(self, sqs: AwsClient, url: str) -> None:
        self._sqs, self._url = sqs, url

    def send_batch(
        self, trigger: Trigger, refs: Sequence[ConnectionRef], *, min_ttl: Seconds = NO_TTL, refused_version: int = 0
    ) -> None:
        """Request a refresh. Raises AwsError."""
        listed = [[ref.tenant, ref.connection] for ref in refs]
        message = {
            "trigger": trigger.value,
            "min_ttl": min_ttl,
            "refused_version": refused_version,
            "connections": listed,
        }
        self._send(message)

    def send_completion(self, session: SessionId) -> None:
        """Request that a session be completed without the person. Raises AwsError."""
        self._send({"session": session})

    def waiting(self) -> int:
        """Return about how many messages wait to be received. Raises AwsError."""
        answer = self._call("get_queue_attributes", AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def _send(self, body: dict[str, Any]) -> None:
        self._call("send_message", MessageBody=json.dumps(body))

    def _call(self, operation: str, **parameters: Any) -> Any:
        return self._sqs.call(operation, QueueUrl=self._url, **parameters)


def read_batch(body: str) -> RefreshBatch | None:
    """Read a refresh batch; None if it is malformed. Malformed entries are counted and left out."""
    message = _object(body)
    entries, min_ttl, refused = message.get("connections"), message.get("min_ttl", 0), message.get("refused_version", 0)
    if message.get("trigger") not in tuple(Trigger) or not isinstance(entries, list):
        return None
    if not isinstance(min_ttl, int) or not isinstance(refused, int):
        return None
    refs = [_ref(entry) for entry in entries[: 10 * BATCH_SIZE]]
    known = tuple(dict.fromkeys(ref for ref in refs if ref))
    faults = len(entries) - sum(ref is not None for ref in refs)
    return RefreshBatch(Trigger(message["trigger"]), known, Seconds(min_ttl), refused, faults=faults)


def read_completion(body: str) -> SessionId | None:
    """Read the id of the session to complete; None if the message is malformed."""
    found = _object(body).get("session")
    return session_id(found) if isinstance(found, str) else None


def _object(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _ref(entry: Any) -> ConnectionRef | None:
    if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)):
        return None
    known = tenant_id(entry[0]) and connection_id(entry[1])
    return ConnectionRef(TenantId(entry[0]), ConnectionId(entry[1])) if known else None
