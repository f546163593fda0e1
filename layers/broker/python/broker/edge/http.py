"""Requests and responses of API Gateway's HTTP APIs, payload format 2.0."""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from broker.secret import Secret

Event = Mapping[str, Any]

BODY_LIMIT = 16_384
"""Bytes of a request body that are read; the largest that is meant is under 8 KB."""


@dataclass(frozen=True)
class Request:
    """What a browser or a backend sent. Header names are lower case.

    Attributes:
        body: None when it is too large or not what it says it is
    """

    route: str
    method: str
    domain: str
    raw_path: str
    path: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    cookies: Mapping[str, Secret]
    body: bytes | None
    caller: str
    request_id: str

    @classmethod
    def from_event(cls, event: Event, *, body_limit: int = BODY_LIMIT) -> "Request":
        """Read an event; what is missing is empty."""
        context = event.get("requestContext") or {}
        iam = (context.get("authorizer") or {}).get("iam") or {}
        return cls(
            route=str(event.get("routeKey", "")),
            method=str((context.get("http") or {}).get("method", "")),
            domain=str(context.get("domainName", "")),
            raw_path=str(event.get("rawPath") or ""),
            path={str(name): str(part) for name, part in (event.get("pathParameters") or {}).items()},
            raw_query=str(event.get("rawQueryString") or ""),
            headers={str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()},
            cookies=_cookies(event.get("cookies") or []),
            body=_body(event, body_limit),
            caller=str(iam.get("userArn") or ""),
            request_id=str(context.get("requestId") or ""),
        )

    @property
    def reference(self) -> str:
        """Name this request so that a person can read it out: ``K7QF-2M6P``. Its log lines have it too."""
        drawn = base64.b32encode(hashlib.sha256(self.request_id.encode()).digest())[:8].decode("ascii")
        return f"{drawn[:4]}-{drawn[4:]}"

    def query(self, name: str) -> str | None:
        """Read a query parameter that may be given once; None when absent or repeated. Others may be many."""
        pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        found = [value for key, value in pairs if key == name]
        return found[0] if len(found) == 1 else None

    def form(self) -> Mapping[str, str]:
        """Read a form's fields; a field given twice is left out, and so is a body that is no form."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.body is None or kind != "application/x-www-form-urlencoded":
            return {}
        pairs = _form_fields(self.body.decode("utf-8", "replace"))
        names = [name for name, _ in pairs]
        return {name: value for name, value in pairs if names.count(name) == 1}


@dataclass(frozen=True)
class Response:
    """What goes back; bytes travel in base64."""

    status: int
    body: str | bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()

    def to_event(self) -> dict[str, Any]:
        """Write it as API Gateway takes it."""
        is_packed = isinstance(self.body, bytes)
        return {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "cookies": list(self.cookies),
            "body": base64.b64encode(self.body).decode("ascii") if isinstance(self.body, bytes) else self.body,
            "isBase64Encoded": is_packed,
        }


def cookie(name: str, value: Secret, *, life: int) -> str:
    """Write a host-bound cookie that comes back on the navigation from NinjaOne.

    ``SameSite=Strict`` would not come back with it. See RFC 6265bis §4.1.3.2, §5.6.7.
    """
    return f"{name}={value.reveal()}; Max-Age={life}; Path=/; Secure; HttpOnly; SameSite=Lax"


def _form_fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return []


def _cookies(lines: list[str]) -> Mapping[str, Secret]:
    """Read cookies; of one that came twice neither counts, for a neighbour may have planted it."""
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition("=") for line in lines)]
    times = Counter(name for name, _ in pairs)
    return {name: Secret(value) for name, value in pairs if times[name] == 1}


def _body(event: Event, limit: int) -> bytes | None:
    text = str(event.get("body") or "")
    if len(text) > 2 * limit:
        return None
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except ValueError:
        return None
    return body if len(body) <= limit else None
