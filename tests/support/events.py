"""Events as API Gateway makes them, and answers as it takes them."""

import base64
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from broker.edge.http import Request

CALLER = "arn:aws:sts::123456789012:assumed-role/backend/session"
CONTEXT = SimpleNamespace(aws_request_id="lambda-1", get_remaining_time_in_millis=lambda: 29_000)


def event(
    route: str,
    *,
    query: str = "",
    body: object = None,
    form: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **path: str,
) -> dict[str, Any]:
    """Make the event of a request in payload format 2.0.

    route   the route key, such as ``GET /connect/{session}``
    body    text as it is, or what to write as JSON
    form    fields, sent in base64 as API Gateway does with forms
    path    the route's parameters
    """
    method, _, pattern = route.partition(" ")
    raw_path = pattern.format(**path) if path else pattern
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path or "/",
        "rawQueryString": query,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {
            "domainName": "connect.example",
            "http": {"method": method if pattern else "GET", "path": raw_path},
            "requestId": "request-1",
            "authorizer": {"iam": {"userArn": CALLER}},
        },
        "isBase64Encoded": False,
    }
    if path:
        made["pathParameters"] = path
    if cookies:
        made["cookies"] = [f"{name}={value}" for name, value in cookies.items()]
    if body is not None:
        made["body"] = body if isinstance(body, str) else json.dumps(body)
    if form is not None:
        made["headers"]["content-type"] = "application/x-www-form-urlencoded"
        made["body"] = base64.b64encode(urlencode(form).encode()).decode()
        made["isBase64Encoded"] = True
    return made


def request(body: object = None, **changes: Any) -> Request:
    """Make a request of a backend with a JSON body."""
    return Request.from_event(event("POST /v1/anything", body=body, **changes))
