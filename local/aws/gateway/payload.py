"""API Gateway's payload format 2.0: HTTP requests as events, and a function's answers as HTTP responses.

Where AWS's documentation is silent, this follows what others measured on deployed HTTP APIs: paths arrive
decoded and end at a decoded `?`; only text and JSON, XML and JavaScript arrive as text, forms in base64.
"""

import base64
import re
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from local.aws.gateway.sigv4 import Principal, Signed
from local.cloudformation.arns import ACCOUNT
from local.cloudformation.resources import Api, Route

HEAD_LIMIT = 10_240
"""Bytes of the request line and the headers' values."""

BODY_LIMIT = 10 * 1024 * 1024

_TEXT = re.compile(r"text/.*|application/(json|xml|javascript)")


@dataclass(frozen=True)
class HttpRequest:
    """One HTTP request, before a route is chosen.

    Attributes:
        target: raw path and query, as the request line says them
        headers: by lower-case name, repeated ones joined by commas
    """

    method: str
    target: str
    protocol: str
    host: str
    source_ip: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, request: Request) -> "HttpRequest":
        """Read a WSGI request.

        Raises:
            RequestEntityTooLarge
        """
        target = str(request.environ.get("REQUEST_URI") or request.full_path)
        if not target.startswith("/"):  # absolute form, RFC 9112 §3.2.2
            parts = urlsplit(target)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        request.max_content_length = BODY_LIMIT
        return cls(
            method=request.method,
            target=target,
            protocol=str(request.environ.get("SERVER_PROTOCOL", "HTTP/1.1")),
            host=request.host,
            source_ip=request.remote_addr or "127.0.0.1",
            headers={name.lower(): value for name, value in request.headers},
            body=request.get_data(cache=False),
        )

    @property
    def path(self) -> str:
        """The path as routes are matched and functions are told: decoded as a whole."""
        return unquote(self.target.partition("?")[0]).partition("?")[0]

    @property
    def query(self) -> str:
        """The query string as it was sent."""
        return self.target.partition("?")[2]

    @property
    def head_size(self) -> int:
        """What counts against HEAD_LIMIT."""
        line = f"{self.method} {self.target} {self.protocol}"
        return len(line) + sum(len(value) for value in self.headers.values())

    def signed(self) -> Signed:
        """Return what a signature covers."""
        return Signed(self.method, f"http://{self.host}{self.target}", self.headers, self.body)


def request_id() -> str:
    """Draw a request's id, of the form of API Gateway's: ``JKJaXmPLvHcESHA=``."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(15)) + "="


def event(
    arrived: HttpRequest,
    api: Api,
    route: Route,
    *,
    request_id: str,
    parameters: Mapping[str, str],
    caller: Principal | None,
) -> dict[str, Any]:
    """Make the event of a request on a route; what is empty is left out, as API Gateway does.

    Args:
        request_id: what the answer's header Apigw-Requestid says too
    """
    cookies = [cookie.strip() for cookie in arrived.headers.get("cookie", "").split(";") if cookie.strip()]
    said: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": arrived.path,
        "rawQueryString": arrived.query,
        "headers": _headers(arrived),
        "requestContext": {**_context(arrived, api, route, caller), "requestId": request_id},
        "isBase64Encoded": False,
    }
    if cookies:
        said["cookies"] = cookies
    if arrived.query:
        said["queryStringParameters"] = _joined(arrived.query)
    if parameters:
        said["pathParameters"] = dict(parameters)
    return said | _body(arrived)


def _headers(arrived: HttpRequest) -> dict[str, str]:
    port = arrived.host.rpartition(":")[2]
    passed = {name: value for name, value in arrived.headers.items() if name != "cookie"}
    before = f"{passed['x-forwarded-for']}, " if "x-forwarded-for" in passed else ""
    return passed | {
        "x-amzn-trace-id": f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]}",
        "x-forwarded-for": before + arrived.source_ip,
        "x-forwarded-port": port if port.isdigit() else "80",
        "x-forwarded-proto": "http",
    }


def _joined(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(arrived: HttpRequest) -> dict[str, Any]:
    if not arrived.body:
        return {}
    kind = arrived.headers.get("content-type", "").partition(";")[0].strip().lower()
    if _TEXT.fullmatch(kind):
        return {"body": arrived.body.decode("utf-8", "replace")}
    return {"body": base64.b64encode(arrived.body).decode(), "isBase64Encoded": True}


def _context(arrived: HttpRequest, api: Api, route: Route, caller: Principal | None) -> dict[str, Any]:
    now = time.time()
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": api.id,
        "domainName": arrived.host,
        "domainPrefix": arrived.host.partition(".")[0],
        "http": {
            "method": arrived.method,
            "path": arrived.path,
            "protocol": arrived.protocol,
            "sourceIp": arrived.source_ip,
            "userAgent": arrived.headers.get("user-agent", ""),
        },
        "routeKey": route.key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }
    if caller is not None:
        context["authorizer"] = {"iam": _iam(caller)}
    return context


def _iam(caller: Principal) -> dict[str, str | None]:
    return {
        "accessKey": caller.access_key,
        "accountId": ACCOUNT,
        "callerId": caller.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.arn,
        "userId": caller.user_id,
    }


def response(answer: Any) -> Response:
    """Make an HTTP response of a function's answer.

    Raises:
        ValueError: the answer is malformed
    """
    match answer:
        case {"statusCode": int(status)}:
            body = answer.get("body") or ""
        case _:
            raise ValueError("an answer needs a statusCode")
    content = base64.b64decode(body) if answer.get("isBase64Encoded") else str(body).encode()
    made = Response(content, status=status, content_type="text/plain;charset=UTF-8")
    for name, value in answer.get("headers", {}).items():
        made.headers[name] = str(value)
    for cookie in answer.get("cookies", []):
        made.headers.add("Set-Cookie", cookie)
    return made
