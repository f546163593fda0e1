"""The requirement files: what is installed is what was locked, wherever it comes from."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.locks import pins
from tools.requirements import req

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers/libraries/requirements.txt"
LOCKS = [LAYER, *sorted((ROOT / "requirements").glob("*.txt"))]
INPUTS = [lock.with_suffix(".in") for lock in LOCKS]
HASH = re.compile(r"^[0-9a-f]{64}$")


@req("N02")
@pytest.mark.parametrize("written", [*LOCKS, *INPUTS], ids=lambda written: written.name)
def test_no_requirement_file_says_where_packages_come_from(written: Path) -> None:
    text = written.read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_the_tests_run_on_the_libraries_that_the_layer_ships() -> None:
    run = pins(ROOT / "requirements/run.txt")

    assert pins(LAYER) - run == set()


def test_no_committed_file_names_a_package_registry_or_this_machine() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "registry" + ".npmjs", "deb" + ".debian"]
    paths = [f"(^|[\\s\"'=]){folder}/" for folder in ("/root", "/home", "/work", str(ROOT))]
    pattern = "|".join([*hosts, *paths])

    command = ["git", "grep", "--untracked", "-nIE", pattern]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode == 1, f"git grep found or failed:\n{found.stdout}{found.stderr}"
