"""The showroom in a real browser: a fault is switched on and seen, switched off and recovered from."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from local.world import World
from tests.browser.conftest import PageAt, Picture, later
from tests.support.chromium import PATIENCE, agree, barriers, fits, no_complaints, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


@pytest.mark.parametrize(("width", "scheme"), [later(390, "dark"), later(1280, "light")])
def test_a_fault_is_switched_on_its_state_is_shown_and_without_it_the_connection_recovers(
    world: World, page_at: PageAt, picture: Picture, width: int, scheme: str
) -> None:
    page = page_at(width, scheme)
    lane = page.locator(".lane")

    def stop(name: str) -> None:
        assert fits(page), name
        assert barriers(page) == [], name
        picture(page, f"showroom {name} {width} {scheme}")

    def happened(what: str) -> None:
        """Wait until the page tells it without being loaded again: in the table, and under the picture."""
        expect(lane.locator("tbody tr").filter(has_text=what).first).to_be_visible(timeout=PATIENCE)
        expect(lane.locator("svg .kind").filter(has_text=what).first).to_be_attached()

    with no_complaints(page):
        sign_in(page, world, "Ana")
        press(page, "Connect NinjaOne")
        page.get_by_label("Europe").check()
        press(page, "Continue to NinjaOne")
        agree(page)
        page.get_by_role("link", name="the showroom").click()
        happened("issued")
        stop("1 well")

        press(page, "It calls good tokens dead")
        press(page, "+ 50 minutes")
        happened("failed")
        press(page, "+ 50 minutes")  # alone on its host, a verdict is believed after half an hour
        happened("needs reauth")
        expect(lane.locator(".chip")).to_have_text("Reconnect needed", timeout=PATIENCE)
        stop("2 dead")

        press(page, "All is well")
        press(page, "+ 1 day")
        happened("recovered")
        expect(lane.locator(".chip")).to_have_text("Active", timeout=PATIENCE)
        press(page, "Kill the next refresh")
        press(page, "+ 50 minutes")
        happened("killed")
        served = page.locator(".figures tbody tr").filter(has_not_text="killed").first.get_by_role("cell").first
        expect(served).not_to_have_text("0", timeout=PATIENCE)
        stop("3 killed")
