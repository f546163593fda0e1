"""Run the whole product on this machine: python -m local [options]; `--help` names them."""

import argparse
import os
import signal
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import httpx

from local.cli_handle import FILE, cli_handle
from local.cloudformation.template import TemplateFault
from local.ports import FIRST, HIGHEST
from local.world import PARTS, World


def main() -> int:
    """Start, say where everything is once it answers, and run until interrupted."""
    over = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: over.set())
    try:
        _run(_options(), over)
    except (OSError, TemplateFault, httpx.HTTPError) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT") or FIRST,
        choices=range(1, HIGHEST + 1),
        metavar="N",
        help="the first of four ports on 127.0.0.1 (PORT in the environment, else 8000)",
    )
    parser.add_argument(
        "--provider",
        default="",
        metavar="URL",
        help="another authorization server, at /ws/oauth/… under this address, in place of every NinjaOne host",
    )
    parser.add_argument(
        "--file", type=Path, default=FILE, help="where to say how to reach all this, for `ninjaone-connect --local`"
    )
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="open no browser, also where there is a display"
    )
    parser.add_argument("--verbose", action="store_true", help="write the functions' log lines to standard error")
    return parser.parse_args()


def _run(options: argparse.Namespace, over: Event) -> None:
    write = _write if options.verbose else None
    with (
        World(port=options.port, provider=options.provider, write=write) as world,
        cli_handle(world, file=options.file) as other,
    ):
        for part in PARTS:
            _say(part, getattr(world, f"{part}_url"))
        if other:
            sentence = f"the world whose product is {other} runs in this clone already, and `--local` stays with it"
            print(f"local: {sentence}", file=sys.stderr, flush=True)
        print(f"ready: open {world.product_url}, and end everything with Ctrl-C", flush=True)
        if options.browser and sys.stdout.isatty() and has_display(sys.platform, os.environ):
            webbrowser.open(world.product_url)
        over.wait()


def has_display(platform: str, environment: Mapping[str, str]) -> bool:
    """Return whether a browser that is opened here can be seen by whoever runs this."""
    return platform in {"darwin", "win32"} or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _say(part: str, url: str) -> None:
    """Print an address, after it has answered."""
    try:
        httpx.get(url, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        raise ConnectionError(f"{part} does not answer at {url}") from error
    print(f"{part} {url}", flush=True)


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
