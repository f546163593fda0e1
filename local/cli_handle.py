"""What `ninjaone-connect --local` takes hold of: AWS over HTTP on a fifth port, and a file that says where all is."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.aws.http_endpoint import application
from local.cloudformation.arns import REGION
from local.world import ROOT, World
from ninjaone_emulator.wsgi_server import serve

FILE = ROOT / ".local.json"


@contextmanager
def cli_handle(world: World, port: int = 0, file: Path = FILE) -> Iterator[None]:
    """Let other processes of this machine at the world, until the `with` block ends.

    port   of AWS over HTTP; 0 takes a free one
    """
    with serve(application(world.account), port) as aws:
        file.touch(mode=0o600)
        file.write_text(json.dumps(_said(world, aws.url), indent=1), encoding="utf-8")
        try:
            yield
        finally:
            _let_go(file, aws.url)


def _let_go(file: Path, aws: str) -> None:
    """Take the file away, unless another world has put its own there meanwhile."""
    if file.exists() and json.loads(file.read_text(encoding="utf-8"))["aws"] == aws:
        file.unlink()


def _said(world: World, aws: str) -> dict[str, object]:
    """Say what a stack's name leads to on AWS."""
    return {
        "aws": aws,
        "region": REGION,
        "access_key": world.credentials.access_key,
        "secret_key": world.credentials.secret_key,
        "ninjaone": world.reroute.base("{host}"),
        "settings": world.settings("session"),
        "outputs": world.outputs(),
    }
