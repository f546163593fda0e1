"""A NinjaOne host that lies: redirects with the secret, bombs, floods, answers without end, tokens that are none."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from werkzeug.wrappers import Request, Response

from local.browser import Browser
from local.world import World
from ninjaone_emulator.wsgi_server import serve
from tests.support.http_flow import Answers, Backend, Flow, slug
from tests.support.local_world import still_world
from tests.support.person import query_of
from tools.requirements import req

OWN = {"client_id": "an-app-of-theirs", "client_secret": "a-secret-that-must-not-travel"}
GOOD = {"access_token": "at-" + "a" * 40, "refresh_token": "rt-" + "r" * 40, "token_type": "Bearer", "expires_in": 3600,
        "scope": "monitoring offline_access"}  # fmt: skip
Json = dict[str, Any]


@dataclass
class Liar:
    """What stands in for every NinjaOne host.

    Attributes:
        token: what it answers at the token endpoint
        heard: paths and bodies of what came
    """

    token: Callable[[], Response] = lambda: Response(json.dumps(GOOD), content_type="application/json")
    organizations: Callable[[], Response] = lambda: Response("[]", content_type="application/json")
    heard: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        self.heard.append((request.path, request.get_data(as_text=True)))
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path.endswith("/authorize"):
            back = urlencode({"code": f"code-{len(self.heard)}", "state": request.args.get("state", "")})
            return Response(status=302, headers={"Location": f"{request.args.get('redirect_uri')}?{back}"})
        if request.path.endswith("/token"):
            return self.token()
        return self.organizations()

    def forms(self, end: str) -> list[dict[str, list[str]]]:
        """List the forms that came to addresses with this end."""
        return [parse_qs(body) for path, body in self.heard if path.endswith(end)]


@pytest.fixture(scope="module")
def liar() -> Liar:
    return Liar()


@pytest.fixture(scope="module")
def thief() -> Iterator[tuple[str, Liar]]:
    """An address that a token request must never reach."""
    listening = Liar()
    with serve(listening) as server:
        yield server.url, listening


@pytest.fixture(scope="module")
def world(liar: Liar) -> Iterator[World]:
    with serve(liar) as server, still_world(provider=server.url) as world:
        yield world


@pytest.fixture
def asked(world: World, liar: Liar, tenant: str) -> Iterator[Flow]:
    """A flow whose person is back; what is left is to ask the liar for tokens."""
    liar.token, liar.organizations = Liar.token, Liar.organizations
    with Browser() as browser:
        yield Flow(world, Backend(world, Answers()), browser, tenant)


def completed(flow: Flow) -> tuple[int, str]:
    """Go through the liar and complete; give the status, and what it is called when it is no success."""
    flow.open(client="customer", region="eu", client_credentials=OWN)
    left = flow.leave()
    assert left.location, left.text
    home = flow.browser.get(flow.browser.get(left.location).location)
    answer = flow.complete(query_of(home.location)["ticket"])
    return answer.status_code, "" if answer.status_code == 200 else slug(answer)


def text(body: bytes | str, status: int = 200, **headers: str) -> Callable[[], Response]:
    made = {"Content-Type": "application/json", **{name.replace("_", "-"): held for name, held in headers.items()}}
    return lambda: Response(body, status=status, headers=made)


def packed(body: bytes, coding: str) -> Response:
    return text(body, Content_Encoding=coding)()


def good(**changes: object) -> Callable[[], Response]:
    return text(json.dumps({name: held for name, held in (GOOD | changes).items() if held is not None}))


def test_the_liar_is_believed_when_it_tells_the_truth(asked: Flow) -> None:
    assert completed(asked) == (200, "")


BOMBS: dict[str, Callable[[], Response]] = {
    "gzip": lambda: packed(gzip.compress(b" " * 50_000_000 + json.dumps(GOOD).encode()), "gzip"),
    "gzip in gzip": lambda: packed(gzip.compress(gzip.compress(b"0" * 50_000_000)), "gzip, gzip"),
    "deflate": lambda: packed(zlib.compress(b" " * 50_000_000), "deflate"),
    "twenty megabytes": text(b" " * 20_000_000 + json.dumps(GOOD).encode()),
    "a stream without end": lambda: Response((b" " * 65_536 for _ in range(100_000)), content_type="application/json"),
    "nested lists": text(b"[" * 60_000),
    "nested objects": text(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a number without end": text(b'{"expires_in": ' + b"9" * 60_000 + b"}"),
    "headers without end": lambda: Response("{}", headers={f"X-{number}": "x" * 1000 for number in range(300)}),
    "one long header": text("{}", X_Long="x" * 1_000_000),
    "half a character": text(b'{"access_token": "\xff\xfe'),
    "nothing": text(b""),
    "an array": text(json.dumps([GOOD])),
    "HTML": text("<html>" + json.dumps(GOOD)),
}


@req("L04", "D06", "P01")
@pytest.mark.parametrize(
    "bomb", [each if each in {"nothing", "HTML"} else pytest.param(each, marks=pytest.mark.slow) for each in BOMBS]
)
def test_what_is_no_answer_connects_nothing_and_breaks_nothing(
    world: World, asked: Flow, liar: Liar, bomb: str
) -> None:
    liar.token = BOMBS[bomb]
    failures, before = len(world.failures), len(world.log_lines)

    ended = completed(asked)

    said = [json.loads(line).get("message", "") for line in list(world.log_lines)[before:]]
    assert ended == (503, "outcome-unknown")
    assert (len(world.failures), [each for each in said if each.endswith(".crashed")]) == (failures, [])
    assert asked.backend.get(f"/v1/tenants/{asked.tenant}/connections").json()["connections"] == []


@req("D06", "D07")
@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (good(token_type="mac"), (503, "outcome-unknown")),
        (good(access_token=""), (503, "outcome-unknown")),
        (good(access_token="a b"), (503, "outcome-unknown")),
        (good(access_token="a\r\nX-Planted: 1"), (503, "outcome-unknown")),
        (good(access_token="x" * 9000), (503, "outcome-unknown")),
        (good(access_token=["a"]), (503, "outcome-unknown")),
        (good(refresh_token=None), (502, "no-refresh-token")),
        (good(refresh_token="ä"), (502, "no-refresh-token")),
        (good(scope="offline_access"), (502, "insufficient-scope")),
        (good(scope="control"), (502, "insufficient-scope")),
    ],
    ids=range(10),
)
def test_tokens_that_are_none_are_not_taken(
    asked: Flow, liar: Liar, answer: Callable[[], Response], ends: tuple[int, str]
) -> None:
    liar.token = answer

    assert completed(asked) == ends


def test_a_token_type_that_is_left_out_costs_nobody_the_tokens(asked: Flow, liar: Liar) -> None:
    liar.token = good(token_type=None)

    assert completed(asked) == (200, "")


@req("P01", "A16")
@pytest.mark.parametrize(
    "body",
    [
        b'[{"id": 1, "name": "<script>alert(1)</script>"}]',
        b'[{"id": 1, "name": "a\\ud800\\u202e\\u0000"}]',
        b'[{"id": 1, "name": {"a": [1]}}, {"id": true}, 7]',
        b'[{"id": ' + b"9" * 4000 + b', "name": "x"}]',
        b"[" * 60_000,
        b'[{"id": 1, "name": "' + b"x" * 60_000 + b'"}]',
    ],
    ids=range(6),
)
def test_whatever_the_organizations_are_called_the_tokens_are_kept(asked: Flow, liar: Liar, body: bytes) -> None:
    liar.organizations = text(body)

    status, _ = completed(asked)

    listed = asked.backend.get(f"/v1/tenants/{asked.tenant}/connections")
    assert (status, listed.status_code) == (200, 200)
    for each in listed.json()["connections"][0]["organizations"]:
        assert len(each["name"]) <= 80
        assert each["name"].isprintable()


@req("I02", "A09")
def test_a_liar_learns_no_more_than_what_is_meant_for_it(asked: Flow, liar: Liar) -> None:
    """The customer's own client, the code and what belongs to it; nothing of the operator's or another customer's."""
    completed(asked)

    form = liar.forms("/token")[-1]
    assert form.keys() == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"}
    assert form["client_secret"] == [OWN["client_secret"]]
    assert form["redirect_uri"] == [f"{asked.world.connect_url}/callback/eu"]
