"""Keep fetched tokens: seal, save under the lease until the time is nearly up, else rescue."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker import ninjaone, oauth, policy
from broker.adapters.clock import Clock, Entropy
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.queues import Trigger
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.adapters.rows import connection_state as read_hot
from broker.adapters.seal import DataKey, Seal
from broker.errors import AwsError, Busy
from broker.flows.refresh.context import BatchContext
from broker.model import Client, ConnectionRef, ConnectionState, Instant, Reason, Seconds, Status, Tokens
from broker.ninjaone import OFFLINE_ACCESS
from broker.policy import Timing
from broker.secret import Secret

REVOKE_TIMEOUT = Seconds(5)
FIRST_WAIT, LONGEST_WAIT = 0.1, 3.0


@dataclass(frozen=True)
class IssuedTokens:
    """Tokens ready to be stored; ``refresh_token`` is only for revoking what nobody wants any more."""

    rescued: SealedTokens
    refresh_token: Secret


class SaveTokens:
    """Stores what NinjaOne gave; from here on a token exists that only this process knows."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        rescue: RescueStore,
        *,
        timing: Timing,
        adaptive: bool,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._rescue, self._timing = connections, seal, rescue, timing
        self._adaptive = adaptive
        self._clock, self._entropy, self._log = clock, entropy, log

    def seal(
        self,
        held: ConnectionState,
        presented: Secret,
        tokens: Tokens,
        *,
        sent_at: Instant,
        keys: tuple[DataKey, DataKey],
    ) -> IssuedTokens:
        """Seal for the next version. An answer without a refresh token leaves the presented one good (RFC 6749 §6)."""
        refresh = tokens.refresh or presented
        spot = held.ref.aad(held.version + 1)
        access_key, refresh_key = keys
        rescued = SealedTokens(
            access=self._seal.seal(access_key, tokens.access, spot),
            refresh=self._seal.seal(refresh_key, refresh, spot),
            expires_at=tokens.expires_at,
            scopes=tokens.scopes,
            sent_at=sent_at,
        )
        return IssuedTokens(rescued, refresh)

    def save(
        self, held: ConnectionState, sealed: IssuedTokens, context: BatchContext, *, web: HttpClient, client: Client
    ) -> None:
        """Store under the lease. Only when the store refuses to the end does the rescue store get the tokens."""
        change, remove = self._change(held, sealed.rescued, context)
        found = self._saved(held, change, remove, context)
        if found is None:
            self._spill(held, sealed.rescued, context)
        elif isinstance(found, ConnectionState):
            self._announce(held, found, context)
        elif not self._is_unwanted(held, found):
            self._broken(held, sealed, found, context)
        else:
            self._revoke(held, sealed, web, client)

    def restore_spilled(self, held: ConnectionState, rescued: SealedTokens, context: BatchContext) -> None:
        """Store what an earlier attempt could only rescue. Raises   Busy: it stays where it is"""
        change, remove = self._change(held, rescued, context)
        found = self._saved(held, change, remove, context)
        if found is None:
            raise Busy
        if isinstance(found, ConnectionState):
            self._log.count("rescued")
            self._log.event("refresh.rescued", Level.WARNING, connection=held.connection, version=found.version)
            self._rescue.delete(_ref(held), held.version)
            self._announce(held, found, context)

    def _change(
        self, held: ConnectionState, tokens: SealedTokens, context: BatchContext
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        now = context.now()
        withdrawn = bool(tokens.scopes) and not held.scopes - {OFFLINE_ACCESS} <= tokens.scopes
        active_until = Instant(now + policy.ACTIVE_LIFE) if context.trigger is Trigger.URGENT else held.active_until
        warn = policy.consent_warning_due(consented_at=held.consented_at, warned_at=held.warned_at, now=now)
        change = {
            "version": held.version + 1,
            "access": tokens.access,
            "refresh": tokens.refresh,
            "token_expires_at": tokens.expires_at,
            "sent_at": tokens.sent_at,
            "refresh_at": self._next(held, tokens, active_until, context),
            "due_shard": policy.shard(held.connection),
            "status": (Status.NEEDS_REAUTH if withdrawn else Status.ACTIVE).value,
            **({"reason": Reason.SCOPE_WITHDRAWN.value, "ended_at": held.ended_at or now} if withdrawn else {}),
            **({"active_until": active_until} if self._adaptive and active_until else {}),
            **({"warned_at": now} if warn else {}),
        }
        return change, () if withdrawn else ("reason", "ended_at")

    def is_late(self, row: ConnectionState, context: BatchContext) -> bool:
        """Say whether the token was to be renewed before it ended, with an app that is the operator's."""
        if self._adaptive or row.customer_app or row.epoch != context.epoch:
            return False  # adaptive, the tokens of idle connections end as they should
        return row.status is Status.ACTIVE and row.access is not None and row.token_expires_at <= context.now()

    def _next(
        self, held: ConnectionState, tokens: SealedTokens, active_until: Instant | None, context: BatchContext
    ) -> Instant:
        """Give the members of an order the same instant, whichever of them were faster."""
        began = context.began
        if self._adaptive and (active_until is None or active_until <= began):
            return Instant(began + int(policy.KEEP_ALIVE * (1 - 0.2 * context.jitter)))
        late = held.refresh_at is not None and began - held.refresh_at > policy.LATE
        expires_at = Instant(tokens.expires_at - max(tokens.sent_at - began, 0))
        return policy.refresh_at(began, expires_at, context.jitter, anew=late)

    def _saved(
        self, held: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...], context: BatchContext
    ) -> ConnectionState | ConditionFailed | None:
        """Try until it is stored, refused for good, or the time left is needed for the rescue store (None)."""
        wait = FIRST_WAIT
        while True:
            try:
                found = self._connections.save(held, change, remove)
            except AwsError:
                if context.left() < self._timing.saving + wait:
                    return None
                self._clock.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            if isinstance(found, ConditionFailed) and _own_write(found, change):
                return read_hot(found.found or {})  # stored before, and the acknowledgement was lost
            return found

    def _spill(self, held: ConnectionState, tokens: SealedTokens, context: BatchContext) -> None:
        """Keep the tokens outside the table; the lease runs out by itself, and the next attempt looks there first."""
        wait = FIRST_WAIT
        while True:
            try:
                self._rescue.put(_ref(held), held.version, tokens)
            except AwsError:
                if context.left() < self._timing.spilling + wait:
                    break
                self._clock.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            self._log.event("refresh.sunk", Level.ERROR, connection=held.connection, version=held.version)
            self._log.count("sunk")
            return
        self._log.count("unsaved")
        self._log.event(
            "refresh.unsaved",
            Level.ERROR,
            tenant=held.tenant,
            connection=held.connection,
            version=held.version,
            sealed_refresh=base64.b64encode(tokens.refresh).decode("ascii"),
        )

    def _is_unwanted(self, held: ConnectionState, refusal: ConditionFailed) -> bool:
        """Say whether the connection ended or was made anew meanwhile, so that nobody wants these tokens."""
        row = read_hot(refusal.found) if refusal.found else None
        return row is None or row.status is Status.DISCONNECTED or row.consented_at != held.consented_at

    def _broken(
        self, held: ConnectionState, sealed: IssuedTokens, refusal: ConditionFailed, context: BatchContext
    ) -> None:
        """Another write came between, though the lease was ours: that must not be, and loses nothing."""
        found = read_hot(refusal.found or {}).fence
        self._log.event("lease.broken", Level.ERROR, connection=held.connection, fence=held.fence, found=found)
        self._log.count("lease_broken")
        self._spill(held, sealed.rescued, context)

    def _revoke(self, held: ConnectionState, sealed: IssuedTokens, web: HttpClient, client: Client) -> None:
        """Give back what nobody wants any more, as well as NinjaOne lets us. Source   RFC 7009 §2"""
        form = oauth.revocation(client, sealed.refresh_token)
        web.post(ninjaone.revocation_endpoint(held.host), form, timeout=REVOKE_TIMEOUT)

    def _announce(self, held: ConnectionState, row: ConnectionState, context: BatchContext) -> None:
        context.renewed.append(row.connection)
        self._log.event("refresh.done", Level.DEBUG, tenant=row.tenant, connection=row.connection, version=row.version)
        if held.status is Status.NEEDS_REAUTH and row.status is Status.ACTIVE:
            self._log.event("connection.recovered", tenant=row.tenant, connection=row.connection)
            self._log.count("recovered")
        if row.warned_at != held.warned_at:
            self._log.event("consent.ending", tenant=row.tenant, connection=row.connection)


def _own_write(refusal: ConditionFailed, change: Mapping[str, Any]) -> bool:
    """A sealed value has a random nonce: the row holds ours only when our write was applied."""
    return refusal.found is not None and refusal.found.get("access") == {"B": change["access"]}


def _ref(held: ConnectionState) -> ConnectionRef:
    return held.ref
