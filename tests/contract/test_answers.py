"""The answers of the broker against its OpenAPI documents: each is documented, and each that is documented comes."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest

from broker import policy
from broker.adapters import rows
from broker.model import ConnectionId, TenantId
from local.aws.gateway.sigv4 import DEMO, Principal
from local.browser import Browser
from local.world import World
from ninjaone_connect import Connect, ConnectError, new_verifier
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from tests.contract.documents import document
from tests.support.local_world import still_world
from tests.support.person import decide, query_of

ADA, RHONE = "ada@nordlicht.example", "ada@rhone.example"
NOBODY = Principal("AKIANOBODY", "not-a-secret-either", "nobody", ())
UNKNOWN = "con_" + "a" * 26
NEW_SECRET = {"purpose": "client_secret"}

NOT_HERE = {
    "busy", "aws-unavailable", "internal-error", "misconfigured", "aws-refused", "seal-broken", "untrusted-host",
    "too-many-requests", "unexpected-answer", "invalid-scope", "connection-paused", "insufficient-scope",
    "consent-lost", "session-spent",
}  # fmt: skip
"""Problems for which AWS has to break, or NinjaOne to change; tests/unit shows each."""
NOT_FROM = {("proxy", "provider-down")}
"""A host that is not reached; tests/unit shows it."""
GATEWAYS_OWN = {429, 500, 503}
"""Statuses of API Gateway's own that one machine does not bring about."""


class Recorder(httpx.BaseTransport):
    """Holds every answer against the document of the backend API."""

    def __init__(self, seen: set[tuple[str, int, str]]) -> None:
        self.seen = seen
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        response.request = request
        response.read()
        self.seen.add(document("api").check(response))
        return response


@dataclass
class Caller:
    """A backend and its users."""

    world: World
    seen: set[tuple[str, int, str]]

    def __post_init__(self) -> None:
        self.connect, self.nobody = (self._as(principal) for principal in (DEMO, NOBODY))

    def _as(self, principal: Principal) -> Connect:
        transport = Recorder(self.seen)
        url, credentials = self.world.api_url, principal.credentials
        return Connect(url, region="eu-west-1", credentials=credentials, transport=transport, max_wait=0)

    def opened(self, tenant: str = "northwind", **changes: Any) -> tuple[str, str, str]:
        """Open a session; give its id, its link and the verifier."""
        mine = new_verifier()
        session_request: Any = {"end_user_id": "ana", "tenant_name": "Northwind", "return_to": "main"}
        made = self.connect.open_session(tenant, **session_request | {"binding_challenge": mine.challenge} | changes)
        return made.session_id, made.connect_url, mine.verifier

    def agreed(self, email: str = ADA, decision: str = "Authorize", **changes: Any) -> dict[str, Any]:
        """Open a session and let the person agree; give what completes it."""
        session, link, verifier = self.opened(**changes)
        ticket = self.walk(link, email, decision).get("ticket", "t" * 43)
        return {"session_id": session, "end_user_id": "ana", "ticket": ticket, "binding_verifier": verifier}

    def walk(self, link: str, email: str = ADA, decision: str = "Authorize") -> dict[str, str]:
        with Browser() as person:
            person.open(link)
            decide(person, email=email, decision=decision)
            home = person.follow().location
            self.looked_at(person)
        return query_of(home)

    def looked_at(self, person: Browser) -> None:
        """Hold what the person saw of the broker against the document of the public API."""
        for page in person.pages:
            if page.url.startswith(self.world.connect_url):
                self.seen.add(document("connect").check(page.answer))

    def complete(self, proof: dict[str, Any], **changes: Any) -> str:
        return self.connect.complete("northwind", **proof | changes).connection_id

    def calls(self, tenant: str, connection: str) -> object:
        """Call NinjaOne through the broker."""
        return self.connect.ninjaone(tenant, connection).get("/v2/organizations")

    def fails(self, call: Callable[[], object]) -> None:
        with pytest.raises(ConnectError):
            call()


