"""Return an access token. NinjaOne is never called here.

A valid stored token is returned even if a refresh fails; only an error of DynamoDB or KMS fails the call. ``min_ttl``
and ``refused_version`` decide whether to wait for a newer token, never whether to fail. A caller that waits occupies an
execution, and in a small account the refresh that it waits for may then get none; so the wait is short (the setting
``TOKEN_WAIT``), and the answer says to ask again soon.
"""

from collections.abc import Callable
from dataclasses import dataclass

from broker import ninjaone, policy
from broker.adapters.breakers import BreakerStore
from broker.adapters.clock import Clock, Entropy, instant
from broker.adapters.connections import Connections
from broker.adapters.log import Level, Log
from broker.adapters.queues import Queue, Trigger
from broker.adapters.seal import Seal
from broker.errors import (
    AwsError,
    BrokerError,
    ConnectionPaused,
    NoTokenYet,
    UntrustedHost,
)
from broker.flows.pause import Pause, pause_of
from broker.flows.usable import require_consent, require_usable
from broker.model import ConnectionRef, ConnectionState, Instant, Purpose, Seconds, Status
from broker.secret import Secret

FIRST_LOOK, LONGEST_LOOK = 0.25, 1.0
"""Seconds between reads of the row while a caller waits."""
BREAKER_WAIT = Seconds(60)
"""Seconds to wait at an open breaker, which tries one connection a minute."""
EXPIRY_MARGIN = Seconds(6)
"""A token with less time left is not returned: the answer takes time to arrive, and clocks differ. It may be less than
``policy.CLOCK_SKEW``, because a token that expires on its way only gets a 401, after which the caller asks again."""


@dataclass(frozen=True)
class IssuedToken:
    """An access token, when it expires, where to use it, and its version."""

    access: Secret
    expires_at: Instant
    expires_in: Seconds
    api_base_url: str
    version: int


class GetToken:
    """Returns access tokens. Its IAM role lets KMS unwrap no key of a refresh token."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        urgent: Queue,
        breakers: BreakerStore,
        *,
        wait: Seconds,
        is_known: Callable[[str], bool],
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        """Make the use case.

        Args:
            wait: seconds that a caller may wait for a refresh
            is_known: returns whether a host is NinjaOne's
        """
        self._connections, self._seal, self._urgent, self._wait = connections, seal, urgent, wait
        self._breakers = breakers
        self._is_known, self._clock, self._entropy, self._log = is_known, clock, entropy, log

    def __call__(self, ref: ConnectionRef, *, min_ttl: Seconds, refused_version: int = 0) -> IssuedToken:
        """Return the stored token if it lasts ``min_ttl``; otherwise request a refresh and return what is valid then.

        While a token is valid it is returned, even if the connection needs its customer or is paused.

        Args:
            refused_version: the version of a token that NinjaOne refused, however long it lasts; 0: none

        Raises:
            UnknownConnection, NotActive, NotApproved, NeedsReauth, ConnectionPaused, NoTokenYet, AwsError,
                SealBroken, UntrustedHost
        """
        row, min_ttl = self._read(ref), max(min_ttl, EXPIRY_MARGIN)
        until = self._waits_until(row)
        is_refused = row.version == refused_version
        if (is_refused or self._seconds_left(row) < min_ttl) and self._can_be_newer(row, until):
            row = self._awaited(row, min_ttl, until, is_refused=is_refused)
        if self._seconds_left(row) >= EXPIRY_MARGIN and row.access is not None:
            return self._issued(row, row.access)
        require_consent(row)
        raise self._not_yet(row)

    def _not_yet(self, row: ConnectionState) -> BrokerError:
        """Return the error that says when to ask again, at random one second later to spread the callers."""
        spread = 1 + self._entropy(1)[0] % 2
        pause = self._pause(row)
        if pause is None:
            return NoTokenYet(retry_after=spread)
        left = BREAKER_WAIT if pause.until is None else pause.until - instant(self._clock)
        return ConnectionPaused(
            f"The access token ended. {pause.detail}",
            held_by=pause.held_by,
            cause=pause.cause,
            until=pause.until,
            retry_after=left + spread,
        )

    def _pause(self, row: ConnectionState) -> Pause | None:
        """Return what holds the connection for longer than a caller waits; None if nothing, or if it can't be read."""
        try:
            pause = pause_of(row, self._breakers.read_open_state)
        except AwsError:
            return None
        is_over = pause and pause.until is not None and pause.until <= self._clock.now() + self._wait
        return None if is_over else pause

    def _waits_until(self, row: ConnectionState) -> float:
        """Return until when to wait at most: while the stored token is valid, never past its expiry."""
        until = self._clock.now() + self._wait
        return min(until, row.token_expires_at - EXPIRY_MARGIN) if self._seconds_left(row) >= EXPIRY_MARGIN else until

    def _can_be_newer(self, row: ConnectionState, until: float) -> bool:
        """Return whether a refresh may bring a newer token by then.

        A connection is not refreshed again within a minute, however short its tokens live, nor before it is due again
        after a failed attempt.
        """
        rested = instant(self._clock) - row.sent_at >= policy.ATTEMPT_GAP
        return row.status is Status.ACTIVE and rested and not _is_held(row, until)

    def _read(self, ref: ConnectionRef) -> ConnectionState:
        return require_usable(self._connections.get_for_token(ref))

    def _awaited(self, row: ConnectionState, min_ttl: Seconds, until: float, *, is_refused: bool) -> ConnectionState:
        """Request a refresh, and read the row until it has finished, is held, or ``until`` is near."""
        try:
            refused_version = row.version if is_refused else 0
            self._urgent.send_batch(Trigger.URGENT, [row.ref], min_ttl=min_ttl, refused_version=refused_version)
        except AwsError:
            self._log.event("refresh.not_requested", Level.WARNING, tenant=row.tenant, connection=row.connection)
            return row
        wait, before = FIRST_LOOK, row.version
        while self._clock.now() + wait < until:
            self._clock.sleep(wait)
            row = self._looked(row)
            if row.version != before or not self._can_be_newer(row, until):
                return row
            wait = min(2 * wait, LONGEST_LOOK)
        return row

    def _looked(self, row: ConnectionState) -> ConnectionState:
        try:
            return self._read(row.ref)
        except AwsError:
            return row

    def _seconds_left(self, row: ConnectionState) -> Seconds:
        return Seconds(row.token_expires_at - instant(self._clock))

    def _issued(self, row: ConnectionState, sealed: bytes) -> IssuedToken:
        if not self._is_known(row.host.name):  # no seal covers the host, and the caller sends the token there
            raise UntrustedHost
        access = self._seal.open(sealed, Purpose.ACCESS, row.aad)
        left = self._seconds_left(row)
        self._log.observe("token_left", left, min)
        self._log.event("token.issued", tenant=row.tenant, connection=row.connection, left=left, version=row.version)
        return IssuedToken(access, row.token_expires_at, left, ninjaone.api_base_url(row.host), row.version)


def _is_held(row: ConnectionState, until: float) -> bool:
    """Return whether attempts failed and the next is due only after ``until``: callers can't shorten such a wait."""
    return row.failures > 0 and row.refresh_at is not None and row.refresh_at > until
