"""Rules of the house that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(source: Path) -> Iterator[str]:
    """Name every module that a file imports."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_no_module_imports_a_test() -> None:
    """What two tests share lies in tests/support: whoever changes a test changes no other."""
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "emulator/tests").rglob("*.py")]
    tests = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in sources}
    tests = {name for name in tests if name.rpartition(".")[2].startswith("test_")}

    borrowed = [f"{path.relative_to(ROOT)}: {name}" for path in sources for name in imported(path) if name in tests]

    assert tests
    assert borrowed == []
