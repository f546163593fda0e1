"""For tests: a NinjaOne with time and randomness set by hand, and a client app that goes through it (RFC 6749 §4.1)."""

from base64 import urlsafe_b64encode
from hashlib import sha256, sha512
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from ninjaone_emulator import NinjaOne, Reply, Switches, seed
from ninjaone_emulator.seed import OPERATOR_APPS

START = 1_700_000_000.0
BROKER = "http://127.0.0.1:8000"
EU = "eu.ninjarmm.com"
ADA = "ada@nordlicht.example"
SCOPE = "monitoring management offline_access"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DEAD = b'{"error":"invalid_token"}'


def make_ninjaone(**switches: object) -> NinjaOne:
    """Make a seeded NinjaOne whose time stands still and whose randomness repeats."""
    numbers = count(1)
    settings = Switches()
    settings.update(switches)
    core = NinjaOne(lambda: START, lambda size: sha512(f"{next(numbers)}".encode()).digest()[:size], settings)
    seed(core, BROKER)
    return core


class Client:
    """The operator's app on eu, unless told otherwise."""

    def __init__(self, core: NinjaOne, *, host: str = EU, email: str = ADA, **fields: str) -> None:
        self.core, self.host, self.email = core, host, email
        client_id, secret = OPERATOR_APPS["eu"]
        self.fields = {"client_id": client_id, "client_secret": secret} | fields
        self.redirect_uri = f"{BROKER}/callback/eu"

    def query(self, **changes: str | None) -> str:
        """Write the authorize query; None leaves a parameter out."""
        params: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.fields["client_id"],
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": "st-1",
        }
        return urlencode({name: value for name, value in (params | changes).items() if value is not None})

    def consent(self, decision: str = "authorize", /, **changes: str | None) -> Reply:
        """Walk the person's browser through NinjaOne."""
        return self.core.consent(self.host, self.email, self.query(**changes), decision=decision)

    def code(self, **changes: str | None) -> str:
        """Get a code."""
        return came_back(self.consent(**changes))["code"]

    def token(self, **fields: str) -> Reply:
        """Send a token request; empty fields are left out."""
        form = {name: value for name, value in (self.fields | fields).items() if value}
        return self.core.token(self.host, {}, form)

    def exchange(self, code: str, **fields: str) -> Reply:
        """Exchange a code."""
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return self.token(**given | fields)

    def refresh(self, refresh_token: str, **fields: str) -> Reply:
        """Refresh."""
        return self.token(**{"grant_type": "refresh_token", "refresh_token": refresh_token} | fields)

    def connect(self, **changes: str | None) -> dict[str, Any]:
        """Go all the way to the first tokens."""
        reply = self.exchange(self.code(**changes))
        assert reply.status == 200, reply.body
        fields: dict[str, Any] = reply.json()
        return fields

    def organizations(self, access_token: str, host: str = "") -> Reply:
        """List organizations."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.core.respond("GET", host or self.host, "/v2/organizations", headers=headers)


def came_back(reply: Reply) -> dict[str, str]:
    """Read what a redirect to the broker carries."""
    location = reply.header("Location") or ""
    assert location.startswith(f"{BROKER}/callback/"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
