"""What `sam build` makes, once for all tests that look at it."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from tests.deployment.template.stack import ROOT

BUILT = ROOT / ".aws-sam/build"
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
        if not is_built():
            subprocess.run(["make", "--silent", "build"], cwd=ROOT, check=True, capture_output=True)
    return BUILT