def opening(caller: Caller) -> None:
    caller.opened(label="Main account")
    caller.fails(lambda: caller.opened(region="mars"))
    caller.fails(lambda: caller.opened(return_to="elsewhere"))
    caller.fails(lambda: caller.nobody.open_session("northwind", end_user_id="a", tenant_name="b", return_to="main"))
    caller.fails(lambda: caller.opened(**NEW_SECRET, connection_id=UNKNOWN))


def using(caller: Caller) -> None:
    connect = caller.connect
    made = caller.complete(caller.agreed())
    connect.connection("northwind", made)
    connect.token("northwind", made)
    list(connect.connections("northwind", page_size=1))
    through(caller, made)
    for call in (connect.connection, connect.token, connect.approve, connect.disconnect, caller.calls):
        caller.fails(lambda call=call: call("northwind", UNKNOWN))  # type: ignore[misc]  # binds the loop's call
        caller.fails(lambda call=call: call("north wind", UNKNOWN))  # type: ignore[misc]  # the same
    caller.fails(lambda: list(connect.connections("north wind")))
    caller.fails(lambda: caller.nobody.ninjaone("northwind", made).get("/v2/organizations"))
    for call in (caller.nobody.connection, caller.nobody.token, caller.nobody.approve, caller.nobody.disconnect):
        caller.fails(lambda call=call: call("northwind", made))  # type: ignore[misc]  # the same
    caller.fails(lambda: list(caller.nobody.connections("northwind")))
    caller.fails(lambda: connect.approve("northwind", made))
    ending(caller, made)


def through(caller: Caller, made: str) -> None:
    """Every way in which a call through the broker ends without NinjaOne's answer, and one that has it."""
    ninjaone, faults = caller.connect.ninjaone("northwind", made), caller.world.ninjaone.faults
    ninjaone.get("/v2/organizations")
    caller.fails(lambda: ninjaone.delete("/v2/organizations"))
    caller.fails(lambda: ninjaone.get("/v2/"))
    caller.fails(lambda: ninjaone.post("/v2/tickets", content=b"x" * (4 * 1024 * 1024 + 1)))
    for fault in (Fault("html_200_rate_limit", on="api"), Fault("reset", on="api", times=2)):
        faults.plan(fault)
        caller.fails(lambda: ninjaone.get("/v2/organizations"))


def ending(caller: Caller, made: str) -> None:
    """Every way in which a connection gives no token."""
    connect, world = caller.connect, caller.world
    world.clock.advance(3700)
    caller.fails(lambda: connect.token("northwind", made))  # nobody refreshes: the queue is not worked
    caller.fails(lambda: caller.calls("northwind", made))
    reconnect = caller.agreed(connection_id=made)
    connect.disconnect("northwind", made)
    caller.fails(lambda: connect.disconnect("northwind", made))
    caller.fails(lambda: caller.opened(**NEW_SECRET, connection_id=made))
    caller.fails(lambda: connect.token("northwind", made))
    caller.fails(lambda: caller.calls("northwind", made))
    caller.fails(lambda: caller.complete(reconnect))
    waits = caller.connect.open_session(
        "waiting", end_user_id="ana", tenant_name="Northwind", return_to="main", binding="approval"
    )
    caller.walk(waits.connect_url)
    world.run_event_sources()
    [pending] = connect.connections("waiting", status="any")
    caller.fails(lambda: connect.token("waiting", pending.connection_id))
    caller.fails(lambda: caller.opened("waiting", **NEW_SECRET, connection_id=pending.connection_id))
    caller.fails(lambda: caller.calls("waiting", pending.connection_id))
    connect.approve("waiting", pending.connection_id)
    grant = world.ninjaone.oracle.grant_of(connect.token("waiting", pending.connection_id).access_token)
    assert grant
    world.ninjaone.admin.revoke_grant(grant.id)
    world.clock.advance(3700)
    for _ in range(3):
        world.run_event_sources()
        world.clock.advance(policy.VERDICT_WAIT_SINGLE_TENANT)
    caller.fails(lambda: connect.token("waiting", pending.connection_id))
    caller.fails(lambda: caller.calls("waiting", pending.connection_id))
    caller.fails(lambda: caller.opened("waiting", **NEW_SECRET, connection_id=pending.connection_id))


