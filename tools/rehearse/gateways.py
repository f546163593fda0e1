"""Send the same requests to the gateway of `make run` and to MiniStack's HTTP API, with the same function behind both.

What differs beyond `KNOWN` is reported. MiniStack has neither limits nor signatures: tests/local shows those.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local.aws.gateway.http_api import Gateway
from local.aws.lambda_runtime import Runtime
from local.cloudformation.resources import Api, Function, Route
from ninjaone_emulator.wsgi_server import serve
from tools.rehearse import echo
from tools.rehearse.cloud import Account
from tools.rehearse.environment import Environment

NAME, DEFAULT = "echo", "$default"
ROUTES = ("GET /notes", "GET /notes/{note}", "GET /notes/mine", "POST /notes/{note}", "GET /files/{path+}", "ANY /any",
          "GET /any")  # fmt: skip
_TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
_OWN = ("accountId", "apiId", "domainName", "requestId", "time", "timeEpoch")
"""What each gateway says of itself in an event's context: only the kind of value is compared."""
_LEFT_OUT = "domainPrefix"
"""What MiniStack does not say there."""
_SENT = ("x-many", "user-agent", "content-type", "cookie")
"""The headers of an event that are compared; the rest is the connection's."""
KNOWN = {
    "GET /notes/": "MiniStack takes a slash at the end away before it chooses a route",
    "GET /files/": "MiniStack takes a slash at the end away before it chooses a route",
    "GET /notes/a%3Fb": "a path ends at a decoded question mark, as was measured on AWS; MiniStack keeps it",
    "GET /notes/a%2520b": "MiniStack decodes every escape but that of the percent sign",
    "no type": "MiniStack calls an answer without a type JSON, an HTTP API calls it text",
    "function raises": "MiniStack answers 502 with the error, an HTTP API 500 without",
}
"""Requests that are answered differently → why. One that is answered alike must go from this list."""


@dataclass(frozen=True)
class Request:
    """What is sent to both.

    Attributes:
        answer: what the function is to answer; its event if None
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    answer: Any = None

    def seen(self, client: httpx.Client) -> Mapping[str, Any]:
        """Send it, and return what is compared of the response: of an event less than of any other answer."""
        chosen = [("x-answer", json.dumps(self.answer))] if self.answer is not None else []
        answer = client.request(self.method, self.target, headers=[*self.headers, *chosen], content=self.body)
        if self.answer is None and answer.status_code == 200:
            return _common(answer.json())
        named = [pair for pair in answer.headers.multi_items() if pair[0] in {"content-type", "set-cookie", "x-said"}]
        return {"status": answer.status_code, "headers": sorted(named), "body": answer.content}


def _common(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs by nature, and what MiniStack sets to null where an HTTP API says nothing."""
    context = {name: type(value) if name in _OWN else value for name, value in event["requestContext"].items()}
    context.pop(_LEFT_OUT, None)
    headers = {name: value.replace(", ", ",") for name, value in event["headers"].items() if name in _SENT}
    told = {name: value for name, value in event.items() if value is not None}
    return told | {"requestContext": context, "headers": headers}


