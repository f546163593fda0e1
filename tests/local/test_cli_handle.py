"""The file by which `ninjaone-connect --local` reaches a world, and what becomes of one that is left over."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli_handle import cli_handle
from local.world import World
from ninjaone_connect_cli.deployment import on_this_machine
from ninjaone_connect_cli.errors import CliError
from tests.support.cli import Cli, bare_environment

STALE = json.dumps(dict.fromkeys(["region", "access_key", "secret_key", "ninjaone", "settings", "outputs"], "") | {
    "aws": "http://127.0.0.1:1"
})  # fmt: skip
TORN = '{"aws": "http://127.'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(background=False) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".local.json"


def test_a_second_world_of_a_clone_leaves_the_first_its_file_and_names_it(world: World, file: Path) -> None:
    with cli_handle(world, file=file) as nobody:
        written = file.read_bytes()
        with cli_handle(world, file=file) as other:
            assert file.read_bytes() == written
        assert file.read_bytes() == written

    assert (nobody, other) == ("", world.product_url)
    assert not file.exists()


@pytest.mark.parametrize("left", [STALE, TORN, "[]", "\xff"])
def test_a_file_that_is_left_over_is_replaced(world: World, file: Path, left: str) -> None:
    file.write_text(left, encoding="latin-1")

    with cli_handle(world, file=file) as other:
        assert json.loads(file.read_text())["product"] == world.product_url
        assert file.stat().st_mode & 0o077 == 0

    assert (other, list(file.parent.iterdir())) == ("", [])


@pytest.mark.parametrize(
    ("left", "sentence"), [(STALE, "has ended: start it again"), (TORN, "is damaged"), ("[]", "is damaged")]
)
def test_the_command_line_says_what_is_wrong_with_the_file(file: Path, left: str, sentence: str) -> None:
    file.write_text(left)

    with pytest.raises(CliError, match=sentence):
        on_this_machine(file.parent)


def test_the_command_line_says_when_the_file_lacks_something(world: World, file: Path) -> None:
    with cli_handle(world, file=file):
        file.write_text(json.dumps({"aws": json.loads(file.read_text())["aws"]}))

        with pytest.raises(CliError, match="is damaged"):
            on_this_machine(file.parent)


@pytest.mark.slow
def test_the_command_line_runs_as_a_process_of_its_own_and_reaches_aws_over_http(world: World, file: Path) -> None:
    cli = Cli(file.parent, bare_environment())
    with cli_handle(world, file=file):
        helped, ended = cli.process("--help"), cli.process("--local", "connections", "list", "nobody")
        looked = cli.process("--local", "--json", "doctor")

    for command in ("doctor", "session", "connections", "token", "import", "reseal", "rescue", "epoch", "restore"):
        assert f"\n  {command} " in helped.out
    assert (ended.code, ended.err) == (
        0,
        "There is no connection of the tenant nobody. Without a tenant, all are listed.\n",
    )
    assert [each["check"] for each in looked.json if each["state"] != "ok"] == ["first connection"]
