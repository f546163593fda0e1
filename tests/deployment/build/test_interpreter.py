"""The Python that make finds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


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
