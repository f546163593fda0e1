"""The Makefile, and the Python it finds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)
PROMISED = {"run", "tour", "test", "check", "build", "deploy", "clean"}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person would, outside any make that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_make_alone_lists_every_target() -> None:
    listed = [line.split()[0] for line in make().stdout.splitlines()]

    assert listed == TARGETS
    assert set(listed) >= PROMISED


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_knows_all_its_steps(target: str) -> None:
    planned = make("--dry-run", target)

    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.strip()


def test_no_target_is_mistaken_for_a_file() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)

    assert phony
    assert phony[1].split() == TARGETS


@pytest.mark.parametrize("module", re.findall(r"-m ((?:local|tests)[.\w]*)", MAKEFILE))
def test_a_module_that_make_runs_is_there(module: str) -> None:
    path = ROOT / module.replace(".", "/")

    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def host(folder: Path, name: str, script: str) -> None:
    """Put a command on the PATH that `find` uses."""
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def find(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Look for a Python where only the commands placed in the folder exist."""
    return subprocess.run(
        [ROOT / "requirements/interpreter", *arguments],
        env={"PATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


REAL = f'exec "{sys.executable}" "$@"'
OLD = f"""exec "{sys.executable}" -c 'import sys
sys.version_info = (3, 9, 18)
sys.argv = sys.argv[1:]
exec(sys.stdin.read())' "$@" """


def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    host(tmp_path, "python3", REAL)

    found = find(tmp_path)

    assert found.stdout.strip() == sys.executable


def test_an_old_python3_is_passed_over_for_a_newer_one_beside_it(tmp_path: Path) -> None:
    host(tmp_path, "python3", OLD)
    host(tmp_path, "python3.12", REAL)

    found = find(tmp_path)

    assert found.stdout.strip() == sys.executable


def test_a_name_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    host(tmp_path, "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    host(tmp_path, "python3.12", REAL)

    found = find(tmp_path)

    assert found.stdout.strip() == sys.executable


def test_only_an_old_python_is_refused_with_one_sentence(tmp_path: Path) -> None:
    host(tmp_path, "python3", OLD)

    found = find(tmp_path)

    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("Python 3.11 or newer was not found here")
    assert len(found.stderr.splitlines()) == 1


def test_a_newer_python_than_the_one_asked_for_is_not_taken(tmp_path: Path) -> None:
    host(tmp_path, "python3", REAL)

    found = find(tmp_path, "3.9", "3.10")

    assert found.returncode == 1
