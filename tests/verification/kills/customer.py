"""A customer who connects, and the backend that asks for it, over real HTTP."""

import secrets
from typing import Any

from broker import oauth
from broker.secret import Secret
from local.product.backend import Backend
from local.world import World
from tests.support.person import ADA, agree


def backend(world: World) -> Backend:
    """Act as the product's backend."""
    return Backend(world.api_url, world.credentials)


def connect(
    asked: Backend, tenant: str, *, region: str = "eu", email: str = ADA, connection_id: str | None = None
) -> dict[str, Any]:
    """Go all the way from the link to the tokens, and give the connection.

    connection   one that exists, to connect again under its id
    """
    verifier = secrets.token_urlsafe(32)
    session_request = {
        "end_user_id": "ana",
        "tenant_name": "Acme",
        "return_to": "main",
        "binding_challenge": oauth.challenge(Secret(verifier)),
    } | ({"connection_id": connection_id} if connection_id else {})
    opened = asked.open_session(tenant, session_request)
    ticket = agree(opened["connect_url"], region=region, email=email)["ticket"]
    proof = {"end_user_id": "ana", "ticket": ticket, "binding_verifier": verifier}
    return asked.complete(tenant, opened["session_id"], proof)
