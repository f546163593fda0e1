"""The Next.js route: checked against the client's types and the web's Request and Response, and called beside a world.

Next.js itself is too large a dependency for one file. Its route handlers are functions from Request to Response.
"""

import hashlib
import hmac
import json
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from local.world import World
from ninjaone_connect import Connect, new_verifier
from tests.client.examples.conftest import EXAMPLES, environment
from tests.client.typescript.conftest import CLIENT, run
from tests.support.local_world import still_world
from tests.support.person import agree

pytestmark = pytest.mark.slow

ROUTE = EXAMPLES / "next/app/ninjaone/[connection]/devices/route.ts"
HANDLER = "(request: Request, context: { params: Promise<{ connection: string }> }) => Promise<Response>"
"""What Next.js 15 and later call for a folder `[connection]`."""
SETTINGS = [
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2023,dom,dom.iterable",
    "--strict",
    "--types",
    "node",
]
CALL = """
import { GET } from "./route.js";
const [, , connection, ...cookies] = process.argv;
for (const cookie of cookies) {
  const request = new Request(`http://localhost/ninjaone/${connection}/devices`, { headers: { cookie } });
  const answer = await GET(request, { params: Promise.resolve({ connection }) });
  console.log(JSON.stringify([answer.status, await answer.json()]));
}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Compile the route against the client as it is packed; a mistake in its types fails here."""
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for found in (CLIENT / "node_modules").iterdir():
        (modules / found.name).symlink_to(found)
    package = modules / "ninjaone-connect"
    run(
        "node", "node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json", "--outDir", str(package / "dist")
    )
    shutil.copy(CLIENT / "package.json", package)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "route.ts").write_text(ROUTE.read_text())
    (tmp_path / "check.ts").write_text(f'import {{ GET }} from "./route.js";\nexport const handler: {HANDLER} = GET;\n')
    (tmp_path / "call.js").write_text(CALL)
    run("node", "node_modules/typescript/bin/tsc", *SETTINGS, "check.ts", folder=tmp_path)
    return tmp_path


def cookie(user: str, secret: str) -> str:
    """Sign in, as the route reads it."""
    signature = urlsafe_b64encode(hmac.digest(secret.encode(), user.encode(), hashlib.sha256)).decode().rstrip("=")
    return f"theme=dark; user={user}.{signature}"


def connected(world: World) -> str:
    """Let Ana of Northwind connect; gives the connection's id."""
    mine = new_verifier()
    with Connect(world.api_url, region="eu-west-1", credentials=world.credentials) as connect:
        opened = connect.open_session(
            "northwind",
            end_user_id="ana",
            tenant_name="Northwind",
            return_to="main",
            binding_challenge=mine.challenge,
        )
        ticket = agree(opened.connect_url)["ticket"]
        return connect.complete(
            "northwind", opened.session_id, end_user_id="ana", ticket=ticket, binding_verifier=mine.verifier
        ).connection_id


def test_the_route_lists_the_devices_of_who_signed_in_and_shows_them_to_nobody_else(app: Path) -> None:
    with still_world() as world:
        told = environment(world)
        cookies = [cookie("ana", told["SECRET"]), cookie("ben", told["SECRET"]), cookie("ana", "guessed"), "user=ana."]
        said = run("node", "call.js", connected(world), *cookies, folder=app, more=told)

    (status, devices), *others = map(json.loads, said.splitlines())
    assert status == 200
    assert len(devices) == len({each["id"] for each in devices}) > 5
    assert [status for status, _ in others] == [404, 401, 401]
