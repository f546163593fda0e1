"""Ports for servers that a test starts in a process of their own, and that it has to name beforehand."""

import os
import socket
from contextlib import ExitStack

_EACH = 1_000


def free_ports(count: int = 1) -> int:
    """Return the first of ``count`` free ports in a row.

    They lie below those that the system hands out, and each pytest worker has its own thousand, so nobody else is
    given one of them before the server has it.
    """
    ours = 20_000 + _EACH * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for first in range(ours, ours + _EACH - count, count):
        with ExitStack() as taken:
            try:
                for port in range(first, first + count):
                    taken.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise RuntimeError(f"none of the {_EACH} ports from {ours} on are free")
