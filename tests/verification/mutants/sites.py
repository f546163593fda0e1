"""Where the broker can be mutated, read from the syntax tree: a new `if` is a new mutant without anybody's doing.

A mutant changes one place of one function. The rules keep what a test evaluates, side effects and all, and change only
what follows from it: without its `if`, a write that the `if` asks about would be missed for another reason.
"""

import ast
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import broker

ROOT = Path(broker.__file__).parent

OTHERS = ("proxy_policy.py", "policy.py", "edge/proxy.py", "edge/rate_limit.py")

Edit = Callable[[ast.expr | ast.stmt], ast.expr | ast.stmt]
Span = tuple[int, int]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_OTHER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_COMPARISON = r"(?:<>|<=|>=|=|<|>)"
CLAUSE = re.compile(
    rf"attribute_(?:not_)?exists\(#\w+\)|size\(#\w+\) {_COMPARISON} :\w+|#\w+ {_COMPARISON} :\w+|#\w+ IN \([^)]*\)"
)
"""One clause of a condition, as this project writes them."""


@dataclass(frozen=True)
class Site:
    """A node that can be changed in one way.

    Attributes:
        kind: decision (always true, always false), operand (left out of `and` or `or`), boundary (`<` for `<=`), bound
            (an argument left out of `min` or `max`), allowance (nothing added or taken off), raise (nothing raised;
            that `from None` stays, ruff's B904 sees to), clause (one of a conditional write's holds always, as an
            alternative never), condition (alternatives hold always)
        where: the function
        parents: what the node is in, innermost last
    """

    kind: str
    where: str
    node: ast.AST
    parents: tuple[ast.AST, ...]
    edit: Edit


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        file: below the package
        lines: of the statement, first and last: a test that ran none of them can't notice
        was: the statement without its body, on one line, and
        now: the same, mutated: both, with file and function, name the mutant
        module: makes the whole module, mutated
    """

    file: str
    where: str
    kind: str
    lines: Span
    was: str
    now: str
    module: Callable[[], ast.Module]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it, until its text changes."""
        return self.file, self.where, self.was, self.now

    def __str__(self) -> str:
        return f"{self.file}:{self.lines[0]} {self.where} ({self.kind})\n    - {self.was}\n    + {self.now}"


def files() -> list[str]:
    """List the use cases, what they reach the world by, decisions about time, and what one caller may ask."""
    found = [*ROOT.glob("flows/**/*.py"), *ROOT.glob("adapters/*.py"), *(ROOT / name for name in OTHERS)]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py")


@cache
def parsed(file: str) -> ast.Module:
    """Parse a module, once."""
    return ast.parse((ROOT / file).read_text())


def mutants(file: str) -> list[Mutant]:
    """Make all mutants of a module, in the order of its lines."""
    return made_of(file, parsed(file))


def made_of(file: str, module: ast.Module) -> list[Mutant]:
    """Make all mutants of a module that is given, in the order of its lines."""
    made = sorted((_mutant(file, module, site) for site in sites(module)), key=lambda mutant: mutant.lines)
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for number, mutant in enumerate(made):  # the same statement twice in one function: the later ones are numbered
        seen[mutant.key] += 1
        if seen[mutant.key] > 1:
            made[number] = replace(mutant, now=f"{mutant.now}  # {seen[mutant.key]}")
    return made


def sites(module: ast.Module) -> Iterator[Site]:
    """Find what can be changed inside functions; a module's own statements hold nothing but names."""
    constants = _constants(module)
    for node, parents in _walk(module, ()):
        if any(isinstance(parent, FUNCTIONS) for parent in parents) and not _is_annotation(node, parents):
            where = ".".join(each.name for each in parents if isinstance(each, (*FUNCTIONS, ast.ClassDef)))
            for kind, edit in _edits(node, parents[-1], constants):
                yield Site(kind, where, node, parents, edit)


def _walk(node: ast.AST, parents: tuple[ast.AST, ...]) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    yield node, parents
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, (*parents, node))


def _is_annotation(node: ast.AST, parents: Sequence[ast.AST]) -> bool:
    """`int | None` is no sum."""
    return any(
        isinstance(parent, ast.arg)
        or (isinstance(parent, ast.AnnAssign) and child is parent.annotation)
        or (isinstance(parent, FUNCTIONS) and child not in parent.body)
        for parent, child in pairwise((*parents, node))
    )


