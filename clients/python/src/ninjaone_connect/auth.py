"""``NinjaOneAuth``: puts a connection's access token on httpx requests to NinjaOne.

All clients, threads and tasks that use one object share its cache and its pending fetch:

    no token, or one that expires soon   one fetch, however many wait for it
    NinjaOne answers 401                 one fetch of a newer token; the request is sent once more if there is one
    … and there is none                  the 401 goes to the caller, and for a minute no further 401 causes a fetch
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from typing import NoReturn

import httpx

from ninjaone_connect.client import AsyncConnect, Connect
from ninjaone_connect.errors import WrongHost
from ninjaone_connect.model import Token

MARGIN = 60
"""Seconds before its expiry at which a token is no longer used: clocks differ, and a request takes time."""
LOOPBACK = "127.0.0.1"
SHARED = 5
"""Seconds for which a token that expires within the margin is still shared, so that not every request fetches one."""
CLOCK_SKEW = 10
"""Seconds before its expiry at which even such a token is not used."""
REFETCH_INTERVAL = 60
"""Seconds between refreshes of one connection; the broker does not make them more often."""
LOOP_CHECK_INTERVAL = 1.0
"""Seconds after which a waiter for a fetch checks whether the event loop of the fetch still runs."""


class PendingFetch:
    """A fetch of a token that is under way: the caller that began it resolves it, the others wait for its result.

    Args:
        refused_version: the version of a token that NinjaOne refused, so that another is needed; 0 if none was
    """

    def __init__(self, refused_version: int) -> None:
        self.refused_version = refused_version
        self.future: Future[Token | None] = Future()
        self._loop = _running_loop()

    @property
    def is_abandoned(self) -> bool:
        """Return whether the event loop that it was begun in has stopped, so that it will never finish."""
        return self._loop is not None and not self._loop.is_running()

    def end(self, token: Token | None) -> None:
        """Give the result to those who wait, unless the fetch was abandoned meanwhile."""
        if not self.future.done():
            self.future.set_result(token)


class Cache:
    """The current token, and the fetch of the next one. The lock is never held while waiting.

    A token that was stored at a later time than now is not used: the clock has been set back by an unknown amount.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._asked_at = self._shared_until = 0.0
        self._pending: PendingFetch | None = None
        self._refetched: tuple[Token, float] | None = None

    def acquire(self, refused: Token | None) -> Token | tuple[PendingFetch, bool]:
        """Return the token to use, or the fetch to wait for and whether the caller has to carry it out."""
        if self._process != os.getpid():  # a fork: a thread of the parent may hold the lock, or fetch for ever
            Cache.__init__(self)
        with self._lock:
            now = (
                time.time()
            )  # here: a thread that waited for the lock would find a newer token fetched after its "now"
            if refused is not None and self._was_refetched(refused, now):
                return refused
            if self._token and self._asked_at <= now < self._shared_until and not _same(self._token, refused):
                return self._token
            if self._pending is not None and self._pending.is_abandoned:
                self._pending.end(None)
                self._pending = None
            if self._pending is not None:
                return self._pending, False
            self._pending = PendingFetch(refused.version if refused else 0)
            return self._pending, True

    def resolve(self, pending: PendingFetch, token: Token, refused: Token | None, asked_at: float) -> None:
        """Store the token, and give it to those who wait."""
        with self._lock:
            self._token, self._asked_at, self._shared_until = token, asked_at, asked_at + _shared_for(token)
            if self._pending is pending:
                self._pending = None
            if refused is not None and _same(token, refused):
                self._refetched = (refused, asked_at)
        pending.end(token)

    def fail(self, pending: PendingFetch, error: BaseException) -> None:
        """Raise the error for those who wait; after an interruption one of them tries again instead."""
        with self._lock:
            if self._pending is pending:
                self._pending = None
        if isinstance(error, Exception) and not pending.future.done():
            pending.future.set_exception(error)
        else:
            pending.end(None)

    def _was_refetched(self, refused: Token, now: float) -> bool:
        return (
            self._refetched is not None
            and _same(self._refetched[0], refused)
            and self._refetched[1] <= now < self._refetched[1] + REFETCH_INTERVAL
        )


