"""Whether the four ports of `make run` are free: `python local/ports.py` reads PORT and asks.

Of the standard library alone, so that make can ask before it installs anything.
"""

import os
import socket
import sys
from errno import EADDRINUSE, errorcode

LOOPBACK = "127.0.0.1"
FIRST, COUNT = 8000, 4
HIGHEST = 65_535 - COUNT


def sentence(port: int, error: OSError) -> str:
    """Return why a port cannot be opened, and what to do about it."""
    what = "is in use" if error.errno == EADDRINUSE else f"cannot be opened ({errorcode.get(error.errno or 0)})"
    return f"port {port} on {LOOPBACK} {what}; PORT=n moves all four"


def main() -> int:
    """Exit 0 only if all four can be opened."""
    said = os.environ.get("PORT") or str(FIRST)
    if not (said.isascii() and said.isdigit() and 0 < int(said) <= HIGHEST):
        print(f"local: PORT is {said!r}, and must be a number from 1 to {HIGHEST}", file=sys.stderr)
        return 1
    for port in range(int(said), int(said) + COUNT):
        try:
            socket.create_server((LOOPBACK, port)).close()
        except OSError as error:
            print(f"local: {sentence(port, error)}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
