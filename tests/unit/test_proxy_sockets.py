"""A call over real sockets: whatever NinjaOne does with the bytes, its caller gets a whole answer or a problem."""

import gzip
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import cast

import pytest

from broker.adapters.http import HttpClient, Outgoing
from broker.adapters.transport import system_transport
from broker.edge.proxy import MAX_BODY_BYTES, passed
from broker.errors import BrokerError, CallUnanswered, NotJson, TooLarge
from broker.model import Seconds
from broker.oauth import NoReply
from tests.support.broker_world import Clock
from tests.support.tls_server import FAREWELL, FINE, OTHER, SLAMS, TOKEN, Begin, Step, calling
from tools.requirements import req


@pytest.fixture
def calls(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    with calling(tmp_path, clock, monkeypatch) as begin:
        yield begin


def answer(*headers: str, body: bytes | None = None, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """Write an answer; with a body, of its length."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", *headers]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


# Whole answers -------------------------------------------------------------------------------------------------------

ROWS = b'[{"id": 1}, {"id": 2}]'
PACKED = gzip.compress(ROWS)
CHUNKED = answer("transfer-encoding: chunked")
LARGE = {
    "text": b"x" * MAX_BODY_BYTES,
    "bytes": bytes(range(256)) * (MAX_BODY_BYTES // 256),
    "what JSON escapes": b'"\\' * (MAX_BODY_BYTES // 2),
}

WHOLE: dict[str, tuple[list[Step], bytes]] = {
    "a length": ([answer(body=ROWS)], ROWS),
    "the same length twice": ([answer(f"content-length: {len(ROWS)}", body=ROWS)], ROWS),
    "chunks": ([CHUNKED + b"1\r\n[\r\n1;a=b\r\n]\r\n0\r\n\r\n"], b"[]"),
    "trailers": ([CHUNKED + b"2\r\n[]\r\n0\r\nset-cookie: a=b\r\netag: 1\r\n\r\n"], b"[]"),
    "chunks and a length": (
        [answer("transfer-encoding: chunked", "content-length: 9") + b"2\r\n[]\r\n0\r\n\r\n"],
        b"[]",
    ),
    "100": ([b"HTTP/1.1 100 Continue\r\n\r\n" + FINE], b"{}"),
    "103": ([b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" * 3 + FINE], b"{}"),
    "until the end": ([answer() + ROWS, FAREWELL], ROWS),
    "HTTP/1.0": ([b"HTTP/1.0 200 OK\r\n\r\n[]", FAREWELL], b"[]"),
    "gzip": ([answer("content-encoding: gzip", body=PACKED)], ROWS),
    "gzip and zeros behind it": ([answer("content-encoding: gzip", body=PACKED + bytes(9))], ROWS),
    "gzip of nothing": ([answer("content-encoding: gzip", body=gzip.compress(b""))], b""),
    "gzip, named twice": ([answer("content-encoding: gzip", "content-encoding: gzip", body=PACKED)], ROWS),
    "gzip, twice": ([answer("content-encoding: gzip", "content-encoding: gzip", body=gzip.compress(PACKED))], ROWS),
    "gzip, not true": ([answer("content-encoding: gzip", body=ROWS)], ROWS),
    "gzip, not true of a text": ([answer("content-encoding: gzip", kind="text/plain", body=b"hello")], b"hello"),
    "deflate": ([answer("content-encoding: deflate", body=zlib.compress(ROWS))], ROWS),
    "a long header": ([answer(f"link: <{'x' * 5000}>", body=ROWS)], ROWS),
    **{f"4 MB: {what}": ([answer(body=body)], body) for what, body in LARGE.items()},
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_answer_is_passed_on(what: str, calls: Begin) -> None:
    script, body = WHOLE[what]
    server, proxy = calls(script)

    response = passed(proxy.send())

    assert (response.status, response.body) == (200, body)
    assert not {"content-encoding", "content-length", "transfer-encoding", "set-cookie"} & response.headers.keys()
    assert server.heard == [(0, "GET")]


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
def test_a_length_without_a_body_is_waited_for_by_nobody(method: str, status: str, calls: Begin) -> None:
    server, proxy = calls([answer("content-length: 900", "content-encoding: gzip", status=status), FINE])

    assert passed(proxy.send(method)).body == b""
    assert proxy.send().body == b"{}"
    assert [number for number, _ in server.heard] == [0, 0]


def test_what_is_asked_for_packed_by_nobody_is_told_as_it_is(calls: Begin) -> None:
    _, proxy = calls([answer("content-encoding: br", body=b"\x0b\x02\x80[]\x03")])

    response = passed(proxy.send())

    assert (response.headers["content-encoding"], response.body) == ("br", b"\x0b\x02\x80[]\x03")


def test_of_a_header_that_came_twice_the_first_counts_and_lists_are_joined(calls: Begin) -> None:
    twice = [f"{name}: {value}" for name in ("etag", "retry-after", "link") for value in (1, 2)]
    _, proxy = calls([answer(*twice, body=b"[]")])

    headers = passed(proxy.send()).headers

    assert [headers[name] for name in ("etag", "retry-after", "link")] == ["1", "1", "1, 2"]


# Half answers --------------------------------------------------------------------------------------------------------

HALF: dict[str, tuple[list[Step], type[BrokerError]]] = {
    "no answer": ([SLAMS], CallUnanswered),
    "half a head": ([b"HTTP/1.1 200 OK\r\ncontent-ty"], CallUnanswered),
    "less than the length": ([answer("content-length: 9") + b"[1, 2]"], CallUnanswered),
    "less than the length, and a farewell": ([answer("content-length: 9") + b"[1, 2]", FAREWELL], CallUnanswered),
    "no last chunk": ([CHUNKED + b"2\r\n[]\r\n", FAREWELL], CallUnanswered),
    "half a chunk": ([CHUNKED + b"9\r\n[]"], CallUnanswered),
    "no length, and cut": ([answer() + ROWS], CallUnanswered),
    "no length, said to close, and cut": ([answer("connection: close") + ROWS], CallUnanswered),
    "gzip, cut": ([answer("content-encoding: gzip", body=PACKED[:-9])], CallUnanswered),
    "gzip, cut within its sum": ([answer("content-encoding: gzip", body=PACKED[:-1])], CallUnanswered),
    "gzip, another sum": ([answer("content-encoding: gzip", body=PACKED[:-5] + b"?" + PACKED[-4:])], CallUnanswered),
    "gzip, two, one cut": ([answer("content-encoding: gzip", body=2 * PACKED[:-3])], CallUnanswered),
    "gzip, two, one broken": ([answer("content-encoding: gzip", body=PACKED + PACKED[:9] + b"??")], CallUnanswered),
    "zlib, broken": ([answer("content-encoding: deflate", body=b"x\x9c\xff\xff")], CallUnanswered),
    "deflate, cut": ([answer("content-encoding: deflate", body=zlib.compress(ROWS)[2:-8])], CallUnanswered),
    "two lengths": ([answer("content-length: 3", body=b"[]")], CallUnanswered),
    "no HTTP": ([b"[]", FAREWELL], CallUnanswered),
    "another protocol": ([b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n" + FINE], CallUnanswered),
    "an endless header": ([answer(f"link: <{'x' * 150_000}>", body=b"[]")], CallUnanswered),
    "one byte too many": ([answer(body=b"x" * (MAX_BODY_BYTES + 1))], TooLarge),
    "a page": ([answer(body=b"\xef\xbb\xbf <!-- sorry --><html>")], NotJson),
    "a page, said twice": ([answer("content-type: text/html", kind="text/html", body=b"sorry")], NotJson),
    "XML that is called JSON": ([answer(body=b"<?xml version='1.0'?><Error/>")], NotJson),
}  # fmt: skip


@req("Q03")
@pytest.mark.parametrize("what", HALF)
def test_what_is_not_whole_or_not_to_be_passed_on_is_told_and_sent_once(what: str, calls: Begin) -> None:
    script, kind = HALF[what]
    server, proxy = calls(script)

    with pytest.raises(kind):
        proxy.send("POST")
    assert server.heard == [(0, "POST")]


# Requests ------------------------------------------------------------------------------------------------------------


def test_a_refusal_of_a_body_that_is_not_read_is_passed_on(calls: Begin) -> None:
    """Servers refuse by the length alone. The caller is told so, if the refusal arrives before the connection ends."""

    def refuse(talker: ssl.SSLSocket) -> None:
        talker.recv(20_000)
        talker.sendall(answer(status="413 Too Large", body=b"{}"))
        talker.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while talker.recv(65_536):
                pass

    _, proxy = calls([refuse])

    assert proxy.send("POST", body=bytes(MAX_BODY_BYTES)).status == 413


def test_after_a_401_another_connection_is_opened_for_what_must_not_be_sent_twice(calls: Begin) -> None:
    """The first one may be closed meanwhile, and nobody could tell whether the call was carried out."""
    refused = answer(status="401 Unauthorized", body=b"{}")
    server, proxy = calls([refused, SLAMS], [FINE])

    assert proxy.send("POST").status == 200
    assert server.heard == [(0, "POST"), (1, "POST")]


@req("Q01")
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "500 Internal Server Error"])
def test_a_token_that_ninjaone_quotes_is_masked(status: str, calls: Begin) -> None:
    quoting = answer(f"etag: {TOKEN}", status=status, body=b'{"error_description": "Invalid: %s"}' % TOKEN.encode())
    _, proxy = calls([quoting], [quoting])

    response = passed(proxy.send("POST"))

    assert response.body == b'{"error_description": "Invalid: [token]"}'
    assert TOKEN not in str(response.headers)


# Connections that stay open ------------------------------------------------------------------------------------------


@req("Q03")
@pytest.mark.parametrize("left", [answer(body=b"[9]"), answer(status="204 No Content"), ROWS, b"\r\n\r\n"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_an_answer_leaves_behind_is_the_answer_to_nothing(method: str, left: bytes, calls: Begin) -> None:
    """Every answer after it would be that of the call before."""
    first = answer(body=b"[1]") if method == "GET" else answer("content-length: 0")
    second = answer(body=b"[2]")
    _, proxy = calls([first + left, second], [second])

    proxy.send(method)

    assert proxy.send().body == b"[2]"


def test_a_goodbye_that_nobody_asked_for_is_no_answer(calls: Begin) -> None:
    """Load balancers send a 408 on a connection that was idle, and close it."""

    def be_idle(talker: ssl.SSLSocket) -> None:
        talker.sendall(answer("connection: close", status="408 Request Timeout", body=b"{}"))

    _, proxy = calls([FINE, be_idle], [answer(body=b"[2]")])

    assert proxy.send().status == 200
    assert proxy.send().body == b"[2]"


@req("Q03")
def test_a_broken_connection_is_none_of_another_s(calls: Begin) -> None:
    server, proxy = calls([CHUNKED + b"2\r\n[]"], [CHUNKED + b"2\r\n[]"], [FINE])

    with pytest.raises(CallUnanswered):
        proxy.send()
    assert proxy.send(ref=OTHER).body == b"{}"
    assert [number for number, _ in server.heard] == [0, 1, 2]


# Servers that take their time ----------------------------------------------------------------------------------------

Slow = Callable[[ssl.SSLSocket], None]


TURNS = 40


def silent(talker: ssl.SSLSocket) -> None:
    """Read everything, and say nothing."""
    while talker.recv(65_536):
        pass


def dripping(head: bytes, drop: bytes) -> Slow:
    """Answer a byte at a time, each in good time."""

    def drip(talker: ssl.SSLSocket) -> None:
        talker.recv(65_536)
        talker.sendall(head)
        for _ in range(TURNS):
            talker.sendall(drop)
            sleep(0.03)

    return drip


SLOW: dict[str, Slow] = {
    "says nothing": silent,
    "drips a head": dripping(b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "drips a body": dripping(answer("content-length: 100000"), b" "),
    "drips chunks": dripping(CHUNKED, b"1\r\n \r\n"),
    "drips hints": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@req("L04")
@pytest.mark.parametrize("what", SLOW)
def test_a_server_that_takes_its_time_has_the_whole_time_and_no_more(what: str, calls: Begin, clock: Clock) -> None:
    """Each wait is shorter than its bound. Without one of them all, the server would be the one that ends it."""
    server, _ = calls([FINE, SLOW[what]])
    request = Outgoing("POST", f"https://127.0.0.1:{server.port}/v2/x", {}, b"")

    with HttpClient(system_transport(), clock) as web:
        web.send(request, timeout=Seconds(5), limit=MAX_BODY_BYTES)  # opens the connection, which may take its own time
        found = web.send(request, timeout=cast("Seconds", 0.3), limit=MAX_BODY_BYTES)

    assert found == NoReply("read_timeout")


@req("L04")
def test_a_server_that_takes_a_request_bit_by_bit_has_the_whole_time_and_no_more(
    calls: Begin, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second for each record of TLS: no wait is long, and the 4 MB would take four minutes."""
    server, _ = calls([FINE, silent])
    url = f"https://127.0.0.1:{server.port}/v2/x"
    sent: list[int] = []

    def send(talker: ssl.SSLSocket, data: bytes, *flags: int) -> int:
        sent.append(len(data))
        return real(talker, data, *flags)

    with HttpClient(system_transport(), clock) as web:
        web.send(Outgoing("POST", url, {}, b""), timeout=Seconds(5), limit=MAX_BODY_BYTES)
        real = ssl.SSLSocket.send
        monkeypatch.setattr(ssl.SSLSocket, "send", send)
        monkeypatch.setattr("broker.adapters.transport.monotonic", lambda: float(len(sent)))
        found = web.send(Outgoing("POST", url, {}, bytes(MAX_BODY_BYTES)), timeout=Seconds(20), limit=MAX_BODY_BYTES)

    assert found == NoReply("write_timeout")
    assert len(sent) == 25
