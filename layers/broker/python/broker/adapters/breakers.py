"""What stops refreshes of many connections at once: control rows beside the connections.

A brake holds a whole host (it throttles or fails) or one client app on a host (its secret or the app is wrong).
The fleet row counts the dead verdicts of a quarter of an hour: many at once are NinjaOne's fault, not the customers'.
"""

from dataclasses import asdict, dataclass

from broker.adapters import rows
from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.dynamo import CONDITION_FAILED, ConditionalUpdate, ConditionFailed, update
from broker.model import Instant, Seconds, TenantId

CONTROL_ROWS = TenantId("#brakes")
"""A partition that no tenant can name."""

WINDOW = Seconds(900)


@dataclass(frozen=True)
class Breaker:
    """Refreshes wait until then; ``level`` counts how often in a row it was pulled."""

    until: Instant
    level: int
    cause: str


@dataclass(frozen=True)
class FailureWindow:
    """What the whole fleet saw in this window and in the one before it."""

    tried: int
    dead: int
    tried_before: int = 0
    dead_before: int = 0


class Breakers:
    """The control rows."""

    def __init__(self, dynamodb: AwsClient, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def read(self, name: str) -> Breaker | None:
        """Read one brake, pulled or worn off."""
        answer = self._dynamodb.call(
            "get_item",
            TableName=self._table,
            Key=rows.key(CONTROL_ROWS, name),
            ConsistentRead=True,
            ProjectionExpression="#until, #level, #cause",
            ExpressionAttributeNames={"#until": "until", "#level": "level", "#cause": "cause"},
        )
        return _breaker(answer.get("Item", {}))

    def trip(self, name: str, breaker: Breaker) -> Breaker:
        """Hold refreshes until an instant; give the brake that then stands, for another order's may be longer.

        Raises   Busy
        """
        write = ConditionalUpdate.of("attribute_not_exists(#until) OR #until < :until", set=asdict(breaker))
        found = update(self._dynamodb, self._table, rows.key(CONTROL_ROWS, name), write)
        longer = _breaker(found.found or {}) if isinstance(found, ConditionFailed) else None
        return longer or breaker

    def reset(self, name: str, seen: Breaker) -> Breaker | None:
        """Forget a brake, once what it waited for was seen to work; give the one that took its place, which stays.

        Raises   Busy
        """
        try:
            self._dynamodb.call(
                "delete_item",
                expected=(CONDITION_FAILED,),
                TableName=self._table,
                Key=rows.key(CONTROL_ROWS, name),
                ConditionExpression="#until = :seen",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":seen": rows.value(seen.until)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ExpectedError as refused:
            return _breaker(refused.response.get("Item", {}))
        return None

    def count(self, *, tried: int, dead: int, now: Instant) -> FailureWindow:
        """Add to the fleet's window and give it as it then is."""
        window = now // WINDOW
        counted = ConditionalUpdate.of(
            "#window = :window_seen", given={"window_seen": window}, add={"tried": tried, "dead": dead}
        )
        found = update(self._dynamodb, self._table, rows.key(CONTROL_ROWS, "fleet"), counted)
        if isinstance(found, ConditionFailed):
            return self._next_window(found, FailureWindow(tried, dead), window)
        held = rows.plain(found)
        return FailureWindow(held["tried"], held["dead"], held.get("tried_before", 0), held.get("dead_before", 0))

    def _next_window(self, ended: ConditionFailed, counted: FailureWindow, window: int) -> FailureWindow:
        """Begin a window; the one that just ended stays in sight, so that its incident does not end with it."""
        held = rows.plain(ended.found or {})
        follows = held.get("window") == window - 1
        tried, dead = (held["tried"], held["dead"]) if follows else (0, 0)
        begun = FailureWindow(counted.tried, counted.dead, tried, dead)
        write = ConditionalUpdate.of(
            "attribute_not_exists(#window) OR #window < :window_seen",
            given={"window_seen": window},
            set={"window": window, **asdict(begun)},
        )
        update(self._dynamodb, self._table, rows.key(CONTROL_ROWS, "fleet"), write)
        return begun


def _breaker(row: rows.Item) -> Breaker | None:
    """Read a brake; one of another make holds nobody, and the next pull writes over it."""
    held = rows.plain(row)
    fits = isinstance(held.get("until"), int) and isinstance(held.get("level"), int) and "cause" in held
    return Breaker(Instant(held["until"]), held["level"], held["cause"]) if fits else None


def host_breaker(host: str) -> str:
    """Name the brake of a host."""
    return f"host {host}"


def app_breaker(host: str, client_id: str) -> str:
    """Name the brake of one client app."""
    return f"app {host} {client_id}"


def app_of_breaker(name: str) -> tuple[str, str] | None:
    """Read the host and the client id out of the name of an app's brake; None for other control rows."""
    kind, _, rest = name.partition(" ")
    host, _, client_id = rest.partition(" ")
    return (host, client_id) if kind == "app" else None
