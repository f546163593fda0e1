"""Who uses the stack: a person with a browser, and a backend that signs under a role of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
from botocore.credentials import Credentials

from local.browser import Browser
from ninjaone_connect import Connect, Connection, new_verifier
from ninjaone_emulator.seed import Credentials as ClientApp
from tools.rehearse.cloud import Account
from tools.rehearse.deploy import Stack
from tools.rehearse.environment import REGION

RETURN_URL = "https://app.rehearsal.example/ninjaone/return"
ATTEMPTS = 3
"""How often a person sends the connect page's form off; the broker lets nobody do it more than five times."""
TENANT, USER = "northwind", "ana"
ADA = "ada@nordlicht.example"
"""An administrator of Nordlicht Systemhaus, on eu."""
RHONE = "ada@rhone.example"
"""An administrator of another NinjaOne account there."""


class Visitor(Browser):
    """A browser that verifies certificates."""

    def __init__(self) -> None:
        super().__init__()
        self._client.close()
        self._client = httpx.Client(timeout=60, trust_env=False)


@dataclass(frozen=True)
class Home:
    """How a person came back to the product.

    Attributes:
        session, ticket: out of the return address; empty where the connection waits for an approval
        verifier: kept by the product meanwhile
    """

    session: str
    ticket: str
    verifier: str


def hire_backend(account: Account, stack: Stack) -> Credentials:
    """Make an identity that may do what the output BackendPermission says, and nothing else."""
    iam = account.client("iam")
    iam.create_user(UserName="backend")
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": stack.outputs["BackendPermission"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="backend", PolicyName="invoke", PolicyDocument=policy)
    key = iam.create_access_key(UserName="backend")["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def backend(stack: Stack, credentials: Credentials) -> Connect:
    """Return the client library that a product uses."""
    return Connect(stack.outputs["BackendApiUrl"], region=REGION, credentials=credentials)


@contextmanager
def browser() -> Iterator[Visitor]:
    with Visitor() as opened:
        yield opened


def walk(
    connect: Connect,
    *,
    email: str = ADA,
    app: ClientApp | None = None,
    connection_id: str | None = None,
    label: str | None = None,
    approval: bool = False,
) -> Home:
    """Go as a person from the product to NinjaOne and back to the product, which is not asked.

    Args:
        app: the customer's own client app, typed into the connect page
        connection_id: the connection to reconnect
        approval: bring no proof: the connection waits until the backend approves it
    """
    verifier = new_verifier()
    session = connect.open_session(
        TENANT, end_user_id=USER, tenant_name="Northwind IT", return_to="main", label=label,
        connection_id=connection_id, client="customer" if app else None,
        binding="approval" if approval else None, binding_challenge=None if approval else verifier.challenge,
    )  # fmt: skip
    with browser() as visitor:
        visitor.open(session.connect_url)
        fields = {"region": "eu"} | ({"client_id": app.client_id, "client_secret": app.client_secret} if app else {})
        _continue(visitor, fields)
        if visitor.arrive().heading == "Sign in":
            visitor.submit("Sign in", email=email, password="any")
            visitor.arrive()
        visitor.submit("Authorize")
        back = visitor.follow().location
    query = parse_qs(urlsplit(back).query)
    return Home(query.get("connect_session", [""])[0], query.get("ticket", [""])[0], verifier.verifier)


def _continue(visitor: Visitor, fields: dict[str, str]) -> None:
    """Send the form off, again when the page says that it is not possible right now, as it does on a busy machine."""
    for _ in range(ATTEMPTS):
        if visitor.submit("Continue to NinjaOne", **fields).status < 500:
            return


def complete(connect: Connect, home: Home) -> Connection:
    """Prove as the product who came back."""
    return connect.complete(TENANT, home.session, end_user_id=USER, ticket=home.ticket, binding_verifier=home.verifier)
