"""The command line as a package: one wheel that brings the broker's modules along."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.cli import ROOT, bare_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(target)]
    subprocess.run([*command, str(ROOT / "cli")], check=True, capture_output=True)
    (made,) = target.glob("*.whl")
    return made


def test_the_wheel_holds_what_the_command_imports(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {
        "broker",
        "ninjaone_connect",
        "ninjaone_connect_cli",
    }
    assert "broker/adapters/seal.py" in names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_installed_command_runs_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    """Its libraries are this environment's; its own modules come out of the wheel alone."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import broker, ninjaone_connect_cli.app as app; print(broker.__file__); app.main()"

    ended = subprocess.run(
        [sys.executable, "-c", code, "--help"], cwd=tmp_path, env=bare_environment() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    first, *rest = ended.stdout.splitlines()
    assert first.startswith(str(tmp_path))
    assert rest[0].startswith("Usage: ninjaone-connect ")
