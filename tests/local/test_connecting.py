"""The product and the broker together: what happens to a customer's connection, as the customer sees it."""

from collections.abc import Iterator

import pytest

from local.browser import Browser, Page, words
from local.world import World
from ninjaone_emulator.faults import Fault
from tests.support.person import ADA, RHONE, decide


@pytest.fixture
def ana(world: World) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(world.product_url)
        browser.submit("Ana")
        browser.arrive()
        yield browser


def agree(browser: Browser, email: str = ADA) -> Page:
    """From the connect page through NinjaOne to wherever that ends."""
    browser.arrive()
    decide(browser, email=email)
    return browser.arrive()


def connected(browser: Browser) -> str:
    """Connect; gives the address of the connection's page."""
    browser.submit("Connect NinjaOne")
    return agree(browser).url


def test_a_customer_who_lets_the_product_make_changes_arrives_with_both_scopes(ana: Browser) -> None:
    ana.submit("Connect NinjaOne", scope="management")
    arrived = agree(ana)

    allowed = [words(scope) for scope in arrived.html.css(".scope")]
    assert [scope for scope in allowed if scope != "offline_access"] == ["monitoring", "management"]
    [consent] = [seen for seen in ana.pages if "requesting" in seen.heading]
    assert consent.heading.startswith("Tidewater is requesting"), "the name that the connect page gave"
    assert "Keep all of this while you are away. Remember" in consent.text, (
        "no duration: the true page's words are unknown"
    )


def test_a_connection_is_seen_in_its_own_tenant_only(world: World, ana: Browser) -> None:
    address = connected(ana)

    with Browser() as chloe:
        chloe.open(world.product_url)
        chloe.submit("Chloe")
        assert "Nothing is connected yet" in chloe.arrive().text
        refused = chloe.get(address)

    assert refused.status == 404
    assert "It was disconnected" not in refused.text


@pytest.mark.slow
def test_the_switches_of_the_emulator_are_one_click_away(world: World, ana: Browser) -> None:
    [control] = [link for link in ana.page.links if link.startswith(world.ninjaone_url)]

    assert (ana.get(control).status, ana.page.heading) == (200, "How NinjaOne behaves")


@pytest.mark.slow
def test_no_page_and_no_address_holds_a_token(world: World, ana: Browser) -> None:
    connected(ana)
    ana.submit("Use the token")

    state = world.ninjaone.state
    secrets = [*state.access_tokens, *state.refresh_tokens]
    assert len(secrets) == 2
    for page in ana.pages:
        assert not [secret for secret in secrets if secret in page.answer.text or secret in page.url]


@pytest.mark.slow
def test_the_page_s_script_sees_a_refresh(world: World, ana: Browser) -> None:
    address = connected(ana)
    before = ana.get(address + "/state").answer.json()

    world.clock.advance(3300)
    world.run_event_sources()

    after = ana.get(address + "/state").answer.json()
    assert (before["version"], after["version"]) == (1, 2)
    assert after["token_expires_at"] > before["token_expires_at"]
    assert after["now"] >= before["now"] + 3300
    assert after["status"] == "active"
    assert (list(world.failures), dict(world.policy_usage.refused)) == ([], {})


def test_an_access_that_was_revoked_is_told_and_a_reconnect_keeps_the_id(world: World, ana: Browser) -> None:
    address = connected(ana)
    [grant] = world.ninjaone.oracle.grants()
    world.ninjaone.admin.revoke_grant(grant.id)
    for _ in range(2):
        world.clock.advance(3300)
        world.run_event_sources()

    told = ana.get(address)
    assert "Reconnect needed" in told.text
    assert "NinjaOne no longer accepts the access that was given." in told.text
    assert "Use the token" not in told.text
    refused = ana.post(f"{address}/use", {"form_token": told.form("Reconnect").untouched["form_token"]})
    assert refused.status == 409
    assert "Open the connection and choose Reconnect" in refused.text

    ana.get(address)
    ana.submit("Reconnect")
    again = agree(ana)

    assert again.url == address
    assert "Active" in again.text
    assert ana.submit("Use the token").status == 200


@pytest.mark.slow
def test_a_reconnect_with_another_account_is_refused_unless_it_was_allowed(world: World, ana: Browser) -> None:
    address = connected(ana)
    ana.jar.clear("127.0.0.1", "/eu.ninjarmm.com")

    ana.submit("Reconnect")
    refused = agree(ana, RHONE)

    assert refused.status == 409
    assert "tick the box that allows it" in refused.text
    assert "Bäckerei Krüger" in ana.get(address).text

    ana.submit("Reconnect", switch="yes")
    assert "Atelier Lumière" in agree(ana, RHONE).text


def test_a_link_for_somebody_else_makes_a_connection_that_waits_for_approval(world: World, ana: Browser) -> None:
    shown = ana.submit("Connect NinjaOne", binding="approval")
    link = next(link for link in shown.links if "/connect/ses_" in link)
    with Browser() as administrator:
        administrator.get(link)
        ended = agree(administrator)
    world.run_event_sources()

    ana.open(world.product_url)
    assert "Thank you, your part is done" in ended.text
    assert "Waiting for approval" in ana.page.text

    ana.get(next(link for link in ana.page.links if "/connections/con_" in link))
    assert "If the account below is yours, approve it" in ana.page.text
    ana.submit("Approve")
    assert "may use this connection now" in ana.arrive().text
    assert "Hafen Nord" in ana.submit("Use the token").text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["html_502", "500"])
@pytest.mark.parametrize("button", ["Use the token", "Call through NinjaOne Connect"])
def test_trouble_of_ninjaone_s_api_is_called_ninjaone_s(world: World, ana: Browser, button: str, kind: str) -> None:
    connected(ana)
    world.ninjaone.faults.plan(Fault(kind, on="api", times=None))

    page = ana.submit(button)

    assert (page.status, page.heading.startswith("NinjaOne")) == (502, True)
    assert "NinjaOne itself has trouble" in page.text
    assert "reconnect" not in page.text.lower().partition("what to do")[2].partition("reference")[0]


@pytest.mark.slow
def test_what_ninjaone_s_api_refuses_is_told_in_words(world: World, ana: Browser) -> None:
    address = connected(ana)
    for token in world.ninjaone.state.access_tokens.values():
        token.revoked = True

    page = ana.submit("Use the token")

    assert (page.status, page.heading) == (502, "NinjaOne answered 401")
    assert "What to do" in page.text
    assert "Active" in ana.get(address).text
