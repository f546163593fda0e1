"""A person's way from a product to NinjaOne and back, step by step, through the broker's own use cases."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from broker import oauth
from broker.edge.browser import session_named
from broker.edge.http import Request
from broker.edge.wiring import Broker
from broker.flows.authorize import AuthorizeRedirect, AuthorizeRequest
from broker.flows.callback import ReturnTo
from broker.flows.complete import CompleteRequest
from broker.flows.session import SessionRequest
from broker.model import Binding, Client, ConnectionRef, ConnectionState, Host, Profile, Session, SessionId, TenantId
from broker.secret import Secret
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.support.events import event

CONNECT_URL = "https://connect.example"
TENANT = TenantId("acme-msp")
END_USER = "user-17"
VERIFIER = Secret("v" * 43)
EU = Host("eu", "eu.ninjarmm.com")
ADA = "ada@nordlicht.example"
"""An administrator of Nordlicht Systemhaus, on eu."""
RHONE = "ada@rhone.example"
"""An administrator of another NinjaOne account on the same host."""
OWN = Client(CUSTOMER_APPS["eu"].client_id, Secret(CUSTOMER_APPS["eu"].client_secret), customer_app=True)
"""The client app that Nordlicht Systemhaus registered for itself."""


@dataclass
class Journey:
    """One person and one backend; every step can be changed."""

    broker: Broker
    ninjaone: NinjaOne
    tenant: TenantId = TENANT
    end_user: str = END_USER
    verifier: Secret = field(default_factory=lambda: VERIFIER)
    cookies: dict[SessionId, Secret] = field(default_factory=dict)

    def open(self, **changes: Any) -> Session:
        """Open a connect session as the backend."""
        asked: dict[str, Any] = {
            "tenant": self.tenant,
            "tenant_name": "Acme MSP",
            "end_user_id": self.end_user,
            "binding": Binding.SESSION,
            "binding_challenge": oauth.challenge(self.verifier),
            "return_to": "main",
            "scopes": frozenset({"monitoring", "management"}),
            "host": None,
            "customer_app": False,
            "client": None,
            "label": "",
            "metadata": {},
            "connection": None,
        }
        return self.broker.open_session(SessionRequest(**asked | changes))

    def leave(
        self, session: Session, host: Host = EU, *, client: Client | None = None, check_host: bool = False
    ) -> AuthorizeRedirect:
        """Leave for NinjaOne; the browser keeps its cookie."""
        held = self.cookies.get(session.session)
        leaving = self.broker.start_authorization(AuthorizeRequest(session.session, host, client, held, check_host))
        self.cookies[session.session] = leaving.cookie
        return leaving

    def agree(self, leaving: AuthorizeRedirect, *, email: str = ADA, decision: str = "authorize") -> str:
        """Agree at NinjaOne, or don't; gives the query of the redirect back."""
        there = urlsplit(leaving.location)
        reply = self.ninjaone.consent(there.hostname or "", email, there.query, decision=decision)
        back = reply.header("Location") or ""
        assert back.startswith(f"{CONNECT_URL}/callback/"), back
        return urlsplit(back).query

    def arrive(self, query: str, region: str = "eu") -> ReturnTo:
        """Come back from NinjaOne."""
        named = session_named(Request.from_event(event("GET /callback/{region}", region=region, query=query)))
        return self.broker.handle_callback(region, query, named, self.cookies.get(named) if named else None)

    def proof(self, home: ReturnTo, **changes: Any) -> CompleteRequest:
        """What the backend brings to complete."""
        proof: dict[str, Any] = {
            "tenant": self.tenant,
            "end_user_id": self.end_user,
            "ticket": ticket(home),
            "binding_verifier": self.verifier,
        }
        return CompleteRequest(**proof | changes)

    def complete(self, home: ReturnTo, *, confirm: bool = False, **changes: Any) -> tuple[ConnectionState, Profile]:
        """Complete as the backend."""
        made = self.broker.complete(home.session, self.proof(home, **changes), confirm_account_change=confirm)
        return made.state, made.profile

    def home(self, *, email: str = ADA, host: Host = EU, client: Client | None = None, **opening: Any) -> ReturnTo:
        """Go all the way back to the product."""
        leaving = self.leave(self.open(**opening), host, client=client)
        return self.arrive(self.agree(leaving, email=email), host.region)

    def connect(self, *, confirm: bool = False, **changes: Any) -> tuple[ConnectionState, Profile]:
        """Go all the way to a connection."""
        return self.complete(self.home(**changes), confirm=confirm)


def ticket(home: ReturnTo) -> Secret:
    """Read the ticket out of the return address, as the product does."""
    query = parse_qs(urlsplit(home.location or "").query)
    return Secret(query.get("ticket", ["none"])[0])


def ref(state: ConnectionState) -> ConnectionRef:
    """Name a connection."""
    return ConnectionRef(state.tenant, state.connection)
