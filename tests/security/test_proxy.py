"""Calls to NinjaOne over HTTP: paths that try to get out, other tenants, and who ever sees a token."""

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from local.aws.gateway.sigv4 import DEMO, Principal
from local.browser import Browser
from local.world import World
from tests.security.conftest import SCOPED
from tests.support.http_flow import Answers, Backend, Flow, Json, slug
from tests.support.local_world import still_world
from tools.requirements import req


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    rules = f"{DEMO.arn} GET /v2/*; {DEMO.arn} POST /v2/ticketing/trigger/board/*/run; {SCOPED.arn} GET /v2/users"
    with still_world(principals=(DEMO, SCOPED), parameters={"ProxyPolicy": rules}) as world:
        yield world


@pytest.fixture(scope="module")
def mine(world: World) -> Iterator[Json]:
    """A connection of the tenant acme."""
    backend = Backend(world, Answers())
    with Browser() as person:
        yield Flow(world, backend, person, "acme").connect()
    backend.close()


def below(made: Json, path: str, tenant: str = "") -> str:
    return f"/v1/tenants/{tenant or made['tenant_id']}/connections/{made['connection_id']}/ninjaone{path}"


def tokens(world: World) -> set[str]:
    """Every access token that NinjaOne gave."""
    return {each.value for grant in world.ninjaone.oracle.grants() for each in grant.access_tokens}


@req("Q01", "Q03")
def test_a_call_reaches_ninjaone_and_its_caller_never_sees_a_token(world: World, mine: Json, backend: Backend) -> None:
    answer = backend.get(below(mine, "/v2/organizations?pageSize=2"))

    assert (answer.status_code, answer.headers["x-ninjaone-connect"]) == (200, "passed")
    assert len(answer.json()) == 2
    assert backend.post(below(mine, "/v2/ticketing/trigger/board/1/run"), {}).json()["data"]
    for path in ("/v2/organizations", "/v2/nothing", "/v2/devices?pageSize=0", "/v3/x"):
        answer = backend.get(below(mine, path))
        assert not [token for token in tokens(world) if token in answer.text + str(answer.headers)]
    assert not [token for token in tokens(world) if token in "".join(world.log_lines)]


TRICKS = [
    "/v2/../ws/oauth/token", "/v2/%2e%2e/ws/oauth/token", "/v2/%2E%2E%2Fws/oauth/token", "/v2/..%2fws", "/v2/.",
    "/v2/%252e%252e/ws", "/v2/a%25b", "/v2/a%23b", "/v2/a%3Bb", "/v2/a;b", "/v2/a%5Cb", "/v2/a%0d%0aHost:x",
    "/v2/a%00", "/v2//organizations", "/v2/organizations/", "//evil.example/v2/x", "/https://evil.example/v2/x",
    "/V2/organizations", "/api/v1/organizations", "/ws/oauth/token", "/v2", "/", "/api/v2", "/v2/%E2%80%A8",
    "/v2/%EF%BC%8E%EF%BC%8E/ws", "/v2/a%EF%BC%8F..%EF%BC%8Fws", "/v2/%E2%80%A5/ws", "/v2/..%20/ws",
    "/v2/.%E2%80%8B./ws", "/v2/%c0%ae%c0%ae/ws", "/v2/a%c0%afws", "/v2/%e0%80%ae./ws", "/v2/%ff",
    "/v2/%u002e%u002e/ws", "/v2/organizations%09", "/v2/organizations///", "/v2/...%2f%2e%2e", "/v2%00/organizations",
    "/v2%20/organizations", "/%EF%BD%962/organizations", "/v2%2F..%2Fws/oauth/token", "/..%2f..%2f..%2ftoken",
    "/@evil.example/v2/x",
]  # fmt: skip


@req("Q02")
@pytest.mark.parametrize("trick", TRICKS)
def test_no_path_leads_out_of_the_api(trick: str, world: World, mine: Json) -> None:
    """Sent as it is, with no client that would tidy it up first: nothing of it reaches NinjaOne."""
    before = len(world.log_lines)
    status, _, body = raw(world, "GET", below(mine, trick))

    assert status in {400, 403, 404}, body
    assert "passed" not in body
    asked = [line for line in list(world.log_lines)[before:] if '"proxy.called"' in line and '"status":0' not in line]
    assert not [json.loads(line) for line in asked if json.loads(line)["status"]]


@req("Q02")
def test_an_encoded_slash_is_judged_as_the_slash_that_ninjaone_would_read(world: World, mine: Json) -> None:
    status, headers, _ = raw(world, "GET", below(mine, "/v2%2Forganizations"))
    assert (status, headers.get("x-ninjaone-connect")) == (200, "passed")

    status, headers, body = raw(world, "POST", below(mine, "/v2/ticketing%2Fticket"))
    assert (status, json.loads(body)["type"].rpartition(":")[2]) == (403, "call-refused")


