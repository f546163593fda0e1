"""Compare decisions of `local.iam` with those of MiniStack's evaluator: real roles, and thousands of made-up ones."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from local.cloudformation.template import read
from local.iam import Allowed, Condition, Context, Denied, Statement, decide
from tools.rehearse.environment import ROOT, interpreter

EVALUATOR = Path(__file__).with_name("evaluator.py")
MADE_UP, SEED = 8_000, 13

_COMPARISONS = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "Bool", "ArnEquals", "ArnLike",
                "ArnNotEquals", "ArnNotLike")  # fmt: skip
_VALUES = ("a", "A", "ab", "b", "true", "True", "")
_PATTERNS = ("a", "ab", "a*", "?", "*b", "[a]", "*", "true", "FALSE")
_ACTIONS = ("s3:GetObject", "S3:getobject", "s3:*", "s3:Get?bject", "s3:PutObject", "*")
_RESOURCES = ("arn:aws:s3:::b/k", "arn:aws:s3:::B/k", "arn:aws:s3:::b/*", "arn:aws:s3:::?/k", "arn:aws:s3:::[b]/k", "*")
_SINGLE, _MANY = (
    ("dynamodb:Select", "kms:EncryptionContext:purpose"),
    ("dynamodb:Attributes", "kms:EncryptionContextKeys"),
)
"""Condition keys with one value in a request, and with several."""


@dataclass(frozen=True)
class Case:
    """One request under one policy.

    Attributes:
        name: whose policy it is
    """

    name: str
    statements: tuple[Statement, ...]
    action: str
    resource: str
    context: Context

    def asked(self) -> list[Any]:
        """Return the case as `evaluator` reads it."""
        context = {key: list(values) if _is_list(key) else values[0] for key, values in self.context.items() if values}
        return [{"Statement": [_written(each) for each in self.statements]}, self.action, self.resource, context]

    def expected(self, decision: str, sid: str) -> Allowed | Denied:
        """Say in this project's terms what MiniStack decided."""
        if decision == "Allow":
            return Allowed(sid)
        explicit = f"with an explicit deny ({sid})"
        return Denied(explicit if sid else f"because no identity-based policy allows the {self.action} action")

    def difference(self, decision: str, sid: str) -> str:
        """Describe the case where the two decide differently, else give nothing."""
        expected, got = self.expected(decision, sid), decide(self.statements, self.action, self.resource, self.context)
        asked = f"{self.action} on {self.resource} with {dict(self.context)}"
        return "" if got == expected else f"{self.name}: {asked}: MiniStack {expected}, here {got}; {self.asked()[0]}"


def _is_list(key: str) -> bool:
    return key.lower() in {each.lower() for each in (*_MANY, "dynamodb:LeadingKeys")}


def _written(statement: Statement) -> dict[str, Any]:
    """Write a statement as a policy document has it."""
    conditions: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for each in statement.conditions:
        conditions[each.operator][each.key] = list(each.values)
    return {
        "Sid": statement.sid,
        "Effect": statement.effect,
        "Action": list(statement.actions),
        "Resource": list(statement.resources),
        "Condition": conditions,
    }


def differences(parameters: Mapping[str, str]) -> tuple[int, list[str]]:
    """Return how many cases were judged, and describe those in which the two disagree.

    Args:
        parameters: of the template whose roles are judged
    """
    cases = [*_real(parameters), *_made_up(Random(SEED))]
    told = json.dumps([case.asked() for case in cases])
    ran = subprocess.run([interpreter(), EVALUATOR], input=told, capture_output=True, text=True, check=True)
    answers = zip(cases, json.loads(ran.stdout), strict=True)
    return len(cases), [found for case, (decision, sid) in answers if (found := case.difference(decision, sid))]


def _real(parameters: Mapping[str, str]) -> Iterator[Case]:
    """Ask every role of the template for what any role may do, and for that with each condition failing."""
    template = read(ROOT / "template.yaml", parameters)
    roles = {name: function.statements for name, function in template.functions.items()}
    every = [request for statements in roles.values() for each in statements for request in _requests(each)]
    for name, statements in roles.items():
        for action, resource, context in every:
            yield Case(name, statements + template.denials(resource), action, resource, context)


def _requests(statement: Statement) -> Iterator[tuple[str, str, Context]]:
    """Give requests that a statement fits, and such that miss it by one condition."""
    fitting = {each.key.lower(): each.values for each in statement.conditions if each.operator != "Null"}
    contexts = [fitting, {}]
    contexts += [fitting | {key: changed} for key in fitting for changed in ((), ("other",))]
    for resource in statement.resources:
        for context in contexts:
            yield statement.actions[0], resource.replace("*", "x"), {key: context[key][:1] for key in context}


def _made_up(random: Random) -> Iterator[Case]:
    """Make policies of one to three statements and requests that come near to them."""
    for number in range(MADE_UP):
        statements = tuple(_statement(random, f"S{each}") for each in range(random.randint(1, 3)))
        single = {key.lower(): random.sample(_VALUES, random.randint(0, 1)) for key in _SINGLE}
        many = {key.lower(): random.sample(_VALUES, random.randint(0, 3)) for key in _MANY}
        context = {key: tuple(values) for key, values in (single | many).items()}
        yield Case(f"made up {number}", statements, _ACTIONS[0], _RESOURCES[0], context)


def _statement(random: Random, sid: str) -> Statement:
    effect = random.choice(("Allow", "Allow", "Deny"))
    actions, resources = random.sample(_ACTIONS, 2), random.sample(_RESOURCES, 2)
    conditions = {(each.operator, each.key): each for each in _conditions(random)}
    return Statement(sid, effect, tuple(actions), tuple(resources), tuple(conditions.values()))


def _conditions(random: Random) -> Iterable[Condition]:
    for _ in range(random.randint(0, 2)):
        key = random.choice((*_SINGLE, *_MANY))
        if random.random() < 0.15:
            yield Condition("Null", key, (random.choice(("true", "False")),))
        else:
            yield Condition(_operator(random, key), key, tuple(random.sample(_PATTERNS, random.randint(1, 2))))


def _operator(random: Random, key: str) -> str:
    quantifier = random.choice(("ForAllValues:", "ForAnyValue:")) if key in _MANY else ""
    return quantifier + random.choice(_COMPARISONS) + random.choice(("", "IfExists"))
