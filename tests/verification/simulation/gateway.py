"""API Gateway as the handlers see it: requests as payload-2.0 events."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from local.browser import refresh_target

Answer = dict[str, Any]
BACKEND = "arn:aws:sts::000000000000:assumed-role/backend/simulated"


def event(
    route: str,
    path: Mapping[str, str],
    *,
    caller: str = "",
    method: str = "",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    body: str = "",
) -> dict[str, Any]:
    """Write one request.

    Args:
        route: as the template names it: "POST /v1/tenants/{tenant}/connect-sessions"
        caller: ARN of who signed the request; empty on the public API
        method: what is sent where the route takes any
    """
    named, _, shape = route.partition(" ")
    raw = shape
    for name, held in path.items():
        raw = raw.replace("{" + name + "}", held).replace("{" + name + "+}", held)
    context: dict[str, Any] = {
        "requestId": "request",
        "domainName": "api.example" if caller else "connect.example",
        "http": {
            "method": method or named,
            "path": raw,
            "sourceIp": "192.0.2.1",
            "protocol": "HTTP/1.1",
        },
        "routeKey": route,
        "stage": "$default",
    }
    if caller:
        context["authorizer"] = {"iam": {"userArn": caller, "accountId": "000000000000"}}
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw,
        "rawQueryString": query,
        "cookies": [f"{name}={held}" for name, held in (cookies or {}).items()],
        "headers": {"host": context["domainName"], **(headers or {})},
        "pathParameters": dict(path),
        "requestContext": context,
        "body": base64.b64encode(body.encode()).decode() if headers and "form" in str(headers) else body,
        "isBase64Encoded": bool(headers and "form" in str(headers)),
    }


def call(
    route: str, path: Mapping[str, str], body: Mapping[str, Any] | None = None, *, method: str = "", query: str = ""
) -> Answer:
    """Write a backend's signed request."""
    return event(
        route,
        path,
        caller=BACKEND,
        method=method,
        headers={"content-type": "application/json"},
        body=json.dumps(body) if body is not None else "",
        query=query,
    )


def form(route: str, path: Mapping[str, str], fields: Mapping[str, str], cookies: Mapping[str, str]) -> Answer:
    """Write a form that a browser sends from our own page."""
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "sec-fetch-site": "same-origin",
        "origin": "https://connect.example",
    }
    return event(route, path, headers=headers, cookies=cookies, body=urlencode(fields))


def location(answer: Answer | None) -> str:
    """Read where an answer sends the browser by itself; empty when it sends it nowhere."""
    held = answer or {}
    return str(held.get("headers", {}).get("location", "")) or refresh_target(str(held.get("body", "")))


def status(answer: Answer | None) -> int:
    """Read an answer's status; what the gateway says for a function that died."""
    return int(answer["statusCode"]) if answer else 503


def body(answer: Answer | None) -> bytes:
    """Read the bytes of an answer."""
    held = str((answer or {}).get("body", ""))
    return base64.b64decode(held) if (answer or {}).get("isBase64Encoded") else held.encode()


def json_body(answer: Answer | None) -> dict[str, Any]:
    """Read a JSON answer; empty when there was none."""
    held: dict[str, Any] = json.loads(answer["body"]) if answer and answer.get("body") else {}
    return held
