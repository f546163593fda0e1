"""A worker that lists the devices of every connected NinjaOne account: python devices.py northwind southgate"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import httpx

from ninjaone_connect import Connect, Connection, NeedsReauth, NinjaOneAuth


def main(tenants: list[str]) -> None:
    with Connect(os.environ["BACKEND_API_URL"]) as connect:
        for tenant in tenants:
            for connection in connect.connections(tenant, status=("active", "paused", "needs_reauth")):
                list_devices(connect, connection)


def list_devices(connect: Connect, connection: Connection) -> None:
    """Print one line for each device; a connection that needs its customer is no reason to stop."""
    auth = NinjaOneAuth(connect, connection.tenant_id, connection.connection_id)
    with httpx.Client(auth=auth, base_url=connection.api_base_url) as ninjaone:
        try:
            for device in pages(ninjaone, "/v2/devices"):
                print(connection.tenant_id, connection.label, device["id"], device["systemName"], sep="\t")
        except NeedsReauth as error:
            print(connection.tenant_id, connection.label, f"ask the customer to reconnect: {error.reason}", sep="\t")


def pages(ninjaone: httpx.Client, path: str, size: int = 100) -> Iterator[dict[str, Any]]:
    """Go through a list of NinjaOne's; the next page begins after the last id."""
    after = 0
    while some := ninjaone.get(path, params={"pageSize": size, "after": after}).raise_for_status().json():
        yield from some
        after = some[-1]["id"]


if __name__ == "__main__":
    main(sys.argv[1:])
