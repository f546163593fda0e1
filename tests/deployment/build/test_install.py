"""Installing: what `make run` installs is all that running needs, and a failure shows what pip said."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.locks import ROOT, pins

LOADED = """
import json, sys
import local.__main__, local.tour, ninjaone_connect_cli, ninjaone_emulator.http_app
from moto.moto_server import werkzeug_app
from moto import backends
for service in ("dynamodb", "events", "kms", "s3", "scheduler", "secretsmanager", "sqs", "ssm"):
    backends.get_backend(service)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
def test_running_imports_only_what_is_installed_for_running() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, of = json.loads(done.stdout), packages_distributions()

    needed = {name.lower().replace("_", "-") for module in loaded for name in of.get(module, [])[:1]}

    assert {"flask", "moto", "click"} <= needed
    assert needed - {name for name, _ in pins(ROOT / "requirements/run.txt")} <= {"setuptools", "pip"}


def test_a_failed_install_shows_what_pip_said(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, "tools/install.py", "Installing", "--no-index", str(wanted)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "Installing: pip failed" in done.stdout
    assert "no-such-package" in done.stderr
