"""The whole journey in a real browser, on a phone and on a desk, by day and by night."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.browser.conftest import PageAt, Picture, later
from tests.support.chromium import ADA, PATIENCE, agree, barriers, fits, no_complaints, sign_in

pytestmark = pytest.mark.browser

LOOKS = [(390, "light"), later(390, "dark"), later(1280, "light"), later(1280, "dark")]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_customer_connects_sees_it_renewed_uses_it_and_disconnects(
    world: World, page_at: PageAt, picture: Picture, width: int, scheme: str
) -> None:
    page = page_at(width, scheme)

    def stop(name: str, heading: str) -> None:
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)  # the page is there, not only its address
        assert fits(page), name
        assert barriers(page) == [], name
        picture(page, f"journey {name} {width} {scheme}")

    with no_complaints(page):
        sign_in(page, world, "Ana")
        stop("1 integrations", "Integrations")
        page.get_by_role("button", name="Connect NinjaOne").click()
        stop("2 connect", "Tidewater")
        page.get_by_label("Europe").check()
        page.get_by_role("button", name="Continue to NinjaOne").click()
        page.get_by_label("Email").fill(ADA)
        stop("3 ninjaone sign in", "Sign in")
        page.get_by_role("button", name="Sign in").click()
        stop("4 ninjaone consent", "is requesting the following permission(s)")
        page.get_by_role("button", name="Authorize").click()
        expect(page.locator("[data-show=left]")).to_contain_text("min", timeout=PATIENCE)
        stop("5 connected", "Main account")

        world.clock.advance(3300)
        expect(page.locator("[data-show=changes]")).to_contain_text("Version 2", timeout=PATIENCE)
        stop("6 renewed", "Main account")
        page.get_by_role("button", name="Use the token").click()
        expect(page.get_by_role("main")).to_contain_text("Bäckerei Krüger")
        stop("7 used", "Main account")
        page.get_by_text("Disconnect Main account").click()
        stop("7 asked before disconnecting", "Main account")
        page.get_by_role("button", name="Disconnect now").click()
        expect(page.get_by_role("status")).to_contain_text("NinjaOne has revoked the access")
        stop("8 disconnected", "Main account")


@pytest.mark.slow
def test_a_customer_connects_with_their_own_client_app(world: World, page_at: PageAt, picture: Picture) -> None:
    page = page_at(390, "light")
    client_id, client_secret = CUSTOMER_APPS["eu"]

    with no_complaints(page):
        sign_in(page, world, "Chloe")
        page.get_by_role("button", name="Connect with your own client app").click()
        page.get_by_label("Europe").check()
        expect(page.get_by_text(f"{world.connect_url}/callback/eu", exact=True)).to_be_visible()
        page.get_by_label("Client id").fill(client_id)
        page.get_by_label("Client secret").fill(client_secret)
        picture(page, "journey own app")
        page.get_by_role("button", name="Continue to NinjaOne").click()
        agree(page)
        expect(page.get_by_role("main")).to_contain_text("your own")


@pytest.mark.slow
def test_a_customer_who_says_no_is_told_what_to_do(world: World, page_at: PageAt, picture: Picture) -> None:
    page = page_at(390, "dark")

    with no_complaints(page):
        sign_in(page, world, "Ben")
        page.get_by_role("button", name="Connect NinjaOne").click()
        page.get_by_label("Europe").check()
        page.get_by_role("button", name="Continue to NinjaOne").click()
        agree(page, "Deny access")
        expect(page.get_by_role("alert")).to_contain_text("NinjaOne was not connected")
        picture(page, "journey denied")
