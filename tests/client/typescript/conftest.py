"""Node, and the TypeScript client compiled once with its tests."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CLIENT = ROOT / "clients/typescript"
NODE = ROOT / ".venv-node/bin"

Run = Callable[..., str]


def run(*command: str, text: str = "", folder: Path = CLIENT, more: Mapping[str, str] | None = None) -> str:
    """Run a command with the project's Node and give its standard output; a failure shows both streams."""
    environment = {**os.environ, "PATH": f"{NODE}:{os.environ['PATH']}", **(more or {})}
    done = subprocess.run(
        command, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the client and its tests; gives the folder with ``src`` and ``test``."""
    folder = tmp_path_factory.mktemp("typescript")
    run("node", "node_modules/typescript/bin/tsc", "--project", "tsconfig.test.json", "--outDir", str(folder))
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(CLIENT / "node_modules")
    return folder
