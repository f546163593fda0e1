"""One local world for the commands to act on, empty at each test's start."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.cli_handle import cli_handle
from local.world import World
from ninjaone_connect_cli import calls, deployment, rescue, restore
from tests.support.broker_world import QuickAws
from tests.support.cli import Cli, bare_environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run."""
    return tmp_path_factory.mktemp("clone")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[World]:
    with World(background=False, account=QuickAws) as world, cli_handle(world, file=folder / ".local.json"):
        yield world


@pytest.fixture
def world(running: World) -> World:
    """The world, with no connection in it."""
    dynamodb, table = running.aws("dynamodb"), running.settings("refresh")["CONNECTIONS_TABLE"]
    for item in dynamodb.scan(TableName=table)["Items"]:
        dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("tenant", "connection")})
    return running


@pytest.fixture
def cli(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The commands, asking AWS without HTTP between: tests/local/test_cli_handle.py shows the way over HTTP."""
    on_aws = deployment._clients  # the door to AWS

    def clients(session: Any, **options: Any) -> Any:
        return world.account.client if "endpoint_url" in options else on_aws(session, **options)

    monkeypatch.setattr(deployment, "_clients", clients)
    waiting = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: world.run_event_sources())
    for command in (rescue, restore):
        monkeypatch.setattr(command, "time", waiting)
    monkeypatch.setattr(calls, "time", SimpleNamespace(sleep=lambda _: None))
    return Cli(folder, bare_environment())
