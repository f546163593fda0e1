"""Disconnect a connection: delete its tokens here and revoke them at NinjaOne."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from broker.adapters.aws import retry
from broker.adapters.clock import Clock, Entropy, instant
from broker.adapters.connections import Connections
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.rows import UNREADABLE
from broker.adapters.rows import connection_state as read_state
from broker.adapters.seal import Seal
from broker.errors import BrokerError, Busy, NotActive, UnknownConnection
from broker.flows.client_apps import ClientApps, revoke
from broker.model import Client, Connection, ConnectionRef, ConnectionState, Instant, Profile, Purpose, Status
from broker.secret import Secret

TRIES = 3
"""A refresh may store newer tokens between reading the row and ending it: then those must be revoked."""


class Disconnect:
    """Ends a connection here for certain, and at NinjaOne as far as NinjaOne confirms it."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        client_apps: ClientApps,
        web: Callable[[], HttpClient],
        *,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._client_apps = connections, seal, client_apps
        self._web, self._clock, self._entropy, self._log = web, clock, entropy, log

    def __call__(self, ref: ConnectionRef) -> tuple[Connection, bool]:
        """End a connection; return it, and whether NinjaOne confirmed the revocation.

        The token is opened, deleted here, and then revoked there, so that a failure in between leaves no usable token
        here.

        Raises:
            UnknownConnection, NotActive, Busy, AwsError

        See RFC 7009 §2, docs/understand/ninjaone.md §1, §9 U8.
        """
        for _ in range(TRIES):
            found = self._found(ref)
            revocation = self._revocation(found)
            ended = self._end(found.state)
            if ended is None:
                continue
            revoked = revocation is not None and self._revoke(found.state, *revocation)
            self._log.event(
                "connection.disconnected", tenant=ref.tenant, connection=ref.connection, revoked=int(revoked)
            )
            return replace(found, state=ended), revoked
        raise Busy

    def _found(self, ref: ConnectionRef) -> Connection:
        """Find the connection to end: its state row is enough. A profile without a state row is left to expire.

        Raises:
            UnknownConnection, NotActive, AwsError
        """
        state = self._connections.get_state(ref)
        if state is None:
            self._connections.forget_profile(ref, instant(self._clock))
            raise UnknownConnection
        if state.status is Status.DISCONNECTED:
            raise NotActive
        return Connection(state, self._profile(ref))

    def _profile(self, ref: ConnectionRef) -> Profile:
        """Return the profile, or an empty one if it is missing or unreadable."""
        found = None
        with suppress(*UNREADABLE):
            found = self._connections.get_profile(ref)
        return found or Profile(ref.tenant, ref.connection, "", (), {}, created_at=Instant(0), connected_at=Instant(0))

    def _end(self, seen: ConnectionState) -> ConnectionState | None:
        """Delete the tokens; return the row, or None if it must be read again: newer tokens, or ended by another call.

        Raises:
            Busy: another call just reconnected it
            AwsError: AWS failed twice
        """
        now, mark = instant(self._clock), self._entropy(12).hex()
        ended = retry(lambda: self._connections.disconnect(seen, now, mark), self._clock)
        if isinstance(ended, ConnectionState):
            return ended
        found = read_state(ended.found) if ended.found else None
        if found and found.consented_at != seen.consented_at:
            raise Busy
        return None

    def _revocation(self, found: Connection) -> tuple[Client, Secret] | None:
        """Return what a revocation needs, or None: a connection must end even if that can't be opened."""
        seen = found.state
        if seen.refresh is None:
            return None
        try:
            refresh = self._seal.open(seen.refresh, Purpose.REFRESH, seen.aad)
            return self._client_apps.client_for(seen, found.profile), refresh
        except BrokerError as error:
            self._log.event("revocation.skipped", Level.WARNING, connection=seen.connection, error=type(error).__name__)
            return None

    def _revoke(self, seen: ConnectionState, client: Client, refresh: Secret) -> bool:
        with self._web() as web:
            return revoke(web, seen.host, client, refresh)
