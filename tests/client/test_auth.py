"""``NinjaOneAuth``: one fetch however many wait, a newer token after a 401, and no loop."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from typing import Any

import httpx
import pytest
import time_machine

from ninjaone_connect import AsyncConnect, Connect, NinjaOneAuth, errors
from ninjaone_connect.auth import Cache
from tests.client import loop
from tests.support.client_stage import API, CON, KEYS, NINJAONE, Tokens, problem


def connect(handler: Any) -> Connect:
    return Connect(API, credentials=KEYS, transport=httpx.MockTransport(handler), max_wait=0)


def async_connect(handler: Any) -> AsyncConnect:
    return AsyncConnect(API, credentials=KEYS, transport=httpx.MockTransport(handler), max_wait=0)


def ninjaone(auth: NinjaOneAuth, tokens: Tokens, base_url: str = NINJAONE) -> httpx.Client:
    return httpx.Client(auth=auth, base_url=base_url, transport=httpx.MockTransport(tokens.ninjaone))


def async_ninjaone(auth: NinjaOneAuth, tokens: Tokens) -> httpx.AsyncClient:
    return httpx.AsyncClient(auth=auth, base_url=NINJAONE, transport=httpx.MockTransport(tokens.ninjaone))


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def auth(tokens: Tokens) -> NinjaOneAuth:
    return NinjaOneAuth(connect(tokens.token), "northwind", CON)


def test_calls_carry_one_token_until_shortly_before_it_ends(auth: NinjaOneAuth, tokens: Tokens) -> None:
    client = ninjaone(auth, tokens)

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        client.get("/v2/organizations")
        clock.shift(3539)
        client.get("/v2/organizations")
        clock.shift(1)
        client.get("/v2/organizations")

    assert tokens.seen == {"secret-token-1": 2, "secret-token-2": 1}
    assert tokens.fetched == [{"min_ttl": 300, "refused_version": 0}] * 2


@pytest.mark.parametrize(("lasts", "fetched"), [(30, 4), (12, 10), (9, 20)])
def test_a_token_in_its_last_minute_is_shared_for_some_seconds_and_never_to_its_end(
    tokens: Tokens, auth: NinjaOneAuth, lasts: int, fetched: int
) -> None:
    """Twenty requests, one a second, while the broker has no token that lasts longer."""
    tokens.lasts = lasts
    client = ninjaone(auth, tokens)

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        for _ in range(20):
            assert client.get("/v2/organizations").status_code == 200
            clock.shift(1)

    assert len(tokens.fetched) == fetched


@pytest.mark.parametrize("round_", range(5))
def test_however_many_threads_wait_one_fetches(round_: int) -> None:
    tokens, start = Tokens(), Barrier(64)

    def slowly(request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return tokens.token(request)

    client = ninjaone(NinjaOneAuth(connect(slowly), "northwind", CON), tokens)

    def use(_: int) -> set[int]:
        start.wait()
        return {client.get("/v2/organizations").status_code for _ in range(10)}

    with ThreadPoolExecutor(64) as threads:
        found = list(threads.map(use, range(64)))

    assert found == [{200}] * 64
    assert len(tokens.fetched) == 1
    assert tokens.seen == {"secret-token-1": 640}


def test_however_many_tasks_wait_one_fetches() -> None:
    tokens = Tokens()

    async def slowly(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.01)
        return tokens.token(request)

    async def use() -> list[int]:
        async with async_ninjaone(NinjaOneAuth(async_connect(slowly), "northwind", CON), tokens) as client:
            answers = await asyncio.gather(*(client.get("/v2/organizations") for _ in range(500)))
        return [answer.status_code for answer in answers]

    assert loop.run(use()) == [200] * 500
    assert len(tokens.fetched) == 1


def test_tasks_of_several_loops_share_one_token() -> None:
    tokens, start = Tokens(), Barrier(8)

    async def slowly(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return tokens.token(request)

    def client_of_a_loop() -> AsyncConnect:
        return async_connect(slowly)

    auth = NinjaOneAuth(client_of_a_loop(), "northwind", CON)

    async def use() -> int:
        async with async_ninjaone(auth, tokens) as client:
            return (await client.get("/v2/organizations")).status_code

    def of_its_own(_: int) -> int:
        start.wait()
        return asyncio.run(use())

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(of_its_own, range(8))) == [200] * 8
    assert len(tokens.fetched) == 1


def test_after_a_401_a_newer_token_is_asked_for_once(auth: NinjaOneAuth, tokens: Tokens) -> None:
    client = ninjaone(auth, tokens)
    client.get("/v2/organizations")
    tokens.good = {"secret-token-2"}

    assert client.get("/v2/organizations").status_code == 200
    assert client.get("/v2/organizations").status_code == 200
    assert tokens.seen == {"secret-token-1": 2, "secret-token-2": 2}


def test_the_broker_is_told_which_token_was_refused(auth: NinjaOneAuth, tokens: Tokens) -> None:
    client = ninjaone(auth, tokens)
    client.get("/v2/organizations")
    tokens.good = {"secret-token-2"}

    client.get("/v2/organizations")

    assert [each["refused_version"] for each in tokens.fetched] == [0, 1]


def test_threads_that_are_refused_together_ask_once_together(tokens: Tokens, auth: NinjaOneAuth) -> None:
    client = ninjaone(auth, tokens)
    client.get("/v2/organizations")
    tokens.good = {"secret-token-2"}
    start = Barrier(32)

    def use(_: int) -> int:
        start.wait()
        return client.get("/v2/organizations").status_code

    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(use, range(32))) == {200}

    assert len(tokens.fetched) == 2


def test_tasks_that_are_refused_together_ask_once_together() -> None:
    tokens = Tokens()

    async def use() -> set[int]:
        async with async_ninjaone(NinjaOneAuth(async_connect(tokens.token), "northwind", CON), tokens) as client:
            await client.get("/v2/organizations")
            tokens.good = {"secret-token-2"}
            answers = await asyncio.gather(*(client.get("/v2/organizations") for _ in range(100)))
        return {answer.status_code for answer in answers}

    assert loop.run(use()) == {200}
    assert len(tokens.fetched) == 2


def test_a_401_that_no_token_mends_goes_to_the_caller_and_is_not_asked_about_for_a_minute() -> None:
    tokens = Tokens(fresh=False)
    tokens.good = set()
    client = ninjaone(NinjaOneAuth(connect(tokens.token), "northwind", CON), tokens)

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        assert [client.get("/v2/organizations").status_code for _ in range(20)] == [401] * 20
        assert len(tokens.fetched) == 2
        assert tokens.seen["secret-token-1"] == 20
        clock.shift(61)
        client.get("/v2/organizations")

    assert len(tokens.fetched) == 3


def test_a_clock_that_is_set_back_keeps_neither_a_token_nor_a_refusal() -> None:
    tokens = Tokens(fresh=False)
    tokens.good = set()
    client = ninjaone(NinjaOneAuth(connect(tokens.token), "northwind", CON), tokens)

    with time_machine.travel(1_800_000_000, tick=False) as clock:
        assert client.get("/v2/organizations").status_code == 401
        clock.shift(-86_400)
        assert client.get("/v2/organizations").status_code == 401

    assert len(tokens.fetched) == 4


def test_each_refused_token_is_sent_at_most_twice_for_one_call(tokens: Tokens, auth: NinjaOneAuth) -> None:
    tokens.good = set()

    answer = ninjaone(auth, tokens).get("/v2/organizations")

    assert answer.status_code == 401
    assert tokens.seen == {"secret-token-1": 1, "secret-token-2": 1}


@pytest.mark.parametrize("status", [200, 403, 429, 500])
def test_no_other_status_asks_for_a_token(status: int, auth: NinjaOneAuth, tokens: Tokens) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))

    answer = httpx.Client(auth=auth, base_url=NINJAONE, transport=transport).get("/v2/organizations")

    assert (answer.status_code, len(tokens.fetched)) == (status, 1)


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """NinjaOne behind a socket: a body is taken off its stream, which a mock transport would keep."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens, self.bodies = tokens, list[bytes]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        self.bodies.append(b"".join(request.stream))
        return self.tokens.ninjaone(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([part async for part in request.stream]))
        return self.tokens.ninjaone(request)


