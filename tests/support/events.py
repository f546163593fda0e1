"""Events as API Gateway makes them: by the local gateway's own code, without a gateway."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from broker.edge.http import Request
from local.aws.gateway import payload
from local.aws.gateway.sigv4 import DEMO
from local.cloudformation.resources import Api, Route

CALLER = DEMO.arn
"""Who signed every request made here."""

API = Api("Api", "abc1234567", "https://connect.example", signed=True)
FORM = "application/x-www-form-urlencoded"


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
    """Make the event of a signed request.

    Args:
        route: the route key, such as ``GET /connect/{session}``
        body: text as it is, or what to write as JSON
        form: fields of a form, in place of a body
        path: the route's parameters
    """
    method, _, pattern = route.partition(" ")
    raw_path = pattern.format(**path) if path else pattern
    named = {name.lower(): value for name, value in (headers or {}).items()}
    named = {"content-type": FORM if form is not None else "application/json"} | named
    if cookies:
        named["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    arrived = payload.HttpRequest(
        method=method if pattern else "GET",
        target=quote(raw_path or "/") + (f"?{query}" if query else ""),
        protocol="HTTP/1.1",
        host="connect.example",
        source_ip="203.0.113.7",
        headers=named,
        body=_content(body, form),
    )
    return payload.event(arrived, API, _route(route), request_id="request-1", parameters=path, caller=DEMO)


def _route(key: str) -> Route:
    method, _, pattern = key.partition(" ")
    return Route(API.id, method if pattern else "ANY", pattern or key, signed=True)


def _content(body: object, form: Mapping[str, str] | None) -> bytes:
    if form is not None:
        return urlencode(form).encode()
    if body is None:
        return b""
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def request(body: object = None, **changes: Any) -> Request:
    """Make a request of a backend with a JSON body."""
    return Request.from_event(event("POST /v1/anything", body=body, **changes))
