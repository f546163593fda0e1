"""Give an access token that is good for long enough; never ask NinjaOne, never fail while the held one is valid."""

from collections.abc import Callable
from dataclasses import dataclass

from broker import ninjaone, policy
from broker.adapters.clock import Clock, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.queues import Queue, Trigger
from broker.adapters.seal import Seal
from broker.errors import AwsError, NeedsReauth, NotActive, NotApproved, NoTokenYet, SealBroken, UnknownConnection
from broker.model import ConnectionRef, ConnectionState, Instant, Purpose, Seconds, Status
from broker.secret import Secret

WAIT = Seconds(20)
"""How long to wait for a refresh; API Gateway cuts an answer off at 30 s."""
FIRST_LOOK, LONGEST_LOOK = 0.25, 1.0
SHORTEST = Seconds(6)
"""A token that ends sooner is not worth giving: clocks differ, and the answer travels."""


@dataclass(frozen=True)
class IssuedToken:
    """An access token, until when it is good, and where to use it."""

    access: Secret
    expires_at: Instant
    expires_in: Seconds
    api_base_url: str


class GetToken:
    """Gives access tokens. It can't open a refresh token: KMS and its role see to that."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        urgent: Queue,
        *,
        is_known: Callable[[str], bool],
        clock: Clock,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._urgent = connections, seal, urgent
        self._is_known, self._clock, self._log = is_known, clock, log

    def __call__(self, ref: ConnectionRef, *, min_ttl: Seconds) -> IssuedToken:
        """Give the held token when it lasts ``min_ttl``; else order a refresh and wait for it a while.

        Order    a valid token is given before anything is said against the connection
        Raises   UnknownConnection, NotActive, NotApproved, NeedsReauth, NoTokenYet, Busy, SealBroken
        """
        row, min_ttl = self._found(ref), max(min_ttl, SHORTEST)
        if self._left(row) < min_ttl and self._can_be_newer(row):
            row = self._awaited(ref, row, min_ttl)
        if self._left(row) >= SHORTEST and row.access is not None:
            return self._issued(row, row.access)
        if row.status is Status.NEEDS_REAUTH:
            raise NeedsReauth(row.reason.value if row.reason else "revoked", row.connection)
        raise NoTokenYet

    def _can_be_newer(self, row: ConnectionState) -> bool:
        """Say whether waiting helps: NinjaOne is not asked again within a minute, however short its tokens live."""
        return row.status is Status.ACTIVE and instant(self._clock) - row.sent_at >= policy.ATTEMPT_GAP

    def _found(self, ref: ConnectionRef) -> ConnectionState:
        row = self._connections.for_token(ref)
        if row is None:
            raise UnknownConnection
        if row.status is Status.DISCONNECTED:
            raise NotActive
        if row.status is Status.PENDING_APPROVAL:
            raise NotApproved
        return row

    def _awaited(self, ref: ConnectionRef, row: ConnectionState, min_ttl: Seconds) -> ConnectionState:
        """Order a refresh and look until it is done; a trouble on the way leaves what is held."""
        try:
            self._urgent.send_batch(Trigger.URGENT, [ref], min_ttl=min_ttl)
        except AwsError:
            self._log.event("refresh.not_ordered", Level.WARNING, tenant=ref.tenant, connection=ref.connection)
            return row
        until, wait, before = self._clock.now() + WAIT, FIRST_LOOK, row.version
        while self._clock.now() + wait < until:
            self._clock.sleep(wait)
            row = self._looked(ref, row)
            if row.status is not Status.ACTIVE or row.version != before or self._left(row) >= min_ttl:
                return row
            wait = min(2 * wait, LONGEST_LOOK)
        return row

    def _looked(self, ref: ConnectionRef, row: ConnectionState) -> ConnectionState:
        try:
            return self._found(ref)
        except AwsError:
            return row

    def _left(self, row: ConnectionState) -> Seconds:
        return Seconds(row.token_expires_at - instant(self._clock))

    def _issued(self, row: ConnectionState, sealed: bytes) -> IssuedToken:
        if not self._is_known(row.host.name):  # the host is bound into no seal, and the caller takes the token there
            raise SealBroken
        spot = row.aad
        access = self._seal.open(sealed, Purpose.ACCESS, spot)
        left = self._left(row)
        self._log.observe("token_left", left, min)
        self._log.event("token.issued", tenant=row.tenant, connection=row.connection, left=left, version=row.version)
        return IssuedToken(access, row.token_expires_at, left, ninjaone.api_base_url(row.host))
