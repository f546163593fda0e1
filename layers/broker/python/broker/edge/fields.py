"""A JSON body being read: every fault is named at once."""

import json
import re
from collections.abc import Mapping
from typing import Any

from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest


class Fields:
    """A JSON object being read, and what is wrong with it."""

    def __init__(self, request: Request, known: frozenset[str]) -> None:
        self.faults: list[Fault] = []
        self._held = self._object(request)
        for name in sorted(set(self._held) - known):
            self.faults.append(Fault(name[:40], "This field is not known. Remove it."))

    def _object(self, request: Request) -> Mapping[str, Any]:
        if request.body is None:
            raise InvalidRequest(Fault("body", "Send at most 16 KB of JSON."))
        try:
            held = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            raise InvalidRequest(Fault("body", "Send a JSON object.")) from None
        if not isinstance(held, dict):
            raise InvalidRequest(Fault("body", "Send a JSON object."))
        return held

    def has(self, name: str) -> bool:
        return self._held.get(name) is not None

    def text(self, name: str, *, longest: int, needed: bool = False) -> str:
        """Read a text; printable, of at least one character."""
        held = self._held.get(name)
        if held is None and not needed:
            return ""
        if not isinstance(held, str) or not 1 <= len(held) <= longest or not held.isprintable():
            self.fault(name, f"Give 1 to {longest} printable characters.")
            return ""
        return held

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        """Read a text of one form."""
        held = self._held.get(name)
        if not isinstance(held, str) or not pattern.fullmatch(held):
            self.fault(name, wanted)
            return ""
        return held

    def flag(self, name: str) -> bool:
        held = self._held.get(name, False)
        if not isinstance(held, bool):
            self.fault(name, "Give true or false.")
            return False
        return held

    def number(self, name: str, *, default: int, most: int) -> int:
        held = self._held.get(name, default)
        if not isinstance(held, int) or isinstance(held, bool) or not 0 <= held <= most:
            self.fault(name, f"Give a whole number from 0 to {most}.")
            return default
        return held

    def raw(self, name: str) -> Any:
        return self._held.get(name)

    def fault(self, name: str, message: str) -> None:
        self.faults.append(Fault(name, message))

    def check(self) -> None:
        """Raise what was found. Raises   InvalidRequest"""
        if self.faults:
            raise InvalidRequest(*self.faults)
