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

BODY_LIMIT = 40 * 1024
"""Bytes of a request body that are read. The largest valid one has 36 KB: the longest metadata, label and names in
emoji, each of which many JSON writers escape into twelve characters (RFC 8259 §7).
"""


@dataclass(frozen=True)
class Request:
    """A request of a browser or a backend. Header names are lower case.

    Attributes:
        body: None if it is too large or its encoding is invalid
    """

    route: str
    method: str
    domain: str
    raw_path: str
    path_parameters: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    cookies: Mapping[str, Secret]
    body: bytes | None
    caller: str
    request_id: str

    @classmethod
    def from_event(cls, event: Event, *, body_limit: int = BODY_LIMIT) -> "Request":
        """Read an event; missing parts are empty."""
        context = event.get("requestContext") or {}
        iam = (context.get("authorizer") or {}).get("iam") or {}
        return cls(
            route=str(event.get("routeKey", "")),
            method=str((context.get("http") or {}).get("method", "")),
            domain=str(context.get("domainName", "")),
            raw_path=str(event.get("rawPath") or ""),
            path_parameters={str(name): str(part) for name, part in (event.get("pathParameters") or {}).items()},
            raw_query=str(event.get("rawQueryString") or ""),
            headers={str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()},
            cookies=_cookies(event.get("cookies") or []),
            body=_body(event, body_limit),
            caller=str(iam.get("userArn") or ""),
            request_id=str(context.get("requestId") or ""),
        )

    @property
    def reference(self) -> str:
        """A name of this request that a person can read out, such as ``K7QF-2M6P``; its log lines have it too."""
        drawn = base64.b32encode(hashlib.sha256(self.request_id.encode()).digest())[:8].decode("ascii")
        return f"{drawn[:4]}-{drawn[4:]}"

    def query_parameter(self, name: str) -> str | None:
        """Return a query parameter that may be given once; None if it is absent or repeated."""
        found = self.query_values(name)
        return found[0] if len(found) == 1 else None

    def query_values(self, name: str) -> list[str]:
        """Return every value of a query parameter."""
        return [value for key, value in parse_qsl(self.raw_query, keep_blank_values=True) if key == name]

    def form(self) -> Mapping[str, str]:
        """Read a form's fields; a repeated field is left out, and a body that is not a form has none."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.body is None or kind != "application/x-www-form-urlencoded":
            return {}
        pairs = _form_fields(self.body.decode("utf-8", "replace"))
        names = [name for name, _ in pairs]
        return {name: value for name, value in pairs if names.count(name) == 1}


@dataclass(frozen=True)
class Response:
    """A response; a body of bytes is sent in base64."""

    status: int
    body: str | bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()

    def to_event(self) -> dict[str, Any]:
        """Return the response in the form that API Gateway expects."""
        is_packed = isinstance(self.body, bytes)
        return {
            "statusCode": self.status,
            "headers": dict(self.headers),
            "cookies": list(self.cookies),
            "body": base64.b64encode(self.body).decode("ascii") if isinstance(self.body, bytes) else self.body,
            "isBase64Encoded": is_packed,
        }


def cookie(name: str, value: Secret, *, life: int) -> str:
    """Return a ``Set-Cookie`` value of a host-bound cookie that is sent on the navigation back from NinjaOne.

    With ``SameSite=Strict`` it would not be. See RFC 6265bis §4.1.3.2, §5.6.7.
    """
    return f"{name}={value.reveal()}; Max-Age={life}; Path=/; Secure; HttpOnly; SameSite=Lax"


def _form_fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return []


def _cookies(lines: list[str]) -> Mapping[str, Secret]:
    """Read cookies; one that came twice is ignored, because a neighbouring domain may have planted it."""
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


def security_headers(*, forms: bool = False, styles: str = "'none'", images: str = "'none'") -> dict[str, str]:
    """Return headers that forbid everything the answer does not need; without arguments, for JSON and redirects.

    A page with a form allows a referrer to its own origin, because with ``no-referrer`` a browser sends the form with
    ``Origin: null``, and one that has no Fetch Metadata could not show where the form comes from. No other origin is
    ever sent a referrer, which would hold a connect session.

    Args:
        forms: whether the page has a form, which leads to our own origin

    See Fetch §3.2 (append a request ``Origin`` header); Referrer Policy §3.3.
    """
    policy = {
        "default-src": "'none'",
        "style-src": styles,
        "img-src": images,
        "form-action": "'self'" if forms else "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "strict-transport-security": "max-age=63072000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin" if forms else "no-referrer",
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
