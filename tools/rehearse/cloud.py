"""MiniStack as a process: the AWS of the rehearsal, on loopback, behind TLS, with roles enforced."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from tools.rehearse.authority import Authority
from tools.rehearse.environment import REGION, Environment, interpreter

ADJUSTED = Path(__file__).with_name("adjustments.py")
ROOT_KEY, ROOT_SECRET = "rehearsal-root", "rehearsal-secret"
"""Whoever deploys; MiniStack takes the configured key for the account's root."""
LOG = "ministack.log"
"""What MiniStack itself wrote, in the folder of the rehearsal; functions write into their log group."""
STARTS_WITHIN, ENDS_WITHIN = 60, 15


@contextmanager
def running(environment: Environment, authority: Authority) -> Iterator[None]:
    """Run MiniStack until the `with` block ends. Raises RuntimeError when it does not start."""
    told = environment.folder / LOG
    with told.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [interpreter(), ADJUSTED], env=_environment(environment, authority), stdout=log, stderr=subprocess.STDOUT,
            cwd=environment.folder, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(environment, process, told)
            yield
        finally:
            _end(process)
            shutil.rmtree(environment.folder / "tmp", ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let MiniStack end by itself, then kill what is left of its process group: functions must not outlive it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(environment: Environment, authority: Authority) -> dict[str, str]:
    """Return where it listens and what it shows; functions inherit what they need to reach it and NinjaOne."""
    scratch = environment.folder / "tmp"
    scratch.mkdir(exist_ok=True)
    clients = environment.clients(ROOT_KEY, ROOT_SECRET)
    del clients["PYTHONPATH"]
    return clients | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(environment.cloud),
        "IOT_MTLS_ENABLED": "0",  # else it listens on every address
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_REGION": REGION,
        "MINISTACK_SSL_CERT": str(authority.certificate),
        "MINISTACK_SSL_KEY": str(authority.key),
        "S3_DATA_DIR": str(scratch / "s3"),
        "TMPDIR": str(scratch),
        "USE_SSL": "1",
    }


def _wait(environment: Environment, process: subprocess.Popen[bytes], told: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            httpx.get(f"{environment.endpoint}/_ministack/health", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"MiniStack did not start:\n{told.read_text(encoding='utf-8')[-2000:]}")


def memory_of_functions(environment: Environment) -> dict[str, int]:
    """Return how much memory the processes of each function that runs have ever had, in megabytes; by its name."""
    most: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is somebody else's, or has ended
            told = dict(
                each.split("=", 1)
                for each in (process / "environ").read_text(errors="replace").split("\0")
                if "=" in each
            )
            if told.get("AWS_ENDPOINT_URL") == environment.endpoint and (name := told.get("AWS_LAMBDA_FUNCTION_NAME")):
                most[name] = max(most.get(name, 0), _highest(process))
    return most


def _highest(process: Path) -> int:
    """Read the most memory that a process ever had. See proc(5), VmHWM."""
    (line,) = (line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


class Account:
    """Clients of its services, as root."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._session = boto3.Session(ROOT_KEY, ROOT_SECRET, region_name=REGION)
        self.client = cache(self._client)

    def _client(self, service: str, region: str = REGION) -> Any:
        retried = Config(retries={"mode": "standard"}, s3={"addressing_style": "path"})
        return self._session.client(  # type: ignore[call-overload]  # any service
            service,
            region,
            endpoint_url=self._environment.endpoint,
            verify=str(self._environment.roots),
            config=retried,
        )
