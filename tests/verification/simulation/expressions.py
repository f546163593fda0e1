"""DynamoDB's expression language: condition, key-condition, filter, projection and update expressions.

An expression is parsed once into closures and cached by its text; evaluating it needs the item, the attribute
names and the attribute values only.
"""

# ruff: noqa: ARG005
# Every closure takes (item, names, values), whether it reads all three or not.

import re
from collections.abc import Callable
from functools import cache

from tests.verification.simulation import values
from tests.verification.simulation.values import Item, Value

Names = dict[str, str]
Values = dict[str, Value]
Path = tuple[str | int, ...]
Operand = Callable[[Item, Names, Values], Value | None]
Condition = Callable[[Item, Names, Values], bool]
Action = tuple[str, Path, Operand | None]

TOKEN = re.compile(r"\s*(?:([#:]?[A-Za-z_0-9][\w-]*)|(<>|<=|>=|[=<>(),+\-.\[\]]))")
KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "IN"}
CLAUSES = {"SET", "REMOVE", "ADD", "DELETE"}


class ExpressionError(ValueError):
    """The expression, or what it does to this item, is refused."""


@cache
def condition(text: str) -> Condition:
    """Compile a condition, key-condition or filter expression."""
    parser = Parser(text)
    compiled = parser.any_of()
    parser.end()
    return compiled


@cache
def update(text: str) -> tuple[Action, ...]:
    """Compile an update expression into its actions, in the order written."""
    parser = Parser(text)
    actions: list[Action] = []
    while parser.peek() is not None:
        clause = (parser.take() or "").upper()
        if clause not in CLAUSES:
            raise ExpressionError(f"unknown clause {clause}")
        actions.append(parser.action(clause))
        while parser.accept(","):
            actions.append(parser.action(clause))
    return tuple(actions)


@cache
def projection(text: str) -> tuple[Path, ...]:
    """Compile a projection expression into its paths."""
    parser = Parser(text)
    paths = [parser.path()]
    while parser.accept(","):
        paths.append(parser.path())
    parser.end()
    return tuple(paths)


def equality(text: str, names: Names, attribute: str) -> str | None:
    """Return the value name a key condition wants `attribute` to be equal to."""
    for name, value in re.findall(r"([#\w-]+)\s*=\s*(:\w+)", text):
        if names.get(name, name) == attribute:
            return str(value)
    return None


class Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.at = 0
        position, text = 0, text.strip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"syntax error near {text[position : position + 10]!r}")
            self.tokens.append(match.group(1) or match.group(2))
            position = match.end()

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> str:
        token = self.peek()
        if token is None:
            raise ExpressionError("the expression ends too early")
        self.at += 1
        return token

    def accept(self, wanted: str) -> bool:
        token = self.peek()
        if token is None or token.upper() != wanted:
            return False
        self.at += 1
        return True

    def expect(self, wanted: str) -> None:
        if not self.accept(wanted):
            raise ExpressionError(f"expected {wanted}, found {self.peek()}")

    def end(self) -> None:
        if self.peek() is not None:
            raise ExpressionError(f"unexpected {self.peek()}")

    # Conditions, loosest binding first.

    def any_of(self) -> Condition:
        parts = [self.all_of()]
        while self.accept("OR"):
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else lambda i, n, v: any(part(i, n, v) for part in parts)

    def all_of(self) -> Condition:
        parts = [self.negation()]
        while self.accept("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda i, n, v: all(part(i, n, v) for part in parts)

    def negation(self) -> Condition:
        if self.accept("NOT"):
            inner = self.negation()
            return lambda i, n, v: not inner(i, n, v)
        return self.primary()

    def primary(self) -> Condition:
        if self.accept("("):
            inner = self.any_of()
            self.expect(")")
            return inner
        predicate = PREDICATES.get((self.peek() or "").lower())
        if predicate is not None and self.tokens[self.at + 1 : self.at + 2] == ["("]:
            return predicate(self)
        return self.comparison()

    def comparison(self) -> Condition:
        left = self.operand()
        token = self.take().upper()
        if token == "BETWEEN":
            return self.between(left)
        if token == "IN":
            return self.member(left)
        compare = values.COMPARISONS.get(token)
        if compare is None:
            raise ExpressionError(f"unknown comparison {token}")
        right = self.operand()
        return lambda i, n, v: compare(left(i, n, v), right(i, n, v))

    def between(self, operand: Operand) -> Condition:
        low = self.operand()
        self.expect("AND")
        high = self.operand()
        least, most = values.COMPARISONS[">="], values.COMPARISONS["<="]
        return lambda i, n, v: least(operand(i, n, v), low(i, n, v)) and most(operand(i, n, v), high(i, n, v))

    def member(self, operand: Operand) -> Condition:
        self.expect("(")
        options = [self.operand()]
        while self.accept(","):
            options.append(self.operand())
        self.expect(")")
        same = values.COMPARISONS["="]
        return lambda i, n, v: any(same(operand(i, n, v), option(i, n, v)) for option in options)

    def arguments(self, count: int) -> list[Operand]:
        self.take()
        self.expect("(")
        found = [self.operand()]
        while self.accept(","):
            found.append(self.operand())
        self.expect(")")
        if len(found) != count:
            raise ExpressionError("wrong number of arguments")
        return found

    # Operands.

    def operand(self) -> Operand:
        token = self.peek() or ""
        if token.startswith(":"):
            name = self.take()
            return lambda i, n, v: literal(v, name)
        if self.tokens[self.at + 1 : self.at + 2] == ["("]:
            return self.function(token.lower())
        path = self.path()
        if len(path) == 1:
            (only,) = path
            assert isinstance(only, str)
            return lambda i, n, v: i.get(named(n, only))
        return lambda i, n, v: values.at(i, bound(path, n))

    def function(self, name: str) -> Operand:
        if name == "size":
            (measured,) = self.arguments(1)
            return lambda i, n, v: values.size(measured(i, n, v))
        if name == "if_not_exists":
            held, otherwise = self.arguments(2)
            return lambda i, n, v: held(i, n, v) or otherwise(i, n, v)
        if name == "list_append":
            first, second = self.arguments(2)
            return lambda i, n, v: values.joined(first(i, n, v), second(i, n, v))
        raise ExpressionError(f"unknown function {name}")

    def path(self) -> Path:
        parts: list[str | int] = [self.take()]
        while True:
            if self.accept("."):
                parts.append(self.take())
            elif self.accept("["):
                parts.append(int(self.take()))
                self.expect("]")
            else:
                return tuple(parts)

    # Updates.

    def action(self, clause: str) -> Action:
        path = self.path()
        if clause == "REMOVE":
            return clause, path, None
        if clause == "SET":
            self.expect("=")
            return clause, path, self.sum()
        return clause, path, self.operand()

    def sum(self) -> Operand:
        left = self.operand()
        for sign in ("+", "-"):
            if self.accept(sign):
                return arithmetic(left, self.operand(), sign)
        return left


def arithmetic(left: Operand, right: Operand, sign: str) -> Operand:
    def evaluate(item: Item, names: Names, found: Values) -> Value:
        one, two = left(item, names, found), right(item, names, found)
        if one is None or two is None:
            raise ExpressionError("The provided expression refers to an attribute that does not exist in the item")
        return values.total(one, two, sign)

    return evaluate


def literal(found: Values, name: str) -> Value:
    if name not in found:
        raise ExpressionError(f"An expression attribute value used in expression is not defined: {name}")
    return found[name]


def named(names: Names, name: str) -> str:
    if not name.startswith("#"):
        return name
    if name not in names:
        raise ExpressionError(f"An expression attribute name used in the document path is not defined: {name}")
    return names[name]


def bound(path: Path, names: Names) -> Path:
    """Put the real attribute names into a path."""
    return tuple(named(names, part) if isinstance(part, str) else part for part in path)


def _one(holds: Callable[[Value | None], bool]) -> Callable[[Parser], Condition]:
    def predicate(parser: Parser) -> Condition:
        (held,) = parser.arguments(1)
        return lambda i, n, v: holds(held(i, n, v))

    return predicate


def _two(holds: Callable[[Value | None, Value | None], bool]) -> Callable[[Parser], Condition]:
    def predicate(parser: Parser) -> Condition:
        held, given = parser.arguments(2)
        return lambda i, n, v: holds(held(i, n, v), given(i, n, v))

    return predicate


PREDICATES: dict[str, Callable[[Parser], Condition]] = {
    "attribute_exists": _one(lambda held: held is not None),
    "attribute_not_exists": _one(lambda held: held is None),
    "begins_with": _two(values.begins),
    "contains": _two(values.contains),
    "attribute_type": _two(values.typed),
}
