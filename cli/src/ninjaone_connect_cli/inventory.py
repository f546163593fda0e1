"""All connections of a deployment, read by one Scan: the backend API shows one tenant's at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from broker import ninjaone, policy
from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.breakers import CONTROL_ROWS, Breaker, BreakerStore
from broker.flows.pause import REFUSED_APP, HeldBy, Pause, pause_to_show
from broker.model import ConnectionRef, ConnectionState, Instant, Profile, Status
from broker.ninjaone import is_about_app
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.finding import Finding, counted, fail, good, runbook, warn
from ninjaone_connect_cli.store import Store

NONE = Breaker()
PAUSED = "paused"
"""How the backend API calls an active connection whose attempts fail or are held."""
WEEK = 7 * policy.DAY
NAMED = 5
"""Connections that a finding names; `connections list` names them all."""


@dataclass(frozen=True)
class Inventory:
    """Everything that is connected.

    Attributes:
        unread: rows that can't be read
        breakers: the open ones, by name
    """

    states: Mapping[ConnectionRef, ConnectionState]
    profiles: Mapping[ConnectionRef, Profile]
    unread: int
    breakers: Mapping[str, Breaker]
    now: Instant

    @classmethod
    def read(cls, deployment: Deployment) -> "Inventory":
        """Read the whole table."""
        states: dict[ConnectionRef, ConnectionState] = {}
        profiles: dict[ConnectionRef, Profile] = {}
        unread = 0
        for row in Store(deployment.aws("dynamodb"), deployment.config.connections_table).items():
            state = row.state
            if state:
                states[row.ref] = state
            elif row.is_unreadable:
                unread += 1
            elif row.key.endswith(rows.PROFILE):
                profiles |= _profile(row.item)
        return cls(states, profiles, unread, open_breakers(deployment), Instant(int(deployment.now())))

    def status(self, state: ConnectionState) -> str:
        """Return how a connection is, in the words of the backend API."""
        return PAUSED if self.pause(state) else state.status.value

    def pause(self, state: ConnectionState) -> Pause | None:
        """Return what holds a connection that is paused; None for any other."""
        return pause_to_show(state, lambda name: self.breakers.get(name, NONE), self.now)

    def ended_tokens(self) -> list[ConnectionState]:
        """Find active connections whose callers are told 503: their token ended, and no newer one came."""
        return [
            each
            for each in self.states.values()
            if each.status is Status.ACTIVE and each.access is not None and each.token_expires_at <= self.now
        ]

    def ends_at(self, state: ConnectionState) -> Instant | None:
        """Estimate when a connection's consent ends."""
        return policy.consent_ends_at(state.consented_at, self.now)

    def ending(self) -> list[ConnectionState]:
        """Find the connections whose customers have to agree again within a week, the first one first."""
        found = [each for each in self.states.values() if each.status is Status.ACTIVE and self.ends_at(each)]
        soon = [each for each in found if (self.ends_at(each) or 0) - self.now <= WEEK]
        return sorted(soon, key=lambda each: each.consented_at)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Write each connection as the command line shows it."""
        for ref, state in sorted(self.states.items(), key=lambda each: (each[0].tenant, each[0].connection)):
            profile, pause = self.profiles.get(ref), self.pause(state)
            yield {
                "tenant_id": state.tenant,
                "connection_id": state.connection,
                "status": self.status(state),
                "reason": state.reason.value if state.reason else pause and pause.cause,
                "paused": pause and pause.detail,
                "region": state.host.region,
                "host": state.host.name,
                "client_id": state.client_id,
                "label": profile.label if profile else None,
                "organizations": [each.name for each in profile.organizations] if profile else [],
                "scopes": ninjaone.scope_text(state.scopes).split(),
                "version": state.version,
                "connected_at": profile.connected_at if profile else None,
                "token_expires_at": state.token_expires_at,
                "refresh_at": state.refresh_at,
                "consent_ends_at": self.ends_at(state),
                "probably_same_as": state.same_as,
            }


def _profile(item: rows.Item) -> dict[ConnectionRef, Profile]:
    try:
        profile = rows.profile(item)
    except rows.UNREADABLE:
        return {}
    return {ConnectionRef(profile.tenant, profile.connection): profile}


def open_breakers(deployment: Deployment) -> dict[str, Breaker]:
    """Find the circuit breakers that are open."""
    dynamodb, table = deployment.aws("dynamodb"), deployment.config.connections_table
    answer = dynamodb.query(
        TableName=table,
        KeyConditionExpression="tenant = :control",
        ExpressionAttributeValues={":control": {"S": CONTROL_ROWS}},
    )
    store = BreakerStore(AwsClient("dynamodb", dynamodb), table)
    names = [str(item["connection"]["S"]) for item in answer["Items"]]
    found = {name: store.read(name) for name in names}
    return {name: breaker for name, breaker in found.items() if breaker.is_open}


# What the doctor says of it -------------------------------------------------------------------------------------------


def connections(deployment: Deployment) -> Iterator[Finding]:
    """Whether every connection works, and which will need their customers soon."""
    inventory = Inventory.read(deployment)
    counts = Counter(inventory.status(state) for state in inventory.states.values())
    if inventory.unread:
        says = f"{counted(inventory.unread, 'row', 'rows')} can't be read"
        yield fail("connections", says, runbook("A row can't be read"))
    yield good("connections", ", ".join(f"{counts[each]} {each}" for each in sorted(counts)) or "there are none yet")
    yield from _held(inventory)
    yield from _ended_tokens(inventory)
    yield from _of_customers(inventory)


def first_connection(deployment: Deployment) -> Iterator[Finding]:
    """Whether anybody has connected: it shows that redirect URIs and the backend's permission are right."""
    store = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
    if next(store.connections(), None):
        yield good("first connection", "somebody has connected")
        return
    todo = (
        "Connect an account of your own: from your product (docs/connect), whose role needs execute-api:Invoke on "
        f"{deployment.outputs.get('BackendPermission', 'the output BackendPermission')}; or without a product: "
        f"{deployment.command} session open trial --name Trial --complete"
    )
    yield warn("first connection", "nobody has connected yet", todo)


