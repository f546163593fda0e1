"""Let `ninjaone-connect --local` reach a world: AWS over HTTP on a fifth port, and a file with all addresses."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.aws.http_endpoint import application
from local.cloudformation.arns import REGION
from local.world import ROOT, World
from ninjaone_emulator.wsgi_server import serve

FILE = ROOT / ".local.json"


@contextmanager
def cli_handle(world: World, port: int = 0, file: Path = FILE) -> Iterator[str]:
    """Let other processes of this machine reach the world, until the `with` block ends.

    Args:
        port: of AWS over HTTP; 0 takes a free one

    Returns:
        the product's address of another world that is running and keeps this file; empty if there is none
    """
    if other := _running(file):
        yield other
        return
    with serve(application(world.account, lambda: list(world.log_lines)), port) as aws:
        _write(file, _description(world, aws.url))
        try:
            yield ""
        finally:
            _remove(file, aws.url)


def _running(file: Path) -> str:
    """Return the product's address of the world that wrote this file, if AWS still answers where it says."""
    written = _read(file)
    try:
        httpx.get(f"{written['aws']}/moto-api/data.json", timeout=5, trust_env=False).raise_for_status()
    except (KeyError, httpx.HTTPError, httpx.InvalidURL):
        return ""
    return str(written.get("product", written["aws"]))


def _read(file: Path) -> Mapping[str, Any]:
    """Read the file; one that is absent or damaged says nothing."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


def _write(file: Path, description: Mapping[str, object]) -> None:
    """Write the file atomically, readable by its owner only, because it holds a key."""
    new = file.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(description, indent=1), encoding="utf-8")
    new.replace(file)


def _remove(file: Path, aws: str) -> None:
    """Delete the file, unless another world has replaced it meanwhile."""
    if _read(file).get("aws") == aws:
        file.unlink(missing_ok=True)


def _description(world: World, aws: str) -> dict[str, object]:
    """Return what a stack's name leads to on AWS."""
    return {
        "aws": aws,
        "product": world.product_url,
        "region": REGION,
        "access_key": world.credentials.access_key,
        "secret_key": world.credentials.secret_key,
        "ninjaone": world.reroute.base("{host}"),
        "settings": world.settings("session"),
        "outputs": world.outputs(),
    }
