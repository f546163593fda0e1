"""Read the call of NinjaOne that a backend wants forwarded, and return NinjaOne's answer.

API Gateway passes the path decoded, so an encoded slash can't be distinguished from a plain one. The rule that allows a
call and the address it is sent to are both made from the same decoded segments, each encoded again; what NinjaOne might
read differently from the rules is refused. How NinjaOne's servers treat full-width letters, long s or forms is unknown,
so everything is normalised as the most lenient server would before the rules are applied.
"""

import re
from collections.abc import Iterator, Mapping
from unicodedata import normalize
from urllib.parse import quote, unquote_plus

from broker.edge.api import passed_on
from broker.edge.http import Request, Response
from broker.errors import Fault, InvalidRequest, TooLarge
from broker.flows.proxy import MAX_BODY_BYTES, ProxiedAnswer, ProxiedCall
from broker.proxy_policy import METHODS, SECURE_VALUES
from broker.text import first_unsafe, without_unsafe

__all__ = ["MAX_BODY_BYTES", "passed", "proxied_call"]

MAX_PATH_CHARACTERS = 2000
_ODD = re.compile("[?#%;/\\\\\ufffd]")
"""U+FFFD stands for bytes that were not UTF-8, such as an overlong encoding of a slash."""
_QUERY = re.compile(r"[!-\"$-~]{0,8000}")
_HEADER = re.compile(r"[\t -~]{0,4000}")
_OVERRIDE = re.compile(
    r"(_method|x?-?_?http-?_?method-?_?(override)?|x?-?_?method-?_?override|access_token)(\[.*)?|=\?.*", re.DOTALL
)
"""Jersey, Spring and others read the method from parameters of such names, and the token too (RFC 6750 §2.3); ``=?``
begins an encoded word of RFC 2047."""
_TIMES_ENCODED = 3
_PART = re.compile(rb"name\*?\s*=\s*[\"']?(?:utf-8'[^']*')?([^\"';\r\n]+)", re.IGNORECASE)
"""The name of a form's part. See RFC 7578 §4.2."""

_IN = (
    "accept", "accept-language", "content-type", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "range",
)  # fmt: skip
_OUT = (
    "accept-ranges", "content-disposition", "content-encoding", "content-language", "content-range", "content-type",
    "etag", "last-modified", "link", "retry-after", "x-nj-request-id",
)  # fmt: skip
"""Headers that are forwarded; cookies, credentials, hop-by-hop and forwarding headers are not, in either direction."""


def proxied_call(request: Request) -> ProxiedCall:
    """Read the call to forward. Raises InvalidRequest or TooLarge."""
    if request.body is None:
        raise TooLarge
    if request.method not in {*METHODS, "HEAD"}:
        raise InvalidRequest(Fault("method", f"Use {', '.join(METHODS)} or HEAD."))
    prefix, path = _path(request.path_parameters.get("path", ""))
    headers = _headers(request.headers)
    fields = [*_fields(_query(request.raw_query)), *_parts(headers.get("content-type", ""), request.body)]
    if any(_OVERRIDE.fullmatch(field.partition("=")[0] or field) for field in fields):
        raise InvalidRequest(Fault("query", "Leave out what would change the call's method or its token."))
    return ProxiedCall(
        caller=request.caller,
        method=request.method,
        rule_path=path,
        target=quote(prefix + path),
        query=request.raw_query,
        secure_values=any(map(_asks_for_secrets, fields)),
        repeatable=request.method in {"GET", "HEAD"} and not any(field.startswith("cursor") for field in fields),
        headers=headers,
        body=request.body,
    )


def passed(answer: ProxiedAnswer) -> Response:
    """Answer with what NinjaOne answered; a header that API Gateway would reject is left out."""
    headers = _only(_OUT, answer.headers)
    return passed_on(answer.status, answer.body, {n: value for n, value in headers.items() if _HEADER.fullmatch(value)})


def _path(decoded: str) -> tuple[str, str]:
    """Check the path; return the part before ``/v2``, and the rest. Raises InvalidRequest."""
    segments = decoded.split("/")
    prefix = "/api" if segments[0] == "api" else ""
    inside = segments[1:] if prefix else segments
    if inside[:1] != ["v2"] or len(inside) < 2 or len(decoded) > MAX_PATH_CHARACTERS or not all(map(_is_plain, inside)):
        raise InvalidRequest(
            Fault("path", "Use a path below /v2/ or /api/v2/, without empty or dot segments and without ? # % ; or \\.")
        )
    return prefix, "/" + "/".join(inside)


def _is_plain(segment: str) -> bool:
    """Return whether a path segment is unambiguous."""
    if first_unsafe(segment):
        return False
    lenient = _lenient(segment)
    return lenient not in {"", ".", ".."} and not _ODD.search(lenient)


def _query(raw: str) -> str:
    """Check the query, which is forwarded unchanged. Raises InvalidRequest."""
    if not _QUERY.fullmatch(raw):
        raise InvalidRequest(Fault("query", "Send at most 8000 characters, percent-encoded."))
    return raw


def _fields(query: str) -> list[str]:
    """Split a query into its fields as the most lenient server would, which decodes repeatedly."""
    for _ in range(_TIMES_ENCODED):
        query = unquote_plus(query)
    return re.split("[&;]", _lenient(query))


def _parts(kind: str, body: bytes) -> Iterator[str]:
    """Yield the names of a multipart form's parts, which servlets read as parameters, like those of a query.

    Raises:
        InvalidRequest: the body is a URL-encoded form, which NinjaOne's API does not use
    """
    if "urlencoded" in kind.lower():
        raise InvalidRequest(Fault("content-type", "Send JSON, or multipart/form-data."))
    if "multipart" in kind.lower():
        for name in _PART.findall(body):
            yield _lenient(unquote_plus(name.decode("utf-8", "replace")))


def _lenient(text: str) -> str:
    """Normalise a text as the most lenient server would."""
    return without_unsafe(normalize("NFKC", text)).strip().casefold()


def _asks_for_secrets(field: str) -> bool:
    """Return whether a field may be the one with which NinjaOne shows secrets, ignoring all but its letters."""
    return SECURE_VALUES.lower() in re.sub("[^a-z]", "", field)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are forwarded. Raises InvalidRequest."""
    chosen = _only(_IN, given)
    odd = next((name for name, value in chosen.items() if not _HEADER.fullmatch(value)), None)
    if odd is not None:
        raise InvalidRequest(Fault(odd, "Use printable ASCII, at most 4000 characters."))
    return chosen


def _only(names: tuple[str, ...], headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
