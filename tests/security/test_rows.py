"""Somebody who writes to the tables, has no key, and is a customer of the product: rows rewritten in their favour."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.browser import Browser
from local.world import World
from tests.support.http_flow import Backend, Flow, row_of, s256, slug
from tests.support.local_world import still_world
from tests.support.person import query_of
from tools.requirements import req

OpenBrowser = Callable[[], Browser]
MALLORY = {"tenant": "mallorys-tenant", "user": "mallory"}
TICKET = "m" * 43


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A deployment that wants proof of everybody, as it is by default."""
    with still_world(parameters={"ApprovalBinding": "refused"}) as world:
        yield world


@pytest.fixture
def mallory(world: World, backend: Backend, browser: OpenBrowser) -> Flow:
    return Flow(world, backend, browser(), **MALLORY)


def rewrite(flow: Flow, **changes: Any) -> None:
    """Change attributes of a session's row, as whoever may write the table can."""
    table = next(each.name for each in flow.world.template.tables if each.hash_key == "session")
    flow.world.aws("dynamodb").put_item(TableName=table, Item=row_of(flow.world, flow.session) | changes)


def text(value: str) -> dict[str, str]:
    return {"S": value}


def hashed(value: str) -> dict[str, str]:
    return text(hashlib.sha256(value.encode()).hexdigest())


def theirs(mallory: Flow) -> dict[str, Any]:
    """Write the session of a victim as if Mallory had opened it."""
    return {
        "tenant": text(mallory.tenant),
        "end_user_hash": hashed(mallory.user),
        "binding_challenge": text(s256(mallory.verifier)),
        "ticket_hash": hashed(TICKET),
    }


def completed(mallory: Flow, victim: Flow) -> tuple[int, str]:
    mallory.session = victim.session
    answer = mallory.complete(TICKET)
    return answer.status_code, slug(answer) if answer.status_code != 200 else ""


@req("D02", "D03", "J03")
def test_a_session_rewritten_when_its_person_is_back_is_completed_for_nobody_else(flow: Flow, mallory: Flow) -> None:
    flow.home()
    tokens = flow.tokens()
    rewrite(flow, **theirs(mallory))

    assert completed(mallory, flow) == (500, "seal-broken")
    assert flow.tokens() == tokens


@req("D02", "D03", "J03")
def test_a_session_rewritten_on_its_way_is_completed_for_nobody_else(flow: Flow, mallory: Flow) -> None:
    """The code is sealed for Mallory, but its ticket went to the victim's browser."""
    back = flow.back()
    before = theirs(mallory)
    del before["ticket_hash"]
    rewrite(flow, **before)
    arrived = query_of(flow.browser.get(back).location)
    tokens = flow.tokens()
    rewrite(flow, ticket_hash=hashed(TICKET))
    as_mallory = completed(mallory, flow)
    as_victim = flow.complete(arrived["ticket"])

    assert as_mallory == (500, "seal-broken")
    assert (as_victim.status_code, slug(as_victim)) == (403, "binding-mismatch")
    assert flow.tokens() == tokens


@req("D03", "D02")
def test_a_session_rewritten_to_want_no_proof_makes_no_connection(
    world: World, flow: Flow, mallory: Flow, backend: Backend
) -> None:
    back = flow.back()
    rewrite(flow, tenant=text(mallory.tenant), binding=text("approval"))
    tokens = flow.tokens()

    flow.browser.get(back)
    world.run_event_sources()

    assert backend.get(f"/v1/tenants/{mallory.tenant}/connections").json()["connections"] == []
    assert flow.tokens() == tokens


@req("D05", "J03")
def test_a_session_rewritten_to_reconnect_what_is_there_does_not(flow: Flow, backend: Backend) -> None:
    made = flow.connect()
    again = Flow(flow.world, backend, flow.browser, flow.tenant, user="another")
    ticket = again.home()["ticket"]
    rewrite(again, connection=text(made["connection_id"]))

    answer = again.complete(ticket)

    assert (answer.status_code, slug(answer)) == (500, "seal-broken")


def test_what_nobody_rewrote_is_completed(flow: Flow) -> None:
    assert flow.connect()["status"] == "active"