def entering(caller: Caller) -> None:
    """A customer changed the secret of their own client app, and enters the new one."""
    app = CUSTOMER_APPS["eu"]
    own = {"client_id": app.client_id, "client_secret": app.client_secret}
    made = caller.complete(caller.agreed(region="eu", client_credentials=own))
    secret = caller.world.ninjaone.admin.rotate_secret(app.client_id)
    session, link, verifier = caller.opened(**NEW_SECRET, connection_id=made)
    with Browser() as ana, Browser() as ben:
        ana.open(link)
        ana.submit("Store the new secret", client_secret="mistyped")
        home = ana.submit("Store the new secret", client_secret=secret).location
        ben.open(link)
        ben.submit("Store the new secret", client_secret=secret)
        ticket = query_of(home)["ticket"]
        proof = {"session_id": session, "end_user_id": "ana", "ticket": ticket, "binding_verifier": verifier}
        assert caller.complete(proof) == made
        ana.post(f"{link}/secret", {"client_secret": secret})
        for person in (ana, ben):
            caller.looked_at(person)


def completing(caller: Caller) -> None:
    """Every way in which completing fails without NinjaOne's doing."""
    fresh, _link, verifier = caller.opened()
    proof = {"session_id": fresh, "end_user_id": "ana", "ticket": "t" * 43, "binding_verifier": verifier}
    caller.fails(lambda: caller.complete(proof))  # nobody agreed yet
    caller.fails(lambda: caller.complete(proof, end_user_id="ben"))
    caller.fails(lambda: caller.complete(proof, ticket="short"))
    caller.fails(lambda: caller.nobody.complete("northwind", **proof))  # type: ignore[arg-type]  # a dict of texts
    caller.fails(lambda: caller.complete(caller.agreed(decision="Deny access")))
    caller.fails(lambda: caller.opened(connection_id=UNKNOWN))
    made, lost = caller.complete(caller.agreed()), caller.complete(caller.agreed())
    again = caller.agreed(connection_id=lost)
    table = caller.world.settings("complete")["CONNECTIONS_TABLE"]
    caller.world.aws("dynamodb").delete_item(TableName=table, Key=rows.key(TenantId("northwind"), ConnectionId(lost)))
    caller.fails(lambda: caller.complete(again))  # its row was deleted meanwhile
    caller.fails(lambda: caller.complete(caller.agreed(RHONE, connection_id=made)))
    late = caller.agreed()
    caller.world.clock.advance(50)
    caller.fails(lambda: caller.complete(late))
    once = refused(caller, "spurious_dead_token")
    caller.fails(lambda: caller.complete(once))  # the same again


def refused(caller: Caller, fault: str, **changes: Any) -> dict[str, Any]:
    """Let NinjaOne fail when the code is exchanged."""
    proof = caller.agreed(**changes)
    caller.world.ninjaone.faults.plan(Fault(fault))
    caller.fails(lambda: caller.complete(proof))
    return proof


def declined(caller: Caller) -> None:
    """Every way in which the client app is not what it should be."""
    admin, app = caller.world.ninjaone.admin, OPERATOR_APPS["eu"].client_id
    refused(caller, "429_retry_after")
    refused(caller, "truncated_json")
    wrong = {"client_id": CUSTOMER_APPS["eu"].client_id, "client_secret": "not-the-secret"}
    caller.fails(lambda: caller.complete(caller.agreed(region="eu", client_credentials=wrong)))
    for box in ("authorization_code", "refresh_token"):
        proof = caller.agreed()
        admin.tick_grant_type(app, box, ticked=False)
        caller.fails(lambda proof=proof: caller.complete(proof))  # type: ignore[misc]  # binds the loop's proof
        admin.tick_grant_type(app, box, ticked=True)
    gone = caller.agreed()
    admin.delete_app(app)
    caller.fails(lambda: caller.complete(gone))


