"""Calls of AWS that fail when a test says so."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from botocore import xform_name
from botocore.exceptions import ClientError, EndpointConnectionError


@dataclass
class AwsFaults:
    """Makes AWS calls fail, each named as ``dynamodb.UpdateItem``.

    Attributes:
        client: service name → the client whose calls fail
    """

    client: Callable[[str], Any]
    asked: Counter[str] = field(default_factory=Counter)
    _heard: list[tuple[Any, str, Callable[..., None]]] = field(default_factory=list)

    def refuse(
        self,
        call: str,
        *,
        times: int = 1,
        only: Callable[[dict[str, Any]], bool] = lambda _: True,
        error: Exception | None = None,
    ) -> None:
        """Refuse a call before AWS hears of it."""
        left = [times]

        def before(params: dict[str, Any], **_: Any) -> None:
            if left[0] > 0 and only(_body(params)):
                left[0] -= 1
                self.asked[call] += 1
                raise error or throttled()

        self._hear(call, "before-call", before)

    def lose_reply(self, call: str, *, times: int = 1, only: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
        """Let AWS do it, and lose its answer."""
        left = [times]

        def before(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
            if left[0] > 0 and only(_body(params)):
                left[0] -= 1
                context["lost"] = True

        def after(context: dict[str, Any], **_: Any) -> None:
            if context.pop("lost", False):
                raise EndpointConnectionError(endpoint_url="https://nowhere")

        self._hear(call, "before-call", before)
        self._hear(call, "after-call", after)

    def retry_after_success(self, call: str, *, after: int = 0) -> None:
        """Let AWS do it, lose its answer, and let botocore ask again by itself, as it does after a timeout."""
        service, _, operation = call.partition(".")
        left = [after]

        def before(params: dict[str, Any], **_: Any) -> None:
            left[0] -= 1
            if left[0] == -1:
                getattr(self.client(service), xform_name(operation))(**copy.deepcopy(params))

        self._hear(call, "before-parameter-build", before)

    def watch(self, call: str) -> None:
        """Count a call in ``asked``."""

        def before(**_: Any) -> None:
            self.asked[call] += 1

        self._hear(call, "before-call", before)

    def before(self, call: str, action: Callable[[], object]) -> None:
        """Let something happen just before the next such call is done."""
        left = [action]

        def before(**_: Any) -> None:
            while left:
                left.pop()()

        self._hear(call, "before-call", before)

    def end(self) -> None:
        """Let everything work again."""
        for events, name, handler in self._heard:
            events.unregister(name, handler)

    def _hear(self, call: str, moment: str, handler: Callable[..., None]) -> None:
        heard = self.client(call.partition(".")[0]).meta.events, f"{moment}.{call}", handler
        heard[0].register(*heard[1:])
        self._heard.append(heard)


def throttled() -> Exception:
    """What AWS says when it is asked too much."""
    said = {"Error": {"Code": "ThrottlingException", "Message": "a text that may quote what was sent"}}
    return ClientError(said, "Anything")  # type: ignore[arg-type]  # a part of a response is enough


def unreachable() -> Exception:
    """What botocore says when AWS can't be reached."""
    return EndpointConnectionError(endpoint_url="https://nowhere")


def _body(params: dict[str, Any]) -> dict[str, Any]:
    """Read what a call carries; S3's body is its own."""
    body = params.get("body") or b""
    try:
        read = json.loads(body)
    except (ValueError, TypeError):
        return {name: values[0] for name, values in parse_qs(str(body)).items()}
    return read if isinstance(read, dict) else {}
