"""Refresh one connection: read, open, lease, look in the rescue store, post once; then save, or record the failure.

Everything remote that a refresh needs is fetched before the lease, so that a failure there leaves the row unchanged.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from broker import ninjaone, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.clock import Clock, Entropy
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.queues import Trigger
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.adapters.rows import connection_state as read_state
from broker.adapters.seal import DataKey, Seal
from broker.errors import AwsError, BrokerError, Busy, Misconfigured, SealBroken, UntrustedHost
from broker.flows import client_apps
from broker.flows.client_apps import ClientApps
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.failure import RecordFailure
from broker.flows.refresh.save import SaveTokens
from broker.flows.refresh.timing import Timing
from broker.model import Client, ConnectionState, Instant, Purpose, Seconds, Status
from broker.ninjaone import Meaning, Outcome
from broker.secret import Secret

MAX_SECONDS_AHEAD = Seconds(60)
"""How early a connection may be refreshed: a sweep requests what falls due before the next one."""

LEASE_PAUSES = (0.2, 1.0)
"""Seconds between attempts to write the lease; after a lost acknowledgement the row shows our own ``lease_id``."""


@dataclass(frozen=True)
class RefreshInputs:
    """What a refresh needs, fetched before the lease is taken."""

    token: Secret
    client: Client
    access_key: DataKey
    refresh_key: DataKey


class RefreshConnection:
    """Refreshes one connection at a time; its failure does not affect others."""

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        *,
        apps: ClientApps,
        rescue: RescueStore,
        save: SaveTokens,
        failure: RecordFailure,
        timing: Timing,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._connections, self._seal, self._apps = connections, seal, apps
        self._rescue, self._save, self._failure, self._timing = rescue, save, failure, timing
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, seen: ConnectionState, batch: BatchContext, web: HttpClient) -> Meaning | None:
        """Refresh a connection; if that can't be done now, it stays due.

        Returns the meaning of NinjaOne's answer, or None if NinjaOne was not called. Every exception is caught here: a
        bug that one row triggers must not prevent the other refreshes of its batch.
        """
        try:
            return self._refresh(seen, batch, web)
        except SealBroken:
            self._log.event("seal.broken", Level.ERROR, tenant=seen.tenant, connection=seen.connection)
            self._log.count("seal_broken")
        except UntrustedHost:
            self._log.event("host.untrusted", Level.ERROR, tenant=seen.tenant, connection=seen.connection)
            self._log.count("seal_broken")  # the same alarm: somebody may have written to the table
        except BrokerError as error:
            name = type(error).__name__
            self._log.event("refresh.put_off", Level.WARNING, connection=seen.connection, error=name)
            self._log.count("put_off")
        except Exception as error:  # noqa: BLE001  # the one place for a connection
            name = type(error).__name__
            self._log.event("refresh.crashed", Level.ERROR, tenant=seen.tenant, connection=seen.connection, error=name)
            self._log.count("internal_errors")
        return None

    def is_wanted(self, seen: ConnectionState, batch: BatchContext) -> bool:
        """Return whether to refresh: the row decides, never the index or the message."""
        now, is_rescue = batch.now(), batch.trigger is Trigger.RESCUE
        if seen.status is Status.DISCONNECTED:
            return is_rescue
        if seen.status not in {Status.ACTIVE, Status.NEEDS_REAUTH} or seen.refresh is None:
            return False
        if seen.epoch != batch.epoch:
            self._log.event("refresh.other_epoch", Level.WARNING, connection=seen.connection, epoch=seen.epoch)
            return False
        if seen.lease_until is not None and seen.lease_until >= now - self._timing.skew:
            return False
        return is_rescue or (not _is_cooling_down(seen, now) and _is_due(seen, batch, now))

    def unwrap_keys(self, rows: Sequence[ConnectionState]) -> None:
        """Fetch the data keys ahead, each once: rows that were sealed together share one. Raises AwsError."""
        self._seal.unwrap_keys((row.refresh for row in rows if row.refresh), Purpose.REFRESH)
        for purpose in (Purpose.ACCESS, Purpose.REFRESH):
            self._seal.data_key(purpose)

    def _refresh(self, seen: ConnectionState, batch: BatchContext, web: HttpClient) -> Meaning | None:
        """Check the deadline, look into the rescue store, check the breakers, open the token, take the lease, look into
        the rescue store again, check the deadline again, and send the request.
        """
        if batch.seconds_left() < self._timing.min_to_start:
            raise Busy("The time of this invocation is up.")
        if seen.status is Status.DISCONNECTED:
            self._revoke_spilled(seen, web)
            return None
        if self._is_doubtful(seen, batch) and self._is_spilled(seen):
            return self._restore(seen, batch)
        if batch.trigger is Trigger.RESCUE:
            self._rescue.drop_older(seen.ref, seen.version)
            return None
        if (inputs := self._open(seen, batch, web)) is None or (leased := self._lease(seen, batch)) is None:
            return None
        if self._is_doubtful(seen, batch) and (spilled := self._spilled(leased, batch)):
            self._save.restore_spilled(leased, spilled, batch)
            return Meaning.GRANTED
        if batch.seconds_left() < self._timing.min_to_send:
            self._failure.release(leased, batch, is_due=True)
            raise Busy("The time of this invocation is up.")
        return self._post(leased, inputs, batch, web)

    def _restore(self, seen: ConnectionState, batch: BatchContext) -> Meaning | None:
        """Store spilled tokens under a lease. NinjaOne is not called, so neither breakers nor client secrets matter.

        Raises:
            Busy: another attempt restored or deleted them meanwhile
            AwsError: they stay in the rescue store
        """
        leased = self._lease(seen, batch)
        if leased is None:
            return None
        spilled = self._spilled(leased, batch)
        if spilled is None:
            self._failure.release(leased, batch, is_due=True)
            raise Busy
        self._save.restore_spilled(leased, spilled, batch)
        return Meaning.GRANTED

    def _is_doubtful(self, seen: ConnectionState, batch: BatchContext) -> bool:
        """Return whether the rescue store can hold tokens: only after an attempt whose outcome is unknown."""
        return bool(seen.lease_id or seen.outcome_unknown or batch.trigger is Trigger.RESCUE)

    def _is_spilled(self, seen: ConnectionState) -> bool:
        """Return whether the rescue store holds the row's next tokens.

        Restoring them needs neither NinjaOne nor a client secret, so it comes before anything that may delay a request.

        Raises:
            AwsError: it is unknown whether the token in the row is the newest, so it must not be presented
        """
        return self._rescue.get(seen.ref, seen.version) is not None

    def _spilled(self, leased: ConnectionState, batch: BatchContext) -> SealedTokens | None:
        """Look again under the lease, which excludes all others. On AwsError the lease is released."""
        try:
            return self._rescue.get(leased.ref, leased.version)
        except AwsError:
            self._failure.release(leased, batch)
            raise

    def _open(self, seen: ConnectionState, batch: BatchContext, web: HttpClient) -> RefreshInputs | None:
        """Fetch what a request needs; None while a breaker is open.

        Raises:
            UntrustedHost, SealBroken, Misconfigured, AwsError
        """
        if not batch.breakers.lets_pass(seen):
            return None
        if not web.is_known(seen.host.name):
            raise UntrustedHost
        aad = seen.aad
        return RefreshInputs(
            token=self._seal.open(seen.refresh or b"", Purpose.REFRESH, aad),
            client=self._apps.client_for(seen),
            access_key=self._seal.data_key(Purpose.ACCESS),
            refresh_key=self._seal.data_key(Purpose.REFRESH),
        )

    def _lease(self, seen: ConnectionState, batch: BatchContext) -> ConnectionState | None:
        """Take the lease, also if its acknowledgement was lost; return None if another holds it."""
        lease_id = base64.urlsafe_b64encode(self._entropy(12)).decode("ascii")
        now = batch.now()
        take = partial(
            self._connections.lease,
            seen,
            lease_id=lease_id,
            now=now,
            until=Instant(now + self._timing.lease),
            expired_before=Instant(now - self._timing.skew),
        )
        found = retry(take, self._clock, LEASE_PAUSES)
        return _own_lease(found, lease_id)

    def _revoke_spilled(self, ended: ConnectionState, web: HttpClient) -> None:
        """Revoke the tokens that were rescued for a disconnected connection, and delete them from the rescue store.

        They are of no use: such a row stays disconnected and accepts no tokens. Disconnecting raised the version by
        one, so whatever was rescued is older, and the tokens after the last stored ones are one version older.

        Raises:
            AwsError: they stay in the rescue store until the next attempt

        See RFC 7009 §2.
        """
        try:
            revoked = self._revoke_last(ended, web)
        except (SealBroken, Misconfigured):  # a customer's own app is deleted with its connection
            revoked = False
        self._rescue.drop_older(ended.ref, ended.version)
        self._log.event(
            "rescue.dropped", Level.WARNING, tenant=ended.tenant, connection=ended.connection, revoked=int(revoked)
        )

    def _revoke_last(self, ended: ConnectionState, web: HttpClient) -> bool:
        """Return whether NinjaOne confirmed the revocation. Raises SealBroken, Misconfigured or AwsError."""
        spilled = self._rescue.get(ended.ref, ended.version - 1)
        if spilled is None:
            return False
        aad = ended.aad
        refresh = self._seal.open(spilled.refresh, Purpose.REFRESH, aad)
        return client_apps.revoke(web, ended.host, self._apps.client_for(ended), refresh)

    def _post(
        self, leased: ConnectionState, inputs: RefreshInputs, batch: BatchContext, web: HttpClient
    ) -> Meaning | None:
        """Present the token once; again only if NinjaOne refused the client secret and there is a newer one.

        Between the answer and the save there is no other I/O, because until then only this process has the tokens.
        """
        outcome, sent_at = self._ask(leased, inputs, web, batch)
        if outcome.code == "invalid_client" and not leased.customer_app:
            newer = self._newer(inputs.client)
            if newer is not None and batch.seconds_left() >= self._timing.min_to_send:
                inputs = replace(inputs, client=newer)
                outcome, sent_at = self._ask(leased, inputs, web, batch)
        if outcome.tokens is None:
            self._failure(leased, outcome, batch)
            return outcome.meaning
        keys = (inputs.access_key, inputs.refresh_key)
        sealed = self._save.seal(leased, inputs.token, outcome.tokens, sent_at=sent_at, keys=keys)
        refresh = outcome.tokens.refresh or inputs.token
        revoke = partial(client_apps.revoke, web, leased.host, inputs.client, refresh)
        self._save(leased, sealed, batch, revoke=revoke)
        batch.breakers.granted(leased)
        return outcome.meaning

    def _newer(self, client: Client) -> Client | None:
        """Read the client secret past the cache; None if it did not change or can't be read."""
        try:
            newer = self._apps.reload_if_changed(client)
        except BrokerError:
            return None
        if newer is not None:
            self._log.event("secret.changed", client_id=client.id)
        return newer

    def _ask(
        self, leased: ConnectionState, inputs: RefreshInputs, web: HttpClient, batch: BatchContext
    ) -> tuple[Outcome, Instant]:
        """Send the refresh request, and classify the answer. See RFC 6749 §6."""
        sent_at = batch.now()
        form = oauth.refresh_grant(inputs.client, inputs.token)
        timeout = Seconds(self._timing.read)
        outcome = ninjaone.classify(web.post(ninjaone.token_endpoint(leased.host), form, timeout=timeout), sent_at)
        self._log.count("attempts")
        self._log.count(_COUNTERS[outcome.meaning])
        level = Level.DEBUG if outcome.meaning is Meaning.GRANTED else Level.WARNING
        self._log.event(
            "refresh.answered",
            level,
            tenant=leased.tenant,
            connection=leased.connection,
            meaning=outcome.meaning.value,
            code=outcome.code,
            version=leased.version,
            fence=leased.fence,
        )
        return outcome, sent_at


