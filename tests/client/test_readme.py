"""The client's README: its Python runs, in order, against the whole world; the errors it names exist."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ninjaone_connect import Connect, errors
from tests.support.local_world import still_world
from tests.support.person import agree

CLIENT = Path(__file__).parents[2] / "clients" / "python"
README = (CLIENT / "README.md").read_text()


@pytest.mark.slow
def test_every_snippet_of_the_readme_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first call is a process of its own in an empty folder, told where the broker is as the README says."""
    use, listing, through, opening, completing, failing = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with still_world() as world:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", world.credentials.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", world.credentials.secret_key)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        names: dict[str, Any] = {"connect": Connect(world.api_url), "session": {}}
        exec(opening, names)
        names["query"] = agree(names["opened"].connect_url)
        exec(completing, names)
        with names["connect"]:
            exec(failing, names)
        script = (
            f". {CLIENT}/../../examples/local.env; BACKEND_API_URL={world.api_url}; {shlex.quote(sys.executable)} -"
        )
        called = subprocess.run(
            ["sh", "-c", script], input=use, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        monkeypatch.setenv("BACKEND_API_URL", world.api_url)
        exec(use, names)
        exec(listing, names)
        exec(through, names)

    assert (len(names["devices"]), len(names["organizations"])) == (9, 3)
    assert "Hafen Nord" in capsys.readouterr().out
    assert called.stdout.count("'name'") == 3, called.stderr


def test_every_error_that_the_readme_names_exists() -> None:
    named = re.findall(r"^\| (`.+`) \|", README, re.MULTILINE)

    assert named
    for name in re.findall(r"`(\w+)`", " ".join(named)):
        assert issubclass(getattr(errors, name), errors.ConnectError)


def test_the_package_names_what_it_imports() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    sources = "".join(path.read_text() for path in (CLIENT / "src").rglob("*.py"))
    imported = set(re.findall(r"^(?:from|import) (\w+)", sources, re.MULTILINE)) & {
        "httpx",
        "botocore",
        "boto3",
        "anyio",
    }

    assert {re.split(r"\W", each)[0] for each in project["dependencies"]} == imported
    assert (CLIENT / project["readme"]).is_file()
