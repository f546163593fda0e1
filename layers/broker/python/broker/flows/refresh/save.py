"""Persist tokens that NinjaOne just issued.

From its answer until the first write this process holds the only copy, so saving is retried until the deadline is near.
Then the sealed tokens are spilled into the rescue store, and if that fails too, into one log line.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from broker import policy
from broker.adapters.aws import retry, while_left
from broker.adapters.clock import Clock
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.log import Level, Log
from broker.adapters.queues import Trigger
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.adapters.rows import connection_state as read_state
from broker.adapters.rows import value
from broker.adapters.seal import DataKey, Seal
from broker.errors import AwsError, AwsUnavailable
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionState, Instant, Reason, Status, Tokens
from broker.ninjaone import OFFLINE_ACCESS, scope_text
from broker.secret import Secret


class SaveTokens:
    """Stores new tokens under the lease that they were fetched with."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        rescue: RescueStore,
        *,
        timing: Timing,
        adaptive: bool,
        clock: Clock,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._rescue, self._timing = connections, seal, rescue, timing
        self._adaptive = adaptive
        self._clock, self._log = clock, log

    def seal(
        self,
        leased: ConnectionState,
        presented: Secret,
        tokens: Tokens,
        *,
        sent_at: Instant,
        keys: tuple[DataKey, DataKey],
    ) -> SealedTokens:
        """Seal for the next version. After an answer without a refresh token the presented one stays (RFC 6749 §6)."""
        refresh = tokens.refresh or presented
        aad = leased.ref.aad(leased.version + 1)
        access_key, refresh_key = keys
        return SealedTokens(
            access=self._seal.seal(access_key, tokens.access, aad),
            refresh=self._seal.seal(refresh_key, refresh, aad),
            expires_at=tokens.expires_at,
            scopes=tokens.scopes,
            sent_at=sent_at,
        )

    def __call__(
        self, leased: ConnectionState, tokens: SealedTokens, batch: BatchContext, *, revoke: Callable[[], bool]
    ) -> None:
        """Store the tokens under the lease; spill them only if the table does not take them until the deadline.

        Args:
            revoke: asks NinjaOne to revoke them, for a connection that was disconnected meanwhile
        """
        change, remove = self._change(leased, tokens, batch)
        found = self._saved(leased, change, remove, batch)
        if found is None:
            self._spill(leased, tokens, batch)
        elif isinstance(found, ConnectionState):
            self._announce(leased, found, batch)
        else:
            self._superseded(leased, tokens, found, batch=batch, revoke=revoke)

    def restore_spilled(self, leased: ConnectionState, tokens: SealedTokens, batch: BatchContext) -> None:
        """Store tokens that an earlier attempt spilled. Raises AwsError; then they stay in the rescue store."""
        change, remove = self._change(leased, tokens, batch)
        found = self._saved(leased, change, remove, batch)
        if found is None:
            raise AwsUnavailable
        if isinstance(found, ConnectionState):
            self._log.count("rescued")
            self._log.event("refresh.rescued", Level.WARNING, connection=leased.connection, version=found.version)
            self._rescue.delete(leased.ref, leased.version)
            self._announce(leased, found, batch)

    def _change(
        self, leased: ConnectionState, tokens: SealedTokens, batch: BatchContext
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        now, trigger = batch.now(), batch.trigger
        active_until = Instant(now + policy.ACTIVE_LIFE) if trigger is Trigger.URGENT else leased.active_until
        status, remove = _status_change(leased, tokens, now)
        change = {
            "version": leased.version + 1,
            "access": tokens.access,
            "refresh": tokens.refresh,
            "token_expires_at": tokens.expires_at,
            "sent_at": tokens.sent_at,
            "refresh_at": self._next(leased, tokens, active_until, batch),
            "due_shard": policy.shard(leased.connection),
            **status,
        }
        if self._adaptive and active_until:
            change["active_until"] = active_until
        if policy.consent_warning_due(consented_at=leased.consented_at, warned_at=leased.warned_at, now=now):
            change["warned_at"] = now
        if _says_first_scopes(leased, tokens):
            change["scopes"] = scope_text(tokens.scopes)
        return change, remove

    def _next(
        self, leased: ConnectionState, tokens: SealedTokens, active_until: Instant | None, batch: BatchContext
    ) -> Instant:
        """Return the same instant for all connections of a batch, whichever of them were faster."""
        began = batch.began
        if self._adaptive and (active_until is None or active_until <= began):
            return Instant(began + int(policy.KEEP_ALIVE * (1 - 0.2 * batch.jitter)))
        late = leased.refresh_at is not None and began - leased.refresh_at > policy.LATE_AFTER
        expires_at = Instant(tokens.expires_at - max(tokens.sent_at - began, 0))
        return policy.refresh_at(began, expires_at, batch.jitter, anew=late)

    def _saved(
        self, leased: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...], batch: BatchContext
    ) -> ConnectionState | ConditionFailed | None:
        """Try until it is stored, refused for good, or the remaining time is needed for the rescue store (None)."""
        pauses = while_left(lambda: batch.seconds_left() - self._timing.min_to_retry_save)
        try:
            found = retry(lambda: self._connections.save(leased, change, remove), self._clock, pauses)
        except AwsError:
            return None
        if isinstance(found, ConditionFailed) and _is_own_write(leased, found.found, change):
            return read_state(found.found)  # an earlier attempt stored it, and the acknowledgement was lost
        return found

    def _spill(self, leased: ConnectionState, tokens: SealedTokens, batch: BatchContext) -> None:
        """Store the tokens in the rescue store; the lease expires by itself, and the next attempt looks there first."""
        pauses = while_left(lambda: batch.seconds_left() - self._timing.min_to_retry_rescue)
        try:
            retry(lambda: self._rescue.put(leased.ref, leased.version, tokens), self._clock, pauses)
        except AwsError:
            self._log_tokens(leased, tokens)
        else:
            self._log.event("refresh.spilled", Level.ERROR, connection=leased.connection, version=leased.version)
            self._log.count("spilled")

    def _log_tokens(self, leased: ConnectionState, tokens: SealedTokens) -> None:
        """Write the sealed refresh token into the log, when neither the table nor the rescue store takes it."""
        self._log.count("unsaved")
        self._log.event(
            "refresh.unsaved",
            Level.ERROR,
            tenant=leased.tenant,
            connection=leased.connection,
            version=leased.version,
            sealed_refresh=base64.b64encode(tokens.refresh).decode("ascii"),
        )

    def _superseded(
        self,
        leased: ConnectionState,
        tokens: SealedTokens,
        refusal: ConditionFailed,
        *,
        batch: BatchContext,
        revoke: Callable[[], bool],
    ) -> None:
        """Handle a save that was refused because somebody else wrote the row.

        If the connection was disconnected, its new tokens are revoked. If it was reconnected they are not, because
        NinjaOne may revoke a whole grant, or all of a person's, and with them the new consent
        (docs/understand/ninjaone.md §9, U8, U24). A missing row was deleted by mistake, so its tokens are spilled. Any
        other write means that the lease was not exclusive, which should be impossible; the tokens are spilled too.
        """
        row = read_state(refusal.found) if refusal.found else None
        if row is None:
            self._spill(leased, tokens, batch)
        elif row.status is Status.DISCONNECTED:
            revoke()
        elif row.consented_at == leased.consented_at:
            self._log.event(
                "lease.broken", Level.ERROR, connection=leased.connection, fence=leased.fence, found=row.fence
            )
            self._log.count("lease_broken")
            self._spill(leased, tokens, batch)

    def _announce(self, leased: ConnectionState, row: ConnectionState, batch: BatchContext) -> None:
        batch.renewed.append(row.connection)
        self._log.event("refresh.done", Level.DEBUG, tenant=row.tenant, connection=row.connection, version=row.version)
        if leased.status is Status.NEEDS_REAUTH and row.status is Status.ACTIVE:
            self._log.event("connection.recovered", tenant=row.tenant, connection=row.connection)
            self._log.count("recovered")
        if row.warned_at != leased.warned_at:
            self._log.event("consent.ending", tenant=row.tenant, connection=row.connection)


def _status_change(
    leased: ConnectionState, tokens: SealedTokens, now: Instant
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return what to set and what to remove: a connection whose grant lacks one of its scopes needs its customer."""
    if tokens.scopes and not leased.scopes - {OFFLINE_ACCESS} <= tokens.scopes:
        since = leased.needs_reauth_since or now
        reason = Reason.SCOPE_WITHDRAWN.value
        return {"status": Status.NEEDS_REAUTH.value, "reason": reason, "needs_reauth_since": since}, ()
    return {"status": Status.ACTIVE.value}, ("reason", "needs_reauth_since")


def _says_first_scopes(leased: ConnectionState, tokens: SealedTokens) -> bool:
    """Return whether an imported row, which does not say what was agreed to, takes its scopes from this grant."""
    return bool(tokens.scopes) and not leased.scopes - {OFFLINE_ACCESS}


def _is_own_write(leased: ConnectionState, found: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Return whether the row shows that an earlier save of ours was applied.

    A sealed value has a random nonce, so an equal one is ours. If the tokens were resealed since, the version moved by
    one under our own fence, which no other write does.
    """
    moved = (found.get("version"), found.get("fence")) == (value(leased.version + 1), value(leased.fence))
    return found.get("access") == {"B": change["access"]} or moved
