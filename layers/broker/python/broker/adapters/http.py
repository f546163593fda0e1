"""Requests to NinjaOne: one attempt, bounded in time and size, no redirects. The sockets are in ``transport``."""

import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx

from broker.adapters.clock import Clock
from broker.model import Seconds
from broker.oauth import BODY_LIMIT, Answer, Form, NoReply, NotSent, Reply, json_object

Transport = Callable[[], httpx.BaseTransport]
"""Makes a transport for one client only: a pool shared by many threads is slow, because httpcore scans it."""

CONNECT_TIMEOUT = Seconds(5)
USER_AGENT = "ninjaone-connect/1 (OAuth connection broker)"

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

_GZIP = b"\x1f\x8b"
_MARKS = (_GZIP, b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
"""How gzip and zlib begin. See RFC 1952 §2.3.1, RFC 1950 §2.2."""
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER, _NO_HEADER = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS

_LISTS = frozenset({"content-encoding", "content-language", "link"})
"""Headers that may come several times."""

_NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])
"""One client serves many customers, so a cookie that an answer to one of them sets must not reach another."""


@dataclass(frozen=True)
class Outgoing:
    """A request to NinjaOne that a caller of the proxy wrote."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """A client for one thread; closing it closes its connections."""

    def __init__(self, transport: Transport, clock: Clock, *, is_known: Callable[[str], bool] = lambda _: True) -> None:
        """Make a client.

        Args:
            is_known: returns whether a host is NinjaOne's; nothing is sent to any other
        """
        self._clock, self.is_known = clock, is_known
        self._client = httpx.Client(
            transport=transport(),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(_NO_COOKIES),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def post(self, url: str, form: Form, *, timeout: Seconds) -> Answer:
        """Send a form once. An answer that breaks off after its JSON object counts: it may hold the only token."""
        return self._try("POST", url, timeout, enough=_is_object, data=dict(form))

    def get(
        self, url: str, *, timeout: Seconds, headers: Mapping[str, str] | None = None, limit: int = BODY_LIMIT
    ) -> Answer:
        """Send a GET once.

        Args:
            limit: bytes of the answer that are read; a body of one byte more than that was cut off
        """
        return self._try("GET", url, timeout, limit, headers=headers)

    def send(self, request: Outgoing, *, timeout: Seconds, limit: int) -> Answer:
        """Send any request once. Its answer is decompressed only if ``Content-Encoding`` names a known coding.

        A compressed answer that breaks off counts as no answer: the part that can be decompressed would look complete.
        """
        return self._try(
            request.method,
            request.url,
            timeout,
            limit,
            unpack=_as_named,
            headers=request.headers,
            content=request.body,
        )

    def _try(
        self,
        method: str,
        url: str,
        timeout: Seconds,
        limit: int = BODY_LIMIT,
        *,
        unpack: Callable[[Reply, int], Answer] | None = None,
        enough: Callable[[bytes, str], bool] = lambda _body, _codings: False,
        **content: Any,
    ) -> Answer:
        """Build a request and send it; an address that can't be built, as with a malformed host name, sends nothing.

        Any other exception of the libraries below, such as ``httpx.InvalidURL`` for an odd ``Location``, means that the
        request may have been carried out. So callers see three results only: ``NotSent``, ``NoReply`` and ``Reply``.
        """
        try:
            request = self._client.build_request(method, url, **content)
        except Exception as error:  # noqa: BLE001  # nothing was sent
            return NotSent(_cause(error))
        try:
            answer = self._send(request, timeout, limit, enough)
        except Exception as error:  # noqa: BLE001  # it may have been sent
            return NoReply(_cause(error))
        if isinstance(answer, NotSent | NoReply):
            return answer
        return (unpack or _whole)(answer, limit)

    def _send(
        self, request: httpx.Request, timeout: Seconds, limit: int, enough: Callable[[bytes, str], bool]
    ) -> Answer:
        """Distinguish *not sent* from *sent, no answer*: after a token request the difference is a lost token.

        Args:
            timeout: seconds for the whole answer, once connected within CONNECT_TIMEOUT
            enough: returns whether a body that broke off, in the given codings, still holds all that matters
        """
        if request.url.scheme != "https":
            return NotSent("not_https")
        if not self.is_known(request.url.host):  # so that a tampered row sends no token elsewhere
            return NotSent("foreign_host")
        until = self._clock.now() + CONNECT_TIMEOUT + timeout
        request.extensions["timeout"] = httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)).as_dict()
        try:
            response = self._client.send(request, stream=True)
            try:
                body = self._read(response, until, limit, enough)
                return Reply(response.status_code, _lower(response.headers), body)
            finally:
                response.close()
        except _NOT_SENT as error:
            return NotSent(_cause(error))

    def _read(self, response: httpx.Response, until: float, limit: int, enough: Callable[[bytes, str], bool]) -> bytes:
        """Read at most one byte more than the limit: NinjaOne's JSON is shorter, so more would be of no use."""
        body = bytearray()
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit:
                    return bytes(body[: limit + 1])
                if self._clock.now() > until:
                    raise httpx.ReadTimeout("the answer took too long")
        except httpx.TransportError:  # such as a Content-Length that is longer than the body
            if not enough(bytes(body), response.headers.get("content-encoding", "")):
                raise
        return bytes(body)


