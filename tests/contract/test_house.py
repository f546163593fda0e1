"""Rules of the house that no linter knows: what tests may import, and which words are no longer used."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(source: Path) -> Iterator[str]:
    """Name every module that a file imports."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


NAMES_A_TEST = re.compile(r"^\s*(from|import)\b[^()\n]*(\([^)]*)?\btest_", re.MULTILINE)
"""An import that may be one of a test: only files with one are taken apart, which takes many times as long."""


def test_no_module_imports_a_test() -> None:
    """What two tests share lies in tests/support: whoever changes a test changes no other."""
    all_of_them = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "emulator/tests").rglob("*.py")]
    tests = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in all_of_them}
    tests = {name for name in tests if name.rpartition(".")[2].startswith("test_")}
    suspects = (path for path in all_of_them if NAMES_A_TEST.search(path.read_text(encoding="utf-8")))

    borrowed = [f"{path.relative_to(ROOT)}: {name}" for path in suspects for name in imported(path) if name in tests]

    assert tests
    assert borrowed == []


# Words ----------------------------------------------------------------------------------------------------------------

CODE = ("layers/broker/python", "functions", "local", "emulator", "cli", "clients", "tools", "tests")

OLD_NAMES = """
Brake Brakes brake brakes loosen loosened worn_off Fleet tally Shift Renewal Settle Rescued sunk
Opening Depart Departure Leaving Drawn Arrive Vend vend vended Hot hot_until Refusal once_more
Crew Doors warmed Invitation SessionInHand ProviderSurprise Unforeseen UndoneQueue
mend mended Pretended pretended Detour detour Ledger ledger mortal pump pumps Feed
wish TokenWish Flight
"""
"""Names of our own language, which the field's words have replaced everywhere."""

BROKER = "layers/broker/python/broker"
CLIENT = "clients/python/src/ninjaone_connect"
NO_LONGER = {
    f"{BROKER}/errors.py": "Gone Refused Declined Later Broken",
    f"{BROKER}/model.py": "Place own doubt Look Open Said Home",
    f"{BROKER}/adapters/breakers.py": "pull pulled behind loosen held",
    f"{BROKER}/adapters/connections.py": "Ref Spot Place own doubt mine held attempt ended_at",
    f"{BROKER}/adapters/dynamo.py": "Write asked written",
    f"{BROKER}/adapters/epoch.py": "held",
    f"{BROKER}/adapters/queues.py": "Order Why order why held",
    f"{BROKER}/adapters/rows.py": "held",
    f"{BROKER}/adapters/seal.py": "Spot Place prepare spot held",
    f"{BROKER}/adapters/sessions.py": "keep attempt",
    f"{BROKER}/adapters/http.py": "Web Turn",
    f"{BROKER}/adapters/client_secrets.py": "Credentials",
    f"{BROKER}/adapters/workers.py": "Crew",
    f"{BROKER}/secret.py": "digest",
    f"{BROKER}/edge/handler.py": "under warmed",
    f"{BROKER}/edge/rate_limit.py": "take",
    f"{BROKER}/edge/browser.py": "told elsewhere Turn",
    f"{BROKER}/edge/pages.py": "Invitation",
    f"{BROKER}/flows/session.py": "Open Opening Look",
    f"{BROKER}/flows/authorize.py": "spot departure drawn",
    f"{BROKER}/flows/callback.py": "Home Said order ORDER_WAITS",
    f"{BROKER}/flows/connections.py": "Show",
    f"{BROKER}/flows/redeem.py": "keep attempt",
    f"{BROKER}/flows/proxy.py": "WHOLE LEAST LIMIT",
    f"{BROKER}/flows/refresh/save.py": "Keep Sealed sink adopt give_back mine",
    f"{BROKER}/flows/refresh/connection.py": "adopt mine sink",
    f"{BROKER}/flows/refresh/failure.py": "Keep adopt give_back",
    f"{BROKER}/flows/refresh/timing.py": "before whole after_gate saving spilling",
    "local/world.py": "board desk guard visitor wire",
    "local/aws/roles.py": "guard Guard",
    "local/showroom/killer.py": "mortal",
    "cli/src/ninjaone_connect_cli/import_tokens.py": "bring",
    "cli/src/ninjaone_connect_cli/checks.py": "looks",
    "cli/src/ninjaone_connect_cli/errors.py": "trouble",
    f"{CLIENT}/model.py": "Opening Proof",
    f"{CLIENT}/errors.py": "Gone Refused Declined Later Broken Again",
    f"{CLIENT}/client.py": "patience wish land crash Again",
    f"{CLIENT}/auth.py": "patience Flight land crash",
}
"""Short words that may mean something else elsewhere: the file in which each bore its old meaning."""


