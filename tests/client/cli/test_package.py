"""The command line as a package: its own wheel, that of the broker's modules and that of the client."""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ninjaone_connect_cli import __version__
from tests.support.cli import ROOT, bare_environment

PACKAGES = ("layers/broker", "clients/python", "cli")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    target = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(target)]
    subprocess.run([*command, *(str(ROOT / package) for package in PACKAGES)], check=True, capture_output=True)
    return sorted(target.glob("*.whl"))


@pytest.mark.slow
def test_no_two_wheels_hold_the_same_file(wheels: list[Path]) -> None:
    names = Counter(name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist())

    assert len(wheels) == len(PACKAGES)
    assert [name for name, times in names.items() if times > 1] == []
    assert names.keys() >= {
        "broker/adapters/seal.py", "broker/edge/templates/connect.html", "ninjaone_connect/auth.py",
        "ninjaone_connect_cli/app.py",
    }  # fmt: skip
    assert not [name for name in names if name.endswith(".pyc")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "answer"),
    [("--help", "Usage: ninjaone-connect "), ("--version", f"ninjaone-connect, version {__version__}")],
)
def test_the_installed_command_runs_from_anywhere(
    wheels: list[Path], tmp_path: Path, argument: str, answer: str
) -> None:
    """Its libraries are this environment's; the project's modules come out of the wheels alone."""
    for wheel in wheels:
        zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import broker, ninjaone_connect_cli.app as app; print(broker.__file__); app.main()"

    ended = subprocess.run(
        [sys.executable, "-c", code, argument], cwd=tmp_path, env=bare_environment() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    first, *rest = ended.stdout.splitlines()
    assert first.startswith(str(tmp_path))
    assert rest[0].startswith(answer)


def test_the_command_of_a_clone_says_its_version() -> None:
    """Nothing is installed there, so no metadata of a distribution can be read."""
    ended = subprocess.run(
        [sys.executable, "-m", "ninjaone_connect_cli", "--version"], env=bare_environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (0, f"ninjaone-connect, version {__version__}\n"), ended.stderr


def test_the_command_asks_for_exactly_its_own_release() -> None:
    asked = tomllib.loads((ROOT / "cli/pyproject.toml").read_text())["project"]["dependencies"]
    ours = [each for each in asked if each.startswith("ninjaone-connect")]

    assert sorted(ours) == [f"ninjaone-connect-broker=={__version__}", f"ninjaone-connect=={__version__}"]


def test_the_documented_installation_names_every_package() -> None:
    """All in one command: pip would look for a package that it was not given in an index, where it is not ours."""
    (line,) = re.findall(r"^\$ pip install (.*?)\s+#", (ROOT / "docs/operate/deploy.md").read_text(), re.MULTILINE)

    assert line.split() == [f"./{package}" for package in PACKAGES]


def test_the_command_needs_nothing_that_its_packages_do_not_name() -> None:
    code = (
        "import sys; before = {*sys.modules}; import ninjaone_connect_cli.app; "
        "from importlib.metadata import packages_distributions as d; found = d(); "
        "print(*{n for m in {m.partition('.')[0] for m in {*sys.modules} - before} for n in found.get(m, ())})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=bare_environment(), capture_output=True, text=True, check=True
    )

    assert {_plain(name) for name in ended.stdout.split()} <= _needed(*map(_named, PACKAGES))


def _named(package: str) -> list[str]:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [_plain(each) for each in project["dependencies"]]


def _needed(*named: list[str]) -> set[str]:
    """Give what a fresh environment would hold: the named distributions, and what these need in turn."""
    found, left = set[str](), [name for names in named for name in names if not name.startswith("ninjaone-connect")]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [_plain(each) for each in requires(name) or () if _applies(Requirement(each))]
    return found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _plain(requirement: str) -> str:
    """Give a requirement's name alone, as package indexes compare names."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()
