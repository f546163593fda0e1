"""Answers that never arrive, and buttons that are pressed twice: the person goes on, and there is one connection."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.browser.conftest import PageAt
from tests.support.chromium import ADA, PATIENCE, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CONTINUE = "Continue to NinjaOne"
LOST = "what the browser shows in place of the answer"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


def to_the_form(page: Page, world: World, app: str) -> None:
    client_id, client_secret = CUSTOMER_APPS["eu"]
    own = app == "own"
    page.get_by_role("button", name="Connect with your own client app" if own else "Connect NinjaOne").click()
    page.get_by_label("Europe").check()
    if own:
        page.get_by_label("Client id").fill(client_id)
        page.get_by_label("Client secret").fill(client_secret)


def to_the_consent(page: Page) -> None:
    page.get_by_label("Email").fill(ADA)
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Sign in").click()


def connections(page: Page, world: World) -> set[str | None]:
    """List the connections that the product shows."""
    page.goto(f"{world.product_url}/integrations")
    links = page.locator("a[href^='/connections/con_']")
    return {links.nth(number).get_attribute("href") for number in range(links.count())}


def lose_once(page: Page, pattern: str, how: str) -> None:
    """Drop one request on its way, or its answer on the way back."""
    lost: list[str] = []

    def handle(route: Route) -> None:
        if lost or route.request.method != "POST":
            route.continue_()
            return
        lost.append(route.request.url)
        if how == "answer":
            route.fetch(max_redirects=0)
        route.fulfill(status=502, body=LOST)

    page.route(pattern, handle)


def arrived(page: Page, world: World, before: set[str | None]) -> None:
    expect(page.locator("[data-show=left]")).to_contain_text("min", timeout=PATIENCE)
    assert len(connections(page, world) - before) == 1


@pytest.mark.parametrize("app", ["operators", "own"])
def test_both_buttons_pressed_twice(world: World, page_at: PageAt, app: str) -> None:
    page = page_at(1280, "light")
    sign_in(page, world, "Ana")
    before = connections(page, world)
    to_the_form(page, world, app)

    page.get_by_role("button", name=CONTINUE).dblclick()
    to_the_consent(page)
    page.get_by_role("button", name="Authorize").dblclick()

    arrived(page, world, before)


@pytest.mark.parametrize("how", ["request", "answer"])
def test_the_form_is_lost_and_sent_again(world: World, page_at: PageAt, how: str) -> None:
    page = page_at(1280, "light")
    sign_in(page, world, "Ana")
    before = connections(page, world)
    to_the_form(page, world, "operators")
    lose_once(page, "**/connect/*/authorize", how)
    link = page.url

    page.get_by_role("button", name=CONTINUE).click()
    expect(page.get_by_text(LOST)).to_be_visible()
    page.goto(link)
    page.get_by_label("Europe").check()
    page.get_by_role("button", name=CONTINUE).click()
    to_the_consent(page)
    page.get_by_role("button", name="Authorize").click()

    arrived(page, world, before)


@pytest.mark.parametrize("far", ["callback", "return"])
def test_the_answer_of_the_way_back_is_lost_and_the_page_loaded_again(world: World, page_at: PageAt, far: str) -> None:
    """The requests are made with the browser's cookies, and it never hears of their answers."""
    page = page_at(1280, "light")
    sign_in(page, world, "Ana")
    before = connections(page, world)
    to_the_form(page, world, "operators")
    page.get_by_role("button", name=CONTINUE).click()
    to_the_consent(page)
    callbacks: list[str] = []

    def handle(route: Route) -> None:
        callbacks.append(route.fetch(max_redirects=0).headers["location"])
        home = page.context.request.get(callbacks[0], max_redirects=0)
        if far == "return":
            page.context.request.get(home.headers["location"], max_redirects=0)
        route.fulfill(status=502, body=LOST)

    page.route("**/ws/oauth/**", lambda route: handle(route) if route.request.method == "POST" else route.continue_())
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text(LOST)).to_be_visible()
    page.goto(callbacks[0])

    arrived(page, world, before)
