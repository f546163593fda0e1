"""NinjaOne over real HTTP on loopback: paths, cookies, headers, and connections that end badly."""

import logging
import re
import socket
import struct
import threading
from collections.abc import Iterator
from html import unescape
from queue import Queue
from threading import Event
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest

from ninjaone_emulator import NinjaOne
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.testing import ADA, DEAD, EU, Client, make_ninjaone
from ninjaone_emulator.wsgi_server import Server, serve


class Served:
    """A NinjaOne on a port of its own; waits are noted, not waited for."""

    def __init__(self) -> None:
        self.core = make_ninjaone()
        self.waits: list[float] = []
        self.server = serve(create_app(self.core, self.waits.append))
        self.eu = f"{self.server.url}/{EU}"

    def refresh(self, refresh_token: str) -> httpx.Response:
        client = Client(self.core)
        form = client.fields | {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return httpx.post(f"{self.eu}/ws/oauth/token", data=form)


@pytest.fixture
def served() -> Iterator[Served]:
    world = Served()
    with world.server:
        yield world


def form_action(page: str) -> str:
    return unescape(re.findall(r'<form method="post" action="([^"]+)"', page)[0])


def test_a_browser_goes_from_the_product_to_the_callback(served: Served) -> None:
    client = Client(served.core)

    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(f"{served.eu}/ws/oauth/authorize?{client.query()}")
        hidden = unescape(re.findall(r'name="return_to" value="([^"]*)"', page.text)[0])
        page = browser.post(form_action(page.text), data={"email": ADA, "password": "x", "return_to": hidden})
        reply = browser.post(form_action(page.text), data={"decision": "authorize"}, follow_redirects=False)

    assert str(page.url) == f"{served.eu}/ws/oauth/authorize?{client.query()}"
    assert reply.status_code == 302
    returned = parse_qs(urlsplit(reply.headers["Location"]).query)
    assert returned["state"] == ["st-1"]
    assert client.exchange(returned["code"][0]).status == 200


def test_the_session_of_one_host_is_not_sent_to_another(served: Served) -> None:
    reply = httpx.post(f"{served.eu}/", data={"email": ADA})

    assert f"Path=/{EU};" in reply.headers["Set-Cookie"]


def test_the_dead_token_body_arrives_byte_for_byte(served: Served) -> None:
    reply = served.refresh("no such token")

    assert (reply.status_code, reply.content) == (400, DEAD)
    assert reply.headers.get_list("Server") == ["nginx"]
    assert {name.lower() for name in reply.headers} == {
        "server", "date", "content-type", "content-length", "cache-control", "vary", "connection",
    }  # fmt: skip
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Content-Length"] == "25"


def test_the_redirect_mismatch_ends_on_a_json_404(served: Served) -> None:
    client = Client(served.core)
    client.redirect_uri += "/"
    cookie = {"Cookie": served.core.sign_in(ADA)}

    reply = httpx.get(f"{served.eu}/ws/oauth/authorize?{client.query()}", headers=cookie, follow_redirects=True)

    assert reply.status_code == 404
    assert str(reply.url).startswith(f"{served.eu}/ws/oauth/error?error=unauthorized_client")
    assert reply.text.startswith('{ "resultCode": "FAILURE", "errorMessage": "HTTP 404 Not Found"')


def test_the_metadata_points_at_this_server_and_names_the_real_issuer(served: Served) -> None:
    metadata = httpx.get(f"{served.eu}/.well-known/oauth-authorization-server").json()

    assert metadata["token_endpoint"] == f"{served.eu}/ws/oauth/token"
    assert metadata["issuer"] == f"https://{EU}/"


def test_organizations_need_the_header_on_the_wire(served: Served) -> None:
    reply = httpx.get(f"{served.eu}/api/v2/organizations")

    assert reply.status_code == 400
    assert reply.headers["Server"] == "Grizzly"


def test_a_lost_response_leaves_the_rotation_done(served: Served) -> None:
    client = Client(served.core)
    first = client.connect()["refresh_token"]
    served.core.faults.plan(Fault("lost_response"))

    with pytest.raises(httpx.RemoteProtocolError):
        served.refresh(first)

    assert len(served.core.oracle.chain(first[:36])) == 2
    assert served.refresh(first).content == DEAD


def test_a_reset_connection_leaves_everything_as_it_was(served: Served) -> None:
    client = Client(served.core)
    first = client.connect()["refresh_token"]
    served.core.faults.plan(Fault("reset"))

    with pytest.raises(httpx.ReadError):
        served.refresh(first)

    assert served.core.oracle.live_refresh_token(first[:36]) == first
    assert served.refresh(first).status_code == 200


def test_a_connection_closed_on_purpose_is_no_answer_for_a_test_client_either() -> None:
    core = make_ninjaone()
    core.faults.plan(Fault("lost_response", on="api"))

    with pytest.raises(ConnectionAbortedError):
        create_app(core).test_client().get(f"/{EU}/v2/organizations")


def test_a_slow_answer_has_already_been_done_when_it_waits(served: Served) -> None:
    client = Client(served.core)
    first = client.connect()["refresh_token"]
    served.core.faults.plan(Fault("slow", seconds=65))

    assert served.refresh(first).status_code == 200
    assert served.waits == [65]


def test_one_slow_answer_does_not_hold_up_the_others() -> None:
    core = make_ninjaone()
    waiting, released = threading.Event(), threading.Event()

    def wait(_: float) -> None:
        waiting.set()
        released.wait()

    core.faults.plan(Fault("slow", on="api"))
    with serve(create_app(core, wait)) as server:
        url = f"{server.url}/{EU}/v2/organizations"
        slow = threading.Thread(target=httpx.get, args=(url,), daemon=True)
        slow.start()
        waiting.wait()

        assert httpx.get(url).status_code == 400
        released.set()
        slow.join()


def test_a_truncated_body_arrives_as_bad_json(served: Served) -> None:
    first = Client(served.core).connect()["refresh_token"]
    served.core.faults.plan(Fault("truncated_json"))

    reply = served.refresh(first)

    assert reply.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        reply.json()


def test_an_unknown_host_is_not_found(served: Served) -> None:
    assert httpx.get(f"{served.server.url}/uk.ninjarmm.com/ws/oauth/token").status_code == 404


def test_a_closed_server_gives_its_port_back_and_a_taken_port_is_an_error() -> None:
    core = make_ninjaone()
    with serve(create_app(core)) as first:
        port = urlsplit(first.url).port or 0
        with pytest.raises(OSError, match="in use"):
            serve(create_app(core), port)
    with pytest.raises(httpx.ConnectError):
        httpx.get(first.url)

    with serve(create_app(core), port) as second:
        assert httpx.get(second.url).status_code == 200


def test_the_server_listens_on_loopback_only(served: Served) -> None:
    address = served.server.url.removeprefix("http://").split(":")

    assert address[0] == "127.0.0.1"
    with socket.create_connection((address[0], int(address[1]))) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_a_defect_of_an_application_is_a_500_and_is_logged() -> None:
    told: Queue[str] = Queue()
    handler = logging.Handler()
    handler.emit = lambda record: told.put(record.getMessage())  # type: ignore[method-assign] # a sink
    logger = logging.getLogger("werkzeug")
    logger.addHandler(handler)

    def broken(*_: object) -> list[bytes]:
        raise ZeroDivisionError

    with Server(broken, 0) as server:
        assert httpx.get(server.url).status_code == 500
        assert "ZeroDivisionError" in told.get()
    logger.removeHandler(handler)


def test_an_ordinary_request_is_not_logged(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    httpx.get(f"{served.eu}/app-version.txt")

    assert capfd.readouterr() == ("", "")


def test_concurrent_refreshes_of_one_token_have_one_winner(served: Served) -> None:
    first = Client(served.core).connect()["refresh_token"]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(served.refresh(first).status_code)) for _ in range(8)]

    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(statuses) == [200] + [400] * 7
    assert served.core.oracle.presented(first) == 8


def test_the_seeded_core_is_the_one_that_is_served(served: Served) -> None:
    assert isinstance(served.core, NinjaOne)
    assert httpx.get(f"{served.eu}/app-version.txt").text == "13.0.20"


class Body:
    """What an application answers with, and wants closed."""

    def __init__(self) -> None:
        self.closed = Event()

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"ok"])

    def close(self) -> None:
        self.closed.set()


def test_an_answer_is_closed_although_the_browser_went_away() -> None:
    body = Body()

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Body:
        start_response("200 OK", [("Content-Length", "2")])
        return body

    with serve(app) as server, socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as browser:
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        browser.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert browser.recv(1)
        browser.close()

        assert body.closed.wait(10)
