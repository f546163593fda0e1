"""Lambda's side of a function: its folders, its Runtime API on loopback, its clock and its end.

Source   AWS Lambda developer guide, "Using the Lambda runtime API"; the client is AWS's own, awslambdaric
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue as Line
from threading import Thread
from typing import Any, Self
from uuid import uuid4

from local.cloudformation.resources import Function

ROOT = Path(__file__).parents[3]
BUILT = ROOT / ".aws-sam/build"
RUNTIME = ROOT / ".venv-runtime"
VERSION = "2018-06-01"
LOOPBACK_ONLY = '''\
"""Nothing but this machine can be reached, whatever the machine's own network allows."""

import socket

_look_up = socket.getaddrinfo


def _only_here(host, *more, **named):
    if host not in ("127.0.0.1", "localhost", None):
        raise socket.gaierror(socket.EAI_NONAME, "no network here")
    return _look_up(host, *more, **named)


socket.getaddrinfo = _only_here
'''


@dataclass(frozen=True)
class Folders:
    """What a function finds: its code, the layers, and a door that leads nowhere but to this machine."""

    root: Path

    def task(self, function: Function) -> Path:
        """Where the function's code lies: /var/task."""
        return self.root / function.folder / "var/task"

    @property
    def opt(self) -> Path:
        """Where the layers lie: /opt."""
        return self.root / "opt"

    @property
    def guard(self) -> Path:
        """Where Python looks first at its start."""
        return self.root / "guard"


def lay_out(root: Path, functions: Mapping[str, Function]) -> Folders:
    """Put what `sam build` made where Lambda puts it; the libraries are the same ones, for this machine's processor."""
    folders = Folders(root)
    shutil.copytree(BUILT / "BrokerLayer/python", folders.opt / "python")
    shutil.copytree(RUNTIME / "opt/python", folders.opt / "python", dirs_exist_ok=True)
    folders.guard.mkdir()
    (folders.guard / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    for function in functions.values():
        shutil.copytree(BUILT / function.logical_id, folders.task(function))
    return folders


@dataclass(frozen=True)
class Answer:
    """How an invocation ended.

    error   what the runtime client reported, or that the platform ended it
    """

    payload: Any = None
    error: Mapping[str, Any] | None = None


@dataclass
class _Invocation:
    id: str
    event: bytes
    deadline: float
    ended: Line[Answer] = field(default_factory=Line)


class Environment:
    """One execution environment: a process under awslambdaric, and the Runtime API it asks for work."""

    def __init__(self, function: Function, folders: Folders, variables: Mapping[str, str]) -> None:
        self._function, self._folders, self._variables = function, folders, variables
        self._waiting: Line[_Invocation] = Line()
        self._running: dict[str, _Invocation] = {}
        self.failed_start: Line[Mapping[str, Any]] = Line()
        self.output = ""

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"environment": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self._process = subprocess.Popen(
            [RUNTIME / "bin/python", "-m", "awslambdaric", self._function.handler],
            cwd=self._folders.task(self._function), env=self._environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self.output += self._process.communicate()[0]
        self._server.shutdown()
        self._server.server_close()

    def invoke(self, event: Any) -> Answer:
        """Let the function work one event, for as long as the template allows and no longer."""
        deadline = time.time() + self._function.timeout
        invocation = _Invocation(str(uuid4()), json.dumps(event).encode(), deadline)
        self._running[invocation.id] = invocation
        self._waiting.put(invocation)
        try:
            return invocation.ended.get(timeout=self._function.timeout)
        except Exception:  # noqa: BLE001  # queue.Empty: the time is up, and Lambda ends the process
            self._process.kill()
            return Answer(error={"errorType": "Sandbox.Timedout"})

    @property
    def highest_memory(self) -> int:
        """The most memory the process ever had, in megabytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) // 1024

    def _environment(self) -> dict[str, str]:
        function, opt = self._function, self._folders.opt / "python"
        return {
            **self._variables,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7LOCAL",
            "AWS_SECRET_ACCESS_KEY": "not a secret",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "LAMBDA_TASK_ROOT": str(self._folders.task(function)),
            "PATH": os.defpath,
            "PYTHONPATH": f"{self._folders.guard}:{opt}",
            "TZ": ":UTC",
            "_HANDLER": function.handler,
        }

    # What the Runtime API is asked ----------------------------------------------------------------------------------

    def next(self) -> tuple[dict[str, str], bytes]:
        """Give the next event, when there is one."""
        invocation = self._waiting.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._function.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "Content-Type": "application/json",
        }
        return headers, invocation.event

    def told(self, path: str, body: bytes) -> None:
        """Hear what came of an invocation, or of the start."""
        said: Any = json.loads(body) if body else None
        if path == "init/error":
            self.failed_start.put(said)
            return
        _, request_id, kind = path.split("/")
        answer = Answer(payload=said) if kind == "response" else Answer(error=said)
        self._running.pop(request_id).ended.put(answer)


class _Handler(BaseHTTPRequestHandler):
    environment: Environment
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        headers, body = self.environment.next()
        self._answer(200, headers, body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.environment.told(self.path.removeprefix(f"/{VERSION}/runtime/"), body)
        self._answer(202, {}, b"")

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads a line for each request."""
