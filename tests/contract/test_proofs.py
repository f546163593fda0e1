"""The table in docs/understand/proofs.md names what exists: invariants, tests, and mutants."""

import ast
import re
from pathlib import Path

import pytest

from tests.verification.mutants.safeguards import MUTANTS

ROOT = Path(__file__).parents[2]
INVARIANTS = set(re.findall(r'@invariant\("(\w+)"', (ROOT / "tests/verification/simulation/invariants.py").read_text()))
PAGE = (ROOT / "docs/understand/proofs.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("| promise |")[2].splitlines()[2:]
    if line.startswith("|")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_promise_is_shown_by_exists(row: list[str]) -> None:
    _, invariants, example, mutant = row
    file, _, name = example.strip("`").partition("::")
    tests = ast.parse((ROOT / "tests/unit" / file).read_text(encoding="utf-8")).body

    assert set(invariants.split(", ")) <= INVARIANTS
    assert name in {each.name for each in tests if isinstance(each, ast.FunctionDef)}
    assert mutant == "–" or mutant in {each.name for each in MUTANTS}


def test_every_safeguard_belongs_to_a_promise() -> None:
    assert {row[3] for row in ROWS} - {"–"} == {each.name for each in MUTANTS}
