"""The client against the broker itself: the whole world on loopback, through the gateway that checks signatures."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.aws.gateway.sigv4 import DEMO, Principal
from local.world import World
from ninjaone_connect import AsyncConnect, Connect, Connection, NinjaOneAuth, errors, new_verifier
from tests.client import loop
from tests.support.local_world import still_world
from tests.support.person import RHONE, agree

REGION = "eu-west-1"
ALLOWED = DEMO
READER = Principal("AKIAREADER", "not-a-secret-either", "reader", ("*/GET/*",))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with still_world(principals=(ALLOWED, READER)) as made:
        yield made


@pytest.fixture(scope="module")
def connect(world: World) -> Iterator[Connect]:
    with Connect(world.api_url, region=REGION, credentials=world.credentials) as made:
        yield made


def session_request(**changes: Any) -> Any:
    return {"end_user_id": "ana", "tenant_name": "Northwind", "return_to": "main"} | changes


def connected(connect: Connect, tenant: str, *, email: str = "ada@nordlicht.example", **changes: Any) -> Connection:
    """Go the whole way."""
    mine = new_verifier()
    opened = connect.open_session(tenant, **session_request(binding_challenge=mine.challenge, **changes))
    back = agree(opened.connect_url, email=email)
    assert back["connect_session"] == opened.session_id
    proof = {"end_user_id": "ana", "ticket": back["ticket"], "binding_verifier": mine.verifier}
    return connect.complete(tenant, opened.session_id, **proof)  # type: ignore[arg-type]  # a dict of these texts


def ninjaone(world: World, auth: NinjaOneAuth, connection: Connection) -> httpx.Client:
    return httpx.Client(auth=auth, base_url=f"{world.ninjaone_url}/{connection.host}", trust_env=False)


def test_from_the_first_call_to_the_last(world: World, connect: Connect) -> None:
    made = connected(connect, "whole", label="Main account", metadata={"plan": "gold"})

    assert (made.status, made.label, made.metadata) == ("active", "Main account", {"plan": "gold"})
    assert made.organizations
    assert connect.connection("whole", made.connection_id) == made
    assert list(connect.connections("whole")) == [made]
    with ninjaone(world, NinjaOneAuth(connect, "whole", made.connection_id), made) as client:
        assert len(client.get("/v2/organizations").json()) == 3
    ended = connect.disconnect("whole", made.connection_id)
    assert (ended.connection.status, ended.revoked) == ("disconnected", True)
    with pytest.raises(errors.NotActive):
        connect.token("whole", made.connection_id)


def test_pages_iterate_themselves(connect: Connect) -> None:
    made = {connected(connect, "pages").connection_id for _ in range(3)}

    assert {each.connection_id for each in connect.connections("pages", page_size=1)} == made
    assert [each.connection_id for each in connect.connections("pages", page_size=2)] == sorted(made)


def test_one_client_object_lives_through_expiry_and_refresh(world: World, connect: Connect) -> None:
    made = connected(connect, "lives")
    auth = NinjaOneAuth(connect, "lives", made.connection_id)
    with ninjaone(world, auth, made) as client:
        assert client.get("/v2/organizations").status_code == 200
        world.clock.advance(3700)
        world.run_event_sources()
        assert client.get("/v2/organizations").status_code == 200

    assert connect.connection("lives", made.connection_id).version == 2


def test_one_object_of_a_module_serves_one_event_loop_after_the_other(world: World, connect: Connect) -> None:
    """As in a worker that runs ``asyncio.run`` for each job: the connections of a loop end with it."""
    made = connected(connect, "jobs")
    aconnect = AsyncConnect(world.api_url, region=REGION, credentials=world.credentials, max_wait=0)
    auth = NinjaOneAuth(aconnect, "jobs", made.connection_id)

    async def job() -> int:
        await aconnect.connection("jobs", made.connection_id)
        base_url = f"{world.ninjaone_url}/{made.host}"
        async with httpx.AsyncClient(auth=auth, base_url=base_url, trust_env=False) as client:
            return (await client.get("/v2/organizations")).status_code

    assert [loop.run(job()) for _ in range(4)] == [200] * 4


def test_the_async_client_goes_the_same_way(world: World, connect: Connect) -> None:
    made = connected(connect, "async")

    async def use() -> tuple[int, list[str]]:
        async with AsyncConnect(world.api_url, region=REGION, credentials=world.credentials) as aconnect:
            auth = NinjaOneAuth(aconnect, "async", made.connection_id)
            base_url = f"{world.ninjaone_url}/{made.host}"
            async with httpx.AsyncClient(auth=auth, base_url=base_url, trust_env=False) as client:
                answers = await asyncio.gather(*(client.get("/v2/organizations") for _ in range(20)))
            listed = [each.connection_id async for each in aconnect.connections("async", page_size=1)]
        return sum(answer.status_code == 200 for answer in answers), listed

    assert loop.run(use()) == (20, [made.connection_id])


def test_a_reconnect_keeps_the_id_and_another_account_is_refused(connect: Connect) -> None:
    made = connected(connect, "again")

    again = connected(connect, "again", connection_id=made.connection_id)
    assert (again.connection_id, again.version) == (made.connection_id, made.version + 100)
    with pytest.raises(errors.AccountMismatch, match="confirm_account_change"):
        connected(connect, "again", connection_id=made.connection_id, email=RHONE)


def test_a_connection_that_waits_for_approval(world: World, connect: Connect) -> None:
    opened = connect.open_session("waits", **session_request(binding="approval"))
    assert agree(opened.connect_url) == {}
    world.run_event_sources()
    [made] = connect.connections("waits", status="any")

    assert made.status == "pending_approval"
    with pytest.raises(errors.NotApproved):
        connect.token("waits", made.connection_id)
    assert connect.approve("waits", made.connection_id).status == "active"
    with pytest.raises(errors.NotPending):
        connect.approve("waits", made.connection_id)


def test_completing_twice_gives_the_connection_again_and_somebody_else_nothing(connect: Connect) -> None:
    mine = new_verifier()
    opened = connect.open_session("proof", **session_request(binding_challenge=mine.challenge))
    ticket = agree(opened.connect_url)["ticket"]

    with pytest.raises(errors.BindingMismatch):
        connect.complete("proof", opened.session_id, end_user_id="ben", ticket=ticket, binding_verifier=mine.verifier)
    first, second = (
        connect.complete("proof", opened.session_id, end_user_id="ana", ticket=ticket, binding_verifier=mine.verifier)
        for _ in range(2)
    )

    assert first.connection_id == second.connection_id


def test_a_tenant_that_is_not_yours_looks_like_one_without_the_connection(connect: Connect) -> None:
    made = connected(connect, "mine")

    for call in (connect.connection, connect.token, connect.approve, connect.disconnect):
        with pytest.raises(errors.UnknownConnection, match="no such connection in this tenant"):
            call("yours", made.connection_id)
    assert connect.connection("mine", made.connection_id).status == "active"


def test_a_wish_with_faults_hears_of_all_of_them(connect: Connect) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        connect.open_session("faults", **session_request(binding_challenge="short", region="mars", label=""))

    assert {fault.field for fault in caught.value.faults} >= {"binding_challenge", "region"}
    assert caught.value.request_id


def test_a_key_that_the_operator_did_not_list_is_not_returned_to(connect: Connect) -> None:
    with pytest.raises(errors.ReturnNotListed):
        connect.open_session(
            "faults", **session_request(binding_challenge=new_verifier().challenge, return_to="elsewhere")
        )


def test_a_denial_at_ninjaone_is_told_when_completing(connect: Connect) -> None:
    mine = new_verifier()
    opened = connect.open_session("denied", **session_request(binding_challenge=mine.challenge))
    back = agree(opened.connect_url, decision="Deny access")

    assert back["error"] == "access_denied"
    with pytest.raises(errors.AccessDenied):
        connect.complete(
            "denied", opened.session_id, end_user_id="ana", ticket="t" * 43, binding_verifier=mine.verifier
        )


def test_a_connection_that_needs_its_customer_says_why_and_how(world: World, connect: Connect) -> None:
    made = connected(connect, "dead")
    grant = world.ninjaone.oracle.grant_of(connect.token("dead", made.connection_id).access_token)
    assert grant
    world.ninjaone.admin.revoke_grant(grant.id)
    world.clock.advance(3700)
    for _ in range(20):  # nobody else is granted there, so the verdict is believed after half an hour
        world.run_event_sources()
        world.clock.advance(120)

    with pytest.raises(errors.NeedsReauth, match="reconnect") as caught:
        connect.token("dead", made.connection_id)

    assert (caught.value.connection_id, caught.value.reason) == (made.connection_id, "revoked")
    assert connected(connect, "dead", connection_id=made.connection_id).status == "active"


def test_an_identity_without_the_permission_is_told_so(world: World) -> None:
    with Connect(world.api_url, region=REGION, credentials=READER.credentials) as reader:
        assert list(reader.connections("nobody")) == []
        with pytest.raises(errors.Forbidden, match="execute-api:Invoke"):
            reader.token("nobody", "con_" + "a" * 26)


def test_a_signature_for_another_region_is_told_so(world: World) -> None:
    lost = Connect(world.api_url, region="us-east-1", credentials=world.credentials)

    with lost, pytest.raises(errors.Forbidden, match="not in us-east-1"):
        lost.connection("nobody", "con_" + "a" * 26)


def test_a_broker_that_is_down_is_told_from_everything_else(world: World) -> None:
    nobody = Connect("http://127.0.0.1:9", region=REGION, credentials=world.credentials, max_wait=0)

    with nobody, pytest.raises(errors.NotReached, match=r"http://127\.0\.0\.1:9 can't be reached"):
        nobody.connection("nobody", "con_" + "a" * 26)
