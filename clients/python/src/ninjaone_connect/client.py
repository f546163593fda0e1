"""The broker's API, for threads and for asyncio. Both do the same; only the way of waiting differs."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx

from ninjaone_connect import calls, environment, proxy
from ninjaone_connect.answers import Attempts, Reply, RetryAfter
from ninjaone_connect.calls import Call
from ninjaone_connect.model import (
    Binding,
    ClientChoice,
    ClientCredentials,
    CompleteRequest,
    Connection,
    ConnectSession,
    Disconnected,
    Region,
    Scope,
    SessionPurpose,
    SessionRequest,
    Token,
    TokenRequest,
)
from ninjaone_connect.signing import CredentialSource, Signer

T = TypeVar("T")

TIMEOUT = httpx.Timeout(35, connect=5)
"""API Gateway gives up after 30 seconds, and says so."""
PAGE = 100
USABLE = ("active", "paused")
"""Statuses of connections that have a token, or will have one without their customer's help."""
MIN_TTL = 300


class Connect:
    """The broker's API. One object serves all threads of a process.

    Args:
        api_url: the stack's output BackendApiUrl
        region: its AWS region; needed if the address does not contain it
        credentials: used instead of those of the usual AWS chain
        max_wait: seconds that a call may spend waiting between attempts; a call that is not safe to repeat is sent once
    """

    def __init__(
        self,
        api_url: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        max_wait: float = 20,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._signer = Signer(api_url, region, credentials)
        self._max_wait = max_wait
        self._options = environment.client_options(timeout=TIMEOUT, transport=transport)
        self._client, self._process = httpx.Client(**self._options), os.getpid()

    @property
    def _http(self) -> httpx.Client:
        """The HTTP client of this process: what a fork inherits are its parent's connections."""
        if self._client.is_closed or self._process != os.getpid():
            self._client, self._process = httpx.Client(**self._options), os.getpid()
        return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the HTTP connections; a later call opens others."""
        if self._process == os.getpid():
            self._client.close()

    def open_session(
        self,
        tenant_id: str,
        *,
        end_user_id: str,
        tenant_name: str,
        return_to: str,
        binding: Binding | None = None,
        binding_challenge: str | None = None,
        region: Region | None = None,
        host: str | None = None,
        scopes: Sequence[Scope] | None = None,
        label: str | None = None,
        metadata: Mapping[str, str] | None = None,
        connection_id: str | None = None,
        link_days: int | None = None,
        client: ClientChoice | None = None,
        client_credentials: ClientCredentials | None = None,
        purpose: SessionPurpose | None = None,
    ) -> ConnectSession:
        """Open a connect session for a signed-in person; send them to its ``connect_url``.

        Args:
            end_user_id: your own id of the person; ``complete`` must pass the same
            tenant_name: your customer's name, as the hosted page shows it
            return_to: a key of the operator's parameter ReturnUrls: where the person returns to
            binding: what proves who completes: ``session`` (the default) or ``approval``
            binding_challenge: ``new_verifier().challenge``; left out with binding ``approval``
            region, host: where the customer's NinjaOne is, if you know it: one of the two
            scopes: some of the operator's parameter Scopes; by default all of them
            label: your customer's name for the connection; by default their first organization's name
            metadata: up to 10 texts of yours that are returned with the connection
            connection_id: the connection to reconnect, which keeps its id; or the one whose client app has a new secret
            link_days: with binding ``approval``: how many days the link works; by default half an hour
            client: whose NinjaOne client app to use; by default the operator's if there is one
            client_credentials: the customer's client app; without it the person enters one
            purpose: ``client_secret``: the person enters the new secret of the client app that they registered, for
                ``connection_id``, and nothing else; by default ``connect``, a consent

        Raises:
            InvalidRequest, ReturnNotListed, ConnectError
            NeedsReauth, UnknownConnection: only for a client secret
        """
        request = SessionRequest(
            end_user_id=end_user_id,
            tenant_name=tenant_name,
            return_to=return_to,
            binding=binding,
            binding_challenge=binding_challenge,
            region=region,
            host=host,
            scopes=scopes,
            label=label,
            metadata=metadata,
            connection_id=connection_id,
            link_days=link_days,
            client=client,
            client_credentials=client_credentials,
            purpose=purpose,
        )
        return self._run(calls.session(tenant_id, request))

    def complete(
        self,
        tenant_id: str,
        session_id: str,
        *,
        end_user_id: str,
        ticket: str,
        binding_verifier: str,
        confirm_account_change: bool = False,
    ) -> Connection:
        """Make the connection, once the person is back. It can be repeated: the broker then answers the same again.

        Args:
            end_user_id: your own id of the person who is signed in now
            ticket: from the return address
            binding_verifier: ``new_verifier().verifier``, which you kept in this person's session
            confirm_account_change: whether a reconnect may bring another NinjaOne account

        Raises:
            BindingMismatch, SessionExpired, CodeRefused, AccountMismatch, ConnectError
        """
        request = CompleteRequest(
            end_user_id=end_user_id,
            ticket=ticket,
            binding_verifier=binding_verifier,
            confirm_account_change=confirm_account_change,
        )
        return self._run(calls.complete(tenant_id, session_id, request))

    def connections(
        self, tenant_id: str, *, status: str | Collection[str] = USABLE, page_size: int = PAGE
    ) -> Iterator[Connection]:
        """Iterate over a tenant's connections, fetching pages as they are needed.

        Args:
            status: a status, several, or ``any``; by default those that have a token, or will without their customer
        """
        cursor: str | None = None
        while True:
            page = self._run(calls.connections(tenant_id, cursor, page_size))
            yield from (each for each in page.connections if _is_one_of(each, status))
            cursor = page.cursor
            if cursor is None:
                return

    def connection(self, tenant_id: str, connection_id: str) -> Connection:
        """Get one connection."""
        return self._run(calls.connection(tenant_id, connection_id))

    def token(self, tenant_id: str, connection_id: str, *, min_ttl: int = MIN_TTL, refused_version: int = 0) -> Token:
        """Get an access token that lasts ``min_ttl`` seconds if NinjaOne issues such tokens.

        Args:
            refused_version: the ``version`` of a token that NinjaOne refused with 401, to get another one

        Raises:
            NeedsReauth, ConnectError
        """
        request = TokenRequest(min_ttl=min_ttl, refused_version=refused_version)
        return self._run(calls.token(tenant_id, connection_id, request))

    def ninjaone(self, tenant_id: str, connection_id: str) -> httpx.Client:
        """Make an httpx client that calls NinjaOne through the broker: ``client.get("/v2/devices")``.

        The access token stays in AWS. The operator decides which calls are allowed, and bodies are limited to 4 MB.
        NinjaOne's answers are returned unchanged; the broker's own are raised as errors. Reuse the client, and close it
        when you are done.

        Raises:
            CallRefused, TooLarge, CallUnanswered, NotJson, NeedsReauth, ConnectError: raised by the client's calls
        """
        return proxy.client(self._signer, calls.proxy(tenant_id, connection_id), self._options)

    def approve(self, tenant_id: str, connection_id: str) -> Connection:
        """Approve a connection that was made with binding approval, so that it can be used."""
        return self._run(calls.approve(tenant_id, connection_id))

    def disconnect(self, tenant_id: str, connection_id: str) -> Disconnected:
        """End a connection: its tokens are deleted here and revoked at NinjaOne."""
        return self._run(calls.disconnect(tenant_id, connection_id))

    def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._signer.api_url, self._signer.region, self._max_wait)
        while isinstance(answer := attempts.judge(self._send(call)), RetryAfter):
            time.sleep(answer.seconds)
        return answer

    def _send(self, call: Call[T]) -> Reply:
        request = self._signer.sign(call)
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error


class LoopClient:
    """An HTTP client of one event loop, whose connections are closed when the loop ends."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client, self._closing, self._is_registered = client, self._close_at_loop_end(), False

    async def opened(self) -> httpx.AsyncClient:
        """Return the client, after registering its closing with the event loop."""
        if not self._is_registered:
            self._is_registered = True
            await anext(self._closing)
        return self._client

    async def aclose(self) -> None:
        """Close the client before the loop ends."""
        await self._closing.aclose()

    async def _close_at_loop_end(self) -> AsyncGenerator[None, None]:
        """Close the client when ``asyncio.run`` shuts down its asynchronous generators: later the loop is closed."""
        try:
            yield
        finally:
            await self._client.aclose()


class AsyncConnect:
    """The broker's API for asyncio. Its arguments and methods are those of ``Connect``.

    One object serves any number of event loops, also one after the other, as ``asyncio.run`` makes them.
    """

    def __init__(
        self,
        api_url: str,
        *,
        region: str | None = None,
        credentials: CredentialSource | None = None,
        max_wait: float = 20,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._signer = Signer(api_url, region, credentials)
        self._max_wait = max_wait
        self._options = environment.client_options(timeout=TIMEOUT, transport=transport)
        self._clients: dict[asyncio.AbstractEventLoop, LoopClient] = {}

    async def _http(self) -> httpx.AsyncClient:
        """Return the HTTP client of the running event loop: a connection works only in the loop that opened it."""
        for ended in [loop for loop in list(self._clients) if loop.is_closed()]:
            self._clients.pop(ended, None)
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = LoopClient(httpx.AsyncClient(**self._options))
        return await self._clients[loop].opened()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the HTTP connections of the running event loop; a later call opens others."""
        here = self._clients.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.aclose()

    async def open_session(
        self,
        tenant_id: str,
        *,
        end_user_id: str,
        tenant_name: str,
        return_to: str,
        binding: Binding | None = None,
        binding_challenge: str | None = None,
        region: Region | None = None,
        host: str | None = None,
        scopes: Sequence[Scope] | None = None,
        label: str | None = None,
        metadata: Mapping[str, str] | None = None,
        connection_id: str | None = None,
        link_days: int | None = None,
        client: ClientChoice | None = None,
        client_credentials: ClientCredentials | None = None,
        purpose: SessionPurpose | None = None,
    ) -> ConnectSession:
        """Open a connect session, see ``Connect.open_session``."""
        request = SessionRequest(
            end_user_id=end_user_id,
            tenant_name=tenant_name,
            return_to=return_to,
            binding=binding,
            binding_challenge=binding_challenge,
            region=region,
            host=host,
            scopes=scopes,
            label=label,
            metadata=metadata,
            connection_id=connection_id,
            link_days=link_days,
            client=client,
            client_credentials=client_credentials,
            purpose=purpose,
        )
        return await self._run(calls.session(tenant_id, request))

    async def complete(
        self,
        tenant_id: str,
        session_id: str,
        *,
        end_user_id: str,
        ticket: str,
        binding_verifier: str,
        confirm_account_change: bool = False,
    ) -> Connection:
        """Make the connection, see ``Connect.complete``."""
        request = CompleteRequest(
            end_user_id=end_user_id,
            ticket=ticket,
            binding_verifier=binding_verifier,
            confirm_account_change=confirm_account_change,
        )
        return await self._run(calls.complete(tenant_id, session_id, request))

    async def connections(
        self, tenant_id: str, *, status: str | Collection[str] = USABLE, page_size: int = PAGE
    ) -> AsyncIterator[Connection]:
        """Go through a tenant's connections, see ``Connect.connections``."""
        cursor: str | None = None
        while True:
            page = await self._run(calls.connections(tenant_id, cursor, page_size))
            for each in page.connections:
                if _is_one_of(each, status):
                    yield each
            cursor = page.cursor
            if cursor is None:
                return

    async def connection(self, tenant_id: str, connection_id: str) -> Connection:
        """Get one connection."""
        return await self._run(calls.connection(tenant_id, connection_id))

    async def token(
        self, tenant_id: str, connection_id: str, *, min_ttl: int = MIN_TTL, refused_version: int = 0
    ) -> Token:
        """Get an access token, see ``Connect.token``."""
        request = TokenRequest(min_ttl=min_ttl, refused_version=refused_version)
        return await self._run(calls.token(tenant_id, connection_id, request))

    def ninjaone(self, tenant_id: str, connection_id: str) -> httpx.AsyncClient:
        """Make an httpx client that calls NinjaOne through the broker, see ``Connect.ninjaone``."""
        return proxy.async_client(self._signer, calls.proxy(tenant_id, connection_id), self._options)

    async def approve(self, tenant_id: str, connection_id: str) -> Connection:
        """Approve a connection that was made with binding approval, so that it can be used."""
        return await self._run(calls.approve(tenant_id, connection_id))

    async def disconnect(self, tenant_id: str, connection_id: str) -> Disconnected:
        """End a connection: its tokens are deleted here and revoked at NinjaOne."""
        return await self._run(calls.disconnect(tenant_id, connection_id))

    async def _run(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._signer.api_url, self._signer.region, self._max_wait)
        while isinstance(answer := attempts.judge(await self._send(call)), RetryAfter):  # noqa: ASYNC110  # nothing tells when
            await asyncio.sleep(answer.seconds)
        return answer

    async def _send(self, call: Call[T]) -> Reply:
        request = await asyncio.to_thread(self._signer.sign, call)  # credentials may come over the network
        try:
            return await (await self._http()).send(request)
        except httpx.RequestError as error:
            return error


def _is_one_of(found: Connection, status: str | Collection[str]) -> bool:
    return status == "any" or found.status in ((status,) if isinstance(status, str) else status)
