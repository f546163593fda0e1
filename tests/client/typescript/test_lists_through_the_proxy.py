"""The TypeScript client's ``pages`` through the broker, in the local world: whole lists, and lists that can't be."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.world import World
from ninjaone_emulator.faults import Fault
from tests.client.typescript.conftest import run
from tests.support.lists import BOARD, DEVICES, FIELDS, PATHS, REPORT, ROWS, TICKET, WHOLE
from tests.support.local_world import still_world
from tests.support.product_user import connected

pytestmark = pytest.mark.slow

SCRIPT = """
import { Connect, pages } from "./src/index.js";

const [, , api, connection, ...paths] = process.argv;
const send = new Connect(api, { region: "eu-west-1" }).ninjaOne("northwind", connection);
for (const path of paths) {
  const ids = [];
  let error;
  try {
    for await (const page of pages(send, path, { pageSize: 20 })) {
      ids.push(...page.map((row) => row.id ?? row.deviceId));
    }
  } catch (failure) {
    error = failure.name;
  }
  console.log(JSON.stringify({ ids: ids.sort((a, b) => a - b), error }));
}
"""


@dataclass
class Reader:
    """A Node process that reads lists of one connection."""

    world: World
    connection: str
    script: Path

    def read(self, *paths: str) -> list[dict[str, Any]]:
        keys = self.world.credentials
        more = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
        said = run("node", str(self.script), self.world.api_url, self.connection, *paths, more=more)
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture(scope="module")
def reader(compiled: Path) -> Iterator[Reader]:
    script = compiled / "lists.js"
    script.write_text(SCRIPT)
    with still_world(parameters={"ProxyPolicy": "* GET,POST /v2/*"}) as world:
        world.ninjaone.switches.update({"list_rows": ROWS})
        yield Reader(world, connected(world), script)


@pytest.fixture(autouse=True)
def well(reader: Reader) -> Iterator[None]:
    yield
    reader.world.ninjaone.faults.clear()


def test_every_family_comes_whole(reader: Reader) -> None:
    assert reader.read(*PATHS) == [{"ids": WHOLE}] * len(PATHS)


@pytest.mark.parametrize(
    ("kind", "path", "error"),
    [
        ("html_502", DEVICES, None),
        ("429", REPORT, None),
        ("reset", TICKET, None),
        ("html_200_rate_limit", DEVICES, "NotJson"),
        ("html_502_after_commit", REPORT, "ListIncomplete"),
        ("lost_response", FIELDS, "ListIncomplete"),
        ("html_502", BOARD, "ListIncomplete"),
    ],
)
def test_a_list_is_whole_or_an_error(kind: str, path: str, error: str | None, reader: Reader) -> None:
    reader.world.ninjaone.switches.update({"last_cursor": "absent"})
    reader.world.ninjaone.faults.plan(Fault(kind, on="api", skip=1))

    (found,) = reader.read(path)

    assert (found.get("error"), found["ids"] == WHOLE) == (error, error is None)


def test_a_cursor_that_repeats_is_told(reader: Reader) -> None:
    reader.world.ninjaone.switches.update({"cursor_repeats": True})
    found = reader.read(REPORT, FIELDS)
    reader.world.ninjaone.switches.update({"cursor_repeats": False})

    assert [each["error"] for each in found] == ["CursorRepeats"] * 2