def looking(caller: Caller) -> None:
    """What people meet who follow links in unusual ways."""
    _session, link, _verifier = caller.opened()
    with Browser() as ana, Browser() as ben:
        ana.get(link)
        ana.post(f"{link}/authorize", {"region": "eu"}, {"Sec-Fetch-Site": "cross-site"})
        ana.get(link)
        ana.submit("Continue to NinjaOne", region="eu")
        ben.get(link)
        ben.submit("Continue to NinjaOne", region="eu")
        ben.get(f"{caller.world.connect_url}/connect/ses_{'a' * 26}")
        ben.get(f"{caller.world.connect_url}/connect/ses_{'a' * 26}.")
        ben.post(f"{caller.world.connect_url}/connect/ses_{'a' * 26}/authorize", {"region": "eu"})
        ben.get(f"{caller.world.connect_url}/callback/eu?state=x&code=y")
        ben.get(f"{caller.world.connect_url}/callback/eu?state=x&code=y", {"Sec-Purpose": "prefetch"})
        ben.get(f"{caller.world.connect_url}/notice/denied")
        ben.get(f"{caller.world.connect_url}/notice/refused-callback")
        caller.world.ninjaone.faults.plan(Fault("html_502", on="authorize"))
        other = caller.opened()[1]
        ben.get(other)
        ben.submit("Continue to NinjaOne", region="eu")
        for _ in range(12):
            ben.post(f"{other}/authorize", {"region": "nowhere"})
        for person in (ana, ben):
            caller.looked_at(person)
    proof = caller.agreed()
    with Browser() as late:
        late.get(f"{caller.world.connect_url}/connect/{proof['session_id']}")
        caller.complete(proof)
        late.get(f"{caller.world.connect_url}/connect/{proof['session_id']}")
        caller.looked_at(late)


def around(seen: set[tuple[str, int, str]]) -> None:
    """What somebody meets who comes around a firewall."""
    parameters = {"OriginVerify": sha256(b"x").hexdigest()}
    with still_world(parameters=parameters) as world, Browser() as stranger:
        link = f"{world.connect_url}/connect/ses_{'a' * 26}"
        posted = [stranger.post(f"{link}/{what}", {"region": "eu"}) for what in ("authorize", "secret")]
        for found in (stranger.get(link), *posted):
            seen.add(document("connect").check(found.answer))
        through = {"X-Origin-Verify": "x"}
        assert [stranger.get(link, held).answer.status_code for held in ({}, through)] == [403, 410]


@pytest.mark.slow
def test_answers_are_as_documented_and_every_documented_one_is_given() -> None:
    seen: set[tuple[str, int, str]] = set()
    with still_world(principals=(DEMO, NOBODY)) as world:
        for part in (opening, using, completing, looking, entering, declined):
            part(Caller(world, seen))
    around(seen)

    given = {(name, status) for name, status, _slug in seen}
    problems = {(name, slug) for name, _status, slug in seen if slug}
    for operation in document("api").operations():
        wanted = operation.problems - NOT_HERE
        assert {(operation.name, slug) for slug in wanted} - NOT_FROM <= problems, operation.name
    for name in ("api", "connect"):
        for operation in document(name).operations():
            for answer in operation.answers:
                only_rare = answer.problems <= NOT_HERE and answer.status in GATEWAYS_OWN
                notice = operation.name == "notice" and answer.status not in {200, 400}
                assert only_rare or notice or (operation.name, answer.status) in given, (operation.name, answer.status)
