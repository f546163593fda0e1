"""How much work a cold start is, per function, on what ``make build`` made.

The functions and the broker's layer are the built ones. The layer of libraries is built again for this machine's
processor from the same lock by the same Makefile, and boto3 stands in for the one that the runtime brings.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.bench.instructions import Uncountable, count
from tests.benchmarks.bench.lines import Line
from tests.verification.simulation.world import environment

ROOT = Path(__file__).parents[3]
BUILT = ROOT / ".aws-sam/build"
WAITED_FOR = ("session", "connect", "authorize", "callback", "complete", "token", "proxy", "connections", "disconnect")
BEHIND = ("sweep", "refresh", "notify")
NEEDED = {
    "connect": "dynamodb",
    "connections": "dynamodb",
    "authorize": "dynamodb kms httpx",
    "callback": "dynamodb kms sqs",
    "token": "dynamodb kms sqs",
    "proxy": "dynamodb kms sqs httpx",
}
"""What a function can't do without: AWS clients, and the HTTP client."""

BARE = """
import boto3
session = boto3.Session()
for service in {services!r}:
    session.client(service)
"""
USUAL = """
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
import boto3, httpx
Logger(service="x"), Tracer(service="x"), Metrics(namespace="x", service="x"), APIGatewayHttpResolver()
boto3.resource("dynamodb").Table("t"), boto3.client("kms"), boto3.client("secretsmanager"), httpx.Client()
"""


class Starts:
    """Programs whose instructions are counted, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = interpreter()
        self._opt, self._boto, self._usual = folder / "opt", folder / "boto", folder / "usual"
        _libraries(self._opt, self._python)
        _installed(self._boto, BOTO)
        self._compile(self._boto)
        _dated_1980(self._opt, BUILT / "BrokerLayer")
        shutil.copytree(self._opt / "python", self._usual, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(self._boto, self._usual, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        _installed(self._usual, ("aws-xray-sdk", "wrapt"))

    def function(self, name: str) -> float:
        """Count what a function's start takes, as it is packaged."""
        built = BUILT / f"{name.capitalize()}Function"
        return self._count(built / "app.py", self._opt / "python", BUILT / "BrokerLayer/python", self._boto)

    def fresh(self, name: str) -> float:
        """Count the same, all of it compiled a moment ago."""
        copy = self._folder / "fresh"
        if not copy.exists():
            for part in (self._opt / "python", BUILT / "BrokerLayer/python"):
                shutil.copytree(part, copy, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            self._compile(copy)
        return self._count(BUILT / f"{name.capitalize()}Function/app.py", copy, self._boto)

    def bare(self, needs: str) -> float:
        """Count what boto3 with exactly these clients takes, and httpx where it is named."""
        services = [each for each in needs.split() if each != "httpx"]
        program = self._folder / f"bare_{needs.replace(' ', '_')}.py"
        program.write_text(
            BARE.format(services=services) + ("import httpx\nhttpx.Client()\n" if "httpx" in needs else "")
        )
        return self._count(program, self._opt / "python", self._boto)

    def usual(self) -> float:
        """Count what the usual stack takes as ``sam build`` ships it: without bytecode."""
        program = self._folder / "stack.py"
        program.write_text(USUAL)
        return self._count(program, self._usual)

    def _count(self, program: Path, *path: Path) -> float:
        found = {"PYTHONPATH": os.pathsep.join(map(str, path)), "PATH": os.environ["PATH"]}
        return count(self._python, program, {**LAMBDA, **found})

    def _compile(self, folder: Path) -> None:
        plain = {name: held for name, held in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([self._python, "-m", "compileall", "-q", folder], env=plain, check=True)


BOTO = ("boto3", "botocore", "jmespath", "s3transfer", "python-dateutil", "six", "urllib3")
LAMBDA: Mapping[str, str] = {
    **environment(CLIENT_IDS="eu=" + "c" * 27),
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_LEVEL": "INFO",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
}


def interpreter() -> Path:
    """Find CPython 3.13, the runtime's version. Raises Uncountable."""
    found = subprocess.run(
        [ROOT / "requirements/interpreter", "3.13", "3.13"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise Uncountable("cold starts are measured on CPython 3.13, which is not on this machine")
    return Path(found.stdout.strip())


def _libraries(into: Path, python: Path) -> None:
    """Build the layer of libraries for this processor, by its own Makefile."""
    given = {name: held for name, held in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    given |= {"ARTIFACTS_DIR": str(into), "PYTHON": sys.executable, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    target = ["build-LibrariesLayer", f"PROCESSOR={platform.machine()}"]
    subprocess.run(
        ["make", "--silent", *target], cwd=ROOT / "layers/libraries", env=given, check=True, capture_output=True
    )


def _installed(into: Path, names: tuple[str, ...]) -> None:
    """Install some of what is locked, without bytecode."""
    locked = (ROOT / "requirements/run.txt").read_text() + (ROOT / "requirements/dev.txt").read_text()
    blocks = re.findall(r"^[a-z0-9-]+==(?:.*\\\n)*.*$", locked, re.MULTILINE)
    wanted = {
        block.split("==")[0]: block.split(" ;")[0] if " ;" in block.splitlines()[0] else block for block in blocks
    }
    pins = [re.split(r"[ \\]", wanted[name])[0] for name in names]
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        "3.13",
    ]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", into, *pins], check=True, capture_output=True
    )


def _dated_1980(*folders: Path) -> None:
    """Date every file as SAM's packager does."""
    for path in (path for folder in folders for path in folder.rglob("*")):
        os.utime(path, (315_619_200, 315_619_200))


def lines(folder: Path) -> list[Line]:
    """Measure all."""
    try:
        starts = Starts(folder)
        with ThreadPoolExecutor(2) as pool:
            usual = pool.submit(starts.usual)
            functions = {name: pool.submit(starts.function, name) for name in (*WAITED_FOR, *BEHIND)}
            bare = {needs: pool.submit(starts.bare, needs) for needs in dict.fromkeys(NEEDED.values())}
            fresh = pool.submit(starts.fresh, "token")
        took = {name: each.result() for name, each in functions.items()}
        whole, made = usual.result(), {needs: each.result() for needs, each in bare.items()}
    except Uncountable as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return [Line("init instructions", None, 1.25)]
    for name, each in sorted(took.items(), key=lambda pair: pair[1]):
        print(f"  init of {name:<12} {each / 1e6:6.0f} M instructions")
    print(f"  the usual stack      {whole / 1e6:6.0f} M instructions")
    return [
        *(
            Line(f"init of {name} ÷ its clients, bare", took[name] / made[needs], 1.25)
            for name, needs in NEEDED.items()
        ),
        Line(
            "init, the largest somebody waits for ÷ usual stack", max(took[name] for name in WAITED_FOR) / whole, 0.25
        ),
        Line("init, the largest nobody waits for ÷ usual stack", max(took[name] for name in BEHIND) / whole, 0.32),
        Line("init of token, packaged ÷ freshly compiled", took["token"] / fresh.result(), 1.03),
    ]
