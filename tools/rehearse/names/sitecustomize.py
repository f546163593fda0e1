"""Lead names to this machine, and trust the authority of the occasion, in one process and its children.

Python imports this file at its start because its folder is on PYTHONPATH. No hosts file is written and no root is
needed: what asks for NinjaOne's hosts, by their real names on port 443, reaches the emulator on loopback.

REHEARSE_NINJAONE    port of the emulator on 127.0.0.1
REHEARSE_AUTHORITY   PEM file of the authority
"""

import os
import socket
import ssl
from typing import Any

NINJAONE = (".ninjarmm.com", ".rmmservice.com", ".rmmservice.eu", ".rmmservice.ca")
HERE = ".localhost"

_resolve, _context = socket.getaddrinfo, ssl.create_default_context


def _getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name.endswith(NINJAONE):
        return _resolve("127.0.0.1", int(os.environ["REHEARSE_NINJAONE"]), *more, **named)
    return _resolve("127.0.0.1" if name.endswith(HERE) else host, port, *more, **named)


def _create_default_context(*given: Any, **named: Any) -> ssl.SSLContext:
    made = _context(*given, **named)
    made.load_verify_locations(os.environ["REHEARSE_AUTHORITY"])
    return made


if "REHEARSE_AUTHORITY" in os.environ:
    socket.getaddrinfo = _getaddrinfo
    ssl.create_default_context = _create_default_context
