"""Which call of NinjaOne a backend wants passed on, and what goes back.

API Gateway hands the path over decoded, so an encoded slash can't be told from a plain one. Both the rule that allows a
call and the address that it goes to are made from the same decoded segments, each encoded again; what NinjaOne might
read in another way than the rule did is refused.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote_plus

from broker.call_policy import METHODS, SECURE_VALUES
from broker.edge.api import passed_on
from broker.edge.http import Request, Response
from broker.errors import Fault, InvalidRequest, TooLarge
from broker.flows.proxy import LIMIT, ProxiedAnswer, ProxiedCall
from broker.text import first_unsafe

__all__ = ["LIMIT", "passed", "proxied_call"]

LONGEST_PATH = 2000
_ODD = re.compile(r"[?#%;\\]")
_QUERY = re.compile(r"[!-\"$-~]{0,8000}")
_OVERRIDE = "_method"
"""Jersey and others take the method from this parameter."""

_IN = (
    "accept", "accept-language", "content-type", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "range",
)  # fmt: skip
_OUT = (
    "accept-ranges", "content-disposition", "content-language", "content-range", "content-type", "etag",
    "last-modified", "link", "retry-after", "x-nj-request-id",
)  # fmt: skip
"""Headers that pass. Cookies, credentials, hop-by-hop and forwarding headers do not, in either direction."""


def proxied_call(request: Request) -> ProxiedCall:
    """Read which call is meant. Raises   InvalidRequest, TooLarge"""
    if request.body is None:
        raise TooLarge
    if request.method not in {*METHODS, "HEAD"}:
        raise InvalidRequest(Fault("method", f"Use {', '.join(METHODS)} or HEAD."))
    prefix, path = _path(request.path.get("path", ""))
    return ProxiedCall(
        caller=request.caller,
        method=request.method,
        rule_path=path,
        target=quote(prefix + path),
        query=_query(request.raw_query),
        secure_values=SECURE_VALUES.lower() in unquote_plus(request.raw_query).lower(),
        headers=_only(_IN, request.headers),
        body=request.body,
    )


def passed(answer: ProxiedAnswer) -> Response:
    """Answer with what NinjaOne answered."""
    return passed_on(answer.status, answer.body, _only(_OUT, answer.headers))


def _path(decoded: str) -> tuple[str, str]:
    """Check the path; give what stands before ``/v2``, and the rest. Raises   InvalidRequest"""
    segments = decoded.split("/")
    prefix = "/api" if segments[0] == "api" else ""
    inside = segments[1:] if prefix else segments
    if inside[:1] != ["v2"] or len(inside) < 2 or len(decoded) > LONGEST_PATH or not all(map(_is_plain, inside)):
        raise InvalidRequest(
            Fault("path", "Use a path below /v2/ or /api/v2/, without empty or dot segments and without ? # % ; or \\.")
        )
    return prefix, "/" + "/".join(inside)


def _is_plain(segment: str) -> bool:
    """Say whether a segment can be read in one way only."""
    return segment not in {"", ".", ".."} and not first_unsafe(segment) and not _ODD.search(segment)


def _query(raw: str) -> str:
    """Check the query, which is passed on as it was sent. Raises   InvalidRequest"""
    names = {name.lower() for name, _ in parse_qsl(raw, keep_blank_values=True)}
    if not _QUERY.fullmatch(raw) or _OVERRIDE in names:
        raise InvalidRequest(Fault("query", "Send at most 8000 characters, percent-encoded, and no _method."))
    return raw


def _only(names: tuple[str, ...], headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
