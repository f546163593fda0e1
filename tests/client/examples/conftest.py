"""The examples as programs of their own, beside a world whose operator lists their return address."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.world import World
from tests.support.local_world import still_world
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
COMMANDS = {
    "fastapi": [sys.executable, str(EXAMPLES / "sites/fastapi_site.py")],
    "flask": [sys.executable, str(EXAMPLES / "sites/flask_site.py")],
    "django": [sys.executable, str(EXAMPLES / "sites/django_site.py")],
    "node": ["node", str(EXAMPLES / "node/product.mjs")],
    "express": [str(ROOT / ".venv-node/bin/node"), str(EXAMPLES / "express/site.js")],
}


@dataclass
class Shop:
    """A product and the world it runs against."""

    world: World
    url: str


def environment(world: World, **more: str) -> dict[str, str]:
    """What an example is told, and nothing of this process."""
    keys = world.credentials
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "clients/python/src"),
        "BACKEND_API_URL": world.api_url,
        "RETURN_TO": "example",
        "SECRET": "a secret for the tests alone",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    } | more


@pytest.fixture
def serve() -> Iterator[Callable[[str], Shop]]:
    """Start a product by the name of its framework."""
    with ExitStack() as opened:

        def start(name: str) -> Shop:
            port = free_ports()
            listed = {"ReturnUrls": f"example=http://127.0.0.1:{port}/ninjaone/return"}
            world = opened.enter_context(still_world(parameters=listed))
            program = subprocess.Popen(
                COMMANDS[name], env=environment(world, EXAMPLE_PORT=str(port)), stderr=subprocess.DEVNULL
            )
            opened.callback(end, program)
            shop = Shop(world, f"http://127.0.0.1:{port}")
            wait(shop.url, program)
            return shop

        yield start


def end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    program.wait()


def wait(url: str, program: subprocess.Popen[bytes]) -> None:
    """Wait until it answers."""
    for _ in range(600):
        assert program.poll() is None, "the example ended at once"
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the example does not listen")
