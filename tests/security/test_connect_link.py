"""The link that is sent to somebody else, both ways round, and what completing takes."""

from collections.abc import Callable

from local.browser import Browser
from local.world import World
from tests.support.http_flow import Backend, Flow, slug
from tests.support.person import ADA, RHONE, query_of
from tools.requirements import req

OpenBrowser = Callable[[], Browser]


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
    assert shut.status == 409
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
    path = f"/v1/tenants/{flow.tenant}/connections/{made['connection_id']}"
    early = backend.post(f"{path}/token")

    assert page.heading == "Thank you, your part is done"
    assert made["status"] == "pending_approval"
    assert [each["name"] for each in made["organizations"]] == ["Atelier Lumière", "Clinique du Parc"]
    assert (early.status_code, slug(early)) == (409, "not-approved")
    assert backend.post(f"{path}/approve").json()["status"] == "active"
    assert backend.post(f"{path}/token").status_code == 200


PROOF = ("tenant", "end_user_id", "binding_verifier", "ticket")
WRONG = {"tenant": "another-tenant", "end_user_id": "another", "binding_verifier": "w" * 43, "ticket": "w" * 43}


@req("D05", "D03")
def test_nobody_reconnects_without_proof_of_the_person(flow: Flow, backend: Backend) -> None:
    made = flow.connect()
    session_request = flow.opening(binding="approval", binding_challenge=None, connection_id=made["connection_id"])

    refused = backend.post(f"/v1/tenants/{flow.tenant}/connect-sessions", session_request)

    assert (refused.status_code, slug(refused)) == (400, "invalid-request")
