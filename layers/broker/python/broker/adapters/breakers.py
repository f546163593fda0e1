"""Circuit breakers as stored: one row for each host and each client app, shared by all connections that use it.

A row counts tenants, not connections, so that whatever NinjaOne answers to one tenant's connections never holds up
another tenant. The rules are in docs/understand/refresh.md, "When NinjaOne fails".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.dynamo import ConditionalUpdate, ConditionFailed, update
from broker.model import ConnectionState, Instant, Seconds, TenantId

CONTROL_ROWS = TenantId("#breakers")
"""A partition that no tenant can name."""

MAX_FAILING_TENANTS = 64
"""Failing tenants that a row remembers; they are tried last while the breaker is open. With 16 some tenants starved."""


@dataclass(frozen=True)
class Breaker:
    """What a row says.

    Attributes:
        failing: tenants (see ``tenant_hash``) that failed since the last grant
        since: when the first of them did; None while nobody fails
        opened_at: since when the breaker is open; None while it is closed
        passed_at: when an open breaker last let a connection try
        cause: of the first failure, and of an open breaker of the one that opened it
        grants: the last two tenants that were granted tokens, newest first, with the time
    """

    failing: frozenset[str] = frozenset()
    since: Instant | None = None
    opened_at: Instant | None = None
    passed_at: Instant | None = None
    cause: str = ""
    grants: tuple[tuple[str, Instant], ...] = ()

    @property
    def is_open(self) -> bool:
        """Return whether it is open."""
        return self.opened_at is not None

    def others_failing(self, tenant: TenantId) -> bool:
        """Return whether another tenant is failing."""
        return bool(self.failing - {tenant_hash(tenant)})

    def others_granted(self, tenant: TenantId, since: Instant) -> bool:
        """Return whether another tenant was granted tokens since then."""
        return any(granted != tenant_hash(tenant) and at >= since for granted, at in self.grants)


class BreakerStore:
    """The table of breakers. Every method raises ``AwsError`` when DynamoDB does not do what it is asked."""

    def __init__(self, dynamodb: AwsClient, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def read(self, name: str) -> Breaker:
        """Read one as it is now; a row that can't be read counts as missing."""
        key = rows.key(CONTROL_ROWS, name)
        answer = self._dynamodb.call("get_item", TableName=self._table, Key=key, ConsistentRead=True)
        return _breaker(answer.get("Item", {}))

    def read_open_state(self, name: str) -> Breaker:
        """Read since when one is open and why, and nothing else: the IAM roles of its readers name each attribute."""
        answer = self._dynamodb.call(
            "get_item",
            TableName=self._table,
            Key=rows.key(CONTROL_ROWS, name),
            ConsistentRead=True,
            ProjectionExpression="#opened_at, #cause",
            ExpressionAttributeNames={"#opened_at": "opened_at", "#cause": "cause"},
        )
        return _breaker(answer.get("Item", {}))

    def add_failure(self, name: str, tenant: TenantId, now: Instant, cause: str) -> Breaker:
        """Remember a failing tenant, unless so many are remembered already that one more changes nothing."""
        write = ConditionalUpdate.of(
            "attribute_not_exists(#failing) OR size(#failing) < :most",
            given={"most": MAX_FAILING_TENANTS},
            default={"since": now, "cause": cause},
            join={"failing": frozenset({tenant_hash(tenant)})},
        )
        return self._update(name, write)[0]

    def open(self, name: str, seen: Breaker, now: Instant, cause: str) -> tuple[Breaker, bool]:
        """Open it, unless something was granted meanwhile. Return the row, and whether this call opened it."""
        write = ConditionalUpdate.of(
            "attribute_not_exists(#opened_at)",
            "#since = :since_seen",
            given={"since_seen": seen.since},
            set={"opened_at": now, "passed_at": now, "cause": cause},
        )
        return self._update(name, write)

    def add_grant(self, name: str, seen: Breaker, tenant: TenantId, now: Instant) -> bool:
        """Forget all failures, which closes an open breaker; return whether there were any."""
        mine = tenant_hash(tenant)
        before = next((each for each in seen.grants if each[0] != mine), None)
        written = [(mine, now), *([before] if before else [])]
        write = ConditionalUpdate.of(
            "attribute_exists(#since)",
            set={"grants": " ".join(f"{granted}@{at}" for granted, at in written)},
            remove=("failing", "since", "opened_at", "passed_at", "cause"),
        )
        return self._update(name, write)[1]

    def claim_trial(self, name: str, now: Instant, gap: Seconds) -> bool:
        """Claim the next trial of an open breaker; False if another connection was tried within ``gap``."""
        write = ConditionalUpdate.of(
            "attribute_exists(#opened_at)",
            "#passed_at <= :latest",
            given={"latest": now - gap},
            set={"passed_at": now},
        )
        return self._update(name, write)[1]

    def _update(self, name: str, write: ConditionalUpdate) -> tuple[Breaker, bool]:
        """Return the row after the write, and whether the write applied."""
        found = update(self._dynamodb, self._table, rows.key(CONTROL_ROWS, name), write)
        if isinstance(found, ConditionFailed):
            return _breaker(found.found), False
        return _breaker(found), True


def _breaker(row: rows.Item) -> Breaker:
    """Read a row; what is unreadable, because another release wrote it or it is damaged, counts as a closed breaker."""
    fields = rows.plain(row)
    try:
        return Breaker(
            failing=frozenset(fields.get("failing", ())),
            since=_instant(fields, "since"),
            opened_at=_instant(fields, "opened_at"),
            passed_at=_instant(fields, "passed_at"),
            cause=str(fields.get("cause", "")),
            grants=tuple(_grant(text) for text in fields.get("grants", "").split()),
        )
    except rows.UNREADABLE:
        return Breaker()


def _instant(fields: Mapping[str, Any], name: str) -> Instant | None:
    return Instant(int(fields[name])) if name in fields else None


def _grant(text: str) -> tuple[str, Instant]:
    tenant, _, at = text.partition("@")
    return tenant, Instant(int(at))


def tenant_hash(tenant: TenantId) -> str:
    """Hash a tenant to 32 bits; a collision only makes two tenants share a place in the order of trials."""
    return f"{crc32(tenant.encode()):08x}"


def host_breaker(host: str) -> str:
    """Name the breaker of a host."""
    return f"host {host}"


def app_breaker(host: str, client_id: str) -> str:
    """Name the breaker of one of the operator's client apps."""
    return f"app {host} {client_id}"


def customer_apps_breaker(host: str) -> str:
    """Name the breaker of all client apps on a host that customers registered themselves."""
    return f"customer-apps {host}"


def app_breaker_of(state: ConnectionState) -> str:
    """Name the breaker that a connection shares with others of its client app."""
    host = state.host.name
    return customer_apps_breaker(host) if state.customer_app else app_breaker(host, state.client_id)


def app_of_breaker(name: str) -> tuple[str, str] | None:
    """Read the host and the client id out of the name of an app's breaker; None for other rows."""
    kind, _, rest = name.partition(" ")
    host, _, client_id = rest.partition(" ")
    return (host, client_id) if kind == "app" else None