_COUNTERS = {
    Meaning.GRANTED: "renewed",
    Meaning.DEAD: "dead_verdict",
    Meaning.CONFIG: "config",
    Meaning.THROTTLED: "throttled",
    Meaning.UNAVAILABLE: "unavailable",
    Meaning.AMBIGUOUS: "ambiguous",
    Meaning.NOT_SENT: "not_sent",
}


def _own_lease(found: ConnectionState | ConditionFailed, lease_id: str) -> ConnectionState | None:
    """Return the row if it is under our lease, also if an earlier try of this very lease took it; else None."""
    if isinstance(found, ConnectionState):
        return found
    row = found.found
    return read_state(row) if row.get("lease_id") == {"S": lease_id} else None


def _is_cooling_down(seen: ConnectionState, now: Instant) -> bool:
    """Return whether the last attempt failed less than ``policy.ATTEMPT_GAP`` ago."""
    return seen.tried_at is not None and seen.tried_at > seen.sent_at and now - seen.tried_at < policy.ATTEMPT_GAP


def _is_due(seen: ConnectionState, batch: BatchContext, now: Instant) -> bool:
    """Return whether it is due. After a failure ``refresh_at`` is a wait that neither callers nor sweeps shorten."""
    if batch.trigger is Trigger.URGENT:
        is_wanted = seen.token_expires_at - now < batch.min_ttl or seen.version == batch.refused_version
        return is_wanted and now - seen.sent_at >= policy.ATTEMPT_GAP and not seen.failures
    return seen.refresh_at is not None and seen.refresh_at <= now + (0 if seen.failures else MAX_SECONDS_AHEAD)