def _edits(node: ast.AST, parent: ast.AST, constants: dict[str, ast.expr]) -> Iterator[tuple[str, Edit]]:
    if isinstance(node, ast.expr) and is_test(node, parent):
        yield from _decisions(node)
    if isinstance(node, ast.BoolOp):
        yield from (("operand", _without_operand(number)) for number in range(len(node.values)))
    elif isinstance(node, ast.Compare):
        yield from (("boundary", _other_boundary(at)) for at, op in enumerate(node.ops) if type(op) in _OTHER)
    elif isinstance(node, ast.Call) and is_bound(node):
        yield from (("bound", _without_argument(number)) for number in range(len(node.args)))
    elif isinstance(node, ast.BinOp) and is_allowance(node):
        yield "allowance", _without_right
    elif isinstance(node, ast.Raise):
        yield "raise", _pass
    yield from _writes(node, parent, constants)


def _writes(node: ast.AST, parent: ast.AST, constants: dict[str, ast.expr]) -> Iterator[tuple[str, Edit]]:
    if is_condition(node, parent, constants):
        value = constants[node.id] if isinstance(node, ast.Name) else node
        assert isinstance(value, ast.expr)
        yield from _conditions(value)


def is_test(node: ast.expr, parent: ast.AST) -> bool:
    """Say whether a node decides which way to go."""
    if isinstance(parent, ast.comprehension):
        return node in parent.ifs
    return (
        isinstance(parent, (ast.If, ast.While, ast.IfExp))
        and node is parent.test
        and not isinstance(node, ast.Constant)
    )


def is_bound(node: ast.Call) -> bool:
    """Say whether it is the least or the greatest of several values."""
    return isinstance(node.func, ast.Name) and node.func.id in {"min", "max"} and len(node.args) > 1


def is_allowance(node: ast.BinOp) -> bool:
    """Say whether numbers are added: no texts, lists or tuples."""
    texts = (ast.JoinedStr, ast.List, ast.Tuple)
    operands = (node.left, node.right)
    return isinstance(node.op, (ast.Add, ast.Sub)) and not any(
        isinstance(each, texts) or (isinstance(each, ast.Constant) and not isinstance(each.value, (int, float)))
        for each in operands
    )


def is_condition(node: ast.AST, parent: ast.AST, constants: dict[str, ast.expr]) -> bool:
    """Say whether it is a condition of a write, written here or by the name of a constant."""
    if isinstance(node, ast.Name):
        return node.id in constants and isinstance(node.ctx, ast.Load)
    if not CLAUSE.search(_text(node)):
        return False
    return not (isinstance(parent, ast.keyword) and parent.arg == "KeyConditionExpression")


def _constants(module: ast.Module) -> dict[str, ast.expr]:
    """Find the module's constants that hold conditions."""
    found: dict[str, ast.expr] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and any(True for _ in _clauses(statement.value)):
            found |= {each.id: statement.value for each in statement.targets if isinstance(each, ast.Name)}
    return found


def _decisions(node: ast.expr) -> Iterator[tuple[str, Edit]]:
    """An `and` that is always true says less than each of its operands does, which are mutants of their own."""
    if not (isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And)):
        yield "decision", _always(True)
    if not (isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)):
        yield "decision", _always(False)


def _always(outcome: bool) -> Edit:
    def edit(node: ast.AST) -> ast.expr:
        assert isinstance(node, ast.expr)
        return ast.BoolOp(ast.Or() if outcome else ast.And(), [node, ast.Constant(outcome)])

    return edit


def _without_operand(number: int) -> Edit:
    def edit(node: ast.AST) -> ast.expr:
        assert isinstance(node, ast.BoolOp)
        rest = [each for at, each in enumerate(node.values) if at != number]
        return ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]

    return edit


def _other_boundary(at: int) -> Edit:
    def edit(node: ast.AST) -> ast.expr:
        assert isinstance(node, ast.Compare)
        ops = [_OTHER[type(op)]() if number == at else op for number, op in enumerate(node.ops)]
        return ast.Compare(node.left, ops, node.comparators)

    return edit


def _without_argument(number: int) -> Edit:
    def edit(node: ast.AST) -> ast.expr:
        assert isinstance(node, ast.Call)
        rest = [each for at, each in enumerate(node.args) if at != number]
        return rest[0] if len(rest) == 1 else ast.Call(node.func, rest, node.keywords)

    return edit


