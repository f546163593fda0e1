"""The example worker: the devices of every connected account, and a word for those that need their customer."""

import subprocess
import sys

import pytest

from local.world import World
from ninjaone_connect import Connect, new_verifier
from tests.client.examples.conftest import EXAMPLES, environment
from tests.support.local_world import still_world
from tests.support.person import RHONE, agree


def connected(connect: Connect, tenant: str, **who: str) -> str:
    mine = new_verifier()
    opened = connect.open_session(
        tenant, end_user_id="ana", tenant_name=tenant, return_to="main", label=tenant, binding_challenge=mine.challenge
    )
    ticket = agree(opened.connect_url, **who)["ticket"]
    made = connect.complete(tenant, opened.session_id, end_user_id="ana", ticket=ticket, binding_verifier=mine.verifier)
    return made.connection_id


def listed(world: World, *tenants: str) -> list[list[str]]:
    """What the worker prints, in columns."""
    command = [sys.executable, str(EXAMPLES / "devices.py"), *tenants]
    said = subprocess.run(command, env=environment(world), capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in said.splitlines()]


@pytest.mark.slow
def test_the_worker_lists_the_devices_of_every_connected_tenant() -> None:
    with (
        still_world() as world,
        Connect(world.api_url, region="eu-west-1", credentials=world.credentials) as connect,
    ):
        connected(connect, "northwind")
        gone = connected(connect, "southgate", email=RHONE)
        connected(connect, "eastside", email=RHONE)

        found = listed(world, "northwind", "southgate", "nobody")
        assert {tenant for tenant, *_ in found} == {"northwind", "southgate"}
        assert len(found) == len({tuple(line) for line in found}) > 10

        grant = world.ninjaone.oracle.grant_of(connect.token("southgate", gone).access_token)
        assert grant
        world.ninjaone.admin.revoke_grant(grant.id)
        world.clock.advance(3700)
        for _ in range(20):  # until the verdict is believed, which takes half an hour at most
            world.run_event_sources()
            world.clock.advance(120)

        found = listed(world, "southgate", "northwind")
        assert found[0] == ["southgate", "southgate", "ask the customer to reconnect: revoked"]
        assert {tenant for tenant, *_ in found[1:]} == {"northwind"}
