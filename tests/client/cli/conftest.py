"""One local world for the commands to act on, empty at each test's start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli_handle import cli_handle
from local.world import World
from tests.support.cli import Cli, bare_environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run."""
    return tmp_path_factory.mktemp("clone")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[World]:
    with World() as world, cli_handle(world, file=folder / ".local.json"):
        yield world


@pytest.fixture
def world(running: World) -> World:
    """The world, with no connection in it."""
    dynamodb, table = running.aws("dynamodb"), running.settings("refresh")["CONNECTIONS_TABLE"]
    for item in dynamodb.scan(TableName=table)["Items"]:
        dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("tenant", "connection")})
    return running


@pytest.fixture
def cli(world: World, folder: Path) -> Cli:
    return Cli(folder, bare_environment())
