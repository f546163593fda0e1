"""Every request of the journey, interrupted in every way, in Chromium: the person goes on, and there is one connection.

The redirects become pages that lead on by themselves, so that each request can be interrupted on its own.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.browser.conftest import PageAt
from tests.support.chromium import ADA, PATIENCE, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOST = "what the browser shows in place of the answer"
CONTINUE = "Continue to NinjaOne"
STORE = "Store the new secret"
APP = CUSTOMER_APPS["eu"].client_id
LOOKS = 120
"""How often the product's list is looked at, four times a second, until a connection for approval is there."""
STEPS = 20
"""How often a person looks at the page, and does something, before they would give up."""

REQUESTS = {
    "connect page": ("GET", r"/connect/ses_\w+$"),
    "form": ("POST", r"/connect/ses_\w+/(authorize|secret)$"),
    "sign-in page": ("GET", r"/ws/oauth/authorize"),
    "signing in": ("POST", r"ninjarmm\.com/$"),
    "consent": ("POST", r"/ws/oauth/"),
    "callback": ("GET", r"/callback/"),
    "completing": ("GET", r"/ninjaone/return"),
}
"""The journey's requests, in order: method, and what the address has in it."""
INTERRUPTIONS = ("request lost", "answer lost", "twice", "reload", "back")
WAYS = ("operator's app", "own app", "reconnect", "approval", "new secret")
NOT_ON = {
    "approval": {"completing"},  # whom the link is for never comes to the product
    "new secret": {"sign-in page", "signing in", "consent", "callback"},  # nor does this person go to NinjaOne
}
"""Way → the requests that are not made on it."""
RENEWS = {"reconnect": "operator's app", "new secret": "own app"}
"""Way that needs a connection → the way by which it is made."""
CASES = [
    (request, how, way)
    for way in WAYS
    for request in REQUESTS
    for how in INTERRUPTIONS
    if request not in NOT_ON.get(way, set())
]
SAMPLED = {
    (request, INTERRUPTIONS[(number + offset) % len(INTERRUPTIONS)], way)
    for offset, way in enumerate(WAYS)
    for number, request in enumerate(REQUESTS)
    if (number + offset) % 2 == 0
}
"""What `make test-all` plays: every second request on each way, interrupted once. `make interruptions` plays all."""