def test_a_body_is_sent_again_and_a_stream_is_not(tokens: Tokens, auth: NinjaOneAuth) -> None:
    tokens.good = {"secret-token-2"}
    wire = Wire(tokens)
    client = httpx.Client(auth=auth, base_url=NINJAONE, transport=wire)

    def stream() -> Iterator[bytes]:
        yield b"streamed"

    assert client.post("/v2/tickets", content=stream()).status_code == 401
    assert client.post("/v2/tickets", content=b"whole").status_code == 200
    assert wire.bodies == [b"streamed", b"whole", b"whole"]


@pytest.mark.parametrize(
    "url",
    ["https://app.ninjarmm.com/v2/x", "https://evil.example/v2/x", "http://eu.ninjarmm.com/v2/x"],
)
def test_a_token_never_leaves_for_another_host(url: str, auth: NinjaOneAuth, tokens: Tokens) -> None:
    with pytest.raises(errors.WrongHost, match=r"api_base_url as base_url") as caught:
        ninjaone(auth, tokens).get(url)

    assert tokens.seen == {}
    assert "secret" not in str(caught.value)


EMULATOR = "http://127.0.0.1:8002/eu.ninjarmm.com"


def said_to_be_at(url: str, tokens: Tokens) -> NinjaOneAuth:
    """Authorize for a connection whose NinjaOne the broker says to be there."""

    def token(request: httpx.Request) -> httpx.Response:
        given = tokens.token(request)
        return httpx.Response(given.status_code, json=given.json() | {"api_base_url": url})

    return NinjaOneAuth(connect(token), "northwind", CON)


