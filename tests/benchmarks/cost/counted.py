"""Metrics as CloudWatch bills them, counted where they are written down."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[3]


def alarmed_metrics() -> int:
    """Count the metrics that the alarms look at: one for each alarm, or those it computes from."""
    return len(re.findall(r"Metric: |^      MetricName: ", (ROOT / "stacks/alarms.yaml").read_text(), re.MULTILINE))


def written() -> set[str]:
    """Find the names of all metrics in the broker's source."""
    found: set[str] = set()
    for path in (ROOT / "layers/broker/python/broker").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tables = {
            target.id: assigned.value
            for assigned in ast.walk(tree)
            if isinstance(assigned, ast.Assign) and isinstance(assigned.value, ast.Dict)
            for target in assigned.targets
            if isinstance(target, ast.Name)
        }
        for call in filter(is_figure, ast.walk(tree)):
            found |= names(call.args[0], tables)
    return found


def is_figure(node: ast.AST) -> TypeGuard[ast.Call]:
    """Recognize `log.count(…)` and `log.observe(…)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return False
    return node.func.attr in {"count", "observe"} and ast.unparse(node.func.value).endswith("log")


def names(argument: ast.expr, tables: Mapping[str, ast.Dict]) -> set[str]:
    """Give the texts that an argument can be: itself, either branch, or the values of the table it looks in."""
    if isinstance(argument, ast.Subscript) and isinstance(argument.value, ast.Name):
        argument = tables[argument.value.id]
        return {str(value.value) for value in argument.values if isinstance(value, ast.Constant)}
    if isinstance(argument, ast.IfExp):
        return names(argument.body, tables) | names(argument.orelse, tables)
    assert isinstance(argument, ast.Constant), ast.unparse(argument)
    return {str(argument.value)}