PARAMETERS = [pytest.param(*each, marks=[] if each in SAMPLED else pytest.mark.exhaustive) for each in CASES]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@dataclass
class Traveller:
    """Somebody on the way to a connection, whose browser is interrupted once.

    Attributes:
        request, how: which request is interrupted, and in which way
    """

    page: Page
    world: World
    request: str
    how: str
    way: str
    link: str = ""
    interrupted: bool = False
    led_home: bool = False
    heard: list[str] = field(default_factory=list)

    def meet(self, route: Route) -> None:
        """Interrupt the request that is meant, once, and let every other pass."""
        asked = route.request
        if asked.resource_type != "document":
            route.continue_()
            return
        method, place = REQUESTS[self.request]
        if self.interrupted or asked.method != method or not re.search(place, asked.url):
            self.deliver(route, ask(route))
            return
        self.interrupted = True
        if self.how == "request lost":
            route.fulfill(status=502, body=LOST)
            return
        answer = ask(route)
        if self.how == "answer lost":
            route.fulfill(status=502, body=LOST)
            return
        self.deliver(route, ask(route) if self.how == "twice" else answer)
        self.heard.append(self.how)

    def deliver(self, route: Route, answer: APIResponse) -> None:
        """Hand an answer to the browser, a redirect as a page that leads on by itself."""
        there = answer.headers.get("location")
        if there is None:
            route.fulfill(response=answer)
            return
        self.led_home = self.led_home or "/connections/con_" in there
        kept = {name: value for name, value in answer.headers.items() if name in {"set-cookie", "referrer-policy"}}
        body = f'<meta http-equiv="refresh" content="0; url={escape(there)}"><p>On the way'
        route.fulfill(status=200, headers={**kept, "content-type": "text/html"}, body=body)

    def go_on(self) -> None:
        """Do what a person does with what is on the page, until there is nothing left to do."""
        for _ in range(STEPS):
            self._wait_until_nothing_moves()
            if self.heard and self.heard.pop() in {"reload", "back"}:
                self._leave_the_page()
            elif self.has_arrived():
                return
            else:
                self._act()
        raise AssertionError(f"nowhere after {STEPS} steps: {self.page.url}\n{self.page.locator('body').inner_text()}")

    def has_arrived(self) -> bool:
        """Say whether they are home; who went back after that is led to the list that shows the connection."""
        if self.way == "approval":
            return self.page.get_by_text("your part is done").is_visible()
        is_home = "/connections/con_" in self.page.url or self.page.url.endswith("/integrations")
        return self.led_home and is_home

    def _wait_until_nothing_moves(self) -> None:
        """Wait for a page that stays: nobody is quick enough to do anything on one that leads on by itself."""
        seen = ""
        for _ in range(STEPS * 4):
            self.page.wait_for_timeout(150)
            with suppress(PlaywrightError):  # it moved while it was looked at
                if not self.page.locator("meta[http-equiv=refresh]").count() and seen == self.page.url:
                    return
                seen = self.page.url

    def _leave_the_page(self) -> None:
        """Reload or go back; not while Chromium gives the page another process, which fails in its protocol."""
        for _ in range(STEPS):
            with suppress(PlaywrightError):
                self.page.reload() if self.how == "reload" else self.page.go_back()
                return
            self.page.wait_for_timeout(150)
        raise AssertionError(f"no {self.how} from {self.page.url}")

    def _act(self) -> None:
        """Press what leads on; on a page that leads nowhere, a person follows the link again."""
        page = self.page
        for shown, act in self._choices():
            if page.locator(shown).first.is_visible():
                act()
                return
        page.wait_for_timeout(100)  # a page that leads on by itself

    def _choices(self) -> Iterator[tuple[str, Callable[[], object]]]:
        page = self.page
        yield f"text={LOST}", page.reload
        yield f'button:has-text("{CONTINUE}")', self._fill_in
        yield f'button:has-text("{STORE}")', self._enter_secret
        yield "input[name=email]", self.sign_in_at_ninjaone
        yield "button[value=authorize]", lambda: page.locator("button[value=authorize]").click()
        yield "a.button", lambda: page.locator("a.button").click()
        if not self.led_home:  # else the page that was asked for is only about to be shown
            yield (
                "button[name=client][value=operator], form:has(input[name=connection]) button, input[readonly]",
                lambda: page.goto(self.link),
            )

    def _fill_in(self) -> None:
        self.choose()
        self.page.get_by_role("button", name=CONTINUE).click()

    def choose(self) -> None:
        """Fill in the connect page."""
        if self.way != "reconnect":  # there the host is known
            self.page.get_by_label("Europe").check()
        if self.page.get_by_label("Client id").is_visible():  # also a reconnect of a connection made that way
            self.page.get_by_label("Client id").fill(APP)
            self.page.get_by_label("Client secret").fill(self.world.ninjaone.app(APP).secret)

    def _enter_secret(self) -> None:
        self.page.get_by_label("Client secret").fill(self.world.ninjaone.app(APP).secret)
        self.page.get_by_role("button", name=STORE).click()

    def sign_in_at_ninjaone(self) -> None:
        self.page.get_by_label("Email").fill(ADA)
        self.page.get_by_label("Password").fill("any")
        self.page.get_by_role("button", name="Sign in").click()


def ask(route: Route) -> APIResponse:
    """Send a request on as the browser would; what is intercepted has no Sec-Fetch headers yet."""
    sent = route.request.headers
    if route.request.method == "POST":
        sent = {**sent, "sec-fetch-site": "same-origin"}
    return route.fetch(headers=sent, max_redirects=0)


