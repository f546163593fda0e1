"""The private API: unsigned, signed by the wrong one, and every route with every foreign or invented id."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from local.aws.gateway.sigv4 import Principal
from local.browser import Browser
from local.world import World
from tests.security.conftest import SCOPED
from tests.support.outsider import Answers, Backend, Flow, Json, query_of, s256, slug
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
    """Every route of the private API that names something, with a body that would do."""
    base = f"/v1/tenants/{tenant}"
    proof = {"end_user_id": "u-1", "ticket": "t" * 43, "binding_verifier": "v" * 43}
    return [
        ("GET", f"{base}/connections/{connection}", None),
        ("POST", f"{base}/connections/{connection}/token", {}),
        ("POST", f"{base}/connections/{connection}/approve", {}),
        ("DELETE", f"{base}/connections/{connection}", None),
        ("POST", f"{base}/connect-sessions/{session}/complete", proof),
    ]


ROUTES = [
    "GET /v1/tenants/{tenant}/connections",
    "GET /v1/tenants/{tenant}/connections/{connection}",
    "POST /v1/tenants/{tenant}/connections/{connection}/token",
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


FORGERIES: dict[str, dict[str, str]] = {
    "nothing": {},
    "a bearer token": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
    "an invented key": {
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/eu-west-1/execute-api/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
        "X-Amz-Date": "20260101T000000Z",
    },
    "headers that claim an identity": {
        "X-Amzn-Iam-User-Arn": "arn:aws:iam::123456789012:root",
        "X-Amz-User-Arn": "arn:aws:iam::123456789012:root",
        "X-Tenant": MINE,
    },
}


@req("H01", "H04")
@pytest.mark.parametrize("forgery", FORGERIES)
def test_without_a_signature_every_route_is_forbidden(world: World, two: Two, forgery: str) -> None:
    before = len(world.log_lines)

    for method, path, body in routes(MINE, two.mine["connection"], two.my_flow.session):
        answer = httpx.request(method, world.api_url + path, json=body, headers=FORGERIES[forgery], trust_env=False)
        assert (answer.status_code, answer.text) == (403, '{"message":"Forbidden"}')

    assert len(world.log_lines) == before, "a function was called"


@req("H01")
def test_a_signature_of_another_key_or_over_another_request_is_worth_nothing(
    world: World, two: Two, answers: Answers, backend: Backend
) -> None:
    path = f"/v1/tenants/{MINE}/connections/{two.mine['connection']}/token"
    stranger = Backend(world, answers, Principal("AKIAIOSFODNN7EXAMPLE", "not the secret", "x"))

    refused = stranger.post(path)
    signed = backend.call("POST", path, {}).request
    elsewhere = httpx.Request("POST", world.api_url + path.replace(MINE, THEIRS), headers=signed.headers, content=b"{}")
    with httpx.Client(trust_env=False) as http:
        replayed = http.send(elsewhere)

    assert (refused.status_code, replayed.status_code) == (403, 403)
    stranger.close()


@req("H02", "H08")
def test_no_route_gives_a_tenant_what_is_another_tenants(world: World, two: Two, backend: Backend) -> None:
    """Cross-tenant by every route: the rival's connection and session under one's own tenant."""
    invented = "con_" + "a" * 26
    tokens = two.my_flow.tokens()

    foreign = routes(MINE, two.theirs["connection"], two.their_flow.session)
    unknown = routes(MINE, invented, "ses_" + "a" * 26)

    for (method, path, body), (_, other_path, _) in zip(foreign, unknown, strict=True):
        answer, other = backend.call(method, path, body), backend.call(method, other_path, body)
        assert answer.status_code == other.status_code == (403 if "complete" in path else 404)
        assert without_id(answer) == without_id(other), path
    assert two.my_flow.tokens() == tokens
    assert backend.get(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection']}").json()["status"] == "active"


def without_id(answer: httpx.Response) -> Json:
    said: Json = answer.json()
    return said | {"request_id": ""}


@req("H02", "D02")
def test_the_whole_proof_of_a_rival_is_worth_nothing_under_ones_own_tenant(two: Two) -> None:
    refused = two.their_flow.complete(two.their_ticket, tenant=MINE)

    assert (refused.status_code, slug(refused)) == (403, "binding-mismatch")


@req("H02")
def test_a_reconnect_of_a_rivals_connection_finds_nothing(
    two: Two, world: World, backend: Backend, browser: Callable[[], Browser]
) -> None:
    flow = Flow(world, backend, browser(), MINE).open(connection=two.theirs["connection"], region="eu")

    refused = flow.complete(flow.home()["ticket"])

    assert (refused.status_code, slug(refused)) == (404, "unknown-connection")
    assert backend.get(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection']}").json() == two.theirs


@req("H02", "H08")
def test_a_list_holds_ones_own_alone_whatever_the_cursor(two: Two, backend: Backend) -> None:
    for cursor in ("", two.theirs["connection"], f"{two.theirs['connection']}%23profile", "con_" + "a" * 26):
        query = f"?cursor={cursor}" if cursor else ""
        listed = backend.get(f"/v1/tenants/{MINE}/connections{query}").json()["connections"]
        assert {each["connection"] for each in listed} <= {two.mine["connection"]}


STRANGE = [
    "%23brakes",
    "rival%23",
    "..",
    ".",
    "a%2Frival",
    "rival%00",
    "*",
    "$default",
    "x" * 65,
    "%C3%A9",
    "rival%20",
    "%25",
]


@req("H02", "H08")
@pytest.mark.parametrize("strange", STRANGE)
def test_a_tenant_is_a_plain_name(two: Two, backend: Backend, strange: str) -> None:
    """The control rows lie under a tenant that nobody can name."""
    answers = [backend.call(*route) for route in routes(strange, two.theirs["connection"], two.their_flow.session)]
    listed = backend.get(f"/v1/tenants/{strange}/connections")

    for answer in answers:
        assert answer.status_code in {400, 403, 404}
        assert two.theirs["label"] not in answer.text
    assert listed.status_code in {400, 404} or listed.json()["connections"] == []


@req("H08")
@pytest.mark.parametrize(
    "strange",
    ["con_x", "con_" + "a" * 26 + "%23profile", "fleet", "CON_" + "A" * 26, "ses_" + "a" * 26, "con_%2a", "x" * 5000],
)
def test_an_id_that_is_none_is_as_unknown_as_any(backend: Backend, strange: str) -> None:
    unknown = routes(MINE, "con_" + "a" * 26, "ses_" + "a" * 26)

    for route, other in zip(routes(MINE, strange, strange), unknown, strict=True):
        answer, wanted = backend.call(*route), backend.call(*other)
        assert without_id(answer) == without_id(wanted)


@req("H03")
def test_a_callers_own_policy_can_hold_it_to_one_tenant(world: World, two: Two, answers: Answers) -> None:
    scoped = Backend(world, answers, SCOPED)

    customer_app = scoped.post(f"/v1/tenants/{MINE}/connections/{two.mine['connection']}/token")
    foreign = scoped.post(f"/v1/tenants/{THEIRS}/connections/{two.theirs['connection']}/token")
    around = scoped.post(f"/v1/tenants/{MINE}/../{THEIRS}/connections/{two.theirs['connection']}/token")

    assert (customer_app.status_code, foreign.status_code) == (200, 403)
    assert around.status_code in {403, 404}
    scoped.close()


@req("H05", "H06")
def test_a_token_answer_holds_four_things_and_the_token(two: Two, backend: Backend) -> None:
    answer = backend.post(f"/v1/tenants/{MINE}/connections/{two.mine['connection']}/token")

    assert answer.json().keys() == {"access_token", "token_type", "expires_at", "expires_in", "api_base_url"}
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@req("H05")
def test_what_is_shown_of_a_connection_is_this_and_no_more(two: Two, backend: Backend) -> None:
    shown = backend.get(f"/v1/tenants/{MINE}/connections/{two.mine['connection']}").json()

    assert shown.keys() == {
        "connection", "tenant", "status", "reason", "region", "host", "api_base_url", "client", "client_id", "label",
        "scope", "organizations", "metadata", "created_at", "connected_at", "expires_at", "refresh_at",
        "consent_ends_at", "version",
    }  # fmt: skip


@req("H07")
def test_an_expired_token_is_never_given(world: World, two: Two, backend: Backend) -> None:
    path = f"/v1/tenants/{MINE}/connections/{two.mine['connection']}/token"
    ends = backend.post(path).json()["expires_at"]

    world.clock.advance(ends - world.clock.now() + 1)
    with ThreadPoolExecutor(1) as waiting:
        answer = waiting.submit(backend.post, path)
        for _ in range(1000):
            world.run_event_sources()
            if answer.done():
                break

    given = answer.result().json()
    assert given["expires_in"] > 3000
    assert world.ninjaone.oracle.accepts("eu.ninjarmm.com", given["access_token"])


@req("H10", "G10")
def test_each_yes_and_no_says_who_asked_for_what(world: World, two: Two, backend: Backend) -> None:
    connection = two.mine["connection"]
    before = len(world.log_lines)

    backend.post(f"/v1/tenants/{MINE}/connections/{connection}/token")
    backend.post(f"/v1/tenants/{THEIRS}/connections/{connection}/token")
    two.their_flow.complete("t" * 43)

    found = [json.loads(line) for line in list(world.log_lines)[before:] if '"message"' in line]
    said = {(each["message"], each.get("tenant"), each.get("error")) for each in found}
    assert {each["principal"] for each in found} == {"arn:aws:iam::123456789012:user/demo-backend"}
    assert ("token.vended", MINE, None) in said
    assert ("token.refused", THEIRS, "UnknownConnection") in said
    assert ("complete.refused", THEIRS, "BindingMismatch") in said
    assert {each["connection"] for each in found if each["message"].startswith("token.")} == {connection}
    assert all(each["timestamp"].endswith("+00:00") for each in found)


@req("H09")
def test_a_connection_that_ended_says_so_and_gives_no_token(
    world: World, backend: Backend, browser: Callable[[], Browser], tenant: str
) -> None:
    made = Flow(world, backend, browser(), tenant).connect()
    path = f"/v1/tenants/{tenant}/connections/{made['connection']}"

    backend.call("DELETE", path)
    refused = backend.post(f"{path}/token")

    assert (refused.status_code, slug(refused)) == (409, "not-active")
    assert s256("x") not in refused.text


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


@req("P01")
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{len(body)} bytes {body[:14]!r}")
def test_a_body_of_no_known_form_is_a_fault_and_no_failure(two: Two, backend: Backend, body: bytes) -> None:
    base = f"/v1/tenants/{MINE}"

    for path in (
        f"{base}/connections/{two.mine['connection']}/token",
        f"{base}/connect-sessions",
        f"{base}/connect-sessions/{two.my_flow.session}/complete",
    ):
        answer = backend.call("POST", path, body)
        empty = body == b"" and path.endswith("/token")
        assert (answer.status_code == 200) if empty else (slug(answer) == "invalid-request")


@req("P01")
@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "1.0", "1e1", "%D9%A3", "00001", "000001" + "9" * 4500, "", "1&limit=2"]
)
def test_a_limit_is_a_number_from_1_to_100(backend: Backend, limit: str) -> None:
    answer = backend.get(f"/v1/tenants/{MINE}/connections?limit={limit}")

    assert answer.status_code == (200 if limit in {"", "1&limit=2"} else 400)
