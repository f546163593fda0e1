"""The emulator as a package of its own: built, installed where nothing else is, and asked for a token."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest

from ninjaone_emulator.seed import CUSTOMER_APPS
from ninjaone_emulator.testing import EU

PACKAGE = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def needed(names: list[str]) -> set[str]:
    """Give these distributions with all that they need, as this environment has them."""
    found: set[str] = set()
    while names:
        name = re.split(r"[^A-Za-z0-9._-]", names.pop())[0].lower()
        if name not in found:
            found.add(name)
            names += [each for each in distribution(name).requires or [] if ";" not in each]
    return found


def link(name: str, folder: Path) -> None:
    """Put an installed distribution into another environment, without its neighbours."""
    installed = distribution(name)
    for top in {Path(str(each)).parts[0] for each in installed.files or []} - {".."}:
        if not (folder / top).exists():
            (folder / top).symlink_to(Path(str(installed.locate_file(top))))


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in a fresh environment that holds the wheel and what its metadata asks for."""
    place = tmp_path_factory.mktemp("emulator")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", place, PACKAGE], check=True)
    [wheel] = place.glob("*.whl")
    venv.create(place / "env", with_pip=False)
    python = place / "env/bin/python"
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    [libraries] = (place / "env/lib").glob("python*/site-packages")
    [metadata] = libraries.glob("ninjaone_emulator-*.dist-info/METADATA")
    for name in needed(re.findall(r"^Requires-Dist: (.+)$", metadata.read_text(), re.MULTILINE)):
        link(name, libraries)
    return place / "env/bin/ninjaone-emulator"


@pytest.fixture
def address(command: Path, tmp_path: Path) -> Iterator[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(
        [command, "--port", "0"], cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        yield running.stdout.readline().removeprefix("ninjaone ").strip()
        running.terminate()


@pytest.mark.slow
def test_the_installed_command_gives_a_token_and_shows_its_pages(address: str) -> None:
    client_id, client_secret = CUSTOMER_APPS["eu"]
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}

    answer = httpx.post(f"{address}/{EU}/ws/oauth/token", data=form, trust_env=False)

    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    listed = httpx.get(f"{address}/{EU}/v2/organizations", headers=bearer, trust_env=False)
    assert len(listed.json()) == 3
    assert "nothing here is real" in httpx.get(f"{address}/control", trust_env=False).text


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("jq"), reason="the page's commands need curl and jq")
def test_the_commands_of_the_readme_list_the_organizations(address: str) -> None:
    page = (PACKAGE / "README.md").read_text()
    (block,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    typed = re.findall(r"^\$ ((?:export|H=|TOKEN=|curl) ?.*(?:\n    .*)*)", block, re.MULTILINE)
    script = "\n".join(typed).replace("http://127.0.0.1:8002", address)

    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert len(typed) == 4
    assert len(json.loads(done.stdout)) == 3
