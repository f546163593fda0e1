"""The mutants are as many as the source has places for, and each changes what it says."""

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from broker.adapters.queues import read_completion
from tests.verification.mutants.explained import made, reasons, stale
from tests.verification.mutants.planting import functions, plant
from tests.verification.mutants.reaching import probed
from tests.verification.mutants.sites import Mutant, files, made_of, mutants, parsed

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def bodies(file: str) -> Iterator[ast.AST]:
    """Walk through what stands in the bodies of a module's functions."""
    tops = [node for node in parsed(file).body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    methods = [each for node in tops for each in ([node] if isinstance(node, FUNCTIONS) else node.body)]
    for method in methods:
        if isinstance(method, FUNCTIONS):
            for statement in method.body:
                yield from ast.walk(statement)


def counted(file: str) -> Counter[str]:
    """Count the places of some kinds, by other means than the tool's."""
    found: Counter[str] = Counter()
    for node in bodies(file):
        found["raise"] += isinstance(node, ast.Raise)
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.comprehension)):
            tests = node.ifs if isinstance(node, ast.comprehension) else [node.test]
            found["decision"] += sum(1 if isinstance(test, ast.BoolOp) else 2 for test in tests)
            found["decision"] -= 2 * sum(isinstance(test, ast.Constant) for test in tests)
        if isinstance(node, ast.BoolOp):
            found["operand"] += len(node.values)
        if isinstance(node, ast.Compare):
            found["boundary"] += sum(isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for op in node.ops)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"min", "max"}:
            found["bound"] += len(node.args) if len(node.args) > 1 else 0
    return found


OTHERS = (":shard", "#tenant = :tenant", "if_not_exists")
"""What is like a condition of a write, and is one of a query or a part of an update."""


