"""Browsers that send no Sec-Fetch-Site, such as Safari before 16.4: their forms arrive, an attacker's don't."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, Route, expect

from local.world import World
from tests.browser.conftest import PageAt
from tests.support.chromium import PATIENCE, sign_in
from tools.requirements import req

pytestmark = [pytest.mark.browser, pytest.mark.slow]
OURS = "https://connect.example"
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


class OldBrowser:
    """Chromium without Fetch Metadata; the pages of the broker have an https address, as they have when deployed.

    Attributes:
        link: the path of the connect page
        origins: what each form's request said of its origin
        sends_origin: whether the browser sends an Origin at all
        evil: the attacker's page, and its headers
    """

    def __init__(self, page: Page, world: World) -> None:
        self.page, self._world = page, world
        self.origins: list[str | None] = []
        self.sends_origin = True
        self.evil: tuple[str, dict[str, str]] = ("", {})
        sign_in(page, world, "Ana")
        page.get_by_role("button", name="Connect NinjaOne").click()
        self.link = page.url.removeprefix(world.connect_url)
        page.route(f"{OURS}/**", self._ask_the_broker)
        page.route(f"{EVIL}/**", lambda route: route.fulfill(body=self.evil[0], headers=self.evil[1]))

    def _ask_the_broker(self, route: Route) -> None:
        asked = route.request
        sent = {name: value for name, value in asked.all_headers().items() if not name.startswith("sec-fetch-")}
        if not self.sends_origin:
            sent.pop("origin", None)
        if asked.method == "POST":
            self.origins.append(sent.get("origin"))
        there = self._world.connect_url + asked.url.removeprefix(OURS)
        route.fulfill(response=route.fetch(url=there, headers={**sent, "host": "connect.example"}, max_redirects=0))


@pytest.fixture
def browser_(world: World, page_at: PageAt) -> OldBrowser:
    return OldBrowser(page_at(390, "light"), world)


@req("A11", "F04")
def test_the_form_of_our_own_page_gets_through_and_ninjaone_hears_no_address(browser_: OldBrowser) -> None:
    page, asked = browser_.page, list[Request]()
    page.on("request", lambda each: asked.append(each) if "/ws/" in each.url else None)
    page.goto(OURS + browser_.link)

    page.get_by_label("Europe").check()
    page.get_by_role("button", name="Continue to NinjaOne").click()

    expect(page.get_by_label("Email")).to_be_visible(timeout=PATIENCE)
    assert browser_.origins == [OURS]
    assert {each.all_headers().get("referer") for each in asked} == {None}


@req("A11")
@pytest.mark.parametrize(
    ("policy", "sends_origin", "origin"),
    [("origin", True, EVIL), ("no-referrer", True, "null"), ("origin", False, None)],
)
def test_a_form_of_another_site_is_refused(
    browser_: OldBrowser, policy: str, origin: str | None, *, sends_origin: bool
) -> None:
    fields = "<input name=region value=eu><button>Win</button>"
    form = f'<form method=post action="{OURS}{browser_.link}/authorize">{fields}</form>'
    browser_.evil = (form, {"content-type": "text/html", "referrer-policy": policy})
    browser_.sends_origin = sends_origin
    browser_.page.goto(EVIL)

    browser_.page.get_by_role("button", name="Win").click()

    heading = browser_.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("This request did not come from our page", timeout=PATIENCE)
    assert browser_.origins == [origin]
