"""NinjaOne as one object: every host, its endpoints, its administrators, and an oracle for tests.

No HTTP, no wall clock, no randomness of its own and no threads, so that a simulation can drive it directly.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from ninjaone_emulator import api, authorize, signin, token
from ninjaone_emulator.admin import Admin
from ninjaone_emulator.faults import KINDS, Endpoint, Fault, Faults
from ninjaone_emulator.hosts import Host
from ninjaone_emulator.message import Reply, Request, failure, nginx_page, oauth_json
from ninjaone_emulator.oracle import Oracle
from ninjaone_emulator.state import ClientApp, Event, Organization, Person, State, Tenant
from ninjaone_emulator.switches import Switches

Handler = Callable[[State, Request], Reply]


class NinjaOne:
    """All of NinjaOne.

    Args:
        clock: Unix seconds; `advance` moves NinjaOne's own time ahead of it
        entropy: n to n random bytes
    """

    def __init__(
        self,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        switches: Switches | None = None,
    ) -> None:
        self.state = State(clock, entropy, switches or Switches())
        self.oracle = Oracle(self.state)
        self.admin = Admin(self.state)

    @property
    def switches(self) -> Switches:
        """How it behaves; set them at any time."""
        return self.state.switches

    @property
    def faults(self) -> Faults:
        """What will go wrong."""
        return self.state.faults

    @property
    def events(self) -> list[Event]:
        """What happened, oldest first."""
        return list(self.state.events)

    def now(self) -> float:
        """Return NinjaOne's own time in Unix seconds."""
        return self.state.now()

    def advance(self, seconds: float) -> None:
        """Move NinjaOne's own time on."""
        self.state.offset += seconds
        self.state.record("clock.advanced", seconds=seconds)

    def add_host(self, name: str, *, alias_of: str | None = None) -> None:
        """Make NinjaOne answer on one more host."""
        self.state.hosts[name] = Host(name, alias_of=alias_of)

    def add_tenant(self, name: str, host: str, organizations: Mapping[int, str]) -> Tenant:
        """Open an account.

        Args:
            organizations: id to name
        """
        rows = tuple(Organization(number, title) for number, title in organizations.items())
        self.state.tenants[name] = Tenant(name, host, rows)
        return self.state.tenants[name]

    def add_person(self, email: str, tenant: str, *, admin: bool = False) -> Person:
        """Create a login for a person."""
        self.state.people[email] = Person(email, self.state.tenants[tenant], admin)
        return self.state.people[email]

    def app(self, client_id: str) -> ClientApp:
        """Find a registered client app."""
        return self.state.apps[client_id]

    def sign_in(self, email: str) -> str:
        """Sign a person in without the form; gives the Cookie header of their browser."""
        return f"{signin.COOKIE}={signin.start_session(self.state, self.state.people[email])}"

    def consent(
        self, host: str, email: str, query: str, *, decision: str = "authorize", remember: bool = False
    ) -> Reply:
        """Walk an authorize request as this person's browser does, up to where it is sent.

        Args:
            query: of the authorize URL
            decision: authorize or deny
        """
        form = {"decision": decision} | ({"remember": "on"} if remember else {})
        return self.respond(
            "POST",
            host,
            "/ws/oauth/authorize",
            headers={"Cookie": self.sign_in(email)},
            query=query,
            body=urlencode(form).encode(),
        )

    def token(self, host: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Reply:
        """Answer a token request, past all faults."""
        return token.token(self.state, host, _lower(headers), form)

    def respond(
        self,
        method: str,
        host: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        body: bytes = b"",
        base: str = "",
    ) -> Reply:
        """Answer any request to any host, faults included.

        Args:
            query: without the question mark
            base: the address of the host as the browser sees it; its https address when empty
        """
        if host not in self.state.hosts:
            return nginx_page(404)
        request = Request(
            method,
            host,
            path,
            headers=_lower(headers or {}),
            query=query,
            body=body,
            base=base or f"https://{host}",
        )
        endpoint, handler = self._route(path)
        fault = self.faults.meet(endpoint, host)
        return self._suffer(fault, handler, request) if fault else handler(self.state, request)

    def _route(self, path: str) -> tuple[Endpoint, Handler]:
        """Find what answers a path; /oauth and /api/v2 are aliases of /ws/oauth and /v2."""
        if path.startswith("/oauth/"):
            return ROUTES.get(f"/ws{path}", NOWHERE) if self.switches.alias_path else NOT_ROUTED
        if path.startswith("/ws/oauth/") and not self.switches.ws_path:
            return NOT_ROUTED
        if path.startswith(("/v2/", "/api/v2/")):
            return "api", api.answer
        return ROUTES.get(path, NOWHERE)

    def _suffer(self, fault: Fault, handler: Handler, request: Request) -> Reply:
        """Answer through a fault: some strike before NinjaOne did anything, some after."""
        self.state.record("fault.met", kind=fault.kind, host=request.host, on=fault.on)
        kind = KINDS[fault.kind]
        done = handler(self.state, request) if kind.processed else Reply(0)
        return kind.apply(done, fault.seconds)


def _metadata(_: State, request: Request) -> Reply:
    """Publish the endpoints (RFC 8414); the issuer is the host's name, wherever the host is served."""
    return oauth_json(
        200,
        {
            "issuer": f"https://{request.host}/",
            "authorization_endpoint": f"{request.base}/ws/oauth/authorize",
            "revocation_endpoint": f"{request.base}/ws/oauth/revoke",
            "token_endpoint": f"{request.base}/ws/oauth/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["monitoring"],
        },
    )


def _app_version(state: State, request: Request) -> Reply:
    version = state.hosts[request.host].version
    return Reply(200, (("Server", "nginx"), ("Content-Type", "text/plain")), version.encode())


def _not_found(state: State, _: Request) -> Reply:
    return failure(404, state.incident())


def _not_routed(_state: State, _: Request) -> Reply:
    return nginx_page(404)


NOWHERE: tuple[Endpoint, Handler] = ("page", _not_found)
NOT_ROUTED: tuple[Endpoint, Handler] = ("page", _not_routed)
ROUTES: dict[str, tuple[Endpoint, Handler]] = {
    "/": ("page", signin.answer),
    "/logout": ("page", signin.leave),
    "/app-version.txt": ("page", _app_version),
    "/.well-known/oauth-authorization-server": ("page", _metadata),
    "/ws/oauth/authorize": ("authorize", authorize.answer),
    "/ws/oauth/error": ("page", authorize.error),
    "/ws/oauth/token": ("token", token.answer),
    "/ws/oauth/revoke": ("revoke", token.revoke),
}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
