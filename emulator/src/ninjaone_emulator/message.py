"""What a browser or a client sends to NinjaOne, and what it gets back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

NGINX = ("Server", "nginx")


class RepeatedParameter(Exception):
    """A parameter was sent twice (RFC 6749 §3.1 and §3.2 forbid it)."""


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        headers: names in lower case
        query: as it stood after the question mark
        base: the address of this host as the browser sees it
    """

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    query: str
    body: bytes
    base: str

    def params(self) -> dict[str, str]:
        """Read the query."""
        return read_form(self.query)

    def form(self) -> dict[str, str]:
        """Read the body as a form."""
        return read_form(self.body.decode("utf-8", "replace"))

    def has_form(self) -> bool:
        """Return whether the body calls itself a form."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/x-www-form-urlencoded"

    def cookie(self, name: str) -> str:
        """Read one cookie; empty when it was not sent."""
        morsel = SimpleCookie(self.headers.get("cookie", "")).get(name)
        return morsel.value if morsel else ""


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        delay: Seconds until it is sent; what it reports has already happened
        delivery: `lost`: the connection closes with nothing sent; `reset`: it is reset
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    delivery: Literal["sent", "lost", "reset"] = "sent"

    def header(self, name: str) -> str | None:
        """Read one header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


def read_form(text: str) -> dict[str, str]:
    """Parse a query or a form.

    Raises:
        RepeatedParameter
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise RepeatedParameter
    return form


def compact(value: object) -> bytes:
    """Write JSON as NinjaOne does: no spaces, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def oauth_json(status: int, value: object) -> Reply:
    """Answer as the token endpoint does."""
    headers = (
        NGINX,
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept-Encoding"),
    )
    return Reply(status, headers, compact(value))


def failure(status: int, incident: str) -> Reply:
    """Answer with the JSON that a person sees in their browser, spaces included."""
    reason = HTTPStatus(status).phrase
    body = f'{{ "resultCode": "FAILURE", "errorMessage": "HTTP {status} {reason}", "incidentId": "{incident}" }}'
    return Reply(status, (NGINX, ("Content-Type", "application/json")), body.encode())


def nginx_page(status: int, *, title: str = "", text: str = "") -> Reply:
    """Answer as the proxy in front of NinjaOne does: HTML, whatever was asked for.

    See docs/understand/ninjaone.md §8: the 404 is 146 bytes of text/html.
    """
    title = title or f"{status} {HTTPStatus(status).phrase}"
    lines = (
        "<html>",
        f"<head><title>{title}</title></head>",
        "<body>",
        f"<center><h1>{title}</h1></center>",
        *([f"<p>{text}</p>"] if text else []),
        "<hr><center>nginx</center>",
        "</body>",
        "</html>",
        "",
    )
    return Reply(status, (NGINX, ("Content-Type", "text/html")), "\r\n".join(lines).encode())


def redirect(base: str, **params: str) -> Reply:
    """Send the browser to `base` with these parameters added to its query."""
    mark = "&" if "?" in base else "?"
    location = f"{base}{mark}{urlencode(params)}" if params else base
    return Reply(302, (NGINX, ("Location", location), ("Cache-Control", "no-store")))


def html(status: int, text: str) -> Reply:
    """Show a page to a person."""
    headers = (
        NGINX,
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "no-store"),
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
        ),
    )
    return Reply(status, headers, text.encode())
