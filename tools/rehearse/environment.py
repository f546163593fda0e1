"""Where a rehearsal runs: its folder, its ports, and the environment of the processes that it starts."""

import fcntl
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = Path(__file__).parent / "names"
REGION = "eu-west-1"
STACK = "rehearsal"


@dataclass(frozen=True)
class Environment:
    """One rehearsal's surroundings.

    Attributes:
        folder: its own: certificates, logs, the built stack
        cloud: port of MiniStack on 127.0.0.1
        ninjaone: port of the emulator on 127.0.0.1
    """

    folder: Path
    cloud: int
    ninjaone: int

    @property
    def roots(self) -> Path:
        """The authority's certificate."""
        return self.folder / "authority.pem"

    @property
    def endpoint(self) -> str:
        """Where AWS is."""
        return f"https://127.0.0.1:{self.cloud}"

    @cached_property
    def names(self) -> dict[str, str]:
        """What `names/sitecustomize.py` reads."""
        return {"REHEARSE_NINJAONE": str(self.ninjaone), "REHEARSE_AUTHORITY": str(self.roots)}

    def clients(self, access_key: str, secret_key: str) -> dict[str, str]:
        """Return the environment of a process that takes MiniStack for AWS."""
        return _inherited() | self.names | {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_CA_BUNDLE": str(self.roots),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONPATH": str(NAMES),
            "SAM_CLI_TELEMETRY": "0",
            "SSL_CERT_FILE": str(self.roots),
        }  # fmt: skip


def _inherited() -> dict[str, str]:
    """Leave out what would lead elsewhere: the caller's own AWS account, proxies, Python's settings."""
    foreign = ("AWS_", "PYTHON", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NINJAONE_CONNECT")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}


def prepare() -> Environment:
    """Make the folder and choose two free ports."""
    folder = ROOT / ".aws-sam" / "rehearse"
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return Environment(folder, first.getsockname()[1], second.getsockname()[1])


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Keep a rehearsal's folder to this run until the `with` block or the process ends.

    Raises:
        SystemExit: another rehearsal of this clone has it, and the two would write over each other's files
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another rehearsal runs in this clone: wait until it has ended, or use another clone.")
        yield


def interpreter() -> Path:
    """Give MiniStack's own interpreter, on which it runs the functions too. Made by the Makefile."""
    return ROOT / ".venv-rehearse" / "bin" / "python"


def interpreter_version() -> str:
    """Return the Python version that runs the functions, such as 3.13."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    ran = subprocess.run([interpreter(), "-c", asked], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def processor() -> str:
    """Name this machine's processor as wheels do."""
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
