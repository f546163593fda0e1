"""The table of connections: every write compares the version and the fence that it was decided on.

A refresh, as conditions on one row; ``seen`` is what the read found, which may be a moment old:

    lease     version = seen, fence = seen, no lease or an expired one   → fence + 1, lease_until, lease_id
    save      version = seen, fence = own, not disconnected              → version + 1, tokens; the lease is gone
    failure   version = seen, fence = own                                → wait, strike or give up; lease cut

An end, from any state, whoever holds the lease:

    disconnect   version = seen, consent = seen, not disconnected   → version + 1, fence + 1; tokens gone

A new client secret must never meet a refresh that presents the old one. It takes a lease and gives it back at once, so
that a refresh that had already read the old secret gets no lease:

    secret       version = seen, fence = seen, no lease or an expired one   → fence + 1, due now; the profile's client

Rows that are not in use expire: ``forget_at`` is written into both rows in one transaction, so that neither outlives
the other.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from broker import policy
from broker.adapters import listing, rows
from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.dynamo import ConditionalUpdate, ConditionFailed, update
from broker.adapters.sessions import finish
from broker.errors import AwsUnavailable
from broker.model import (
    Connection,
    ConnectionId,
    ConnectionRef,
    ConnectionState,
    Instant,
    Profile,
    SessionId,
    Stage,
    Status,
    TenantId,
)

TOKEN_ATTRIBUTES = (
    "tenant",
    "connection",
    "status",
    "reason",
    "host",
    "region",
    "client_id",
    "customer_app",
    "version",
    "token_expires_at",
    "sent_at",
    "refresh_at",
    "failures",
    "cause",
    "access",
)
"""What the token function reads: never the refresh token, not even sealed."""

LISTED_ATTRIBUTES = (
    "tenant", "connection", "status", "reason", "region", "host", "client_id", "customer_app", "version",
    "token_expires_at", "refresh_at", "failures", "cause", "struck_at", "consented_at", "scopes", "label",
    "organizations", "metadata", "created_at", "connected_at", "same_as",
)  # fmt: skip
"""What the list of connections reads: nothing sealed."""

NAMED_ATTRIBUTES = ("tenant", "connection", "label", "organizations")
"""What the connect page of a reconnect shows."""

ACCOUNT_ATTRIBUTES = ("tenant", "connection", "status", "host", "region", "label", "organizations")
"""What shows whether two connections belong to the same NinjaOne account."""
MAX_COMPARED_CONNECTIONS = 200
"""Connections of a tenant that are compared for that."""

APP_ATTRIBUTES = ("tenant", "connection", "status", "reason", "host", "region", "client_id", "customer_app")
"""What opening a session for a new client secret reads."""

MAX_KEYS_PER_READ = 100
"""Items that one BatchGetItem takes."""
MAX_READ_TRIES = 5

RECONNECT_STEP = 100
"""How far a reconnect moves the version: refreshes of the old consent that finish meanwhile stay below it."""

_UNCHANGED = ("#version = :version_seen", "#fence = :fence_seen")
_NO_LEASE = "attribute_not_exists(#lease_until) OR #lease_until < :expired_before"
_WAITS = "attribute_not_exists(#forget_at) OR #forget_at > :now"
_CANCELED = "TransactionCanceledException"
_CONDITION_FAILED = "ConditionalCheckFailed"
_CONNECTED = "#status <> :disconnected"
_DROPPED = (
    "access",
    "refresh",
    "refresh_at",
    "due_shard",
    "lease_until",
    "lease_id",
    "failures",
    "cause",
    "struck_at",
    "outcome_unknown",
)
_NEW = {
    "ConditionExpression": "attribute_not_exists(#tenant)",
    "ExpressionAttributeNames": {"#tenant": "tenant"},
}


class Connections:
    """The table of connections."""

    def __init__(self, dynamodb: AwsClient, table: str, *, due_index: str, sessions_table: str) -> None:
        self._dynamodb, self._table = dynamodb, table
        self._due_index, self._sessions_table = due_index, sessions_table

    def get_state(self, ref: ConnectionRef) -> ConnectionState | None:
        """Read the state row as it is now."""
        found = self._get(ref, ref.connection)
        return rows.connection_state(found) if found else None

    def get_states(self, refs: Sequence[ConnectionRef]) -> tuple[list[ConnectionState], int]:
        """Read state rows, a hundred in one call; return them, and how many could not be read. Raises AwsError.

        The read is eventually consistent, which costs half: a decision on an old row is refused, because every write
        compares version and fence. Missing rows are left out, and so are rows that only another release can read,
        which must not hold up the rest.
        """
        found: list[rows.Item] = []
        for start in range(0, len(refs), MAX_KEYS_PER_READ):
            keys = [rows.key(ref.tenant, ref.connection) for ref in refs[start : start + MAX_KEYS_PER_READ]]
            found += self._batch(keys)
        return listing.readable(found)

    def _batch(self, keys: list[rows.Item]) -> list[rows.Item]:
        found: list[rows.Item] = []
        for _ in range(MAX_READ_TRIES):
            request = {"RequestItems": {self._table: {"Keys": keys}}}
            answer = self._dynamodb.call("batch_get_item", **request)
            found += answer["Responses"].get(self._table, [])
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if not keys:
                break
        return found

    def get(self, ref: ConnectionRef) -> Connection | None:
        """Read both rows of a connection as they are now; None when either is missing."""
        state, profile = self.get_state(ref), self.get_profile(ref)
        return Connection(state, profile) if state and profile else None

    def get_profile(self, ref: ConnectionRef) -> Profile | None:
        """Read the profile row as it is now."""
        found = self._get(ref, ref.connection + rows.PROFILE)
        return rows.profile(found) if found else None

    def get_for_token(self, ref: ConnectionRef) -> ConnectionState | None:
        """Read the attributes that the token function needs, as they are now."""
        found = self._get(ref, ref.connection, TOKEN_ATTRIBUTES)
        return rows.connection_state(found) if found else None

    def get_without_secrets(self, ref: ConnectionRef) -> Connection | None:
        """Read one connection without its sealed attributes."""
        found = self._get(ref, ref.connection, LISTED_ATTRIBUTES)
        profile = self._get(ref, ref.connection + rows.PROFILE, LISTED_ATTRIBUTES)
        return Connection(rows.connection_state(found), rows.profile(profile)) if found and profile else None

    def get_names(self, ref: ConnectionRef) -> Profile | None:
        """Read the names of a connection and of its NinjaOne account, and nothing else; a damaged row has none."""
        found = self._get(ref, ref.connection + rows.PROFILE, NAMED_ATTRIBUTES)
        with suppress(*rows.UNREADABLE):
            return rows.profile(found) if found else None
        return None

    def get_client_app(self, ref: ConnectionRef) -> ConnectionState | None:
        """Read which client app a connection uses and the connection's status, and nothing else."""
        found = self._get(ref, ref.connection, APP_ATTRIBUTES)
        return rows.connection_state(found) if found else None

    def get_page(self, tenant: TenantId, *, limit: int, after: str | None) -> listing.Listed:
        """Read a tenant's connections in the order of their ids."""
        return self._listed(tenant, LISTED_ATTRIBUTES, limit=limit, after=after)

    def get_accounts(self, tenant: TenantId) -> list[Connection]:
        """Read which accounts the first connections of a tenant belong to, in one call. Raises AwsError."""
        return self._listed(tenant, ACCOUNT_ATTRIBUTES, limit=MAX_COMPARED_CONNECTIONS, after=None).connections

    def _listed(self, tenant: TenantId, only: tuple[str, ...], *, limit: int, after: str | None) -> listing.Listed:
        start = {"ExclusiveStartKey": rows.key(tenant, after)} if after else {}
        answer = self._dynamodb.call(
            "query",
            TableName=self._table,
            KeyConditionExpression="#tenant = :tenant",
            ProjectionExpression=", ".join(f"#{name}" for name in only),
            ExpressionAttributeNames={f"#{name}": name for name in only},
            ExpressionAttributeValues={":tenant": {"S": tenant}},
            Limit=2 * limit,
            ConsistentRead=True,
            **start,
        )
        items, last = listing.whole_pairs(answer["Items"], answer.get("LastEvaluatedKey"))
        pairs, unread = listing.pairs(items)
        return listing.Listed(pairs, last["connection"]["S"] if last else None, unread)

    def get_due(
        self, shard: int, until: Instant, start: rows.Item | None, limit: int
    ) -> tuple[list[ConnectionRef], rows.Item | None]:
        """Read one page of what falls due in a shard, soonest first. The index lags, so these are candidates only."""
        more = {"ExclusiveStartKey": start} if start else {}
        answer = self._dynamodb.call(
            "query",
            TableName=self._table,
            IndexName=self._due_index,
            KeyConditionExpression="#due_shard = :shard AND #refresh_at <= :until",
            ExpressionAttributeNames={"#due_shard": "due_shard", "#refresh_at": "refresh_at"},
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":until": {"N": str(until)}},
            Limit=limit,
            **more,
        )
        found = [
            ConnectionRef(TenantId(row["tenant"]["S"]), ConnectionId(row["connection"]["S"])) for row in answer["Items"]
        ]
        return found, answer.get("LastEvaluatedKey")

    def put(
        self,
        made: Connection,
        *,
        replaces: ConnectionState | None,
        session: SessionId,
        forget_at: Instant | None = None,
    ) -> None:
        """Store both rows of a connection and end its session, in one transaction.

        Args:
            replaces: the row a reconnect was decided on; None for a new connection
            forget_at: when it expires by itself, unless it is approved

        Raises:
            AwsError: nothing was stored, or everything was and the acknowledgement was lost
        """
        condition = _replacing(replaces) if replaces else _NEW
        ends = rows.item({"forget_at": forget_at})
        puts = [
            {"Put": {"TableName": self._table, "Item": rows.connection_state_item(made.state) | ends, **condition}},
            {"Put": {"TableName": self._table, "Item": rows.profile_item(made.profile) | ends}},
        ]
        ended = finish(self._sessions_table, session, made.state.connection)
        self._dynamodb.call("transact_write_items", TransactItems=[*puts, ended])

    def lease(
        self, seen: ConnectionState, *, lease_id: str, now: Instant, until: Instant, expired_before: Instant
    ) -> ConnectionState | ConditionFailed:
        """Take the lease and record the intent, before NinjaOne is called.

        Args:
            expired_before: a lease that expired before this instant proves that its holder has ended
        """
        change = {
            "lease_until": until,
            "lease_id": lease_id,
            "tried_at": now,
            **({"outcome_unknown": True} if seen.lease_id else {}),
        }
        given = _seen(seen) | {"expired_before": expired_before}
        write = ConditionalUpdate.of(*_UNCHANGED, _NO_LEASE, given=given, set=change, add={"fence": 1})
        return self._update(seen, write)

    def store_secret(
        self, seen: ConnectionState, client: bytes, *, session: SessionId, now: Instant, expired_before: Instant
    ) -> bool:
        """Replace the secret of the customer's own app, end its session, and make the connection due now.

        Returns False if the row changed since it was seen, a refresh is at work, or the session has ended.

        Args:
            client: sealed
            expired_before: a lease that expired before this instant proves that its holder has ended

        Raises ``AwsError``.
        """
        due = {"refresh_at": now, "due_shard": policy.shard(seen.connection)} if seen.refresh else {}
        state = ConditionalUpdate.of(
            *_UNCHANGED, _NO_LEASE, given=_seen(seen) | {"expired_before": expired_before}, set=due, add={"fence": 1},
            remove=("failures", "cause", "tried_at"),
        )  # fmt: skip
        profile = ConditionalUpdate.of("attribute_exists(#client)", set={"client": client})
        ends = finish(self._sessions_table, session, seen.connection, after=Stage.AUTHORIZED)
        return self._update_both(seen.ref, state, profile, ends)

    def save(
        self, leased: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...]
    ) -> ConnectionState | ConditionFailed:
        """Store new tokens under the lease that they were fetched with."""
        given = _seen(leased) | {"disconnected": Status.DISCONNECTED.value}
        drop = ("lease_until", "lease_id", "failures", "cause", "struck_at", "outcome_unknown", *remove)
        return self._update(leased, ConditionalUpdate.of(*_UNCHANGED, _CONNECTED, given=given, set=change, remove=drop))

    def record_failure(
        self, leased: ConnectionState, change: Mapping[str, Any], remove: tuple[str, ...]
    ) -> ConnectionState | ConditionFailed:
        """Record the outcome of an attempt that brought no tokens."""
        return self._update(leased, ConditionalUpdate.of(*_UNCHANGED, given=_seen(leased), set=change, remove=remove))

    def approve(self, seen: ConnectionState, change: Mapping[str, Any], now: Instant) -> bool:
        """Approve a connection: it may be used, and no longer expires by itself. Raises AwsError."""
        given = _seen(seen) | {"pending": Status.PENDING_APPROVAL.value, "now": now}
        clauses = (*_UNCHANGED, "#status = :pending", _WAITS)
        write = ConditionalUpdate.of(*clauses, given=given, set=change, remove=("forget_at",))
        profile = ConditionalUpdate.of("attribute_exists(#tenant)", remove=("forget_at",))
        return self._update_both(seen.ref, write, profile)

    def forget(self, seen: ConnectionState, forget_at: Instant) -> bool:
        """Delete the tokens of a connection that nobody reconnected, and let its rows expire. Raises AwsError."""
        write = ConditionalUpdate.of(*_UNCHANGED, given=_seen(seen), set={"forget_at": forget_at}, remove=_DROPPED)
        return self._update_both(seen.ref, write, _forgetting(forget_at))

    def disconnect(self, seen: ConnectionState, now: Instant, mark: str) -> ConnectionState | ConditionFailed:
        """Delete the tokens that were seen. The version moves, so that a refresh in flight can't bring them back.

        Args:
            mark: random, and new for each attempt: a row that bears it was disconnected by this very attempt, whose
                answer was lost
        """
        forget_at = Instant(now + policy.DISCONNECTED_KEPT)
        ended = {"status": Status.DISCONNECTED.value, "disconnected_at": now, "disconnected_by": mark}
        write = ConditionalUpdate.of(
            _CONNECTED,
            "#consented_at = :consent_seen",
            "#version = :version_seen",
            given={
                "disconnected": Status.DISCONNECTED.value,
                "consent_seen": seen.consented_at,
                "version_seen": seen.version,
            },
            set=ended | {"forget_at": forget_at},
            add={"version": 1, "fence": 1},
            remove=(*_DROPPED, "reason", "needs_reauth_since"),
        )
        self._update_both(seen.ref, write, _forgetting(forget_at))
        found = self._get(seen.ref, seen.connection) or {}
        if found.get("disconnected_by") == {"S": mark}:
            return rows.connection_state(found)
        return ConditionFailed(found)

    def forget_profile(self, ref: ConnectionRef, now: Instant) -> None:
        """Let the profile of a deleted connection expire, and delete its sealed client secret at once."""
        key = rows.key(ref.tenant, ref.connection + rows.PROFILE)
        ends = Instant(now + policy.DISCONNECTED_KEPT)
        write = ConditionalUpdate.of(
            "attribute_exists(#tenant)", "attribute_not_exists(#forget_at)", set={"forget_at": ends}, remove=("client",)
        )
        update(self._dynamodb, self._table, key, write)

    def _get(self, ref: ConnectionRef, name: str, only: tuple[str, ...] = ()) -> rows.Item | None:
        projection = {
            "ProjectionExpression": ", ".join(f"#{name}" for name in only),
            "ExpressionAttributeNames": {f"#{name}": name for name in only},
        }
        answer = self._dynamodb.call(
            "get_item",
            TableName=self._table,
            Key=rows.key(ref.tenant, name),
            ConsistentRead=True,
            **(projection if only else {}),
        )
        found: rows.Item | None = answer.get("Item")
        return found

    def _update_both(
        self, ref: ConnectionRef, state: ConditionalUpdate, profile: ConditionalUpdate, *more: rows.Item
    ) -> bool:
        """Change both rows or neither; return False if a condition does not hold. Raises AwsError.

        Args:
            more: what else belongs to the transaction
        """
        writes = {ref.connection: state, ref.connection + rows.PROFILE: profile}
        parts = [
            {"Update": {"TableName": self._table, "Key": rows.key(ref.tenant, name), **write.parameters()}}
            for name, write in writes.items()
        ]
        try:
            self._dynamodb.call("transact_write_items", expected=(_CANCELED,), TransactItems=[*parts, *more])
        except ExpectedError as canceled:
            if any(each.get("Code") == _CONDITION_FAILED for each in canceled.response.get("CancellationReasons", ())):
                return False
            raise AwsUnavailable from None
        return True

    def _update(self, row: ConnectionState, write: ConditionalUpdate) -> ConnectionState | ConditionFailed:
        found = update(self._dynamodb, self._table, rows.key(row.tenant, row.connection), write)
        return found if isinstance(found, ConditionFailed) else rows.connection_state(found)


def _forgetting(forget_at: Instant) -> ConditionalUpdate:
    """Return the update that lets a profile expire; it creates a missing row, so that one transaction serves both."""
    return ConditionalUpdate.of(set={"forget_at": forget_at}, remove=("client",))


def _seen(row: ConnectionState) -> dict[str, Any]:
    return {"version_seen": row.version, "fence_seen": row.fence}


def _replacing(row: ConnectionState) -> dict[str, Any]:
    """A reconnect replaces the generation that it saw, or a newer one of the same consent; never a disconnected row."""
    return {
        "ConditionExpression": "#consented_at = :consent_seen AND #version < :version_new AND #status <> :disconnected",
        "ExpressionAttributeNames": {
            "#consented_at": "consented_at",
            "#version": "version",
            "#status": "status",
        },
        "ExpressionAttributeValues": {
            ":consent_seen": rows.value(row.consented_at),
            ":version_new": rows.value(row.version + RECONNECT_STEP),
            ":disconnected": rows.value(Status.DISCONNECTED.value),
        },
    }
