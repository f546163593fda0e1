"""What README.md and docs/connect/calls.md tell people to type works, and what they show is what one gets."""

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from broker import policy
from broker.adapters.sessions import MAX_STARTS_PER_DAY
from broker.edge.http import BODY_LIMIT
from broker.edge.rate_limit import PRINCIPAL, TENANT
from broker.errors import BrokerError
from local.browser import refresh_target
from local.world import World
from ninjaone_connect_cli.init import COSTS
from tests.benchmarks.cost.counted import alarmed_metrics, written
from tests.benchmarks.cost.model import Units, Watching, idle, month
from tests.deployment.template.stack import deploy
from tests.support.local_world import still_world
from tests.support.signing import signed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs/connect/calls.md").read_text()
CALLS = re.findall(r"```http\n(.*?)```", GUIDE, re.DOTALL)


class Caller:
    """A backend that does what the guide says, word by word."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.verifier = secrets.token_urlsafe(32)
        self.said = {
            "<base64url(SHA-256(verifier))>": _s256(self.verifier),
            "<verifier>": self.verifier,
        }

    def does(self, call: str) -> None:
        """Send what the block says, and compare the answer with what it shows."""
        asked, shown = re.split(r"\n\n(?=\d{3} )", call.strip(), maxsplit=1)
        line, _, body = asked.partition("\n")
        method, path = line.split(" ", 1)
        for placeholder, value in self.said.items():
            path, body = path.replace(placeholder, value), body.replace(placeholder, value)
        answer = self._send(method, path, body.encode())
        status, _, fields = shown.partition(" ")
        assert answer.status_code == int(status), answer.text
        got: dict[str, Any] = answer.json()
        assert set(re.findall(r'"(\w+)":', fields)) <= set(got)
        for name in ("status", "region", "token_type", "api_base_url"):
            if found := re.search(rf'"{name}": "([^"…]+)"', fields):
                assert got[name] == self._world.reroute.text(found[1])
        self._remember(got)

    def person_agrees(self, session: str) -> None:
        """Follow the link in a browser, as far as the return address."""
        left = httpx.post(
            f"{self._world.connect_url}/connect/{session}/authorize",
            data={"region": "eu"},
            headers={"sec-fetch-site": "same-origin"},
            timeout=60,
        )
        cookie = left.headers["set-cookie"].partition(";")[0]
        query = urlsplit(refresh_target(left.text)).query
        agreed = self._world.ninjaone.consent("eu.ninjarmm.com", "ada@nordlicht.example", query)
        back = httpx.get(dict(agreed.headers)["Location"], headers={"cookie": cookie}, timeout=60)
        self.said["<ticket>"] = parse_qs(urlsplit(back.headers["location"]).query)["ticket"][0]

    def _remember(self, got: dict[str, Any]) -> None:
        if "session_id" in got:
            self.said["ses_…"] = got["session_id"]
            self.person_agrees(got["session_id"])
        if "connection_id" in got:
            self.said["con_…"] = got["connection_id"]

    def _send(self, method: str, path: str, body: bytes) -> httpx.Response:
        url, kind = self._world.api_url + path, {"content-type": "application/json"}
        headers = signed(self._world.credentials, method, url, body, kind)
        return httpx.request(method, url, content=body, headers=headers, timeout=60)


@pytest.mark.skipif(not shutil.which("curl"), reason="the guide's curl needs curl")
def test_the_calls_of_the_guide_and_its_curl_get_the_answers_that_are_shown() -> None:
    (curl,) = re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)
    (shown,) = re.findall(r"connections/con_…/token\n\n200 (.*?)```", GUIDE, re.DOTALL)

    with still_world(parameters={"ReturnUrls": "main=http://127.0.0.1:9/return"}) as world:
        caller = Caller(world)
        for call in CALLS:
            caller.does(call)
        told = {
            "AWS_ACCESS_KEY_ID": world.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": world.credentials.secret_key,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_SESSION_TOKEN": "",
            "BACKEND_API_URL": world.api_url,
            "CONNECTION": caller.said["con_…"],
        }
        script = curl.replace("/northwind/", "/acme/")
        got = subprocess.run(["sh", "-c", script], env=os.environ | told, capture_output=True, text=True, check=True)

    assert len(CALLS) == 3
    assert json.loads(got.stdout).keys() == json.loads(shown).keys()
    assert json.loads(got.stdout)["api_base_url"] == world.reroute.text(json.loads(shown)["api_base_url"])


def test_the_readme_s_costs_are_what_the_model_says() -> None:
    """Writes alone give the least; what a small batch adds, measured by `make cost`, does not double it."""
    writes = Units(writes=4, reads=0, kms=0, sqs=0, requests=0, processor=0, waits=0, memory=1, logged=0)
    table = re.findall(r"^\| ([\d,]+|none) \| (\d+) \|$", README, re.MULTILINE)
    said = {int(count.replace(",", "").replace("none", "0")): int(dollars) for count, dollars in table}

    assert said == {0: 19, **COSTS}, "`init` says the same"
    for count, dollars in said.items():
        least = month(count, "always", writes, anyway=idle(Watching(alarmed_metrics(), len(written()))))
        assert least - 0.5 <= dollars <= 2 * least, count


def test_the_python_of_the_readme_is_what_the_clients_test_runs() -> None:
    client = (ROOT / "clients/python/README.md").read_text()

    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert shown == re.findall(r"```python\n(.*?)```", client, re.DOTALL)[0]


def test_the_javascript_of_the_readme_is_the_client_s_first_call() -> None:
    client = (ROOT / "clients/typescript/README.md").read_text()

    (shown,) = re.findall(r"```js\n(.*?)```", README, re.DOTALL)
    (first,) = re.findall(r"```js\n// first.mjs\n(.*?)```", client, re.DOTALL)
    assert shown == first


def test_the_limits_of_the_guide_are_those_of_the_code() -> None:
    stages = deploy().of("AWS::ApiGatewayV2::Stage")
    (routes,) = [stage["DefaultRouteSettings"] for name, stage in stages.items() if name.startswith("BackendApi")]
    (said,) = re.findall(r"## Limits\n\n(.*?)\n\n", GUIDE, re.DOTALL)
    numbers = [int(number) for number in re.findall(r"\d+", said)]

    assert numbers == [
        policy.SESSION_LIFE // 60, MAX_STARTS_PER_DAY, policy.CODE_LIFE, int(TENANT.per_second),
        int(PRINCIPAL.per_second), TENANT.burst, PRINCIPAL.burst, routes["ThrottlingRateLimit"],
        BODY_LIMIT // 1024, 100,
    ]  # fmt: skip


def test_the_guide_names_problems_that_exist() -> None:
    named = set(re.findall(r"^\| \d{3} `([a-z-]+)`", GUIDE, re.MULTILINE))

    assert named
    assert named <= {kind.slug() for kind in _kinds(BrokerError)}


def _kinds(kind: type[BrokerError]) -> list[type[BrokerError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
