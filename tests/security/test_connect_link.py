"""The link that is sent to somebody else, both ways round, and what completing takes."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from local.browser import Browser
from local.world import World
from ninjaone_emulator.faults import Fault
from tests.support.outsider import ADA, RHONE, Backend, Flow, query_of, row_of, slug
from tools.requirements import req

OpenBrowser = Callable[[], Browser]


@req("D01")
def test_no_token_is_asked_for_until_the_backend_completes(flow: Flow) -> None:
    before = flow.tokens()

    home = flow.home()
    returned = flow.tokens()
    flow.complete(home["ticket"])

    assert (returned - before, flow.tokens() - before) == (0, 1)


@req("D03", "D01")
def test_a_victim_who_follows_the_attackers_link_gives_nothing_away(
    world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    """Attack F: the attacker's own session, finished by an administrator of another company."""
    attacker = Flow(world, backend, browser(), tenant, user="mallory").open()
    victim = browser()
    before = attacker.tokens()
    victim.get(attacker.connect_url)
    attacker.leave(browser=victim)
    arrived = victim.get(attacker.agree(ADA, browser=victim))
    home = query_of(arrived.location)

    # What the victim's product can do: it has the victim's login, and no verifier of the attacker's.
    as_victim = attacker.complete(home["ticket"], end_user_id="victim", binding_verifier="v" * 43)
    in_her_tenant = attacker.complete(home["ticket"], tenant="victims-tenant", end_user_id="victim")
    # What the attacker can do: they have everything but the ticket, which went to the victim's browser.
    as_attacker = attacker.complete("t" * 43)

    for refused in (as_victim, in_her_tenant, as_attacker):
        assert (refused.status_code, slug(refused)) == (403, "binding-mismatch")
    assert attacker.tokens() == before


