"""The list of requirements is whole, every one has a test, and the command says so when one has none."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.requirements import Requirement, checklist, known, req, shown
from tools.requirements.__main__ import ON_A_STACK, Record, report, result, rows

ROOT = Path(__file__).parents[2]
CHAPTERS = {"A": 16, "B": 7, "C": 14, "D": 8, "E": 3, "F": 15, "G": 11, "H": 13, "I": 6, "J": 10, "K": 5, "L": 7,
            "M": 6, "N": 5, "O": 4, "P": 3, "Q": 5}  # fmt: skip
"""The last number of each; G10b stands beside G10."""


def marks(*paths: Path) -> Iterator[tuple[str, ...]]:
    """Read the marks of tests without running anything."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield from (_ids(each) for each in node.decorator_list if isinstance(each, ast.Call))
            if isinstance(node, ast.keyword) and node.arg == "marks" and isinstance(node.value, ast.Call):
                yield _ids(node.value)


def _ids(call: ast.Call) -> tuple[str, ...]:
    is_req = ast.unparse(call.func) in {"req", "pytest.mark.req"}
    return tuple(ast.literal_eval(each) for each in call.args) if is_req else ()


def ordinary() -> set[str]:
    """Give every id that a test of the ordinary run is marked with."""
    found = {name for ids in marks(*(ROOT / "tests").rglob("test_*.py")) for name in ids}
    return shown(tuple(found))


@req("P03")
def test_the_list_is_whole() -> None:
    numbered = {f"{chapter}{number:02}" for chapter, last in CHAPTERS.items() for number in range(1, last + 1)}

    assert {name for name in checklist() if not name.startswith("V")} == numbered | {"G10b"}


@req("P03")
def test_every_requirement_has_a_sentence_and_a_source_and_what_is_not_here_a_reason() -> None:
    for held in checklist().values():
        assert held.says.endswith("."), held.id
        assert held.sources, held.id
        assert not held.not_here or len(held.not_here.split()) >= 3, held.id


@req("P03")
def test_every_requirement_that_applies_has_a_test() -> None:
    assert set(rows(checklist().values())) - ordinary() == set()


@req("P03")
def test_no_test_is_marked_with_what_is_not_on_the_list_or_does_not_apply() -> None:
    away = {held.id for held in checklist().values() if held.not_here}
    everywhere = {name for ids in marks(*(ROOT / "tests").rglob("*.py")) for name in ids}

    assert everywhere <= known() - away


def test_a_mark_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(LookupError, match="Z99"):
        req("A01", "Z99")


def test_what_only_a_stack_shows_is_marked_too() -> None:
    found = {name for ids in marks(*(ROOT / path for path in ON_A_STACK)) for name in ids}

    assert found >= {"F11", "H01", "I01", "J05", "J07", "M01", "M03", "G11"}


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["passed", "skipped"], "passed"),
        (["skipped"], "UNTESTED"),
        ([], "UNTESTED"),
    ],
)
def test_one_failure_fails_and_a_skipped_test_is_none(ends: list[str], verdict: str) -> None:
    ended = {str(number): end for number, end in enumerate(ends)}

    assert result(ended, ended) == verdict


def recorded(**ended: str) -> Record:
    """Make a record of tests that each show the requirement after which they are called."""
    return Record({name: {name, "ASVS-1.2.3"} if name == "A01" else {name} for name in ended}, ended)


TWO = (Requirement("A01", "One.", ("x",), ("1.2.3",)), Requirement("A02", "Two.", ("x",)))
ABSENT = Requirement("A03", "Three.", ("x",), not_here="it does not apply here")


@pytest.mark.slow
@req("P03")
@pytest.mark.parametrize(
    ("record", "last", "code"),
    [
        (recorded(A01="passed", A02="passed"), "requirements: 3 of 3 tested", 0),
        (recorded(A01="passed"), "requirements: 2 of 3 tested", 1),
        (recorded(A01="passed", A02="failed"), "requirements: 2 of 3 tested", 1),
        (recorded(A01="skipped", A02="passed"), "requirements: 1 of 3 tested", 1),
    ],
)
def test_the_command_fails_when_one_is_not_shown(
    capsys: pytest.CaptureFixture[str], record: Record, last: str, code: int
) -> None:
    ended = report((*TWO, ABSENT), record, recorded(A02="passed"))

    said = capsys.readouterr().out.splitlines()
    assert (said[-1], ended) == (last, code)
    assert "A03          not here  it does not apply here" in said
    assert [each.split()[0] for each in said if "on stack" in each] == ["A02"]