def connections(page: Page, world: World) -> set[str | None]:
    """List the connections that the product shows."""
    page.goto(f"{world.product_url}/integrations")
    links = page.locator("a[href^='/connections/con_']")
    return {links.nth(number).get_attribute("href") for number in range(links.count())}


def begin(page: Page, world: World, way: str) -> str:
    """Begin at the product, and give the address of the connect page."""
    page.goto(f"{world.product_url}/integrations")
    if way in RENEWS:
        page.locator("a[href^='/connections/con_']").first.click()
        if way == "new secret":
            return ask_for_a_new_secret(page)
        page.get_by_role("button", name="Reconnect").click()
    elif way == "approval":
        page.get_by_label("Somebody else signs in").check()
        page.get_by_role("button", name="Connect NinjaOne").click()
        return page.get_by_label("Copy this link").input_value()
    else:
        own = way == "own app"
        page.get_by_role("button", name="Connect with your own client app" if own else "Connect NinjaOne").click()
    expect(page.get_by_role("button", name=CONTINUE)).to_be_visible()
    return page.url


def ask_for_a_new_secret(page: Page) -> str:
    """Have the product ask for it. Its own button is there only once NinjaOne has refused the old secret twice."""
    button = page.get_by_role("button", name="Use the token")
    button.evaluate("button => { button.form.action = button.form.action.replace(/use$/, 'secret') }")
    button.click()
    expect(page.get_by_role("button", name=STORE)).to_be_visible()
    return page.url


def travel(page: Page, world: World, request: str, how: str, way: str) -> Traveller:
    """Go from the product to a connection, interrupted once."""
    traveller = Traveller(page, world, request, how, way, begin(page, world, way))
    page.route("**/*", traveller.meet)
    page.goto(traveller.link)
    traveller.go_on()
    page.unroute("**/*")
    return traveller


@pytest.mark.parametrize(("request_", "how", "way"), PARAMETERS)
def test_a_person_who_is_interrupted_ends_with_one_connection(
    world: World, page_at: PageAt, request_: str, how: str, way: str
) -> None:
    page = page_at(1280, "light")
    sign_in(page, world, "Chloe" if way == "new secret" else "Ana")
    if way in RENEWS and not connections(page, world):
        travel(page, world, "form", "not at all", RENEWS[way])
    before, stored = connections(page, world), secrets_stored(world)
    if way == "new secret":
        world.ninjaone.admin.rotate_secret(APP)

    traveller = travel(page, world, request_, how, way)

    assert traveller.interrupted
    assert secrets_stored(world) - stored == (way == "new secret")
    made = connections(page, world) - before
    for _ in range(
        LOOKS if way == "approval" else 0
    ):  # a queue's worker makes the connection, after the person's last page
        if made:
            break
        page.wait_for_timeout(250)
        made = connections(page, world) - before
    assert len(made) == (0 if way in RENEWS else 1)
    page.goto(f"{world.product_url}{made.pop() if made else before.pop()}")
    if way == "approval":
        page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Active").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Use the token").click()
    expect(page.get_by_text("What NinjaOne answered")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize("way", ["operator's app", "own app"])
def test_both_buttons_are_pressed_twice_at_once(world: World, page_at: PageAt, way: str) -> None:
    """Chromium cancels the first request, whose answer nobody hears, while both are at work."""
    page = page_at(1280, "light")
    sign_in(page, world, "Ana")
    before = connections(page, world)
    traveller = Traveller(page, world, "", "", way, begin(page, world, way))

    traveller.choose()
    page.get_by_role("button", name=CONTINUE).dblclick()
    traveller.sign_in_at_ninjaone()
    page.get_by_role("button", name="Authorize").dblclick()

    expect(page.locator("[data-show=left]")).to_contain_text("min", timeout=PATIENCE)
    assert len(connections(page, world) - before) == 1


def secrets_stored(world: World) -> int:
    return sum('"secret.replaced"' in line for line in world.log_lines)
