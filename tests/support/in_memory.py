"""Services of the simulation behind clients of boto3: the client checks and converts, and nothing is sent."""

from collections.abc import Mapping
from threading import RLock
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError


class InMemory:
    """Puts one service behind any number of clients."""

    def __init__(self, service: Any) -> None:
        self._service, self._lock = service, RLock()

    def serve(self, client: Any) -> None:
        """Answer what this client of boto3 is asked, after whoever else listens to its events."""
        events = client.meta.events
        events.register_last("before-parameter-build", _remember, unique_id="asked in memory")
        events.register_last("before-call", self._answer, unique_id="answered in memory")

    def _answer(
        self, model: Any, context: dict[str, Any], **_: Any
    ) -> tuple[SimpleNamespace, Mapping[str, Any]] | None:
        """Give what botocore would have made of an answer over HTTP: its status, and its members.

        An operation that the service does not know, or leaves without an answer, goes on to moto.
        """
        given, operation = context.pop("given"), getattr(self._service, xform_name(model.name), None)
        if operation is None:
            return None
        with self._lock:
            try:
                members = operation(**given)
            except ClientError as refusal:
                members = refusal.response
        if members is None:
            return None
        return SimpleNamespace(status_code=members["ResponseMetadata"]["HTTPStatusCode"]), members


def _remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Keep what was asked as it was asked: later it is JSON."""
    context["given"] = params
