"""The rules that a machine keeps: each is shown to bite."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.requirements import req

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
BROKER = "layers/broker/python/broker"

DOORS = """\
import os
import secrets
import time
from datetime import UTC, datetime

import boto3
import httpx

x = [time.time(), datetime.now(UTC), os.environ, secrets.token_bytes, boto3.client, httpx.Client]
"""
BANNED = {"time.time", "datetime.datetime.now", "os.environ", "secrets", "boto3", "httpx"}


def banned(path: str) -> set[str]:
    """What ruff refuses of `DOORS` when it stands in a file."""
    command = f"{BIN}/ruff check --select=TID251 --output-format=concise --stdin-filename={path} -".split()
    report = subprocess.run(command, cwd=ROOT, input=DOORS, capture_output=True, text=True, check=False).stdout
    return {line.split("`")[1] for line in report.splitlines() if "is banned" in line}


@req("A02")
@pytest.mark.parametrize("path", [f"{BROKER}/flows/vend.py", f"{BROKER}/model.py", "functions/token/app.py"])
def test_the_doors_are_closed_where_decisions_are_made(path: str) -> None:
    assert banned(path) == BANNED


@req("A02")
@pytest.mark.parametrize("name", ["edge/wiring.py", "adapters/clock.py", "adapters/http.py"])
def test_a_door_is_open_where_it_belongs(name: str) -> None:
    assert banned(f"{BROKER}/{name}") == set()


def floors(tree: Path) -> str:
    """What import-linter says about a tree."""
    command = [f"{BIN}/lint-imports", "--no-cache"]
    path = {"PYTHONPATH": f"{tree}/layers/broker/python:{tree}/emulator/src"}
    report = subprocess.run(command, cwd=tree, env=path, capture_output=True, text=True, check=False)
    return report.stdout + report.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The project's code, copied to a place where it may be broken."""
    for folder in ("functions", "layers/broker", "local", "emulator/src"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_floors_hold(tree: Path) -> None:
    assert f"Contracts: {len(SETTINGS['importlinter']['contracts'])} kept, 0 broken." in floors(tree)


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        (f"{BROKER}/oauth.py", "import broker.policy", "floors"),
        (f"{BROKER}/adapters/clock.py", "import broker.edge", "floors"),
        (f"{BROKER}/unplaced.py", "", "floors"),
        ("functions/token/app.py", "import broker.adapters.seal", "functions import only broker.edge"),
        ("functions/token/app.py", "import functions.refresh.app", "functions do not import one another"),
        ("local/iam.py", "import local.aws.roles", "floors of local"),
        ("local/unplaced.py", "", "floors of local"),
        ("local/product/backend.py", "import broker.oauth", "the demo product knows the broker by its API alone"),
        ("local/world.py", "import ninjaone_emulator.state", "local uses what the emulator makes public"),
        ("emulator/src/ninjaone_emulator/state.py", "import ninjaone_emulator.api", "floors of the emulator"),
        ("emulator/src/ninjaone_emulator/hosts.py", "import broker.model", "the emulator is a package of its own"),
    ],
)
def test_a_stairway_between_floors_is_refused(tree: Path, module: str, line: str, contract: str) -> None:
    with (tree / module).open("a") as source:
        source.write(f"\n{line}\n")

    report = floors(tree)

    assert f"{contract} BROKEN" in report


def test_every_function_is_kept_apart_from_the_others() -> None:
    contract = next(rule for rule in SETTINGS["importlinter"]["contracts"] if rule["type"] == "independence")
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}

    assert {name.removeprefix("functions.") for name in contract["modules"]} == folders
