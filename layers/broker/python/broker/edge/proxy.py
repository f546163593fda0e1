"""Which call of NinjaOne a backend wants passed on, and what goes back.

API Gateway hands the path over decoded, so an encoded slash can't be told from a plain one. Both the rule that allows a
call and the address that it goes to are made from the same decoded segments, each encoded again; what NinjaOne might
read in another way than the rule did is refused. What NinjaOne's servers do with full-width letters, long s or forms
is not known, so everything is held against the rules as the most lenient reader would take it.
"""

import re
from collections.abc import Iterator, Mapping
from unicodedata import normalize
from urllib.parse import quote, unquote_plus

from broker.call_policy import METHODS, SECURE_VALUES
from broker.edge.api import passed_on
from broker.edge.http import Request, Response
from broker.errors import Fault, InvalidRequest, TooLarge
from broker.flows.proxy import LIMIT, ProxiedAnswer, ProxiedCall
from broker.text import first_unsafe, without_unsafe

__all__ = ["LIMIT", "passed", "proxied_call"]

LONGEST_PATH = 2000
_ODD = re.compile("[?#%;/\\\\\ufffd]")
"""U+FFFD stands for bytes that were no UTF-8, such as a slash in too many of them."""
_QUERY = re.compile(r"[!-\"$-~]{0,8000}")
_HEADER = re.compile(r"[\t -~]{0,4000}")
_OVERRIDE = re.compile(
    r"(_method|x?-?_?http-?_?method-?_?(override)?|x?-?_?method-?_?override|access_token)(\[.*)?|=\?.*", re.DOTALL
)
"""Jersey, Spring and others take the method from parameters of such names, and the token too (RFC 6750 §2.3); ``=?``
begins a word of RFC 2047."""
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
"""Headers that pass. Cookies, credentials, hop-by-hop and forwarding headers do not, in either direction."""


def proxied_call(request: Request) -> ProxiedCall:
    """Read which call is meant. Raises InvalidRequest or TooLarge."""
    if request.body is None:
        raise TooLarge
    if request.method not in {*METHODS, "HEAD"}:
        raise InvalidRequest(Fault("method", f"Use {', '.join(METHODS)} or HEAD."))
    prefix, path = _path(request.path.get("path", ""))
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
    """Answer with what NinjaOne answered; a header that API Gateway could not take is left out."""
    headers = _only(_OUT, answer.headers)
    return passed_on(answer.status, answer.body, {n: value for n, value in headers.items() if _HEADER.fullmatch(value)})


def _path(decoded: str) -> tuple[str, str]:
    """Check the path; give what stands before ``/v2``, and the rest. Raises InvalidRequest."""
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
    if first_unsafe(segment):
        return False
    lenient = _lenient(segment)
    return lenient not in {"", ".", ".."} and not _ODD.search(lenient)


def _query(raw: str) -> str:
    """Check the query, which is passed on as it was sent. Raises InvalidRequest."""
    if not _QUERY.fullmatch(raw):
        raise InvalidRequest(Fault("query", "Send at most 8000 characters, percent-encoded."))
    return raw


def _fields(query: str) -> list[str]:
    """Part a query into its fields, as the most lenient reader would, who decodes what was encoded more than once."""
    for _ in range(_TIMES_ENCODED):
        query = unquote_plus(query)
    return re.split("[&;]", _lenient(query))


def _parts(kind: str, body: bytes) -> Iterator[str]:
    """Give the names of a form's parts: servlets take them for parameters, just as those of a query.

    Raises:
        InvalidRequest: a form of the other kind, which NinjaOne has no use for
    """
    if "urlencoded" in kind.lower():
        raise InvalidRequest(Fault("content-type", "Send JSON, or multipart/form-data."))
    if "multipart" in kind.lower():
        for name in _PART.findall(body):
            yield _lenient(unquote_plus(name.decode("utf-8", "replace")))


def _lenient(text: str) -> str:
    """Write a text as whoever overlooks the most would read it."""
    return without_unsafe(normalize("NFKC", text)).strip().casefold()


def _asks_for_secrets(field: str) -> bool:
    """Say whether a field may be the one with which NinjaOne shows secrets, whatever stands between its letters."""
    return SECURE_VALUES.lower() in re.sub("[^a-z]", "", field)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    """Choose the headers that pass. Raises InvalidRequest."""
    chosen = _only(_IN, given)
    odd = next((name for name, value in chosen.items() if not _HEADER.fullmatch(value)), None)
    if odd is not None:
        raise InvalidRequest(Fault(odd, "Use printable ASCII, at most 4000 characters."))
    return chosen


def _only(names: tuple[str, ...], headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
