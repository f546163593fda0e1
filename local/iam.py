"""Decide as IAM does: whether the statements of a role allow one action on one resource.

Only what this module understands counts: a policy that uses anything else is refused as a whole,
never taken for an allowance.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

Context = Mapping[str, tuple[str, ...]]
"""Condition key in lower case → its values in this request; an absent key has none."""


@dataclass(frozen=True)
class Condition:
    """One line of a statement's conditions: all lines must hold, one value of a line is enough."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement of an identity policy."""

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Allowed:
    """The request may go on.

    Attributes:
        sid: the statement that allows it
    """

    sid: str


@dataclass(frozen=True)
class Denied:
    """The request is refused, with the end of AWS's own sentence."""

    reason: str


class UnsupportedPolicy(Exception):
    """The policy, or the call, is of a kind that cannot be judged here."""


KEYS = {
    "dynamodb:attributes",
    "dynamodb:enclosingoperation",
    "dynamodb:leadingkeys",
    "dynamodb:returnvalues",
    "dynamodb:select",
    "events:detail-type",
    "events:source",
    "kms:encryptioncontextkeys",
    "s3:prefix",
}
"""The condition keys that `local.aws.actions` works out for every call where AWS does."""

_LISTS = {"dynamodb:attributes", "dynamodb:leadingkeys", "kms:encryptioncontextkeys"}
"""Keys with several values in one request: IAM wants ForAllValues or ForAnyValue for them."""

_ENCRYPTION_CONTEXT = "kms:encryptioncontext:"


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile `*` and `?`; brackets mean themselves."""
    return re.compile(translate(text.replace("[", "[[]")))


def like(value: str, pattern: str) -> bool:
    """Match IAM's wildcards, case counting."""
    return _pattern(pattern).match(value) is not None


_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "stringequals": str.__eq__,
    "stringlike": like,
    "bool": lambda value, wanted: value.lower() == wanted.lower(),
    "arnequals": like,
    "arnlike": like,
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


@dataclass(frozen=True)
class _Operator:
    """An operator's name taken apart: `ForAllValues:StringNotLikeIfExists`."""

    quantifier: str
    test: Callable[[str, str], bool]
    negated: bool
    if_exists: bool

    @classmethod
    def parse(cls, name: str) -> "_Operator":
        quantifier, _, rest = name.lower().rpartition(":")
        base = rest.removesuffix("ifexists")
        test = _TESTS.get(_NEGATED.get(base, base))
        if test is None or quantifier not in {"", "forallvalues", "foranyvalue"}:
            raise UnsupportedPolicy(f"the operator {name} is not known here")
        return cls(quantifier, test, negated=base in _NEGATED, if_exists=rest != base)

    def holds(self, values: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        def one(value: str) -> bool:
            return any(self.test(value, want) for want in wanted) != self.negated

        if not values:
            return self.quantifier == "forallvalues" or self.if_exists or (self.negated and not self.quantifier)
        return (all if self.quantifier == "forallvalues" else any)(one(value) for value in values)


def check(statements: Iterable[Statement]) -> None:
    """Refuse statements that cannot be judged, before any of them is used.

    Raises:
        UnsupportedPolicy
    """
    for statement in statements:
        if statement.effect not in {"Allow", "Deny"}:
            raise UnsupportedPolicy(f"{statement.sid}: the effect {statement.effect!r} is not known")
        for text in (*statement.resources, *(value for c in statement.conditions for value in c.values)):
            if "${" in text:
                raise UnsupportedPolicy(f"{statement.sid}: policy variables are not known here: {text}")
        for condition in statement.conditions:
            _check_condition(statement.sid, condition)


def _check_condition(sid: str, condition: Condition) -> None:
    key = condition.key.lower()
    if key not in KEYS and not key.startswith(_ENCRYPTION_CONTEXT):
        raise UnsupportedPolicy(f"{sid}: the condition key {condition.key} is not known here")
    if condition.operator.lower() == "null":
        return
    quantified = bool(_Operator.parse(condition.operator).quantifier)
    if quantified != (key in _LISTS):
        raise UnsupportedPolicy(f"{sid}: {condition.operator} does not fit {condition.key}: one value or many")


def decide(statements: Iterable[Statement], action: str, resource: str, context: Context) -> Allowed | Denied:
    """Judge one request: an explicit Deny wins, then one Allow is needed.

    Raises:
        UnsupportedPolicy

    See IAM User Guide, "Policy evaluation logic"; "IAM JSON policy elements: Condition operators".
    """
    statements = tuple(statements)
    check(statements)
    fitting = [statement for statement in statements if _fits(statement, action, resource, context)]
    for statement in fitting:
        if statement.effect == "Deny":
            return Denied(f"with an explicit deny ({statement.sid})")
    if fitting:
        return Allowed(fitting[0].sid)
    return Denied(f"because no identity-based policy allows the {action} action")


def _fits(statement: Statement, action: str, resource: str, context: Context) -> bool:
    return (
        any(like(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(like(resource, pattern) for pattern in statement.resources)
        and all(_holds(condition, context) for condition in statement.conditions)
    )


def _holds(condition: Condition, context: Context) -> bool:
    values = context.get(condition.key.lower(), ())
    if condition.operator.lower() == "null":
        return str(not values).lower() in {wanted.lower() for wanted in condition.values}
    return _Operator.parse(condition.operator).holds(values, condition.values)
