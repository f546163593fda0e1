"""What an outsider can do: people with browsers, a backend that signs, and anybody with neither, over real HTTP."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from local.aws.gateway.sigv4 import DEMO, Principal
from local.browser import Browser, Page
from local.world import World
from tests.support.person import ADA, query_of
from tests.support.signing import signed

CONTINUE = "Continue to NinjaOne"

Json = dict[str, Any]

_numbers = count(1)


def s256(verifier: str) -> str:
    """Hash a verifier as a backend does."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Answers:
    """Every answer that anybody got."""

    seen: list[httpx.Response] = field(default_factory=list)

    def note(self, answer: httpx.Response) -> httpx.Response:
        self.seen.append(answer)
        return answer


class Backend:
    """A SaaS backend, or whoever holds a key: signs what it is told to and gives the answer as it is."""

    def __init__(self, world: World, answers: Answers, principal: Principal = DEMO) -> None:
        self._url, self.answers = world.api_url, answers
        self._credentials = principal.credentials
        self._http = httpx.Client(timeout=60, trust_env=False, verify=False)  # plain http, on loopback

    def call(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one signed request; a body of bytes goes as it is."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        said = {"Content-Type": "application/json", **(headers or {})}
        told = signed(self._credentials, method, self._url + path, content, said)
        return self.answers.note(self._http.request(method, self._url + path, content=content, headers=told))

    def post(self, path: str, body: object = None) -> httpx.Response:
        return self.call("POST", path, {} if body is None else body)

    def get(self, path: str) -> httpx.Response:
        return self.call("GET", path)

    def close(self) -> None:
        self._http.close()


@dataclass
class Flow:
    """One connect session on its way.

    Attributes:
        browser: who walks it
        verifier: what the backend keeps in the session of the user who began
    """

    world: World
    backend: Backend
    browser: Browser
    tenant: str
    user: str = "u-1"
    verifier: str = field(default_factory=lambda: f"verifier-{hashlib.sha256(bytes(next(_numbers))).hexdigest()[:34]}")
    session: str = ""
    connect_url: str = ""

    def opening(self, **changes: object) -> Json:
        """Write what a backend asks for; None leaves a field out."""
        asked: Json = {
            "end_user_id": self.user,
            "tenant_name": "Acme MSP",
            "return_to": "main",
            "binding_challenge": s256(self.verifier),
            "scopes": ["monitoring"],
        }
        return {name: held for name, held in (asked | changes).items() if held is not None}

    def open(self, **changes: object) -> "Flow":
        """Open the session as the backend."""
        answer = self.backend.post(f"/v1/tenants/{self.tenant}/connect-sessions", self.opening(**changes))
        assert answer.status_code == 201, answer.text
        self.session, self.connect_url = answer.json()["session_id"], answer.json()["connect_url"]
        return self

    def leave(
        self, region: str = "eu", more: Mapping[str, str] | None = None, *, browser: Browser | None = None
    ) -> Page:
        """Press the button of the connect page."""
        person = browser or self.browser
        return person.post(f"{self.connect_url}/authorize", {"region": region, **(more or {})})

    def agree(self, email: str = ADA, decision: str = "Authorize", browser: Browser | None = None) -> str:
        """Go through NinjaOne; give the address that it sends the browser back to, not yet opened."""
        person = browser or self.browser
        if "Sign in" in person.arrive().heading:
            person.submit("Sign in", email=email, password="any")
            person.arrive()
        return person.submit(decision).location

    def back(self, region: str = "eu", email: str = ADA, decision: str = "Authorize") -> str:
        """Open, leave and agree: give the callback's address, not yet opened."""
        if not self.session:
            self.open()
        left = self.leave(region)
        assert left.location, left.text
        return self.agree(email, decision)

    def home(self, **way: Any) -> Json:
        """Go all the way back to the product; give what its return address says."""
        page = self.browser.get(self.back(**way))
        assert page.status == 303, page.text
        return query_of(page.location)

    def proof(self, ticket: str, **changes: object) -> Json:
        """Write the completing call."""
        proof = {"end_user_id": self.user, "ticket": ticket, "binding_verifier": self.verifier}
        return {name: held for name, held in (proof | changes).items() if held is not None}

    def complete(self, ticket: str, *, tenant: str = "", **changes: object) -> httpx.Response:
        """Complete as a backend."""
        path = f"/v1/tenants/{tenant or self.tenant}/connect-sessions/{self.session}/complete"
        return self.backend.post(path, self.proof(ticket, **changes))

    def connect(self, **way: Any) -> Json:
        """Go all the way to a connection."""
        answer = self.complete(self.home(**way)["ticket"])
        assert answer.status_code == 200, answer.text
        made: Json = answer.json()
        return made

    def tokens(self) -> int:
        """Count the access tokens that NinjaOne ever gave in this world."""
        return sum(len(grant.access_tokens) for grant in self.world.ninjaone.oracle.grants())


def slug(answer: httpx.Response) -> str:
    """Name a problem."""
    return str(answer.json()["type"]).rpartition(":")[2]


def row_of(world: World, session: str) -> Json:
    """Read a session as it lies in the table: what only the operator can do."""
    table = next(each.name for each in world.template.tables if each.hash_key == "session")
    found: Json = world.aws("dynamodb").get_item(TableName=table, Key={"session": {"S": session}}, ConsistentRead=True)[
        "Item"
    ]
    return found