def _requests() -> dict[str, Request]:
    """Name each request."""
    png = {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": "/w==", "isBase64Encoded": True}
    said = {
        "headers": {"content-type": "text/html", "x-said": "5"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "<p>é</p>",
    }
    targets = ("GET /notes", "GET /notes/7", "GET /notes/mine", "POST /notes/mine", "GET /files/a/b", "GET /any",
               "PUT /any", "GET /notes/", "PUT /notes", "GET /files/", "GET /a%20b", "GET /notes/a%20b",
               "GET /notes/a%2Fb", "GET /notes/a%3Fb", "GET /notes/a%2520b", "GET /notes/%C3%A9",
               "GET /notes?x=1&y=a%20b&x=2&z=", "GET /notes?x=%C3%A9&y=a+b&%20=1")  # fmt: skip
    kinds = ("application/json", "application/json; charset=utf-8", "application/xml", "application/vnd.a+json",
             "text/plain", "application/x-www-form-urlencoded", "application/octet-stream")  # fmt: skip
    return {
        **{each: Request(each.partition(" ")[0], each.partition(" ")[2]) for each in targets},
        **{f"body of {kind}": Request("POST", "/notes/1", [("content-type", kind)], "é=1".encode()) for kind in kinds},
        "body of no type": Request("POST", "/notes/1", body=b"a"),
        "cookies": Request("GET", "/notes", [("cookie", "a=1; b=2")]),
        "repeated header": Request("GET", "/notes", [("X-Many", "1"), ("x-many", "2")]),
        "page": Request("GET", "/notes", answer={"statusCode": 201} | said),
        "bytes": Request("GET", "/notes", answer=png),
        "nothing": Request("GET", "/notes", answer={"statusCode": 204, "headers": {"content-type": "text/css"}}),
        "no type": Request("GET", "/notes", answer={"statusCode": 200, "body": "a"}),
        "head": Request("HEAD", "/elsewhere", answer=said | {"statusCode": 404}),
        "function raises": Request("GET", "/notes", answer="raise"),
    }  # fmt: skip


def differences(environment: Environment, account: Account) -> tuple[int, dict[str, str]]:
    """Return how many requests were sent to both, and describe by name those that were answered differently."""
    function, asked = _function(account), 0
    found: dict[str, str] = {}
    for routes, requests in (
        ((*ROUTES, DEFAULT), _requests()),
        (ROUTES, {"no route": Request("GET", "/elsewhere"), "no method": Request("PUT", "/notes")}),
    ):
        with _local(routes) as here, _ministack(environment, account, function, routes) as there:
            seen = {name: (each.seen(here), each.seen(there)) for name, each in requests.items()}
        found |= {name: f"{ours}, MiniStack {theirs}" for name, (ours, theirs) in seen.items() if ours != theirs}
        asked += len(seen)
    return asked, found


@contextmanager
def _local(routes: Sequence[str]) -> Iterator[httpx.Client]:
    api = Api("Api", "api", "https://aws", signed=False)
    split = [key.split() if " " in key else ["ANY", key] for key in routes]
    made = tuple(Route(api.id, method, path, signed=False) for method, path in split)
    function = Function("Echo", NAME, "arn", NAME, "", 10, 128, None, {}, made, (), ())
    gateway = Gateway(api, [Runtime(function, lambda: echo.handler)], [])
    with serve(gateway) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def _function(account: Account) -> str:
    """Make the function on MiniStack; return its ARN."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": [_TRUST]})
    role = account.client("iam").create_role(RoleName=NAME, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(echo.__file__, "echo.py")
    made = account.client("lambda").create_function(
        FunctionName=NAME, Runtime="python3.13", Role=role, Handler="echo.handler", Code={"ZipFile": packed.getvalue()}
    )
    return str(made["FunctionArn"])


@contextmanager
def _ministack(
    environment: Environment, account: Account, function: str, routes: Sequence[str]
) -> Iterator[httpx.Client]:
    apis = account.client("apigatewayv2")
    api = apis.create_api(Name=NAME, ProtocolType="HTTP")
    proxy = {"IntegrationType": "AWS_PROXY", "IntegrationUri": function, "PayloadFormatVersion": "2.0"}
    integration = apis.create_integration(ApiId=api["ApiId"], **proxy)["IntegrationId"]
    for key in routes:
        apis.create_route(ApiId=api["ApiId"], RouteKey=key, Target=f"integrations/{integration}")
    apis.create_stage(ApiId=api["ApiId"], StageName=DEFAULT, AutoDeploy=True)
    with httpx.Client(base_url=api["ApiEndpoint"], trust_env=False, timeout=60) as client:
        yield client
