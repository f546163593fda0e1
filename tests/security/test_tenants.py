"""The backend API: unsigned, signed by the wrong one, and every route with every foreign or invented id."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from local.browser import Browser
from local.world import World
from tests.security.conftest import SCOPED
from tests.support.http_flow import Answers, Backend, Flow, Json, slug
from tests.support.person import query_of
from tools.requirements import req

MINE, THEIRS = "acme", "rival"


@dataclass(frozen=True)
class Two:
    """A tenant and its rival, each with a connection and a session that waits to be completed."""

    mine: Json
    theirs: Json
    my_flow: Flow
    their_flow: Flow
    their_ticket: str


@pytest.fixture(scope="module")
def two(world: World) -> Iterator[Two]:
    backend = Backend(world, Answers())
    with Browser() as one, Browser() as other:
        my_flow, their_flow = Flow(world, backend, one, MINE).open(), Flow(world, backend, other, THEIRS).open()
        mine, theirs = Flow(world, backend, one, MINE).connect(), Flow(world, backend, other, THEIRS).connect()
        their_flow.leave()
        ticket = query_of(other.get(their_flow.agree()).location)["ticket"]
        yield Two(mine, theirs, my_flow, their_flow, ticket)
    backend.close()


def routes(tenant: str, connection: str, session: str) -> list[tuple[str, str, Json | None]]:
    """Every route of the backend API that names something, with a body that would do."""
    base = f"/v1/tenants/{tenant}"
    proof = {"end_user_id": "u-1", "ticket": "t" * 43, "binding_verifier": "v" * 43}
    return [
        ("GET", f"{base}/connections/{connection}", None),
        ("POST", f"{base}/connections/{connection}/token", {}),
        ("GET", f"{base}/connections/{connection}/ninjaone/v2/organizations", None),
        ("POST", f"{base}/connections/{connection}/approve", {}),
        ("DELETE", f"{base}/connections/{connection}", None),
        ("POST", f"{base}/connect-sessions/{session}/complete", proof),
    ]


ROUTES = [
    "GET /v1/tenants/{tenant}/connections",
    "GET /v1/tenants/{tenant}/connections/{connection}",
    "POST /v1/tenants/{tenant}/connections/{connection}/token",
    "ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}",
    "POST /v1/tenants/{tenant}/connections/{connection}/approve",
    "DELETE /v1/tenants/{tenant}/connections/{connection}",
    "POST /v1/tenants/{tenant}/connect-sessions",
    "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete",
]


@req("H01")
def test_the_routes_under_attack_are_all_there_are(world: World) -> None:
    found = {
        route.key for function in world.template.functions.values() for route in function.routes if "/v1/" in route.path
    }

    assert found == set(ROUTES)


@req("H02", "H08")
def test_no_route_gives_a_tenant_what_is_another_tenants(world: World, two: Two, backend: Backend) -> None:
    """Cross-tenant by every route: the rival's connection and session under one's own tenant."""
    invented = "con_" + "a" * 26
    tokens = two.my_flow.tokens()

    foreign = routes(MINE, two.theirs["connection_id"], two.their_flow.session)
    unknown = routes(MINE, invented, "ses_" + "a" * 26)

    for (method, path, body), (_, other_path, _) in zip(foreign, unknown, strict=True):
        answer, other = backend.call(method, path, body), backend.call(method, other_path, body)
        assert answer.status_code == other.status_code == (403 if "complete" in path else 404)
        assert without_id(answer) == without_id(other), path
    assert two.my_flow.tokens() == tokens
    assert backend.get(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection_id']}").json()["status"] == "active"


def without_id(answer: httpx.Response) -> Json:
    said: Json = answer.json()
    return said | {"request_id": ""}


@req("H02")
def test_a_reconnect_of_a_rivals_connection_finds_nothing(
    two: Two, world: World, backend: Backend, browser: Callable[[], Browser]
) -> None:
    asked = Flow(world, backend, browser(), MINE).opening(connection_id=two.theirs["connection_id"], region="eu")

    refused = backend.post(f"/v1/tenants/{MINE}/connect-sessions", asked)

    assert (refused.status_code, slug(refused)) == (404, "unknown-connection")
    assert backend.get(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection_id']}").json() == two.theirs


@req("H02", "H08")
def test_a_list_holds_ones_own_alone_whatever_the_cursor(two: Two, backend: Backend) -> None:
    for cursor in ("", two.theirs["connection_id"], f"{two.theirs['connection_id']}%23profile", "con_" + "a" * 26):
        query = f"?cursor={cursor}" if cursor else ""
        listed = backend.get(f"/v1/tenants/{MINE}/connections{query}").json()["connections"]
        assert {each["connection_id"] for each in listed} <= {two.mine["connection_id"]}


@req("H03")
def test_a_callers_own_policy_can_hold_it_to_one_tenant(world: World, two: Two, answers: Answers) -> None:
    scoped = Backend(world, answers, SCOPED)

    customer_app = scoped.post(f"/v1/tenants/{MINE}/connections/{two.mine['connection_id']}/token")
    foreign = scoped.post(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection_id']}/token")
    around = scoped.post(f"/v1/tenants/{MINE}/../{THEIRS}/connections/{two.theirs['connection_id']}/token")

    assert (customer_app.status_code, foreign.status_code) == (200, 403)
    assert around.status_code in {403, 404}
    scoped.close()


@req("H10", "G10")
def test_each_yes_and_no_says_who_asked_for_what(world: World, two: Two, backend: Backend) -> None:
    connection = two.mine["connection_id"]
    before = len(world.log_lines)

    backend.post(f"/v1/tenants/{MINE}/connections/{connection}/token")
    backend.post(f"/v1/tenants/{THEIRS}/connections/{connection}/token")
    two.their_flow.complete("t" * 43)

    found = [json.loads(line) for line in list(world.log_lines)[before:] if '"message"' in line]
    said = {(each["message"], each.get("tenant"), each.get("error")) for each in found}
    assert {each["principal"] for each in found} == {"arn:aws:iam::123456789012:user/demo-backend"}
    assert ("token.issued", MINE, None) in said
    assert ("token.refused", THEIRS, "UnknownConnection") in said
    assert ("complete.refused", THEIRS, "BindingMismatch") in said
    assert {each["connection"] for each in found if each["message"].startswith("token.")} == {connection}
    assert all(each["timestamp"].endswith("+00:00") for each in found)


BODIES = [
    b"",
    b"[]",
    b"null",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b"{" + b'"a":{' * 3000 + b"}" * 3001,
    b"[" * 16_000,
    b'{"min_ttl": 1e400}',
    b'{"min_ttl": NaN}',
    b'{"min_ttl": ' + b"9" * 5000 + b"}",
    b'{"min_ttl": true}',
    b'{"min_ttl": -1}',
    b'{"min_ttl": 3001}',
    b'{"min_ttl": "300"}',
    b'{"tenant": "rival"}',
    b'{"min_ttl": 300, "min_ttl": 301, "__proto__": {}}',
    b"a" * 17_000,
    b"a" * 100_000,
]
