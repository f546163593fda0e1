"""The TypeScript client: its own tests, its types, its package, and a journey beside the local world."""

import json
import re
from pathlib import Path

import pytest

from local.world import World
from tests.client.typescript.conftest import CLIENT, run
from tests.support.person import agree
from tests.support.product_user import connected

pytestmark = pytest.mark.slow

JOURNEY = """
import { Connect, newVerifier, ninjaOne } from "./src/index.js";

const [, , api, step, kept] = process.argv;
const connect = new Connect(api, { region: "eu-west-1" });
const person = { end_user_id: "ana" };
if (step === "open") {
  const { verifier, challenge } = newVerifier();
  const request = { ...person, tenant_name: "Northwind", return_to: "example", binding_challenge: challenge };
  console.log(JSON.stringify({ verifier, ...(await connect.openSession("northwind", request)) }));
} else {
  const { session_id, ticket, verifier } = JSON.parse(kept);
  const proof = { ...person, ticket, binding_verifier: verifier };
  const { connection_id } = await connect.complete("northwind", session_id, proof);
  const again = await connect.complete("northwind", session_id, proof);
  const send = ninjaOne(connect, "northwind", connection_id);
  const organizations = await (await send("/v2/organizations?pageSize=10")).json();
  const listed = [];
  for await (const each of connect.connections("northwind")) listed.push(each.connection_id);
  const { revoked } = await connect.disconnect("northwind", connection_id);
  console.log(JSON.stringify({ connection_id, again: again.connection_id, organizations, listed, revoked }));
}
"""


def test_the_types_are_those_of_the_api_document(tmp_path: Path) -> None:
    made = tmp_path / "api.ts"
    run(
        "node", "node_modules/openapi-typescript/bin/cli.js", "../../openapi/api.yaml", "--output", str(made),
        "--default-non-nullable=false",
    )  # fmt: skip

    assert made.read_text() == (CLIENT / "src/api.ts").read_text(), "run `npm run types` in clients/typescript"


def test_its_own_tests_pass(compiled: Path) -> None:
    said = run("node", "--test", str(compiled / "test"))

    assert "# fail 0" in said or "fail 0" in said


def test_the_package_holds_what_is_needed_and_no_more(tmp_path: Path) -> None:
    run("node", "node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json", "--outDir", "dist")
    run("node", "node_modules/publint/src/cli.js")
    packed = json.loads(run("npm", "pack", "--json", "--pack-destination", str(tmp_path)))[0]

    names = {each["path"] for each in packed["files"]}
    modules = {path.stem for path in (CLIENT / "src").glob("*.ts")}
    assert names == {"package.json", "README.md"} | {f"dist/{name}.{end}" for name in modules for end in ("js", "d.ts")}


def test_a_journey_beside_the_local_world(compiled: Path) -> None:
    script = compiled / "journey.js"
    script.write_text(JOURNEY)
    with World(background=False, parameters={"ReturnUrls": "example=http://127.0.0.1:9/back"}) as world:
        keys = {
            "AWS_ACCESS_KEY_ID": world.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": world.credentials.secret_key,
        }
        common = ("node", str(script), world.api_url)
        opened = json.loads(run(*common, "open", more=keys))
        query = agree(opened["connect_url"])
        kept = {"session_id": opened["session_id"], "verifier": opened["verifier"], "ticket": query["ticket"]}
        ended = json.loads(run(*common, "finish", json.dumps(kept), more=keys))

    assert ended["connection_id"] == ended["again"]
    assert ended["listed"] == [ended["connection_id"]]
    assert [each["name"] for each in ended["organizations"]] == ["Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß"]
    assert ended["revoked"] is True


def test_the_first_call_of_the_readme_lists_what_is_connected(compiled: Path) -> None:
    (first,) = re.findall(r"```js\n(// first.mjs\n.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    (compiled / "first.mjs").write_text(first.replace('"ninjaone-connect"', '"./src/index.js"'))
    with World(background=False) as world:
        more = {
            "BACKEND_API_URL": world.api_url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": world.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": world.credentials.secret_key,
        }
        connected(world)
        said = run("node", str(compiled / "first.mjs"), more=more)

    assert said == "Main account has 3 organizations\n"