@req("Q02", "Q04")
@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Method-Override": "DELETE"},
        {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
        {"Authorization-Bearer": "Bearer mine", "X-Original-URL": "/ws/oauth/token", "X-Rewrite-URL": "/ws"},
        {"Connection": "authorization, x-amz-date", "Proxy-Authorization": "Basic eDp5", "TE": "trailers"},
        {"Expect": "", "Upgrade": "h2c", "HTTP2-Settings": "x", "Trailer": "authorization", "Max-Forwards": "0"},
        {"Accept-Encoding": "br, gzip", "Via": "1.1 x", "X-HTTP-Method": "DELETE", "Content-Encoding": "gzip"},
    ],
)
def test_no_header_changes_where_a_call_goes_or_what_it_does(
    headers: dict[str, str], mine: Json, backend: Backend
) -> None:
    answer = backend.call("GET", below(mine, "/v2/organizations"), headers=headers)

    assert (answer.status_code, answer.headers["x-ninjaone-connect"]) == (200, "passed")
    assert isinstance(answer.json(), list)


@req("Q02")
@pytest.mark.parametrize(
    "query",
    [
        "_method=DELETE", "showSecureValues=true", "SHOWSECUREVALUES=1", "show%53ecureValues=1", "a=1;_method=DELETE",
        "showSecureValues=false&showSecureValues=true", "%C5%BFhowSecureValues=1", "X-HTTP-Method-Override=DELETE",
    ],
)  # fmt: skip
def test_no_query_does_what_the_policy_does_not_allow(query: str, mine: Json, backend: Backend) -> None:
    answer = backend.get(below(mine, f"/v2/organizations?{query}"))

    assert slug(answer) in {"invalid-request", "call-refused"}


@req("Q02")
def test_no_form_does_what_the_policy_does_not_allow(mine: Json, backend: Backend) -> None:
    path = below(mine, "/v2/ticketing/trigger/board/1/run")

    for kind, body in {
        "application/x-www-form-urlencoded": b"_method=DELETE",
        "multipart/form-data; boundary=b": b'--b\r\nContent-Disposition: form-data; name="_method"\r\n\r\nPUT\r\n--b--',
    }.items():
        assert slug(backend.call("POST", path, body, headers={"Content-Type": kind})) == "invalid-request"


@req("Q03")
@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/octet-stream", bytes(4 << 20), 200),
        ("application/octet-stream", bytes((4 << 20) + 1), 413),
        ("application/json", b"[" + b"1" * ((4 << 20) - 2) + b"]", 200),
        ("application/json", b'"' * (4 << 20), 413),
    ],
    ids=["4 MB of bytes", "a byte more", "4 MB of text", "4 MB that JSON escapes to 8"],
)
def test_a_request_of_4_mb_passes_and_a_larger_one_is_told(
    kind: str, body: bytes, status: int, mine: Json, backend: Backend
) -> None:
    path = below(mine, "/v2/ticketing/trigger/board/1/run")

    answer = backend.call("POST", path, body, headers={"Content-Type": kind})

    is_ninjaones = answer.headers.get("x-ninjaone-connect") == "passed"
    assert (answer.status_code == 413, is_ninjaones) == (status == 413, status != 413)


@req("Q03")
def test_what_ninjaone_answers_to_head_and_range_comes_without_a_body_that_is_not_there(
    mine: Json, backend: Backend
) -> None:
    answer = backend.call("HEAD", below(mine, "/v2/organizations"), headers={"Range": "bytes=0-1"})

    assert (answer.headers["x-ninjaone-connect"], answer.content) == ("passed", b"")


@req("Q04")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_what_the_policy_does_not_name_is_refused(method: str, mine: Json, backend: Backend) -> None:
    answer = backend.call(method, below(mine, "/v2/organizations"))

    assert slug(answer) == ("invalid-request" if method == "OPTIONS" else "call-refused")


@req("Q04")
def test_each_caller_has_rules_of_its_own(world: World, mine: Json) -> None:
    other = Backend(world, Answers(), SCOPED)

    assert other.get(below(mine, "/v2/users")).headers["x-ninjaone-connect"] == "passed"
    refused = other.get(below(mine, "/v2/organizations"))
    assert slug(refused) == "call-refused"
    assert "Allowed are: GET /v2/users." in refused.json()["detail"]
    assert "board" not in refused.json()["detail"]
    other.close()


@req("Q03")
def test_no_tenant_calls_with_another_s_connection(world: World, mine: Json, backend: Backend) -> None:
    foreign = backend.get(below(mine, "/v2/organizations", tenant="rival"))
    invented = backend.get(below(mine | {"connection_id": "con_" + "a" * 26}, "/v2/organizations"))
    scoped = Backend(world, Answers(), SCOPED)

    assert [slug(foreign), slug(invented)] == ["unknown-connection"] * 2
    assert foreign.json()["detail"] == invented.json()["detail"]
    assert scoped.get(below(mine, "/v2/users", tenant="rival")).status_code == 403
    scoped.close()


def raw(world: World, method: str, path: str, principal: Principal = DEMO) -> tuple[int, dict[str, str], str]:
    """Send a signed request whose target is not touched by any library."""
    there = urlsplit(world.api_url)
    signed = AWSRequest(method, f"http://{there.netloc}{path}", {}, b"")
    SigV4Auth(principal.credentials, "execute-api", "eu-west-1").add_auth(signed)
    connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**dict(signed.headers), "Host": there.netloc}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found
