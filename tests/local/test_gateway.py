"""The gateway over real HTTP, where MiniStack is no measure: limits, signatures, rewriting, known differences.

That events and answers have AWS's form, `make rehearse` shows: tools/rehearse/gateways.py.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
import time_machine
from botocore.credentials import Credentials

from local.aws.gateway.http_api import Gateway
from local.aws.gateway.sigv4 import DEMO, Principal
from local.aws.lambda_runtime import Runtime
from local.cloudformation.arns import arn
from local.cloudformation.resources import Api, Function, Route
from local.reroute import Reroute
from ninjaone_emulator.wsgi_server import serve
from tests.support.signing import signed

SCOPED = Principal("AKIASCOPED", "scoped-secret", "scoped", (arn("execute-api", "private/$default/GET/notes/ann*"),))
ROUTES = ["GET /notes", "GET /notes/{note}", "GET /notes/mine", "POST /notes/{note}", "GET /files/{path+}"]

Answer = Callable[[dict[str, Any]], Any]


class Site:
    """A gateway on loopback in front of one function whose answer a test chooses."""

    def __init__(self, function: Function, *, signed: bool, default: bool = True) -> None:
        self.events: list[dict[str, Any]] = []
        self.answer: Answer = lambda _event: {"statusCode": 204}
        api = Api("Api", "private" if signed else "public", "https://aws", signed)
        routes = [Route(api.id, key.split()[0], key.split()[1], signed=signed) for key in ROUTES]
        routes += [Route(api.id, "ANY", "$default", signed=False)] if default else []
        self.runtime = Runtime(replace(function, routes=tuple(routes)), lambda: self._handle)
        reroute = Reroute("http://127.0.0.1:1", ["ninjarmm.com"], prefixed=True)
        self.gateway = Gateway(api, [self.runtime], [DEMO, SCOPED], rewrite=reroute.text, cut_off=0.5)

    def _handle(self, event: dict[str, Any], _context: object) -> Any:
        self.events.append(event)
        return self.answer(event)


@pytest.fixture
def site(function: Function) -> Site:
    return Site(function, signed=False)


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    with (
        serve(site.gateway) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def private(function: Function) -> Site:
    return Site(function, signed=True, default=False)


@pytest.fixture
def signed_http(private: Site) -> Iterator[httpx.Client]:
    with serve(private.gateway) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


# Known differences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "parameters"),
    [
        ("/notes/", "$default", None),
        ("/files/", "$default", None),
        ("/notes/a%3Fb", "GET /notes/{note}", {"note": "a"}),
    ],
)
def test_a_path_ends_at_a_question_mark_and_a_slash_at_its_end_counts(
    site: Site, http: httpx.Client, path: str, key: str, parameters: Mapping[str, str] | None
) -> None:
    http.get(path)

    (event,) = site.events
    assert (event["routeKey"], event.get("pathParameters")) == (key, parameters)


def test_an_answer_without_a_type_is_text(site: Site, http: httpx.Client) -> None:
    site.answer = lambda _event: {"statusCode": 200, "body": "a"}

    assert http.get("/notes").headers["content-type"] == "text/plain;charset=UTF-8"


def test_the_header_and_the_event_name_a_request_alike(site: Site, http: httpx.Client) -> None:
    named = [http.get("/notes").headers["apigw-requestid"] for _ in range(2)]

    assert named == [event["requestContext"]["requestId"] for event in site.events]
    assert len(set(named)) == 2
    assert all(re.fullmatch("[A-Za-z0-9]{15}=", each) for each in named)


def test_addresses_of_ninjaone_are_rewritten_where_a_browser_follows_them(site: Site, http: httpx.Client) -> None:
    there = "https://eu.ninjarmm.com/ws/oauth/authorize?x=https%3A%2F%2Feu.ninjarmm.com"
    site.answer = lambda _event: {
        "statusCode": 303,
        "headers": {
            "location": there,
            "content-security-policy": "form-action 'self' https://*.ninjarmm.com https://eu.ninjarmm.com",
            "x-other": there,
            "content-type": "text/html",
        },
        "body": f'<a href="{there}">eu.ninjarmm.com</a>',
    }

    answer = http.get("/notes")
    headers = answer.headers

    assert headers["location"] == "http://127.0.0.1:1/eu.ninjarmm.com/ws/oauth/authorize?" + there.partition("?")[2]
    assert headers["content-security-policy"] == (
        "form-action 'self' http://127.0.0.1:1 http://127.0.0.1:1/eu.ninjarmm.com"
    )
    assert headers["x-other"] == there
    assert answer.text == f'<a href="{headers["location"]}">eu.ninjarmm.com</a>'


@pytest.mark.parametrize("answer", [None, "text", {}, {"statusCode": "200"}, {"statusCode": 200, "body": {1: set()}}])
def test_what_is_no_answer_is_an_internal_error(site: Site, http: httpx.Client, answer: Any) -> None:
    site.answer = lambda _event: answer if answer != {"statusCode": 200, "body": {1: set()}} else {1, 2}

    got = http.get("/notes")

    assert (got.status_code, got.text) == (500, '{"message":"Internal Server Error"}')


def test_a_function_that_raises_is_an_internal_error(site: Site, http: httpx.Client) -> None:
    def fail(_event: dict[str, Any]) -> Any:
        raise RuntimeError("secret")

    site.answer = fail

    got = http.get("/notes")

    assert (got.status_code, got.text) == (500, '{"message":"Internal Server Error"}')


def test_after_the_cut_off_the_service_is_unavailable(site: Site, http: httpx.Client) -> None:
    done = threading.Event()
    site.answer = lambda _event: {"statusCode": 200 if done.wait(60) else 500}

    got = http.get("/notes")
    done.set()

    assert (got.status_code, got.text) == (503, '{"message":"Service Unavailable"}')


# Limits ---------------------------------------------------------------------------------------------------------


def test_a_head_of_ten_kilobytes_is_the_most(site: Site, http: httpx.Client) -> None:
    got = http.get("/notes", headers={"X-Long": "x" * 10_240})

    assert (got.status_code, site.events) == (431, [])
    assert http.get("/notes", headers={"X-Long": "x" * 9_000}).status_code == 204


def test_a_body_of_ten_megabytes_is_the_most(site: Site, http: httpx.Client) -> None:
    got = http.post("/notes/1", content=b"x" * (10 * 1024 * 1024 + 1))

    assert (got.status_code, site.events) == (413, [])


# Signatures ------------------------------------------------------------------------------------------------


def send(
    http: httpx.Client,
    method: str = "GET",
    path: str = "/notes",
    body: bytes = b"",
    *,
    by: Credentials = DEMO.credentials,
    seconds: int = 0,
    claimed: Mapping[str, str] | None = None,
    sent: Mapping[str, Any] | None = None,
    **scope: str,
) -> httpx.Response:
    """Sign one request, and send it.

    Args:
        seconds: how far the signer's clock is off
        claimed: further headers that are signed
        sent: what is sent otherwise than it was signed: url, content, or further headers
        scope: service and region that are signed for
    """
    said = {"Content-Type": "application/json", **(claimed or {})}
    with time_machine.travel(time.time() + seconds, tick=False):
        headers = signed(by, method, str(http.base_url).rstrip("/") + path, body, said, **scope)
    told = {"url": path, "content": body} | dict(sent or {})
    return http.request(method, **told | {"headers": headers | told.get("headers", {})})


@pytest.mark.parametrize("path", ["/notes", "/notes/a-b", "/notes?b=2&a=1", "/notes?x=a%20b&y=", "/notes/a%20b"])
def test_a_signed_request_is_let_through(private: Site, signed_http: httpx.Client, path: str) -> None:
    assert send(signed_http, path=path).status_code == 204
    assert len(private.events) == 1


def test_a_signed_body_is_let_through(private: Site, signed_http: httpx.Client) -> None:
    assert send(signed_http, "POST", "/notes/1", b'{"a": "\xc3\xa9"}').status_code == 204
    assert json.loads(private.events[0]["body"]) == {"a": "é"}


def test_the_event_says_who_signed(private: Site, signed_http: httpx.Client) -> None:
    send(signed_http)

    assert private.events[0]["requestContext"]["authorizer"]["iam"] == {
        "accessKey": DEMO.access_key,
        "accountId": "123456789012",
        "callerId": DEMO.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": "arn:aws:iam::123456789012:user/demo-backend",
        "userId": DEMO.user_id,
    }


POST = {"method": "POST", "path": "/notes/1", "body": b"{}"}
REFUSED: list[Any] = [
    pytest.param({"service": "s3"}, id="another service"),
    pytest.param({"region": "us-east-1"}, id="another region"),
    pytest.param({"by": Credentials(DEMO.access_key, "another secret")}, id="another secret"),
    pytest.param({"by": Credentials("AKIANOBODY", DEMO.secret_key)}, id="unknown key"),
    pytest.param(POST | {"sent": {"content": b"[]"}}, id="body changed"),
    pytest.param(POST | {"claimed": {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}}, id="body not hashed"),
    pytest.param({"sent": {"url": "/notes/mine"}}, id="path changed"),
    pytest.param({"sent": {"url": "/notes?more=1"}}, id="query changed"),
    pytest.param({"sent": {"headers": {"X-Amz-Extra": "not signed"}}}, id="x-amz header not signed"),
    pytest.param({"sent": {"headers": {"Authorization": "Bearer x"}}}, id="another scheme"),
    pytest.param({"sent": {"headers": {"Authorization": ""}}}, id="unsigned"),
    pytest.param({"seconds": -400}, id="signed too long ago"),
    pytest.param({"seconds": 400}, id="signed in the future"),
]


@pytest.mark.parametrize("way", REFUSED)
def test_what_does_not_prove_its_sender_is_forbidden(
    private: Site, signed_http: httpx.Client, way: dict[str, Any]
) -> None:
    got = send(signed_http, **way)

    assert (got.status_code, got.text) == (403, '{"message":"Forbidden"}')
    assert private.events == []


@pytest.mark.parametrize("seconds", [-200, 200])
def test_a_clock_may_be_off_by_five_minutes(signed_http: httpx.Client, seconds: int) -> None:
    assert send(signed_http, seconds=seconds).status_code == 204


def test_a_caller_reaches_only_what_its_own_policy_names(private: Site, signed_http: httpx.Client) -> None:
    assert send(signed_http, path="/notes/anna", by=SCOPED.credentials).status_code == 204
    assert send(signed_http, path="/notes/bob", by=SCOPED.credentials).status_code == 403
    assert send(signed_http, "POST", "/notes/anna", by=SCOPED.credentials).status_code == 403
    assert len(private.events) == 1
