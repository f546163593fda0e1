"""``NinjaOneAuth``: puts a connection's access token on httpx requests to NinjaOne.

Cache and flights are shared by all clients, threads and tasks that use one object:

    no token, or one that ends soon   one fetch, however many wait for it
    NinjaOne answers 401              one fetch of a newer token; the request is sent once more if there is one
    … and there is none               the 401 goes to the caller, and for a minute no 401 asks again
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from typing import NoReturn

import httpx

from ninjaone_connect.client import MIN_TTL, AsyncConnect, Connect
from ninjaone_connect.errors import WrongHost
from ninjaone_connect.model import Token

MARGIN = 60
"""Seconds before its end at which a token is not used any more: clocks differ, and requests take their time."""
LONGEST_MIN_TTL = 3000
INSISTED = 60
"""Seconds; the broker does not ask NinjaOne for one connection more often."""
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class PendingFetch:
    """A fetch that is under way; whoever took off lands it, the others wait for it.

    min_ttl   seconds that the token is asked to last
    """

    def __init__(self, min_ttl: int) -> None:
        self.min_ttl = min_ttl
        self.landed: Future[Token | None] = Future()


class Cache:
    """The token held, and the flight for the next one. The lock is never held while anything is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Token | None = None
        self._good_until = 0.0
        self._flight: PendingFetch | None = None
        self._insisted: tuple[Token, float] | None = None

    def look(self, refused: Token | None, now: float) -> Token | tuple[PendingFetch, bool]:
        """Give the token to use; or the flight to wait for, and whether it is the caller's to carry out."""
        with self._lock:
            if refused is not None and self._is_hopeless(refused, now):
                return refused
            if self._held and now < self._good_until and not _same(self._held, refused):
                return self._held
            if self._flight is not None:
                return self._flight, False
            self._flight = PendingFetch(_longer_than(refused, now))
            return self._flight, True

    def resolve(self, flight: PendingFetch, token: Token, refused: Token | None, asked_at: float) -> None:
        """Keep what was fetched, and tell those who wait."""
        with self._lock:
            self._held, self._good_until = token, asked_at + token.expires_in - MARGIN
            self._flight = None
            if refused is not None and _same(token, refused):
                self._insisted = (refused, asked_at)
        flight.landed.set_result(token)

    def fail(self, flight: PendingFetch, error: BaseException) -> None:
        """Tell those who wait what went wrong; after an interruption one of them tries again."""
        with self._lock:
            self._flight = None
        if isinstance(error, Exception):
            flight.landed.set_exception(error)
        else:
            flight.landed.set_result(None)

    def _is_hopeless(self, refused: Token, now: float) -> bool:
        return self._insisted is not None and _same(self._insisted[0], refused) and now < self._insisted[1] + INSISTED


class NinjaOneAuth(httpx.Auth):
    """Authorizes requests to NinjaOne for one connection: ``httpx.Client(auth=NinjaOneAuth(…), base_url=…)``.

    With ``Connect`` it serves ``httpx.Client``, with ``AsyncConnect`` it serves ``httpx.AsyncClient``.
    A request whose body can't be sent twice (a stream) is not sent again after a 401.
    """

    def __init__(self, connect: Connect | AsyncConnect, tenant: str, connection: str) -> None:
        self._connect, self._tenant, self._connection = connect, tenant, connection
        self._cache = Cache()

    def __repr__(self) -> str:
        return f"NinjaOneAuth({self._tenant!r}, {self._connection!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send with a token; after a 401 once more with a newer one. Raises   ConnectError"""
        token = self._token(None)
        response = yield _bearing(request, token)
        if _is_worth_another(request, response) and not _same(newer := self._token(token), token):
            yield _bearing(request, newer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with a token; after a 401 once more with a newer one. Raises   ConnectError"""
        token = await self._async_token(None)
        response = yield _bearing(request, token)
        if _is_worth_another(request, response) and not _same(newer := await self._async_token(token), token):
            yield _bearing(request, newer)

    def _token(self, refused: Token | None) -> Token:
        if not isinstance(self._connect, Connect):
            _mismatched("AsyncConnect", "httpx.AsyncClient")
        while True:
            found = self._cache.look(refused, time.time())
            if isinstance(found, Token):
                return found
            flight, is_mine = found
            token = self._fetch(self._connect, flight, refused) if is_mine else flight.landed.result()
            if token is not None:
                return token

    def _fetch(self, connect: Connect, flight: PendingFetch, refused: Token | None) -> Token:
        asked_at = time.time()
        try:
            token = connect.token(self._tenant, self._connection, min_ttl=flight.min_ttl)
        except BaseException as error:
            self._cache.fail(flight, error)
            raise
        self._cache.resolve(flight, token, refused, asked_at)
        return token

    async def _async_token(self, refused: Token | None) -> Token:
        if not isinstance(self._connect, AsyncConnect):
            _mismatched("Connect", "httpx.Client")
        while True:
            found = self._cache.look(refused, time.time())
            if isinstance(found, Token):
                return found
            flight, is_mine = found
            token: Token | None
            if is_mine:
                token = await self._async_fetch(self._connect, flight, refused)
            else:  # whoever waits may be cancelled; the flight is not
                token = await asyncio.shield(asyncio.wrap_future(flight.landed))
            if token is not None:
                return token

    async def _async_fetch(self, connect: AsyncConnect, flight: PendingFetch, refused: Token | None) -> Token:
        asked_at = time.time()
        try:
            token = await connect.token(self._tenant, self._connection, min_ttl=flight.min_ttl)
        except BaseException as error:
            self._cache.fail(flight, error)
            raise
        self._cache.resolve(flight, token, refused, asked_at)
        return token


def _bearing(request: httpx.Request, token: Token) -> httpx.Request:
    """Put the token on a request, but never on its way to a host that is not the connection's."""
    home = httpx.URL(token.api_base_url)
    safe = request.url.host in LOOPBACK or (request.url.scheme, request.url.host) == (home.scheme, home.host)
    if not safe:
        raise WrongHost(
            f"This connection's NinjaOne is {token.api_base_url}, and the request goes to {request.url.host}: "
            "give the connection's api_base_url as base_url."
        )
    request.headers["Authorization"] = f"Bearer {token.access_token}"
    return request


def _is_worth_another(request: httpx.Request, response: httpx.Response) -> bool:
    return response.status_code == 401 and isinstance(request.stream, httpx.ByteStream)


def _same(one: Token, other: Token | None) -> bool:
    return other is not None and one.access_token == other.access_token


def _longer_than(refused: Token | None, now: float) -> int:
    """Say how long to ask a token to last: longer than one that NinjaOne refused, so that it is another."""
    if refused is None:
        return MIN_TTL
    return min(max(int(refused.expires_at - now) + 1, MIN_TTL), LONGEST_MIN_TTL)


def _mismatched(connect: str, client: str) -> NoReturn:
    raise TypeError(f"NinjaOneAuth({connect}, …) is for {client}; use the other pair for the other.")
