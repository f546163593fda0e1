"""The broker's API, for threads and for tasks. Both do the same; only waiting differs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from ninjaone_connect import calls
from ninjaone_connect.answers import Attempts, Reply, RetryAfter
from ninjaone_connect.calls import Call
from ninjaone_connect.model import Connection, ConnectSession, Disconnected, Opening, Proof, Token
from ninjaone_connect.signing import CredentialSource, Signer

T = TypeVar("T")

TIMEOUT = httpx.Timeout(35, connect=5)
"""API Gateway gives up after 30 seconds, and says so."""
PAGE = 100
MIN_TTL = 300


class Connect:
    """The broker's API. One object serves all threads of a process.

    api_url      the stack's output BackendApiUrl
    region       its AWS region; needed where the address does not show it
    credentials  in place of those of the usual AWS chain
    patience     seconds that a call may spend waiting between tries; what may not be sent twice is sent once
    """

    def __init__(
        self,
        api_url: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        patience: float = 10,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._signer = Signer(api_url, region, credentials)
        self._patience = patience
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._http.close()

    def open_session(self, tenant: str, **wish: Unpack[Opening]) -> ConnectSession:
        """Open a connect session for a signed-in person; send them to its ``connect_url``."""
        return self._run(calls.open_session(tenant, wish))

    def complete(self, tenant: str, session_id: str, **proof: Unpack[Proof]) -> Connection:
        """Make the connection, once the person is back. Never tried twice: the code is good for one exchange."""
        return self._run(calls.complete(tenant, session_id, proof))

    def connections(self, tenant: str, *, page_size: int = PAGE) -> Iterator[Connection]:
        """Go through a tenant's connections, asking for pages as they are needed."""
        cursor: str | None = None
        while True:
            page = self._run(calls.page(tenant, cursor, page_size))
            yield from page.connections
            cursor = page.cursor
            if cursor is None:
                return

    def connection(self, tenant: str, connection: str) -> Connection:
        """Look at one connection."""
        return self._run(calls.connection(tenant, connection))

    def token(self, tenant: str, connection: str, *, min_ttl: int = MIN_TTL) -> Token:
        """Get an access token that lasts ``min_ttl`` seconds where NinjaOne lets it. Raises   NeedsReauth"""
        return self._run(calls.token(tenant, connection, min_ttl))

    def approve(self, tenant: str, connection: str) -> Connection:
        """Let a connection be used that was made with binding approval."""
        return self._run(calls.approve(tenant, connection))

    def disconnect(self, tenant: str, connection: str) -> Disconnected:
        """End a connection: its tokens are forgotten here and revoked at NinjaOne."""
        return self._run(calls.disconnect(tenant, connection))

    def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._signer.api_url, self._signer.region, self._patience)
        while isinstance(answer := attempts.judge(self._send(call)), RetryAfter):
            time.sleep(answer.seconds)
        return answer

    def _send(self, call: Call[T]) -> Reply:
        request = self._signer.sign(call)
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error


class AsyncConnect:
    """The broker's API for asyncio. Its arguments and methods are those of ``Connect``."""

    def __init__(
        self,
        api_url: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        patience: float = 10,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._signer = Signer(api_url, region, credentials)
        self._patience = patience
        self._http = httpx.AsyncClient(timeout=TIMEOUT, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the HTTP connections."""
        await self._http.aclose()

    async def open_session(self, tenant: str, **wish: Unpack[Opening]) -> ConnectSession:
        """Open a connect session for a signed-in person; send them to its ``connect_url``."""
        return await self._run(calls.open_session(tenant, wish))

    async def complete(self, tenant: str, session_id: str, **proof: Unpack[Proof]) -> Connection:
        """Make the connection, once the person is back. Never tried twice: the code is good for one exchange."""
        return await self._run(calls.complete(tenant, session_id, proof))

    async def connections(self, tenant: str, *, page_size: int = PAGE) -> AsyncIterator[Connection]:
        """Go through a tenant's connections, asking for pages as they are needed."""
        cursor: str | None = None
        while True:
            page = await self._run(calls.page(tenant, cursor, page_size))
            for each in page.connections:
                yield each
            cursor = page.cursor
            if cursor is None:
                return

    async def connection(self, tenant: str, connection: str) -> Connection:
        """Look at one connection."""
        return await self._run(calls.connection(tenant, connection))

    async def token(self, tenant: str, connection: str, *, min_ttl: int = MIN_TTL) -> Token:
        """Get an access token that lasts ``min_ttl`` seconds where NinjaOne lets it. Raises   NeedsReauth"""
        return await self._run(calls.token(tenant, connection, min_ttl))

    async def approve(self, tenant: str, connection: str) -> Connection:
        """Let a connection be used that was made with binding approval."""
        return await self._run(calls.approve(tenant, connection))

    async def disconnect(self, tenant: str, connection: str) -> Disconnected:
        """End a connection: its tokens are forgotten here and revoked at NinjaOne."""
        return await self._run(calls.disconnect(tenant, connection))

    async def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._signer.api_url, self._signer.region, self._patience)
        while isinstance(answer := attempts.judge(await self._send(call)), RetryAfter):  # noqa: ASYNC110  # nothing tells when
            await asyncio.sleep(answer.seconds)
        return answer

    async def _send(self, call: Call[T]) -> Reply:
        request = await asyncio.to_thread(self._signer.sign, call)  # credentials may come over the network
        try:
            return await self._http.send(request)
        except httpx.RequestError as error:
            return error