def _without_right(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.BinOp)
    return node.left


def _pass(_node: ast.AST) -> ast.stmt:
    return ast.Pass()


def _text(node: ast.AST) -> str:
    """Read a literal text, with words such as `FIELD0` for what is formatted into it; other nodes have none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) or f"FIELD{number}" for number, each in enumerate(node.values))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _rewritten(node: ast.AST, text: str) -> ast.expr:
    """Write such a text as a literal."""
    if not isinstance(node, ast.JoinedStr):
        return ast.Constant(text)
    parts = re.split(r"FIELD(\d+)", text)
    return ast.JoinedStr(
        [node.values[int(part)] if number % 2 else ast.Constant(part) for number, part in enumerate(parts)]
    )


def _clauses(value: ast.AST) -> Iterator[tuple[ast.AST, re.Match[str]]]:
    """Find the clauses in the texts of a constant, and the nodes that hold them."""
    for node in ast.walk(value):
        yield from ((node, match) for match in CLAUSE.finditer(_text(node)))


def _conditions(value: ast.expr) -> Iterator[tuple[str, Edit]]:
    for node, match in _clauses(value):
        before, clause, after = match.string[: match.start()], match.group(), match.string[match.end() :]
        fixed = f"{clause} AND NOT {clause}" if " OR " in match.string else f"{clause} OR NOT {clause}"
        yield "clause", _written(value, node, f"{before}({fixed}){after}" if before or after else fixed)
        for op, other in _BOUNDARIES:
            if f" {op} " in clause:
                yield "boundary", _written(value, node, before + clause.replace(f" {op} ", f" {other} ") + after)
    for node in {id(node): node for node, match in _clauses(value) if " OR " in match.string}.values():
        yield "condition", _written(value, node, f"{_text(node)} OR NOT ({_text(node)})")


_BOUNDARIES = (("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"))


def _written(value: ast.expr, part: ast.AST, text: str) -> Edit:
    """Write a condition out, with one of its texts changed: other writes that use the constant keep theirs."""

    def edit(_node: ast.AST) -> ast.expr:
        copies: dict[int, ast.AST] = {}
        made = copy.deepcopy(value, copies)
        new = _rewritten(copies[id(part)], text)
        whole = new if part is value else _Replace(copies[id(part)], new).visit(made)
        assert isinstance(whole, ast.expr)
        return whole

    return edit


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else super().visit(node)


def _mutant(file: str, module: ast.Module, site: Site) -> Mutant:
    at = max(number for number, each in enumerate((*site.parents, site.node)) if isinstance(each, ast.stmt))
    path = (*site.parents, site.node)[at:]
    statement = path[0]
    assert isinstance(statement, ast.stmt)
    outer = _header(site.parents[-1]) + " " if site.node is statement else ""
    return Mutant(
        file,
        site.where,
        site.kind,
        (statement.lineno, _last_line(statement)),
        outer + _header(statement),
        outer + _header(_changed(statement, path, site.edit)),
        partial(_changed_module, module, (*site.parents, site.node), site.edit),
    )


def _changed_module(module: ast.Module, path: Sequence[ast.AST], edit: Edit) -> ast.Module:
    changed = _changed(module, path, edit)
    assert isinstance(changed, ast.Module)
    return ast.fix_missing_locations(changed)


def _changed(root: ast.AST, path: Sequence[ast.AST], edit: Edit) -> ast.AST:
    """Copy what is below a node, with the last node of a path changed."""
    copies: dict[int, ast.AST] = {}
    root = copy.deepcopy(root, copies)
    node = copies[id(path[-1])]
    assert isinstance(node, (ast.expr, ast.stmt))
    new: ast.AST = ast.copy_location(edit(node), node)
    return new if node is root else _Replace(node, new).visit(root)


def _header(node: ast.AST) -> str:
    """Write a statement on one line; of a block the first line."""
    if isinstance(node, (ast.stmt, ast.ExceptHandler)) and hasattr(node, "body"):
        node = copy.copy(node)
        for name in ("body", "orelse", "handlers", "finalbody", "decorator_list"):
            if hasattr(node, name):
                setattr(node, name, [ast.Pass()] if name == "body" else [])
    if isinstance(node, ast.Try):
        return "try:"
    text = " ".join(ast.unparse(node).split())
    return text.removesuffix(" pass") if hasattr(node, "body") else text


def _last_line(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    return max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or statement.lineno
