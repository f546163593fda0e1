"""Lead names to this machine, and trust the authority of the occasion, in one process and its children.

Python imports this file at its start because its folder is on PYTHONPATH. No hosts file is written and no root is
needed: NinjaOne's hosts have one address of loopback, and what connects to it, on port 443, reaches the emulator.

REHEARSE_NINJAONE    port of the emulator on 127.0.0.1
REHEARSE_AUTHORITY   PEM file of the authority
"""

import os
import socket
import ssl
from typing import Any

NINJAONE = (".ninjarmm.com", ".rmmservice.com", ".rmmservice.eu", ".rmmservice.ca")
HERE = ".localhost"

ADDRESS = "127.0.0.2"
"""Of NinjaOne's hosts; nobody listens there."""

_resolve, _connect, _context = socket.getaddrinfo, socket.create_connection, ssl.create_default_context


def _getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name.endswith(NINJAONE):
        return _resolve(ADDRESS, port, *more, **named)
    return _resolve("127.0.0.1" if name.endswith(HERE) else host, port, *more, **named)


def _create_connection(address: Any, *more: Any, **named: Any) -> socket.socket:
    if address[0] == ADDRESS or str(address[0]).endswith(NINJAONE):
        address = ("127.0.0.1", int(os.environ["REHEARSE_NINJAONE"]))
    return _connect(address, *more, **named)


def _create_default_context(*given: Any, **named: Any) -> ssl.SSLContext:
    made = _context(*given, **named)
    made.load_verify_locations(os.environ["REHEARSE_AUTHORITY"])
    return made


if "REHEARSE_AUTHORITY" in os.environ:
    socket.getaddrinfo, socket.create_connection = _getaddrinfo, _create_connection
    ssl.create_default_context = _create_default_context
