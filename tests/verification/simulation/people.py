"""Who uses the broker: backends of the SaaS, people with browsers, attackers; all outside and never killed."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.verification.simulation import gateway, invariants
from tests.verification.simulation.gateway import Answer
from tests.verification.simulation.history import Exchange, Ref

if TYPE_CHECKING:
    from tests.verification.simulation.world import World

RETURN_URL = "https://product.example/connected"
PASSING = {429, 500, 503}
REPEATS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
"""Seconds after which a backend completes again while it hears nothing for certain."""

SESSIONS = "POST /v1/tenants/{tenant}/connect-sessions"
COMPLETE = SESSIONS + "/{session}/complete"
TOKEN = "POST /v1/tenants/{tenant}/connections/{connection}/token"
ONE = "/v1/tenants/{tenant}/connections/{connection}"
PROXY = f"ANY {ONE}/ninjaone/{{path+}}"


@dataclass(eq=False)
class Person:
    """Somebody with one browser, signed in at the SaaS (or not) and at NinjaOne.

    Attributes:
        tenant: the SaaS's tenant they belong to; empty when they are not signed in there
        verifiers: what the SaaS keeps in their session, by connect session
    """

    name: str
    tenant: str
    email: str
    cookies: dict[str, str] = field(default_factory=dict)
    verifiers: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Flow:
    """One connect session, as only the world knows it whole."""

    session: str
    owner: Person
    opened: float
    reconnects: str = ""
    starter: Person | None = None
    started: float = 0.0
    finisher: Person | None = None
    returned: float = 0.0
    grant: str = ""
    ticket: str = ""
    told: set[str] = field(default_factory=set)


class People:
    """What everybody does, as steps to be strung together by scenarios."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.flows: dict[str, Flow] = {}
        self.flow_of_grant: dict[str, Flow] = {}

    def meet(self, name: str, tenant: str, region: str = "eu") -> Person:
        """Make a person with a NinjaOne account of their own."""
        account, email = f"msp {name}", f"{name}@{name}.example"
        self.world.ninjaone.add_tenant(account, f"{region}.ninjarmm.com", {1: f"First of {name}", 2: "Second"})
        self.world.ninjaone.add_person(email, account, admin=True)
        return Person(name, tenant, email)

    # The backend of the SaaS

    def open(self, owner: Person, *, region: str = "eu", connection: str = "", binding: str = "session") -> Flow | None:
        """Open a connect session for a signed-in person."""
        verifier = base64.urlsafe_b64encode(self.world.random.randbytes(32)).rstrip(b"=").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        body = {
            "end_user_id": owner.name,
            "tenant_name": f"Tenant {owner.tenant}",
            **({"binding": binding} if binding == "approval" else {"binding_challenge": challenge}),
            "return_to": "main",
            "region": region,
            **({"connection_id": connection} if connection else {}),
        }
        answer = self._ask("session", gateway.call(SESSIONS, {"tenant": owner.tenant}, body))
        if gateway.status(answer) != 201:
            return None
        flow = Flow(gateway.json_body(answer)["session_id"], owner, self.world.now(), connection)
        owner.verifiers[flow.session] = verifier
        self.flows[flow.session] = flow
        self.world.history.secret(verifier)
        return flow

    def complete(self, person: Person, session: str, ticket: str, *, confirm: bool = False) -> Answer | None:
        """Let the SaaS complete for whoever is signed in in the browser that came back."""
        if not person.tenant:
            return None
        body = {
            "end_user_id": person.name,
            "ticket": ticket,
            "binding_verifier": person.verifiers.get(session, "v" * 43),
            **({"confirm_account_change": True} if confirm else {}),
        }
        path = {"tenant": person.tenant, "session": session}
        asked = self.world.now()
        answer = self._ask("complete", gateway.call(COMPLETE, path, body))
        if gateway.status(answer) == 200:
            flow = self.flows[session]
            invariants.check(self.world, "completed", flow, person, asked)
        self._tell(self.flows.get(session), answer)
        return answer

    def finish(self, person: Person, session: str, ticket: str) -> Answer | None:
        """Complete, and again while the answer is lost or says to."""
        answer = self.complete(person, session, ticket)
        for wait in REPEATS:
            if answer is not None and gateway.status(answer) not in PASSING:
                return answer
            self.world.scheduler.wait(wait)
            answer = self.complete(person, session, ticket)
        return answer

    def flow_of(self, exchange: Exchange) -> Flow | None:
        """Find the flow whose code or token a request carries."""
        return self.flow_of_grant.get(self.world.oracle.grant(exchange.presented))

    def _tell(self, flow: Flow | None, answer: Answer | None) -> None:
        """Note what the backend heard for certain: not that it has to wait, prove somebody, or has nothing there."""
        if flow is None or answer is None or gateway.status(answer) in {400, 403, 404, *PASSING}:
            return
        said = gateway.json_body(answer)
        if not said.get("type", "").endswith("not-authorized"):
            flow.told.add(said.get("connection_id") or said["type"])
            self.world.history.reached["consent lost"] += said.get("type", "").endswith("consent-lost")
            invariants.check(self.world, "told", flow)

    def token(self, ref: Ref, min_ttl: int) -> Answer | None:
        """Ask for an access token."""
        asked = self.world.now()
        self.world.history.wanted[ref] = max(min_ttl, self.world.history.wanted[ref])
        path = {"tenant": ref[0], "connection": ref[1]}
        answer = self._ask("token", gateway.call(TOKEN, path, {"min_ttl": min_ttl}))
        invariants.check(self.world, "given", ref, asked, answer)
        return answer

    def passed_on(self, ref: Ref, method: str = "GET", path: str = "v2/organizations") -> Answer | None:
        """Call NinjaOne through the broker."""
        asked = self.world.now()
        named = {"tenant": ref[0], "connection": ref[1], "path": path}
        answer = self._ask("proxy", gateway.call(PROXY, named, {} if method == "POST" else None, method=method))
        invariants.check(self.world, "proxied", ref, asked, answer)
        return answer

    def disconnect(self, ref: Ref) -> Answer | None:
        """End a connection."""
        path = {"tenant": ref[0], "connection": ref[1]}
        answer = self._ask("disconnect", gateway.call("DELETE " + ONE, path))
        if gateway.status(answer) == 200:
            self.world.history.disconnected.setdefault(ref, self.world.now())
        return answer

    def approve(self, ref: Ref) -> Answer | None:
        """Approve a connection that somebody made by a link."""
        return self._ask("complete", gateway.call("POST " + ONE + "/approve", {"tenant": ref[0], "connection": ref[1]}))

    def show(self, ref: Ref) -> Answer | None:
        """Look at a connection."""
        return self._ask("connections", gateway.call("GET " + ONE, {"tenant": ref[0], "connection": ref[1]}))

    # Browsers

    def look(self, person: Person, session: str) -> Answer | None:
        """Open the connect page."""
        route = "GET /connect/{session}"
        return self._ask("connect", gateway.event(route, {"session": session}, cookies=person.cookies))

    def start(self, person: Person, session: str, region: str = "eu") -> str:
        """Press the button; give the address at NinjaOne, or nothing when the broker refused."""
        fields = {"region": region}
        route = "POST /connect/{session}/authorize"
        answer = self._ask("authorize", gateway.form(route, {"session": session}, fields, person.cookies))
        self._keep_cookies(person, answer)
        address = gateway.location(answer)
        if address:
            flow = self.flows[session]
            invariants.check(self.world, "started", flow)
            flow.starter, flow.started, flow.finisher = person, self.world.now(), None
        return address

    def agree(self, person: Person, address: str, *, decision: str = "authorize") -> str:
        """Sign in at NinjaOne and decide; give the address that NinjaOne sends the browser back to."""
        parts = urlsplit(address)
        reply = self.world.ninjaone.consent(parts.hostname or "", person.email, parts.query, decision=decision)
        back = reply.header("location") or ""
        code = parse_qs(urlsplit(back).query).get("code", [""])[0]
        if code:
            self.world.history.secret(code)
            session = parse_qs(parts.query)["state"][0].partition(".")[0]
            flow = self.flows[session]
            grant = self.world.oracle.grant(code)
            self.flow_of_grant[grant] = flow
            self.world.history.consented[grant] = person
        return back

    def come_back(self, person: Person, address: str) -> Answer | None:
        """Follow NinjaOne's redirect to the broker's callback."""
        parts = urlsplit(address)
        route = "GET /callback/{region}"
        path = {"region": parts.path.rpartition("/")[2]}
        answer = self._ask("callback", gateway.event(route, path, query=parts.query, cookies=person.cookies))
        self._keep_cookies(person, answer)
        session = parse_qs(parts.query).get("state", [""])[0].partition(".")[0]
        ticket = parse_qs(urlsplit(gateway.location(answer)).query).get("ticket", [""])[0]
        if session in self.flows and ticket:
            flow = self.flows[session]
            invariants.check(self.world, "returned", flow, ticket)
            if flow.finisher is None:
                flow.finisher, flow.returned, flow.ticket = person, self.world.now(), ticket
            self.world.history.secret(ticket)
        return answer

    def connect(self, person: Person, region: str = "eu", *, connection: str = "") -> Ref | None:
        """Walk the whole way as most people do; give the connection, or None where it ended before."""
        flow = self.open(person, region=region, connection=connection)
        if flow is None:
            return None
        self.look(person, flow.session)
        address = self.start(person, flow.session, region)
        back = self.agree(person, address) if address else ""
        answer = self.come_back(person, back) if back else None
        if answer is None or not flow.ticket:
            return None
        done = self.finish(person, flow.session, flow.ticket)
        if gateway.status(done) != 200:
            return None
        return person.tenant, gateway.json_body(done)["connection_id"]

    def _ask(self, function: str, event: Answer) -> Answer | None:
        invocation = self.world.call(function, event)
        answer: Answer | None = invocation.answer
        invariants.check(self.world, "answered", function, invocation, answer)
        return answer

    def _keep_cookies(self, person: Person, answer: Answer | None) -> None:
        for line in (answer or {}).get("cookies", []):
            name, _, held = line.partition(";")[0].partition("=")
            if held:
                person.cookies[name] = held
                self.world.history.secret(held)
            else:
                person.cookies.pop(name, None)
