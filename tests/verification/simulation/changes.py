"""What a DynamoDB operation makes of an item: updates, projections, pages, returned."""

from collections.abc import Callable
from typing import Any

from tests.verification.simulation import expressions, values
from tests.verification.simulation.aws import Answer, invalid
from tests.verification.simulation.expressions import ExpressionError, Names, Values
from tests.verification.simulation.tables import Table
from tests.verification.simulation.values import Item, copied, weight

LARGEST = 400 * 1024


def read_expression(operation: str, compiler: Callable[[str], Any], text: str) -> Any:
    try:
        return compiler(text)
    except (ExpressionError, IndexError) as malformed:
        raise invalid(operation, f"Invalid expression: {malformed}") from malformed


def holds(operation: str, text: str, old: Item | None, given: tuple[Names, Values]) -> bool:
    compiled = read_expression(operation, expressions.condition, text)
    try:
        return bool(compiled(old or {}, *given))
    except ExpressionError as malformed:
        raise invalid(operation, str(malformed)) from malformed


def updated(table: Table, old: Item, update: tuple[str, Names, Values]) -> Item:
    """Apply an update expression; every operand sees the item as it was."""
    text, names, found = update
    new = copied(old)
    for verb, written, operand in read_expression("UpdateItem", expressions.update, text):
        path = expressions.bound(written, names)
        if path[0] in table.keys:
            raise invalid("UpdateItem", f"Cannot update attribute {path[0]}. This attribute is part of the key")
        try:
            value = operand(old, names, found) if operand is not None else None
            _apply(new, verb, path, value)
        except ValueError as refused:
            raise invalid("UpdateItem", str(refused)) from refused
    return new


def _apply(new: Item, verb: str, path: expressions.Path, value: values.Value | None) -> None:
    holder = values.parent(new, path)
    if verb == "REMOVE":
        if isinstance(holder, list):
            del holder[int(path[-1]) : int(path[-1]) + 1]
        elif holder is not None:
            holder.pop(path[-1], None)
        return
    if holder is None or value is None:
        raise ExpressionError("The document path provided in the update expression is invalid for update")
    if isinstance(holder, list):
        holder[int(path[-1]) : int(path[-1]) + 1] = [value]
    elif verb == "SET":
        holder[path[-1]] = value
    else:
        _accumulate(holder, str(path[-1]), value, adding=verb == "ADD")


def _accumulate(holder: Item, name: str, value: values.Value, *, adding: bool) -> None:
    kind, content = values.only(value)
    if kind == "N" and adding:
        holder[name] = values.total(holder.get(name, {"N": "0"}), value, "+")
        return
    held = set(holder.get(name, {kind: []})[kind])
    left = held | set(content) if adding else held - set(content)
    if left:
        holder[name] = {kind: sorted(left)}
    else:
        holder.pop(name, None)


def fitting(item: Item, operation: str) -> Item:
    if weight(item) > LARGEST:
        raise invalid(operation, "Item size has exceeded the maximum allowed size")
    return item


def projected(item: Item, text: str | None, names: Names) -> Item:
    if text is None:
        return copied(item)
    kept: Item = {}
    for path in read_expression("GetItem", expressions.projection, text):
        value = values.at(item, expressions.bound(path, names))
        if value is not None:
            kept[str(expressions.bound(path, names)[0])] = value
    return copied(kept)


def filtered(rows: list[Item], text: str | None, names: Names, found: Values) -> list[Item]:
    return rows if text is None else [row for row in rows if holds("Query", text, row, (names, found))]


def order(table: Table, keys: tuple[str, ...]) -> Callable[[Item], tuple[Any, ...]]:
    return lambda row: tuple(values.comparable(row[name]) for name in (*keys[1:], *table.keys))


def after(rows: list[Item], order: Callable[[Item], tuple[Any, ...]], start: Item, *, forward: bool) -> list[Item]:
    at = order(start)
    return [row for row in rows if (order(row) > at if forward else order(row) < at)]


def returned(wanted: str, old: Item | None, new: Item | None) -> Answer:
    if wanted == "ALL_OLD":
        return {"Attributes": copied(old)} if old else {}
    if wanted == "ALL_NEW" and new is not None:
        return {"Attributes": copied(new)}
    return {}