def _held(inventory: Inventory) -> Iterator[Finding]:
    for name, breaker in sorted(inventory.breakers.items()):
        since = (inventory.now - (breaker.opened_at or inventory.now)) // 60
        yield warn(
            "circuit breaker",
            f"{name} has been open for {since} min, after {breaker.cause or 'failures'}",
            runbook("A circuit breaker holds refreshes"),
        )
    if not inventory.breakers:
        yield good("circuit breakers", "none is open")


def _ended_tokens(inventory: Inventory) -> Iterator[Finding]:
    ended = inventory.ended_tokens()
    if ended:
        what = counted(
            len(ended),
            "connection has an expired token; its callers get 503",
            "connections have an expired token; their callers get 503",
        )
        yield fail("tokens", f"{what} ({_named(ended)})", runbook("Tokens have expired"))
    else:
        yield good("tokens", "each active connection holds one that works, or waits for its first")


def _of_customers(inventory: Inventory) -> Iterator[Finding]:
    pauses = {each: pause for each in inventory.states.values() if (pause := inventory.pause(each))}
    yield from _refused_apps(pauses)
    yield from _paused(pauses)
    waiting = [each for each in inventory.states.values() if each.status is Status.NEEDS_REAUTH]
    if waiting:
        todo = "Send their customers a link: ninjaone-connect session open TENANT --name NAME --reconnect CONNECTION"
        what = counted(len(waiting), "waits for its customer", "wait for their customers")
        yield warn("customers", f"{what} ({_named(waiting)})", todo)
    ending = inventory.ending()
    if ending:
        todo = "Let their customers reconnect early; it loses nothing. `connections list --ends-within 7` names all."
        yield warn("consent", f"{counted(len(ending), 'ends', 'end')} within seven days ({_named(ending)})", todo)


def _paused(pauses: Mapping[ConnectionState, Pause]) -> Iterator[Finding]:
    """Find the connections that go on by themselves once NinjaOne grants tokens again, one finding for each cause."""
    causes: dict[tuple[str, str], list[ConnectionState]] = {}
    for each, pause in pauses.items():
        if pause.held_by is not HeldBy.CUSTOMER_APP:
            causes.setdefault((pause.cause or "failures", _why(each, pause)), []).append(each)
    for (cause, where), paused in sorted(causes.items()):
        what = counted(len(paused), "connection gets", "connections get")
        todo = f"NinjaOne is asked again without you. {where}"
        yield warn("paused", f"{what} no new tokens for now, after {cause} ({_named(paused)})", todo)


def _why(state: ConnectionState, pause: Pause) -> str:
    """Return the runbook that fits: a failure of NinjaOne's is no refusal, and opens no breaker for one customer."""
    is_refused = state.struck_at is not None or is_about_app(pause.cause)
    is_own = pause.held_by is HeldBy.CONNECTION and not is_refused
    return runbook("NinjaOne's answers are unclear") if is_own else runbook("A circuit breaker holds refreshes")


SECRET_LINK = "Send their customers a link: ninjaone-connect session open TENANT --name NAME --new-secret CONNECTION"


def _refused_apps(pauses: Mapping[ConnectionState, Pause]) -> Iterator[Finding]:
    """Find the connections whose customers have to put their own client app right, one finding for each cause."""
    for cause, (what, todo) in REFUSED_APP.items():
        refused = [
            each for each, pause in pauses.items() if pause.held_by is HeldBy.CUSTOMER_APP and pause.cause == cause
        ]
        if refused:
            says = f"{counted(len(refused), 'is', 'are')} paused ({_named(refused)}): {what} ({cause})"
            yield warn("customers' apps", says, SECRET_LINK if cause == "invalid_client" else todo)


def _named(found: list[ConnectionState]) -> str:
    more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
    return ", ".join([*(f"{each.tenant}/{each.connection}" for each in found[:NAMED]), *more])
