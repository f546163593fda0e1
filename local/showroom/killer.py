"""Environments that can be killed at the worst moment: NinjaOne has answered, and nothing is saved yet.

A thread can't be killed from outside, but everything that an environment does goes through its ports. Once it is
killed, its ports do nothing any more, whatever its code still tries.
"""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

import httpx

from broker.edge.wiring import Ports


class Killed(BaseException):
    """The process ends here. It is not an `Exception`, so that the function's code can't handle it as an error."""


class Reaper:
    """Kills the next environment that gets an answer of NinjaOne's."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting = False

    @property
    def waiting(self) -> bool:
        """Return whether the next environment with an answer is to be killed."""
        return self._waiting

    def wait(self) -> None:
        """Kill the next environment that gets an answer."""
        self._waiting = True

    def strikes(self) -> bool:
        """Return, only once, whether this environment is to be killed."""
        with self._lock:
            was, self._waiting = self._waiting, False
        return was

    def ports(self, ports: Ports) -> Ports:
        """Return ports for an environment that stop working when it dies."""
        life = _Life()
        inner = ports.transport()
        return replace(
            ports,
            clock=_KillablePort(life, ports.clock),
            aws=lambda service: _KillablePort(life, ports.aws(service)),
            transport=lambda: lambda: _KillableTransport(life, inner(), self.strikes),
            write=_KillablePort(life, ports).write,
        )


class _Life:
    """What the threads of one environment share."""

    def __init__(self) -> None:
        self._over = False

    def end(self) -> None:
        """Raises Killed."""
        self._over = True
        raise Killed

    def check(self) -> None:
        """Raises Killed."""
        if self._over:
            raise Killed


class _KillablePort:
    """A port of the environment that stops working when the environment is killed."""

    def __init__(self, life: _Life, outside: Any) -> None:
        self._life, self._outside = life, outside

    def __getattr__(self, name: str) -> Any:
        self._life.check()
        return getattr(self._outside, name)

    def write(self, line: str) -> None:
        """Write a line, unless the process has been killed."""
        self._life.check()
        self._outside.write(line)


class _KillableTransport(httpx.BaseTransport):
    """A transport to NinjaOne; its environment may be killed once the whole answer has arrived."""

    def __init__(self, life: _Life, inner: httpx.BaseTransport, strikes: Callable[[], bool]) -> None:
        self._life, self._inner, self._strikes = life, inner, strikes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._life.check()
        response = self._inner.handle_request(request)
        if self._strikes():
            response.read()
            response.close()
            self._life.end()
        return response

    def close(self) -> None:
        self._inner.close()