def written(file: str) -> Iterator[str]:
    """Give the conditions of writes, where they are written or named."""
    constants = {
        ast.unparse(target): [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
        for node in parsed(file).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    for node in bodies(file):
        texts: list[object] = [node.value] if isinstance(node, ast.Constant) else []
        texts += constants.get(node.id, []) if isinstance(node, ast.Name) else []
        texts += [ast.unparse(node).replace("{", "").replace("}", "")] if isinstance(node, ast.JoinedStr) else []
        yield from (text for text in texts if isinstance(text, str) and is_of_a_write(text))


def is_of_a_write(text: str) -> bool:
    is_condition = re.search(r"#\w+ (=|<|>|IN) ?|exists\(#\w", text) is not None
    return is_condition and not any(each in text for each in OTHERS)


@pytest.mark.parametrize("file", files())
def test_a_module_has_as_many_mutants_as_places(file: str) -> None:
    found = mutants(file)
    kinds = Counter(mutant.kind for mutant in found)
    expected = counted(file)
    for text in written(file):
        expected["clause"] += text.count(" AND ") + text.count(" OR ") + 1
        expected["condition"] += " OR " in text
        expected["boundary"] += len(re.findall(r" (<|>|<=|>=) ", text))

    assert {kind: kinds[kind] for kind in expected} == dict(expected)
    assert len({mutant.key for mutant in found}) == len(found)


@pytest.mark.slow
def test_there_are_as_many_mutants_as_were_asked_for() -> None:
    assert len(made()) >= 400


SOURCE = """
    _HELD = "#stage = :held AND #until > :now"
    _FREE = "attribute_not_exists(#until) OR #until < :now"

    def quota(day):
        return f"attribute_exists(#a_{day}) AND #b_{day} < :most"

    def work(seen, now):
        if seen.until is None or seen.until < now - SKEW:
            raise AwsUnavailable from None
        while seen:
            return min(seen.until, now)
        return ConditionalUpdate.of(_HELD, "attribute_exists(#a)"), [each for each in seen if each], put(_FREE)
"""

RETURN = "return (ConditionalUpdate.of({held}, {a}), [each for each in seen if {each}], put({free}))"
AS_IT_IS = {"held": "_HELD", "a": "'attribute_exists(#a)'", "each": "each", "free": "_FREE"}
"""What is mutated of the last line."""


def test_each_place_is_changed_in_each_of_its_ways() -> None:
    until = "seen.until is None or seen.until < now - SKEW"
    returns = [
        {"held": "'(#stage = :held OR NOT #stage = :held) AND #until > :now'"},
        {"held": "'#stage = :held AND (#until > :now OR NOT #until > :now)'"},
        {"held": "'#stage = :held AND #until >= :now'"},
        {"a": "'attribute_exists(#a) OR NOT attribute_exists(#a)'"},
        {"each": "each or True"},
        {"each": "each and False"},
        {"free": "'(attribute_not_exists(#until) AND NOT attribute_not_exists(#until)) OR #until < :now'"},
        {"free": "'attribute_not_exists(#until) OR (#until < :now AND NOT #until < :now)'"},
        {"free": "'attribute_not_exists(#until) OR #until <= :now'"},
        {
            "free": "'attribute_not_exists(#until) OR #until < :now"
            " OR NOT (attribute_not_exists(#until) OR #until < :now)'"
        },
    ]

    assert {mutant.now for mutant in made_of("work.py", ast.parse(textwrap.dedent(SOURCE)))} == {
        f"if {until} or True:".replace(until, f"({until})"),
        "if seen.until < now - SKEW:",
        "if seen.until is None:",
        "if seen.until is None or seen.until <= now - SKEW:",
        "if seen.until is None or seen.until < now:",
        f"if {until}: pass",
        "while seen or True:",
        "while seen and False:",
        "return now",
        "return seen.until",
        "return f'(attribute_exists(#a_{day}) OR NOT attribute_exists(#a_{day})) AND #b_{day} < :most'",
        "return f'attribute_exists(#a_{day}) AND (#b_{day} < :most OR NOT #b_{day} < :most)'",
        "return f'attribute_exists(#a_{day}) AND #b_{day} <= :most'",
        *(RETURN.format(**AS_IT_IS | changed) for changed in returns),
    }


BRANCHES = """
def work(found):
    try:
        if found:
            return [each for each in found]
        else:
            found.absent()
    except AttributeError:
        return None
"""


@pytest.mark.parametrize(("found", "lines"), [([1], {3, 4, 5}), ([], {3, 4, 7, 9})])
def test_a_test_reaches_the_statements_that_it_runs(found: list[int], lines: set[int]) -> None:
    reached: set[tuple[str, int]] = set()
    names: dict[str, Any] = {"__reached__": reached.add}
    exec(compile(probed("work.py", ast.parse(BRANCHES)), "work.py", "exec"), names)

    names["work"](found)

    assert reached == {("work.py", line) for line in lines}


@pytest.mark.slow
def test_a_planted_mutant_is_met_by_whoever_imported_the_function() -> None:
    where = functions()
    refused = next(each for each in mutants("adapters/queues.py") if "isinstance(found, str) and False" in each.now)
    plant(refused, where)
    try:
        assert read_completion('{"session": "ses_abcdefghijklmnopqrstuvwx27"}') is None
    finally:
        plant(Mutant(*refused.key[:2], "intact", (0, 0), "", "", lambda: parsed("adapters/queues.py")), where)
    assert read_completion('{"session": "ses_abcdefghijklmnopqrstuvwx27"}')


@pytest.mark.slow
def test_a_mutant_that_changes_nothing_is_no_mutant() -> None:
    file = "adapters/queues.py"

    with pytest.raises(LookupError):
        plant(Mutant(file, "read_completion", "intact", (0, 0), "", "", lambda: parsed(file)), functions())


@pytest.mark.slow
def test_every_explanation_belongs_to_a_mutant_as_it_is() -> None:
    assert stale(reasons(), made()) == []
    assert stale([("file", "where", "was", "now")], made()) != []