def test_an_emulator_of_this_machine_that_the_broker_names_gets_the_token(tokens: Tokens) -> None:
    answer = ninjaone(said_to_be_at(EMULATOR, tokens), tokens, EMULATOR).get("/v2/organizations")

    assert answer.status_code == 200


def test_no_other_machine_gets_a_token_by_http_whatever_the_broker_says(tokens: Tokens) -> None:
    url = "http://eu.ninjarmm.com"

    with pytest.raises(errors.WrongHost):
        ninjaone(said_to_be_at(url, tokens), tokens, url).get("/v2/organizations")

    assert tokens.seen == {}


@pytest.mark.parametrize("home", ["https://eu.ninjarmm.com", EMULATOR])
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/v2/x", "http://127.0.0.1:8003/v2/x", "http://localhost:8002/x", "https://127.0.0.1:8002/x",
        "http://eu.ninjarmm.com/v2/x", "https://eu.ninjarmm.com:8443/v2/x", "http://[::1]:8002/x",
    ],
)  # fmt: skip
def test_a_token_goes_by_https_alone_and_not_to_this_machine_by_itself(tokens: Tokens, url: str, home: str) -> None:
    with pytest.raises(errors.WrongHost):
        ninjaone(said_to_be_at(home, tokens), tokens).get(url)

    assert tokens.seen == {}


def test_a_connection_that_needs_its_customer_says_so_to_every_caller(tokens: Tokens) -> None:
    gone = NinjaOneAuth(connect(lambda _: problem("needs-reauth", 409, reason="revoked")), "northwind", CON)
    client = ninjaone(gone, tokens)

    for _ in range(2):
        with pytest.raises(errors.NeedsReauth):
            client.get("/v2/organizations")
    assert tokens.seen == {}