@req("D03", "A12")
def test_an_attacker_who_finishes_the_victims_link_connects_nothing_to_her(
    world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    """Attack R: the victim's session, finished first by a stranger with an account of his own."""
    victim = Flow(world, backend, browser(), tenant, user="victim").open()
    stranger = browser()
    before = victim.tokens()
    victim.leave(browser=stranger)
    arrived = stranger.get(victim.agree(RHONE, browser=stranger))
    home = query_of(arrived.location)

    # The stranger comes back to the product without the victim's login: another user, no verifier.
    refused = victim.complete(home["ticket"], end_user_id="stranger", binding_verifier="v" * 43)
    # The victim herself opens her link: it is in other hands, and says so.
    late = victim.browser.get(victim.connect_url)
    shut = victim.leave()

    assert slug(refused) == "binding-mismatch"
    assert (late.status, late.heading) == (409, "Go back to Tidewater to finish")
    assert shut.status == 410
    assert victim.tokens() == before
    assert victim.backend.get(f"/v1/tenants/{tenant}/connections").json()["connections"] == []


@req("D03", "H09")
def test_without_proof_of_the_person_a_connection_waits_and_shows_whose_account_it_is(
    world: World, flow: Flow, backend: Backend
) -> None:
    flow.open(binding="approval", binding_challenge=None)
    callback = flow.back(email=RHONE)

    page = flow.browser.open(callback)
    world.run_event_sources()
    [made] = backend.get(f"/v1/tenants/{flow.tenant}/connections").json()["connections"]
    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection']}"
    early = backend.post(f"{path}/token")

    assert page.heading == "Thank you, your part is done"
    assert made["status"] == "pending_approval"
    assert [each["name"] for each in made["organizations"]] == ["Atelier Lumière", "Clinique du Parc"]
    assert (early.status_code, slug(early)) == (409, "not-approved")
    assert backend.post(f"{path}/approve").json()["status"] == "active"
    assert backend.post(f"{path}/token").status_code == 200


@req("D03")
def test_a_session_that_waits_for_approval_is_completed_by_nobody(flow: Flow, world: World) -> None:
    flow.open(binding="approval", binding_challenge=None)
    flow.browser.open(flow.back())

    refused = flow.complete("t" * 43)

    assert slug(refused) == "binding-mismatch"


PROOF = ("tenant", "end_user_id", "binding_verifier", "ticket")
WRONG = {"tenant": "another-tenant", "end_user_id": "another", "binding_verifier": "w" * 43, "ticket": "w" * 43}


@req("D02", "D04")
def test_completing_takes_every_part_of_the_proof(flow: Flow) -> None:
    """All combinations of what can be wrong; only the last, with all of it right, connects."""
    ticket = flow.home()["ticket"]
    before = flow.tokens()

    for right in product([False, True], repeat=len(PROOF)):
        wrong: dict[str, Any] = {name: WRONG[name] for name, is_right in zip(PROOF, right, strict=True) if not is_right}
        answer = flow.complete(wrong.pop("ticket", ticket), **wrong)
        if not all(right):
            assert (answer.status_code, slug(answer)) == (403, "binding-mismatch"), right
            assert flow.tokens() == before

    assert (answer.status_code, flow.tokens() - before) == (200, 1)


@req("D02")
@pytest.mark.parametrize("absent", ["end_user_id", "ticket", "binding_verifier"])
def test_a_proof_with_a_part_missing_is_no_request(flow: Flow, absent: str) -> None:
    proof = flow.proof(flow.home()["ticket"]) | {absent: ""}
    answer = flow.backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions/{flow.session}/complete", proof)

    assert (answer.status_code, slug(answer)) == (400, "invalid-request")


@req("D02")
def test_before_the_person_is_back_there_is_nothing_to_complete(flow: Flow) -> None:
    flow.open()
    fresh = flow.complete("t" * 43)
    flow.leave()
    away = flow.complete("t" * 43)

    assert [slug(fresh), slug(away)] == ["not-authorized", "not-authorized"]


@req("A13", "D02")
def test_a_parked_code_is_of_no_use_after_45_seconds(world: World, flow: Flow) -> None:
    ticket = flow.home()["ticket"]
    before = flow.tokens()

    world.clock.advance(46)
    late = flow.complete(ticket)

    assert (late.status_code, slug(late), flow.tokens() - before) == (410, "session-expired", 0)
    assert "code" in row_of(world, flow.session), "the row is still there: time alone refused it"


@req("D04")
def test_a_ticket_is_256_bits_stored_as_a_hash_and_worthless_unsigned(world: World, flow: Flow) -> None:
    ticket = flow.home()["ticket"]
    path = f"/v1/tenants/{flow.tenant}/connect-sessions/{flow.session}/complete"

    unsigned = flow.browser.post(world.api_url + path, flow.proof(ticket))

    assert len(ticket) == 43
    assert unsigned.status == 403
    assert ticket not in str(row_of(world, flow.session))


@req("C12", "D04")
def test_a_ticket_connects_once_and_shows_the_same_connection_again(flow: Flow) -> None:
    ticket = flow.home()["ticket"]
    before = flow.tokens()

    first, again = flow.complete(ticket), flow.complete(ticket)

    assert first.json()["connection"] == again.json()["connection"]
    assert flow.tokens() - before == 1


@req("C12")
@pytest.mark.parametrize("fault", ["lost_response", "truncated_json", "html_502_after_commit", "500"])
def test_a_code_whose_fate_is_unknown_is_not_sent_again(world: World, flow: Flow, fault: str) -> None:
    ticket = flow.home()["ticket"]
    world.ninjaone.faults.plan(Fault(fault, on="token"))
    before = len(world.ninjaone.events)

    first, again = flow.complete(ticket), flow.complete(ticket)

    heard = [each.name for each in world.ninjaone.events[before:]]
    assert (first.status_code, slug(first)) == (503, "outcome-unknown")
    assert (again.status_code, slug(again)) == (410, "session-spent")
    assert heard.count("fault.met") == 1
    assert "request.refused" not in heard, "NinjaOne saw the code a second time"


@req("D05")
def test_a_reconnect_to_another_account_leaves_the_old_tokens(
    flow: Flow, world: World, backend: Backend, browser: OpenBrowser
) -> None:
    made = flow.connect()
    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection']}"
    old = backend.post(f"{path}/token").json()["access_token"]
    again = Flow(world, backend, browser(), flow.tenant).open(connection=made["connection"], region="eu")

    refused = again.complete(again.home(email=RHONE)["ticket"])

    assert (refused.status_code, slug(refused)) == (409, "account-mismatch")
    assert backend.post(f"{path}/token").json()["access_token"] == old
    confirmed = Flow(world, backend, browser(), flow.tenant).open(connection=made["connection"], region="eu")
    answer = confirmed.complete(confirmed.home(email=RHONE)["ticket"], confirm_account_change=True)
    assert [each["name"] for each in answer.json()["organizations"]] == ["Atelier Lumière", "Clinique du Parc"]


@req("D05")
def test_a_reconnect_that_shows_no_account_counts_as_another(
    flow: Flow, world: World, backend: Backend, browser: OpenBrowser
) -> None:
    """Whoever may not list organizations can't be told from a stranger; what was shown must not vouch for them."""
    made = flow.connect()
    again = Flow(world, backend, browser(), flow.tenant).open(connection=made["connection"], region="eu")
    ticket = again.home(email="bob@rhone.example")["ticket"]
    world.ninjaone.switches.update({"organizations_need_admin": True})
    try:
        refused = again.complete(ticket)
    finally:
        world.ninjaone.switches.reset()

    assert (refused.status_code, slug(refused)) == (409, "account-mismatch")


@req("D05", "D03")
def test_nobody_reconnects_without_proof_of_the_person(flow: Flow, backend: Backend) -> None:
    made = flow.connect()
    wish = flow.opening(binding="approval", binding_challenge=None, connection=made["connection"])

    refused = backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions", wish)

    assert (refused.status_code, slug(refused)) == (400, "invalid-request")
