"""DynamoDB's typed values: {"S": "x"}, {"N": "1"}, ...: their order, size, paths and arithmetic."""

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]
Path = tuple[str | int, ...]

SETS = {"SS", "NS", "BS"}


def only(value: Value) -> tuple[str, Any]:
    """Return a value's type and content."""
    for kind, content in value.items():
        return kind, content
    raise ValueError("a value has exactly one type")


def number(text: str) -> Decimal | int:
    """Read a number, as an integer when it is written as one (faster to compare)."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def written(amount: Decimal | int) -> str:
    """Write a number as DynamoDB returns it: no exponent, no trailing zeros."""
    if isinstance(amount, int):
        return str(amount)
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def comparable(value: Value) -> Any:
    """Return what equality and order are decided on."""
    kind, content = only(value)
    if kind == "N":
        return number(content)
    if kind in SETS:
        return frozenset(number(each) if kind == "NS" else each for each in content)
    if kind == "M":
        return {name: (only(each)[0], comparable(each)) for name, each in content.items()}
    if kind == "L":
        return [(only(each)[0], comparable(each)) for each in content]
    return content


def equal(left: Value | None, right: Value | None) -> bool:
    """Compare two values; a missing one equals nothing."""
    if left is None or right is None:
        return False
    if left == right:
        return True
    return only(left)[0] == only(right)[0] and bool(comparable(left) == comparable(right))


def unequal(left: Value | None, right: Value | None) -> bool:
    """Compare two values; a missing one differs from everything."""
    return not equal(left, right)


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value | None, Value | None], bool]:
    """Make an order comparison: false for a missing value and for different types."""

    def holds(left: Value | None, right: Value | None) -> bool:
        if left is None or right is None:
            return False
        (left_kind, _), (right_kind, _) = only(left), only(right)
        if left_kind != right_kind or left_kind not in {"S", "N", "B"}:
            return False
        return compare(comparable(left), comparable(right))

    return holds


COMPARISONS: dict[str, Callable[[Value | None, Value | None], bool]] = {
    "=": equal,
    "<>": unequal,
    "<": ordered(operator.lt),
    "<=": ordered(operator.le),
    ">": ordered(operator.gt),
    ">=": ordered(operator.ge),
}


def begins(held: Value | None, prefix: Value | None) -> bool:
    """Tell whether a string or binary begins with another."""
    if held is None or prefix is None or only(held)[0] != only(prefix)[0]:
        return False
    kind, content = only(held)
    return kind in {"S", "B"} and bool(content.startswith(only(prefix)[1]))


def contains(held: Value | None, wanted: Value | None) -> bool:
    """Tell whether a string has a substring, or a set or list a member."""
    if held is None or wanted is None:
        return False
    kind, content = only(held)
    if kind in {"S", "B"}:
        return only(wanted)[0] == kind and only(wanted)[1] in content
    if kind == "L":
        return any(equal(each, wanted) for each in content)
    return kind in SETS and kind[0] == only(wanted)[0] and only(wanted)[1] in content


def typed(held: Value | None, wanted: Value | None) -> bool:
    """Tell whether a value has the wanted type."""
    return held is not None and wanted is not None and only(held)[0] == wanted.get("S")


def size(value: Value | None) -> Value | None:
    """Return `size()` of a value: characters of UTF-8, bytes, or members."""
    if value is None:
        return None
    kind, content = only(value)
    if kind == "S":
        return {"N": str(len(content.encode()))}
    if kind in {"B", "L", "M"} or kind in SETS:
        return {"N": str(len(content))}
    return None


def total(left: Value, right: Value, sign: str) -> Value:
    """Add or subtract two numbers."""
    if only(left)[0] != "N" or only(right)[0] != "N":
        raise ValueError("An operand in the update expression has an incorrect data type")
    one, two = number(left["N"]), number(right["N"])
    return {"N": written(one + two if sign == "+" else one - two)}


def joined(first: Value | None, second: Value | None) -> Value | None:
    """Return `list_append` of two lists."""
    if first is None or second is None:
        return None
    return {"L": [*first["L"], *second["L"]]}


def at(item: Item, path: Path) -> Value | None:
    """Return the value at a document path."""
    held: Value | None = {"M": item}
    for part in path:
        if held is None:
            return None
        kind, content = only(held)
        if isinstance(part, int):
            held = content[part] if kind == "L" and part < len(content) else None
        else:
            held = content.get(part) if kind == "M" else None
    return held


def parent(item: Item, path: Path) -> Any:
    """Return the container (of attributes, or a list) a path's last part lies in, or None."""
    if len(path) == 1:
        return item
    holder = at(item, path[:-1])
    if holder is None:
        return None
    kind, content = only(holder)
    return content if kind == ("L" if isinstance(path[-1], int) else "M") else None


def copied(item: Item) -> Item:
    """Copy an item so that no two holders share a container."""
    return {name: _copy(value) for name, value in item.items()}


def _copy(value: Value) -> Value:
    for kind, content in value.items():
        if kind == "M":
            return {"M": copied(content)}
        if kind == "L":
            return {"L": [_copy(each) for each in content]}
        return {kind: list(content)} if kind in SETS else value
    return {}


def weight(item: Item) -> int:
    """Return the bytes DynamoDB counts for an item: names and values."""
    return sum(len(name.encode()) + _bytes(value) for name, value in item.items())


def _bytes(value: Value) -> int:
    for kind, content in value.items():
        if kind == "N":
            return len(content) // 2 + 2
        if kind == "B":
            return len(content)
        return len(content.encode()) if kind == "S" else _whole(kind, content)
    return 0


def _whole(kind: str, content: Any) -> int:
    if kind == "M":
        return 3 + weight(content)
    if kind == "L":
        return 3 + sum(1 + _bytes(each) for each in content)
    if kind in SETS:
        return sum(_bytes({kind[0]: each}) for each in content)
    return 1
