"""What `sam build` makes, once for all tests that look at it."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from local.cloudformation.template import Template
from tests.deployment.runtime.platform import BUILT, ROOT, Folders, lay_out

SOURCES = ("template.yaml", "stacks", "functions", "layers")


def is_built() -> bool:
    """Say whether what was built last is as new as its sources."""
    marker = BUILT / "template.yaml"
    files = [path for source in SOURCES for path in [ROOT / source, *(ROOT / source).rglob("*")] if path.is_file()]
    newest = max(path.stat().st_mtime for path in files if path.suffix != ".pyc")
    return marker.exists() and marker.stat().st_mtime > newest


@pytest.fixture(scope="session")
def built() -> Path:
    """Build as for a deployment, in one test process at a time."""
    with (ROOT / "Makefile").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [".venv-runtime/.locked", *([] if is_built() else ["build"])]
        subprocess.run(["make", "--silent", *wanted], cwd=ROOT, check=True, capture_output=True)
    return BUILT


@pytest.fixture(scope="session")
def folders(built: Path, template: Template, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Lay out what was built."""
    assert built.is_dir()
    return lay_out(tmp_path_factory.mktemp("lambda"), template.functions)