def test_all_who_wait_hear_what_went_wrong_and_the_next_tries_again() -> None:
    tokens, start, answers = Tokens(), Barrier(16), [problem("misconfigured", 500)]

    def fail_once(request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return answers.pop() if answers else tokens.token(request)

    client = ninjaone(NinjaOneAuth(connect(fail_once), "northwind", CON), tokens)

    def use(_: int) -> str:
        start.wait()
        try:
            return str(client.get("/v2/organizations").status_code)
        except errors.Misconfigured:
            return "misconfigured"

    with ThreadPoolExecutor(16) as threads:
        heard = list(threads.map(use, range(16)))

    assert "misconfigured" in heard
    assert set(heard) <= {"misconfigured", "200"}
    assert client.get("/v2/organizations").status_code == 200


def test_a_token_that_is_held_serves_while_the_broker_is_down(tokens: Tokens) -> None:
    down = Event()

    def give(request: httpx.Request) -> httpx.Response:
        if down.is_set():
            raise httpx.ConnectError("down")
        return tokens.token(request)

    client = ninjaone(NinjaOneAuth(connect(give), "northwind", CON), tokens)
    client.get("/v2/organizations")
    down.set()

    assert client.get("/v2/organizations").status_code == 200


def test_when_the_fetching_task_is_cancelled_another_takes_over() -> None:
    tokens = Tokens()

    async def use() -> int:
        arrived, calls = asyncio.Event(), 0

        async def give(request: httpx.Request) -> httpx.Response:
            nonlocal calls
            calls += 1
            if calls == 1:
                arrived.set()
                await asyncio.Event().wait()
            return tokens.token(request)

        async with async_ninjaone(NinjaOneAuth(async_connect(give), "northwind", CON), tokens) as client:
            first = asyncio.create_task(client.get("/v2/organizations"))
            await arrived.wait()
            second = asyncio.create_task(client.get("/v2/organizations"))
            await asyncio.sleep(0)
            first.cancel()
            answer = await second
        assert first.cancelled()
        return answer.status_code

    assert loop.run(use()) == 200
    assert len(tokens.fetched) == 1


def test_when_a_waiting_task_is_cancelled_the_fetch_goes_on() -> None:
    tokens = Tokens()

    async def use() -> int:
        go = asyncio.Event()

        async def give(request: httpx.Request) -> httpx.Response:
            await go.wait()
            return tokens.token(request)

        async with async_ninjaone(NinjaOneAuth(async_connect(give), "northwind", CON), tokens) as client:
            first = asyncio.create_task(client.get("/v2/organizations"))
            second = asyncio.create_task(client.get("/v2/organizations"))
            for _ in range(20):
                await asyncio.sleep(0)
            second.cancel()
            go.set()
            answer = await first
        return answer.status_code

    assert loop.run(use()) == 200
    assert len(tokens.fetched) == 1


def test_an_async_stream_is_not_sent_again() -> None:
    tokens = Tokens()
    tokens.good = set()

    async def stream() -> AsyncIterator[bytes]:
        yield b"streamed"

    async def use() -> int:
        auth = NinjaOneAuth(async_connect(tokens.token), "northwind", CON)
        async with httpx.AsyncClient(auth=auth, base_url=NINJAONE, transport=Wire(tokens)) as client:
            return (await client.post("/v2/tickets", content=stream())).status_code

    assert loop.run(use()) == 401
    assert len(tokens.fetched) == 1


def test_the_wrong_pair_of_clients_says_which_is_right(tokens: Tokens, auth: NinjaOneAuth) -> None:
    async def use() -> None:
        async with async_ninjaone(auth, tokens) as client:
            await client.get("/v2/organizations")

    with pytest.raises(TypeError, match=r"Connect.*httpx\.Client"):
        loop.run(use())
    with pytest.raises(TypeError, match=r"AsyncConnect.*httpx\.AsyncClient"):
        ninjaone(NinjaOneAuth(async_connect(tokens.token), "northwind", CON), tokens).get("/v2/x")


def test_nothing_that_prints_shows_a_token(auth: NinjaOneAuth, tokens: Tokens) -> None:
    token = connect(tokens.token).token("northwind", CON)

    shown = [repr(token), str(token), repr(auth), repr(vars(auth)["_cache"]), f"{token}"]

    assert token.access_token == "secret-token-1"
    assert all("secret" not in text for text in shown)


def test_the_time_is_read_while_no_other_thread_stores_a_newer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread with an older time took each newer token for one of the future, and all of them fetched in turn."""
    cache, held = Cache(), list[bool]()

    def now() -> float:
        held.append(cache._lock.locked())
        return 1000.0

    monkeypatch.setattr("ninjaone_connect.auth.time.time", now)

    cache.acquire(None)

    assert held == [True]


@pytest.mark.slow
def test_tokens_that_end_all_the_time_are_fetched_as_often_as_they_end_and_no_more() -> None:
    """Sixteen threads for some seconds, with tokens kept for a second: every call finds a token that is good."""
    tokens, stop = Tokens(lasts=11), Event()
    client = ninjaone(NinjaOneAuth(connect(tokens.token), "northwind", CON), tokens)
    begun, failed = time.time(), []

    def use() -> None:
        while not stop.is_set():
            if client.get("/v2/organizations").status_code != 200:
                failed.append(1)

    threads = [Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    stop.set()
    for thread in threads:
        thread.join()

    assert not failed
    assert 2 <= len(tokens.fetched) <= time.time() - begun + 1


# Loops that end, and processes that fork -----------------------------------------------------------------------------


def test_each_event_loop_has_connections_of_its_own(tokens: Tokens) -> None:
    aconnect = async_connect(tokens.token)

    async def client() -> httpx.AsyncClient:
        return await aconnect._http()

    first, second = loop.run(client()), loop.run(client())

    async def twice() -> bool:
        return await aconnect._http() is await aconnect._http()

    assert first is not second
    assert loop.run(twice())


def test_the_connections_of_a_loop_end_with_it(tokens: Tokens) -> None:
    """A program that runs a loop for each job keeps neither sockets nor loops, however many jobs it has."""
    aconnect = async_connect(tokens.token)

    async def job() -> httpx.AsyncClient:
        await aconnect.token("northwind", CON)
        return await aconnect._http()

    used = [loop.run(job()) for _ in range(5)]

    assert all(client.is_closed for client in used)
    assert len(aconnect._clients) == 1


def test_loops_that_are_closed_without_ado_are_forgotten(tokens: Tokens) -> None:
    aconnect = async_connect(tokens.token)
    for _ in range(5):
        made = asyncio.new_event_loop()
        loop.run_on(made, aconnect.token("northwind", CON))
        made.close()

    assert len(aconnect._clients) == 1


def test_what_was_closed_can_be_used_again(tokens: Tokens) -> None:
    made, amade = connect(tokens.token), async_connect(tokens.token)

    async def twice() -> None:
        for _ in range(2):
            async with amade:
                await amade.token("northwind", CON)

    for _ in range(2):
        with made:
            made.token("northwind", CON)
    loop.run(twice())

    assert len(tokens.fetched) == 4


def test_a_fetch_whose_event_loop_stopped_is_begun_again(tokens: Tokens) -> None:
    first = [True]

    async def answer(request: httpx.Request) -> httpx.Response:
        if first:
            first.clear()
            await asyncio.sleep(3600)
        return tokens.token(request)

    auth = NinjaOneAuth(
        AsyncConnect(API, credentials=KEYS, transport=httpx.MockTransport(answer), max_wait=0), "northwind", CON
    )

    async def call() -> int:
        async with async_ninjaone(auth, tokens) as client:
            return (await client.get("/v2/organizations")).status_code

    stopped = asyncio.new_event_loop()
    begun = stopped.create_task(call())
    loop.run_on(stopped, asyncio.sleep(0.05))

    assert loop.run(asyncio.wait_for(call(), 10)) == 200
    begun.cancel()
    loop.run_on(stopped, asyncio.wait([begun]))
    stopped.close()


async def until(event: Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  # another thread sets it
        await asyncio.sleep(0.01)


def test_who_waits_for_a_loop_that_stops_meanwhile_fetches_themselves(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjaone_connect.auth.LOOP_CHECK_INTERVAL", 0.02)
    asked, release, first = Event(), Event(), [True]

    async def answer(request: httpx.Request) -> httpx.Response:
        if first:
            first.clear()
            asked.set()
            await asyncio.sleep(3600)
        return tokens.token(request)

    aconnect = AsyncConnect(API, credentials=KEYS, transport=httpx.MockTransport(answer), max_wait=0)
    client = async_ninjaone(NinjaOneAuth(aconnect, "northwind", CON), tokens)
    other = asyncio.new_event_loop()
    begun = other.create_task(client.get("/v2/organizations"))
    thread = Thread(target=loop.run_on, args=(other, until(release)))
    thread.start()
    asked.wait()

    async def waits() -> int:
        waiting = asyncio.create_task(client.get("/v2/organizations"))
        await asyncio.sleep(0.05)
        release.set()
        return (await asyncio.wait_for(waiting, 10)).status_code

    assert loop.run(waits()) == 200
    thread.join()
    begun.cancel()
    loop.run_on(other, asyncio.wait([begun]))
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_during_a_fetch_goes_on_by_itself(tokens: Tokens) -> None:
    """The child inherits a lock that is held and a fetch that nobody carries out there."""
    fetching, go_on = Event(), Event()

    def slowly(request: httpx.Request) -> httpx.Response:
        if not fetching.is_set():
            fetching.set()
            go_on.wait()
        return tokens.token(request)

    made = connect(slowly)
    auth = NinjaOneAuth(made, "northwind", CON)
    client = ninjaone(auth, tokens)
    thread = Thread(target=lambda: client.get("/v2/organizations"))
    thread.start()
    fetching.wait()
    with auth._cache._lock, made._signer._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if ninjaone(auth, tokens).get("/v2/organizations").status_code == 200 else 1)
    go_on.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_does_not_speak_over_its_parent_s_connections(tokens: Tokens) -> None:
    made = connect(tokens.token)
    inherited = made._http
    child = os.fork()
    if child == 0:
        os._exit(0 if made._http is not inherited else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made._http is inherited
