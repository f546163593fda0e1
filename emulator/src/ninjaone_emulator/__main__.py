"""Run NinjaOne alone: ninjaone-emulator --port N."""

import argparse
import os
import signal
import time
from threading import Event

from ninjaone_emulator import NinjaOne, seed
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.wsgi_server import serve


def main() -> None:
    """Serve on loopback until interrupted; the first line says where."""
    options = argparse.ArgumentParser(prog="ninjaone-emulator", description=__doc__)
    options.add_argument(
        "--port", type=int, default=8002, help="port on 127.0.0.1; 0 takes a free one (default %(default)s)"
    )
    options.add_argument(
        "--redirect-base",
        default="http://127.0.0.1:8000",
        help="where the broker listens; its redirect URIs are BASE/callback/REGION (default %(default)s)",
    )
    chosen = options.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored by what it starts with &
    core = NinjaOne(time.time, os.urandom)
    seed(core, chosen.redirect_base)
    with serve(create_app(core), chosen.port) as server:
        print(f"ninjaone {server.url}", flush=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
