"""Reading one part of the template so that nothing in it is passed over in silence."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from local.cloudformation.intrinsics import NO_VALUE, Scope, TemplateFault


class Properties:
    """The properties of one resource; when the `with` block ends, each was read or has a reason why not."""

    def __init__(
        self, where: str, values: Mapping[str, Any], scope: Scope, ignored: Mapping[str, str] | None = None
    ) -> None:
        """Take what the template says at one place.

        Args:
            where: for the sentence of a fault
            ignored: property → why it means nothing on one machine
        """
        self.where = where
        self._scope = scope
        self._left = dict(values)
        for name in ignored or {}:
            self._left.pop(name, None)

    def take(self, name: str, default: Any = None) -> Any:
        """Read a property of any form, its functions evaluated."""
        value = self._scope.resolve(self._left.pop(name, NO_VALUE))
        return default if value is NO_VALUE else value

    def need(self, name: str) -> Any:
        """Read a property that must be there."""
        value = self.take(name)
        if value is None:
            raise TemplateFault(f"{self.where}: {name} is missing")
        return value

    def text(self, name: str, default: str = "") -> str:
        """Read a word, or a number written as one."""
        value = self.take(name, default)
        if not isinstance(value, str | int | float):
            raise TemplateFault(f"{self.where}: {name} is not text")
        return str(value)

    def number(self, name: str, default: int) -> int:
        """Read a whole number; CloudFormation takes `"60"` for `60`."""
        text = self.text(name, str(default))
        if not text.removeprefix("-").isdigit():
            raise TemplateFault(f"{self.where}: {name} is no whole number")
        return int(text)

    def flag(self, name: str, *, default: bool) -> bool:
        """Read true or false; CloudFormation takes `"true"` for `true`."""
        text = self.text(name, str(default)).lower()
        if text not in {"true", "false"}:
            raise TemplateFault(f"{self.where}: {name} is neither true nor false")
        return text == "true"

    def items(self, name: str) -> list[Any]:
        """Read a list; nothing is the empty one."""
        value = self.take(name, [])
        if not isinstance(value, list):
            raise TemplateFault(f"{self.where}: {name} is not a list")
        return value

    def inner(self, name: str, ignored: Mapping[str, str] | None = None) -> "Properties":
        """Read a mapping as properties of its own; nothing is the empty one."""
        value = self.take(name, {})
        if not isinstance(value, dict):
            raise TemplateFault(f"{self.where}: {name} is not a mapping")
        return self.within(name, value, ignored)

    def within(self, name: str, values: Mapping[str, Any], ignored: Mapping[str, str] | None = None) -> "Properties":
        """Treat an element of a list, already read, as properties of its own."""
        return Properties(f"{self.where}.{name}", values, self._scope, ignored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._left:
            raise TemplateFault(f"{self.where}: {', '.join(sorted(self._left))} cannot be read here")


def merged(base: Any, resource: Any) -> Any:
    """Merge SAM's Globals into one resource: mappings by key, lists joined, the rest replaced."""
    if _is_mapping(base) and _is_mapping(resource):
        both = {key: merged(base[key], resource[key]) for key in base.keys() & resource.keys()}
        return base | resource | both
    if isinstance(base, list) and isinstance(resource, list):
        return base + resource
    return resource


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and not _is_function(value)


def _is_function(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))