class NinjaOneAuth(httpx.Auth):
    """Authorizes requests to NinjaOne for one connection: ``httpx.Client(auth=NinjaOneAuth(…), base_url=…)``.

    With ``Connect`` it serves ``httpx.Client``, with ``AsyncConnect`` it serves ``httpx.AsyncClient``.
    A request whose body can't be sent twice (a stream) is not sent again after a 401.
    """

    def __init__(self, connect: Connect | AsyncConnect, tenant_id: str, connection_id: str) -> None:
        """Authorize for one connection: tokens go to its own host and nowhere else."""
        self._connect, self._tenant_id, self._connection_id = connect, tenant_id, connection_id
        self._cache = Cache()

    def __repr__(self) -> str:
        return f"NinjaOneAuth({self._tenant_id!r}, {self._connection_id!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send with a token; after a 401 once more with a newer one. Raises ConnectError."""
        token = self._token(None)
        response = yield self._with_token(request, token)
        if _may_resend(request, response) and not _same(newer := self._token(token), token):
            yield self._with_token(request, newer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with a token; after a 401 once more with a newer one. Raises ConnectError."""
        token = await self._async_token(None)
        response = yield self._with_token(request, token)
        if _may_resend(request, response) and not _same(newer := await self._async_token(token), token):
            yield self._with_token(request, newer)

    def _token(self, refused: Token | None) -> Token:
        if not isinstance(self._connect, Connect):
            _raise_wrong_client("AsyncConnect", "httpx.AsyncClient")
        while True:
            found = self._cache.acquire(refused)
            if isinstance(found, Token):
                return found
            pending, is_owner = found
            token = self._fetch(self._connect, pending, refused) if is_owner else pending.future.result()
            if token is not None:
                return token

    def _fetch(self, connect: Connect, pending: PendingFetch, refused: Token | None) -> Token:
        asked_at = time.time()
        try:
            token = connect.token(self._tenant_id, self._connection_id, refused_version=pending.refused_version)
        except BaseException as error:
            self._cache.fail(pending, error)
            raise
        self._cache.resolve(pending, token, refused, asked_at)
        return token

    async def _async_token(self, refused: Token | None) -> Token:
        if not isinstance(self._connect, AsyncConnect):
            _raise_wrong_client("Connect", "httpx.Client")
        while True:
            found = self._cache.acquire(refused)
            if isinstance(found, Token):
                return found
            pending, is_owner = found
            token: Token | None
            if is_owner:
                token = await self._async_fetch(self._connect, pending, refused)
            else:  # whoever waits may be cancelled; the fetch is not
                token = await _wait_for(pending)
            if token is not None:
                return token

    async def _async_fetch(self, connect: AsyncConnect, pending: PendingFetch, refused: Token | None) -> Token:
        asked_at = time.time()
        try:
            token = await connect.token(self._tenant_id, self._connection_id, refused_version=pending.refused_version)
        except BaseException as error:
            self._cache.fail(pending, error)
            raise
        self._cache.resolve(pending, token, refused, asked_at)
        return token

    def _with_token(self, request: httpx.Request, token: Token) -> httpx.Request:
        """Put the token on a request to the connection's own host, over https, or http to an emulator on loopback."""
        api = httpx.URL(token.api_base_url)
        is_private = api.scheme == "https" or api.host == LOOPBACK
        if not is_private or _origin(request.url) != _origin(api):
            raise WrongHost(
                f"This connection's NinjaOne is {token.api_base_url}, and the request goes to {request.url.host}: "
                "give the connection's api_base_url as base_url."
            )
        request.headers["Authorization"] = f"Bearer {token.access_token}"
        return request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address. See RFC 6454 §4."""
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _wait_for(pending: PendingFetch) -> Token | None:
    """Wait for another's fetch while its event loop runs; None means to look at the cache again."""
    future = asyncio.wrap_future(pending.future)
    while not future.done():
        await asyncio.wait({future}, timeout=LOOP_CHECK_INTERVAL)  # whoever waits may be cancelled; the fetch is not
        if pending.is_abandoned:
            return None
    return future.result()


def _may_resend(request: httpx.Request, response: httpx.Response) -> bool:
    return response.status_code == 401 and isinstance(request.stream, httpx.ByteStream)


def _same(one: Token, other: Token | None) -> bool:
    return other is not None and one.access_token == other.access_token


def _shared_for(token: Token) -> int:
    return max(token.expires_in - MARGIN, min(SHARED, token.expires_in - CLOCK_SKEW))


def _raise_wrong_client(connect: str, client: str) -> NoReturn:
    raise TypeError(f"NinjaOneAuth({connect}, …) is for {client}; use the other pair for the other.")
