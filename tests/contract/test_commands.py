"""Every command that people are told to type is one that its program takes, or is named here with the reason.

Nothing is run here; where a test runs a command, it is named beside it.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.deployment.template.stack import deploy
from tests.support.commands import ROOT, Wrong, judge_aws, judge_make, judge_ours, of_blocks, of_sentences, words

PAGES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.split()  # fmt: skip
JUDGED = ("make", "aws", "ninjaone-connect")
FIRST_CALL = "tests/client/test_readme.py runs the first call"
EMULATOR = "emulator/tests/test_package.py runs the package"
EXAMPLES = "tests/client/examples runs every product and the worker"
SHELL = "it is the shell's or the system's own"
EXCUSED = {
    "python3 -m venv": FIRST_CALL,
    ". .venv/bin/activate": FIRST_CALL,
    ". $CLONE/examples/local.env": FIRST_CALL,
    "python first.py": FIRST_CALL,
    "ninjaone-emulator --port": EMULATOR,
    "curl -s": EMULATOR,
    "-s $H/ws/oauth/token": EMULATOR,
    "jq": EMULATOR,
    "export $(curl": EMULATOR,
    "npm --prefix": "tests/client/typescript/test_packages.py builds the package and installs it",
    "npm install": "tests/client/typescript/test_packages.py builds the package and installs it",
    "node first.mjs": "tests/client/typescript/test_typescript.py runs the first call",
    ". ./local.env": EXAMPLES,
    ". ../local.env": EXAMPLES,
    "npm start": EXAMPLES,
    "python sites/flask_site.py": EXAMPLES,
    "python devices.py": EXAMPLES,
    "python -m tools.deployed": "`make rehearse` runs it against a stack",
    "printf %s": SHELL,
    "openssl dgst": SHELL,
    "rm origin-verify": SHELL,
    "git pull": SHELL,
    "source": SHELL,
    "cd examples": SHELL,
    "cd examples/express": SHELL,
    "open http://127.0.0.1:8002/control": SHELL,
}
"""How commands begin that nothing here judges → where they are run, or why they are not."""
STANDS_FOR = {"<ten minutes ago>": "2026-11-23T14:00:00Z", "TENANT CONNECTION": f"northwind con_{'a' * 26}"}
"""What the pages write in place of a value that has a form → a value of that form."""


def typed() -> Iterator[tuple[str, str, bool]]:
    """Give every command: its page, its line, and whether somebody is told to type it as it stands."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        yield from ((page, line, True) for line in of_blocks(text))
        yield from ((page, line, False) for line in of_sentences(text, JUDGED))
    reference = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8").replace(" \\\n      ", " ")
    for line in re.findall(r"^  (ninjaone-connect .+)$", reference, re.MULTILINE):
        yield "docs/reference/cli.md", line, True


def judge(line: str, *, is_whole: bool) -> None:
    """Look whether each command of a line would be taken. Raises Wrong."""
    for placeholder, value in STANDS_FOR.items():
        line = line.replace(placeholder, value)
    for path, *arguments in words(line):
        program = path.rpartition("/")[2]
        if program == "make":
            judge_make(arguments)
        elif program == "aws":
            judge_aws(arguments, is_whole=is_whole)
        elif program == "ninjaone-connect":
            judge_ours(arguments)
        elif program == "pip":
            judge_install(arguments)
        elif not excuse(path, arguments):
            raise Wrong(f"nothing runs or excuses {path} {' '.join(arguments)}")


def judge_install(arguments: Sequence[str]) -> None:
    """Look whether pip is told to install what can be installed. Raises Wrong."""
    for each in arguments[1:]:
        folder = each.replace("$CLONE", ".")
        if folder.startswith("./") and not (ROOT / folder / "pyproject.toml").is_file():
            raise Wrong(f"{each} is no package")


def excuse(path: str, arguments: Sequence[str]) -> str | None:
    """Find the beginning of a command among those that are excused."""
    whole = " ".join([path.removeprefix(".venv/bin/"), *arguments])
    return next((each for each in EXCUSED if f"{whole} ".startswith(f"{each} ")), None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the commands are given."""
    (tmp_path / "tokens.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_every_command_of_the_pages_is_taken_by_its_program() -> None:
    wrong = []
    for page, line, is_whole in typed():
        try:
            judge(line, is_whole=is_whole)
        except Wrong as why:
            wrong.append(f"{page}: {line}: {why}")

    assert wrong == []


@pytest.mark.usefixtures("folder")
def test_every_command_of_the_stack_s_outputs_is_taken_by_its_program() -> None:
    said = [str(each) for each in deploy().outputs.values()]
    commands = [each for each in said if each.startswith(("aws ", "ninjaone-connect "))]

    assert len(commands) == 5
    for command in commands:
        judge(command, is_whole=True)


def test_every_excuse_is_needed() -> None:
    used = {excuse(path, rest) for _, line, _ in typed() for path, *rest in words(line) if path not in JUDGED}

    assert EXCUSED.keys() - used == set()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("make no-such-target", "no target no-such-target"),
        ("make deploy GRADUALLY=yes", "no variable GRADUALLY"),
        ("make deploy && make nothing", "no target nothing"),
        ("AWS_DEFAULT_REGION=eu-west-1 make nothing", "no target nothing"),
        ("ninjaone-connect doctor --soon", "No such option"),
        ("ninjaone-connect connections vanish", "No such command"),
        ("ninjaone-connect session open", "Missing argument"),
        ("ninjaone-connect --stack $S restore begin --at yesterday", "--at"),
        ("aws dynamo delete-table --table-name T", "no service dynamo"),
        ("aws dynamodb drop-table --table-name T", "no operation drop-table"),
        ("aws dynamodb delete-table --name T", "requires table-name"),
        ("aws dynamodb delete-table --table-name T --force", "no option force"),
        ("aws s3 rm s3://BUCKET --force", "no option force"),
        ("pip install ./no-such-folder", "no package"),
        ("wget https://example.com", "nothing runs or excuses"),
    ],
)
def test_a_command_that_would_be_refused_is_seen(line: str, why: str) -> None:
    with pytest.raises(Wrong, match=re.escape(why)):
        judge(line, is_whole=True)


def test_commands_are_taken_whole_out_of_a_page() -> None:
    page = (
        "Say `make run`, not `make` or `maker x`.\n```console\n$ aws x y \\\n    --z 1   # why\n"
        '$ a --json \'{"b": 1,\n  "c": 2}\'\nanswer\n```\n'
    )

    first, second = of_blocks(page)

    assert list(words(first)) == [["aws", "x", "y", "--z", "1"]]
    assert list(words(second)) == [["a", "--json", '{"b": 1,"c": 2}']]
    assert list(of_sentences(page, ("make",))) == ["make run"]
    assert list(words("A=1 b c && d | e")) == [["b", "c"], ["d"], ["e"]]
