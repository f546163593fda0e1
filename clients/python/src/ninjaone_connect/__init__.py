"""Ask your NinjaOne Connect broker for connections and access tokens.

connect = Connect("https://….execute-api.eu-west-1.amazonaws.com")
connection = connect.connection("northwind", "con_…")
auth = NinjaOneAuth(connect, "northwind", connection.connection_id)
ninjaone = httpx.Client(auth=auth, base_url=connection.api_base_url)
ninjaone.get("/v2/organizations")
"""

from ninjaone_connect.auth import NinjaOneAuth
from ninjaone_connect.client import AsyncConnect, Connect
from ninjaone_connect.errors import ConnectError, ListIncomplete, NeedsReauth, Problem
from ninjaone_connect.lists import async_pages, pages
from ninjaone_connect.model import Connection, ConnectSession, Disconnected, Organization, Token, Verifier, new_verifier

__all__ = [
    "AsyncConnect", "Connect", "ConnectError", "ConnectSession", "Connection", "Disconnected", "ListIncomplete",
    "NeedsReauth", "NinjaOneAuth", "Organization", "Problem", "Token", "Verifier", "async_pages", "new_verifier",
    "pages",
]  # fmt: skip
