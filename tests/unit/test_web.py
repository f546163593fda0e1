"""The one way to NinjaOne: one request, one attempt, and what became of it."""

import gzip
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import httpx
import pytest

from broker.adapters import http
from broker.adapters.http import CONNECT_TIMEOUT, USER_AGENT, HttpClient, Outgoing, unpacked, unpacked_as_named
from broker.adapters.transport import system_transport
from broker.model import Seconds
from broker.oauth import BODY_LIMIT, Answer, NoReply, NotSent, Reply
from tests.support.broker_world import Clock
from tools.requirements import req

URL = "https://eu.ninjarmm.com/ws/oauth/token"
FORM = {"refresh_token": "a b&c", "client_secret": "s"}
Handler = Callable[[httpx.Request], httpx.Response]


class There:
    """What stands at the other end, and the requests that reached it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.requests: list[httpx.Request] = []

    def post(self, handler: Handler, url: str = URL) -> Answer:
        def noted(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return handler(request)

        with HttpClient(lambda: httpx.MockTransport(noted), self.clock) as web:
            return web.post(url, FORM, timeout=Seconds(65))


@pytest.fixture
def there(clock: Clock) -> There:
    return There(clock)


class Chunks(httpx.SyncByteStream):
    """A body that comes in pieces, and takes its time."""

    def __init__(self, *chunks: bytes, clock: Clock | None = None, seconds: float = 0) -> None:
        self.chunks, self.clock, self.seconds = chunks, clock, seconds
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if self.clock:
                self.clock.advance(self.seconds)
            yield chunk

    def close(self) -> None:
        self.closed = True


def raising(error: type[httpx.TransportError]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error("refresh_token=a secret", request=request)

    return handler


@req("L07", "G09")
def test_a_form_is_posted_as_it_is_and_says_who_sends_it(there: There) -> None:
    answer = there.post(lambda _: httpx.Response(200, headers={"X-Thing": "Y"}, stream=Chunks(b"{", b"}")))

    (request,) = there.requests
    assert answer == Reply(200, {"x-thing": "Y"}, b"{}")
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.content == b"refresh_token=a+b%26c&client_secret=s"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == USER_AGENT


def test_a_request_by_get_carries_the_headers_it_is_given(clock: Clock) -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204, stream=Chunks())

    with HttpClient(lambda: httpx.MockTransport(handler), clock) as web:
        answer = web.get(URL, timeout=Seconds(3), headers={"Authorization": "Bearer x"})

    assert answer == Reply(204, {}, b"")
    assert requests[0].headers["authorization"] == "Bearer x"
    assert requests[0].extensions["timeout"] == {"connect": 3, "read": 3, "write": 3, "pool": 3}


def test_what_one_answer_sets_goes_to_nobody(clock: Clock) -> None:
    """One client asks for many customers, one after the other."""
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, headers={"Set-Cookie": "JSESSIONID=acme; Path=/"}, stream=Chunks(b"{}"))

    with HttpClient(lambda: httpx.MockTransport(handler), clock) as web:
        for _ in range(2):
            web.post(URL, FORM, timeout=Seconds(65))
        web.get(URL, timeout=Seconds(3))

    assert [request.headers.get("cookie") for request in requests] == [None, None, None]


def test_a_connection_must_stand_within_five_seconds_and_an_answer_begin_within_the_rest(there: There) -> None:
    there.post(lambda _: httpx.Response(200, stream=Chunks()))

    assert there.requests[0].extensions["timeout"] == {"connect": CONNECT_TIMEOUT, "read": 65, "write": 65, "pool": 65}


@req("L05")
@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (httpx.ConnectError, NotSent("connect_error")),
        (httpx.ConnectTimeout, NotSent("connect_timeout")),
        (httpx.PoolTimeout, NotSent("pool_timeout")),
        (httpx.UnsupportedProtocol, NotSent("unsupported_protocol")),
        (httpx.ReadTimeout, NoReply("read_timeout")),
        (httpx.WriteTimeout, NoReply("write_timeout")),
        (httpx.ReadError, NoReply("read_error")),
        (httpx.WriteError, NoReply("write_error")),
        (httpx.CloseError, NoReply("close_error")),
        (httpx.RemoteProtocolError, NoReply("remote_protocol_error")),
        (httpx.LocalProtocolError, NoReply("local_protocol_error")),
        (httpx.ProxyError, NoReply("proxy_error")),
    ],
)
def test_what_may_have_arrived_is_not_called_unsent_and_nothing_is_sent_again(
    there: There, error: type[httpx.TransportError], answer: Answer
) -> None:
    """A token that may have been used must not be called unused."""
    assert there.post(raising(error)) == answer
    assert len(there.requests) == 1


@req("L02")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(there: There, status: int) -> None:
    location = {"Location": "https://evil.example/"}

    answer = there.post(lambda _: httpx.Response(status, headers=location, stream=Chunks()))

    assert isinstance(answer, Reply)
    assert answer.status == status
    assert len(there.requests) == 1


@req("L01")
@pytest.mark.parametrize("url", ["http://eu.ninjarmm.com/ws/oauth/token", "ftp://eu.ninjarmm.com/"])
def test_nothing_is_sent_without_tls(there: There, url: str) -> None:
    assert there.post(lambda _: httpx.Response(200), url) == NotSent("not_https")
    assert there.requests == []


SAID = b'{"access_token": "at", "token_type": "Bearer"}'


def raw_deflate(body: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(body) + packing.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress(SAID)),
    "in capitals": ("GZIP", gzip.compress(SAID)),
    "by its old name": ("x-gzip", gzip.compress(SAID)),
    "not said": ("", gzip.compress(SAID)),
    "two members": ("gzip", gzip.compress(SAID[:9]) + gzip.compress(SAID[9:])),
    "without its trailer": ("gzip", gzip.compress(SAID)[:-8]),
    "deflate": ("deflate", zlib.compress(SAID)),
    "deflate without a header": ("deflate", raw_deflate(SAID)),
    "twice": ("deflate, gzip", gzip.compress(zlib.compress(SAID))),
    "identity": ("identity", SAID),
    "said and not done": ("gzip", SAID),
    "said otherwise": ("deflate", gzip.compress(SAID)),
    "with a wrong checksum": ("gzip", gzip.compress(SAID)[:-8] + bytes(8)),
    "with a wrong checksum of zlib": ("deflate", zlib.compress(SAID)[:-4] + bytes(4)),
    "with a second member that is damaged": ("gzip", gzip.compress(SAID) + b"\x1f\x8b\x08\xff" + bytes(9)),
}


@req("L04")
@pytest.mark.parametrize("way", PACKED)
def test_a_body_that_was_packed_though_nobody_asked_is_read(there: There, way: str) -> None:
    """It may hold the only token there is."""
    coding, body = PACKED[way]
    headers = {"content-encoding": coding} if coding else {}

    answer = there.post(lambda _: httpx.Response(200, headers=headers, stream=Chunks(body)))

    assert isinstance(answer, Reply)
    assert answer.body == SAID


class BrokenOff(Chunks):
    """A body after which the connection breaks, as where ``Content-Length`` says more than there is."""

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


@req("L04")
@pytest.mark.parametrize("way", PACKED)
def test_an_answer_that_breaks_off_behind_its_object_counts(there: There, way: str) -> None:
    """It may hold the only token there is."""
    coding, body = PACKED[way]
    headers = {"content-encoding": coding} if coding else {}

    answer = there.post(lambda _: httpx.Response(200, headers=headers, stream=BrokenOff(body)))

    assert isinstance(answer, Reply)
    assert answer.body == SAID


@pytest.mark.parametrize("body", [b"", SAID[:-1], b"[]", b"<html>", gzip.compress(SAID)[:20]], ids=range(5))
def test_an_answer_that_breaks_off_within_its_object_is_none(there: There, body: bytes) -> None:
    answer = there.post(lambda _: httpx.Response(400, stream=BrokenOff(body)))

    assert answer == NoReply("remote_protocol_error")


@pytest.mark.parametrize("limit", [0, 1])
def test_a_packed_answer_is_unpacked_if_all_of_it_is_there(clock: Clock, limit: int) -> None:
    """Its bytes on the line may be as many as the limit allows; cut off behind it they stay as they came."""
    packed = gzip.compress(SAID)
    answer = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks(packed))
    )

    with HttpClient(lambda: answer, clock) as web:
        got = web.send(Outgoing("GET", URL, {}, b""), timeout=Seconds(3), limit=len(packed) - limit)

    assert isinstance(got, Reply)
    assert (got.body, "content-encoding" in got.headers) == ((packed, True) if limit else (SAID, False))


@pytest.mark.parametrize("junk", [b"\x1f\x8b" + bytes(40), b"\x1f\x8b", b"x\x9c\xff", b""])
def test_what_does_not_unpack_is_left_as_it_is(there: There, junk: bytes) -> None:
    answer = there.post(lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Chunks(junk)))

    assert isinstance(answer, Reply)
    assert answer.body == junk


def test_a_longer_answer_is_read_where_its_caller_says_so(clock: Clock) -> None:
    body = Chunks(b"x" * 200_000)

    with HttpClient(lambda: httpx.MockTransport(lambda _: httpx.Response(200, stream=body)), clock) as web:
        answer = web.get(URL, timeout=Seconds(3), limit=100_000)

    assert isinstance(answer, Reply)
    assert len(answer.body) == 100_001


@req("L04")
def test_a_resolver_that_keeps_silent_uses_up_the_time_to_connect_and_no_more(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    over = Event()

    def keep_silent(*_: Any, **__: Any) -> Any:
        over.wait(20)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", keep_silent)
    monkeypatch.setattr(http, "CONNECT_TIMEOUT", Seconds(1))
    with HttpClient(system_transport(), clock) as web:
        answer = web.get(URL, timeout=Seconds(3))
    over.set()

    assert answer == NotSent("connect_timeout")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
def test_a_host_that_can_t_be_looked_up_was_sent_nothing(clock: Clock, host: str) -> None:
    with HttpClient(system_transport(), clock) as web:
        answer = web.get(f"https://{host}/", timeout=Seconds(3))

    assert isinstance(answer, NotSent)


@req("L06")
def test_connections_end_with_the_client(clock: Clock) -> None:
    class Noted(httpx.MockTransport):
        closed = False

        def close(self) -> None:
            Noted.closed = True

    with HttpClient(lambda: Noted(lambda _: httpx.Response(200)), clock):
        assert not Noted.closed

    assert Noted.closed


@req("L01", "L03", "L05")
def test_the_real_transport_verifies_tls_tries_once_and_heeds_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    make = system_transport()

    first, second = make(), make()

    assert isinstance(first, httpx.HTTPTransport)
    assert isinstance(second, httpx.HTTPTransport)
    pool, other = first._pool, second._pool
    assert pool is not other
    assert type(pool).__name__ == "ConnectionPool"
    assert pool._retries == 0
    context = pool._ssl_context
    assert context is not None
    assert context is other._ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_sends_through_its_own_transport_whatever_the_environment_names(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert isinstance(there.post(lambda _: httpx.Response(200, stream=Chunks(b"{}"))), Reply)


def test_a_context_that_would_take_older_versions_of_tls_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = ssl.create_default_context()
    lenient.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    monkeypatch.setattr("broker.adapters.transport._trusting_authorities", lambda: lenient)

    system_transport()

    assert lenient.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("body", "coding", "kept"),
    [
        (b"{}", "deflate", b"{}"),  # which can be unpacked as well, into one odd byte
        (zlib.compress(b"file"), "identity", zlib.compress(b"file")),
        (gzip.compress(b"x" * 20), "", b"x" * 11),
        (gzip.compress(b"x" * 11) + gzip.compress(b"y" * 5), "gzip", b"x" * 11),
        (gzip.compress(b"x" * 6) + gzip.compress(b"y" * 9), "gzip", b"x" * 6 + b"y" * 5),
    ],
    ids=["a number", "a file", "not said", "two members, one kept", "two members, both kept"],
)
def test_a_body_is_unpacked_as_it_says_and_to_one_byte_more_than_its_limit(
    body: bytes, coding: str, kept: bytes
) -> None:
    assert unpacked(body, coding, 10) == kept


@pytest.mark.parametrize(("size", "is_whole"), [(10, False), (11, True), (30, True)])
def test_a_packed_body_that_is_too_long_is_not_called_broken(size: int, is_whole: bool) -> None:
    """Of what unpacks to more than the limit the rest is not asked for, so nobody knows whether it was sound."""
    body = gzip.compress(b"x" * size)[:-1]

    assert unpacked_as_named(body, "gzip", 10) == (b"x" * min(size, 11), is_whole)


def damaged(body: bytes) -> bytes:
    """Pack a body, and give it the checksum and the length of another."""
    return gzip.compress(body)[:-8] + bytes(8)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (damaged(b"x" * 5), b"x" * 5),
        (damaged(b"x" * 300), b"x" * 11),
        (gzip.compress(b"x" * 6) + damaged(b"y" * 300), b"x" * 6 + b"y" * 5),
        (gzip.compress(b"x" * 5) + zlib.compress(b"y")[:-1] + b"?", b"x" * 5),
    ],
    ids=["short", "long", "behind another", "something else behind it"],
)
def test_a_body_is_read_up_to_its_damage_and_no_further_than_its_limit(body: bytes, kept: bytes) -> None:
    assert unpacked(body, "gzip", 10) == kept


def test_of_what_is_packed_twice_a_cut_of_the_outer_one_counts() -> None:
    body = gzip.compress(zlib.compress(b"x"))[:-1]

    assert unpacked_as_named(body, "deflate, gzip", 10)[1] is False


@req("L04")
def test_what_follows_a_body_of_just_the_limit_is_seen(there: There) -> None:
    body = Chunks(b"x" * BODY_LIMIT, b"y", b"z")

    answer = there.post(lambda _: httpx.Response(200, stream=body))

    assert isinstance(answer, Reply)
    assert answer.body == b"x" * BODY_LIMIT + b"y"
    assert body.closed


@pytest.mark.parametrize(("seconds", "kind"), [(35, Reply), (35.5, NoReply)])
def test_an_answer_has_the_time_to_connect_and_one_wait(
    there: There, clock: Clock, seconds: float, kind: type[Answer]
) -> None:
    body = Chunks(b"x", b"y", clock=clock, seconds=seconds)

    assert isinstance(there.post(lambda _: httpx.Response(200, stream=body)), kind)
    assert body.closed


@pytest.mark.parametrize(("host", "kind"), [("eu.ninjarmm.com", Reply), ("eu.ninjarmm.com.example", NotSent)])
def test_nothing_is_sent_to_a_host_that_is_not_known(clock: Clock, host: str, kind: type[Answer]) -> None:
    answers = httpx.MockTransport(lambda _: httpx.Response(200, stream=Chunks(b"{}")))

    with HttpClient(lambda: answers, clock, is_known=lambda name: name == "eu.ninjarmm.com") as web:
        assert isinstance(web.post(f"https://{host}/ws/oauth/token", FORM, timeout=Seconds(65)), kind)