def _whole(answer: Reply, limit: int) -> Reply:
    return replace(answer, body=unpacked(answer.body, answer.headers.get("content-encoding", ""), limit))


def _as_named(answer: Reply, limit: int) -> Answer:
    """Decode the codings that the header names, and drop it; where that can't be done, leave body and header alone."""
    codings = answer.headers.get("content-encoding", "")
    is_cut = len(answer.body) > limit or answer.status == 206  # Partial Content
    unknown = {coding.strip() for coding in codings.lower().split(",")} - {"", "identity", *_PACKED}
    if is_cut or unknown:
        return answer
    body, is_whole = unpacked_as_named(answer.body, codings, limit)
    if not is_whole:
        return NoReply("packed_and_broken")
    headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
    return replace(answer, body=body, headers=headers)


def _is_object(body: bytes, codings: str) -> bool:
    return json_object(unpacked(body, codings, BODY_LIMIT)) is not None


def unpacked(body: bytes, codings: str, limit: int) -> bytes:
    """Decode ``Content-Encoding``: a proxy may compress although identity was requested, and the token may be inside.

    Returns:
        at most one byte more than the limit; of a body that broke off, the part that arrived; a body that is not
        compressed as its header says, unchanged

    See RFC 9110 §8.4.1.
    """
    body, _ = unpacked_as_named(body, codings, limit)
    if body.startswith(_GZIP):  # whatever the header says: no JSON begins like this
        body, _ = _inflated(body, limit + 1)
    return body


def unpacked_as_named(body: bytes, codings: str, limit: int) -> tuple[bytes, bool]:
    """Decode the codings that are named; return the body, and whether each was complete. A .gz file stays as it is.

    See RFC 9110 §8.4.1.
    """
    is_whole = True
    for coding in reversed(codings.lower().split(",")):
        if coding.strip() in _PACKED and is_whole:
            body, is_whole = _inflated(body, limit + 1)
    return body, is_whole


def _inflated(body: bytes, most: int) -> tuple[bytes, bool]:
    """Inflate gzip, zlib, or raw deflate, as some servers send it; return the data, and whether it was complete."""
    if body.lstrip()[:1] in (b"{", b"["):
        return body, True
    for kind in (_ANY_HEADER, _NO_HEADER):
        out, is_whole = _members(body, kind, most)
        if out or is_whole:
            return out, is_whole
    return body, not body.startswith(_MARKS)


def _members(body: bytes, kind: int, most: int) -> tuple[bytes, bool]:
    """Inflate member by member while they are intact; return the data, and whether that is all. See RFC 1952 §2.2."""
    out, is_whole = b"", False
    try:
        while body and len(out) < most:
            unpacking = zlib.decompressobj(kind)
            out += unpacking.decompress(body, most - len(out))
            is_whole, body = unpacking.eof, unpacking.unused_data
    except zlib.error:
        is_whole = is_whole and not body.startswith(_GZIP)  # zeros may follow; another member must be intact
        if not is_whole:
            out += _before_damage(body)
    return out, is_whole or len(out) >= most


def _before_damage(member: bytes) -> bytes:
    """Inflate byte by byte as far as it goes: a wrong checksum at the end must not cost the data before it.

    That is less than was asked for when the damage was met, so it needs no limit of its own.
    """
    out, unpacking = bytearray(), zlib.decompressobj(_ANY_HEADER)
    with suppress(zlib.error):
        for each in member:
            out += unpacking.decompress(bytes((each,)))
    return bytes(out)


def _lower(headers: httpx.Headers) -> Mapping[str, str]:
    """Lower-case the names. Of a repeated header that is not a list, the first counts. See RFC 9110 §5.3."""
    found: dict[str, str] = {}
    for name, value in headers.multi_items():
        found[name] = f"{found[name]}, {value}" if name in found and name in _LISTS else found.get(name, value)
    return found


def _cause(error: Exception) -> str:
    """Return the class's name only, as ``read_timeout``: another library's text may quote what was sent."""
    return re.sub(r"\B(?=[A-Z])", "_", type(error).__name__).lower()
