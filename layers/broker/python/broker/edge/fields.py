"""Validation of a JSON body that reports every fault at once."""

import json
import re
from collections.abc import Mapping
from typing import Any

from broker.edge.http import BODY_LIMIT, Request
from broker.errors import Fault, InvalidRequest
from broker.text import first_unsafe, is_blank


class Fields:
    """The fields of a JSON object; collects what is wrong with them."""

    def __init__(self, request: Request, known: frozenset[str]) -> None:
        self.faults: list[Fault] = []
        self._values = self._object(request)
        for name in sorted(set(self._values) - known):
            self.faults.append(Fault(name[:40], "This field is not known. Remove it."))

    def _object(self, request: Request) -> Mapping[str, Any]:
        if request.body is None:
            raise InvalidRequest(Fault("body", f"Send at most {BODY_LIMIT // 1024} KB of JSON."))
        try:
            value = json.loads(request.body or b"{}")
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise InvalidRequest(Fault("body", f"Send a JSON object. This is not JSON at {where}.")) from None
        except (ValueError, RecursionError):  # not UTF-8, a number of thousands of digits, thousands of brackets
            raise InvalidRequest(Fault("body", "Send a JSON object.")) from None
        if not isinstance(value, dict):
            raise InvalidRequest(Fault("body", "Send a JSON object."))
        return value

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str, *, longest: int, needed: bool = False) -> str:
        """Read a text that shows something, without control or bidirectional-override characters."""
        value = self._values.get(name)
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not 1 <= len(value) <= longest or first_unsafe(value):
            self.fault(
                name, f"Use a text of 1 to {longest} characters, without control or bidirectional-override characters."
            )
            return ""
        if is_blank(value):
            self.fault(name, "Use at least one visible character: there are only spaces or invisible ones.")
            return ""
        return value

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        """Read a text that matches a pattern."""
        value = self._values.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.fault(name, wanted)
            return ""
        return value

    def choice(self, name: str, options: tuple[str, ...], *, default: str) -> str:
        """Read one of some words. Only null counts as left out: an empty text or ``false`` may mean another choice."""
        value = self._values.get(name)
        if value is None:
            return default
        if value not in options:
            self.fault(name, f"Use {' or '.join(options)}.")
            return default
        return str(value)

    def flag(self, name: str) -> bool:
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            self.fault(name, "Use true or false.")
            return False
        return value

    def number(self, name: str, *, default: int, most: int, least: int = 0, limit: str = "") -> int:
        """Read a whole number.

        Args:
            limit: what sets the most, for the fault: ``, the operator's parameter ApprovalLinkLife``
        """
        value = self._values.get(name, default)
        if isinstance(value, float) and value.is_integer():  # JSON has one kind of number: 300.0 is 300
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(name, f"Use a whole number from {least} to {most}{limit}.")
            return default
        return value

    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def fault(self, name: str, message: str) -> None:
        self.faults.append(Fault(name, message))

    def check(self) -> None:
        """Raise InvalidRequest if there were faults."""
        if self.faults:
            raise InvalidRequest(*self.faults)
