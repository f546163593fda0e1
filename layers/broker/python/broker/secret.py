"""A secret value that is never printed."""

import hmac
from typing import Any, NoReturn


class Secret:
    """A token, code, verifier or client secret that can't be shown by accident.

    ``str``, ``repr``, ``format`` and logging show a mask; pickling, copying and hashing are refused; comparison takes
    constant time. ``reveal`` is the only way to the value, and a test lists the modules that may call it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, to send or to seal it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, _spec: str) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose: a secret is no dictionary key

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError("a Secret can't be pickled or copied")