def identifiers(source: Path) -> Iterator[tuple[int, str]]:
    """Read every name of a syntax tree with its line, without leading underscores."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names: list[str | None] = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.arg | ast.keyword):
            names = [node.arg]
        elif isinstance(node, ast.alias):
            names = [*node.name.split("."), node.asname]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split(".")]
        yield from ((getattr(node, "lineno", 0), name.lstrip("_")) for name in names if name)


def sources(holding: re.Pattern[str]) -> list[Path]:
    """Find the modules in which a pattern occurs at all, since taking one apart takes many times as long."""
    found = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if holding.search(path.read_text(encoding="utf-8"))]


def test_no_name_of_the_old_language_is_left() -> None:
    gone = set(OLD_NAMES.split())
    left = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources(re.compile(rf"\b_*({'|'.join(gone)})\b"))
        for line, name in identifiers(path)
        if name in gone
    ]

    assert left == []


@pytest.mark.parametrize("file", NO_LONGER)
def test_no_short_word_bears_its_old_meaning(file: str) -> None:
    path, gone = ROOT / file, set(NO_LONGER[file].split())

    assert [f"{line}: {name}" for line, name in identifiers(path) if name in gone] == []


def test_no_target_of_the_makefile_bears_its_old_name() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert targets >= {"crash-test", "mutation-test", "fault-matrix", "least-privilege", "whoami"}
    assert targets & {"kills", "mutants", "campaign", "roles", "account"} == set()


WORDS = re.compile(
    r"\b(brakes?|tall(y|ies)|sunk|pretend(s|ed|ing)?|mend(s|ed|ing)?|rings|rang|rung|ringing|undone|parked|whose turn"
    r"|mortals?|detours?|vend(s|ed|ing)?)\b",
    re.IGNORECASE,
)
HISTORY = ("CHANGELOG.md", "DECISIONS.md", "docs/decisions")
"""What is not written anew: each entry is as it was on its day."""
WRITTEN = {".md", ".yaml", ".yml", ".toml", ".html", ".txt", ".css"}


def prose() -> Iterator[tuple[Path, int, str]]:
    """Give the lines of pages, and of the comments, docstrings and messages of modules that hold such a word."""
    for path in sources(WORDS):
        yield from ((path, line, text) for line, text in said(path))
    for folder in (*CODE, "docs", "stacks", "openapi", ".github", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in WRITTEN and path.is_file() and "node_modules" not in path.parts:
                yield from lines(path)
    for path in (*ROOT.glob("*.md"), ROOT / "template.yaml", ROOT / "Makefile"):
        yield from lines(path)


def lines(path: Path) -> Iterator[tuple[Path, int, str]]:
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield path, number, text


def said(source: Path) -> Iterator[tuple[int, str]]:
    """Read a module's comments, and every string that holds more than one word."""
    for token in tokenize.generate_tokens(io.StringIO(source.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT or ("STRING" in tokenize.tok_name[token.type] and " " in token.string):
            yield from enumerate(token.string.splitlines(), token.start[0])


def test_prose_uses_none_of_the_old_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word[0]}"
        for path, number, text in prose()
        if path != Path(__file__) and not str(path.relative_to(ROOT)).startswith(HISTORY)
        for word in WORDS.finditer(text)
    ]

    assert found == []


NOUNS = """
account aws batch breaker callback change code connection consent epoch events host lease message proxy refresh rescue
revocation rows seal secret session sweep token
"""
"""What log events begin with: SECURITY.md lists the events. A new noun is a new thing, not another word for one."""


def test_a_log_event_is_named_after_the_thing_that_it_happened_to() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / BROKER).rglob("*.py")))

    nouns = set(re.findall(r'\.event\(\s*"([a-z_]+)\.', text))

    assert nouns | {"aws"} == set(NOUNS.split())
