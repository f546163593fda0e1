"""The hosted pages in a real browser: readable, operable, and held by their own policy."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route

from broker.edge import pages
from broker.edge.http import security_headers
from tests.browser.conftest import PageAt, Picture, later
from tests.support.sample_pages import (
    CHOICES,
    CONNECT,
    OWN_APP,
    PLAIN,
    SESSION,
    connect_pages,
    notices,
)
from tools.requirements import req

pytestmark = pytest.mark.browser

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
EVERY_PAGE = connect_pages() | notices()
PAGES = [*connect_pages(), "broken"]
FIRST = {"operators-app", "own-app-chosen", "faulty", "new-secret", "broken"}  # between them, all that a page may have
LOOKS: list[Any] = [(name, 320, "dark") if name in FIRST else later(name, 320, "dark") for name in PAGES]
LOOKS += [later(name, *size) for name in PAGES for size in [(390, "light"), (1280, "light"), (1280, "dark")]]
LOOKS += [later(name, 320, "dark") for name in notices() if name != "broken"]  # notices differ in their words only
PLACE = f"{CONNECT}/connect/{SESSION}"


def show(page: Page, shown: pages.Page, html: str | None = None) -> list[str]:
    """Bring a page to the browser, headers and all, and give what the console says from then on."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if told_off(message) else None)

    def fulfil(route: Route) -> None:
        route.fulfill(status=shown.status, headers=dict(shown.headers), body=html or shown.html)

    page.route("**/*", fulfil)
    page.goto(PLACE)
    return complaints


def told_off(message: ConsoleMessage) -> bool:
    """Leave out what the browser says of any page with a status from 400 on."""
    return "the server responded with a status of" not in message.text


def axe(page: Page) -> list[str]:
    """Name every rule of axe-core that the page breaks, or that axe could not judge, with the element."""
    page.evaluate(AXE)
    result: Mapping[str, Any] = json.loads(page.evaluate("axe.run().then(JSON.stringify)"))
    assert len(result["passes"]) > 10
    found = result["violations"] + result["incomplete"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_a_page_is_readable_on_every_screen(
    page_at: PageAt, picture: Picture, name: str, width: int, scheme: str
) -> None:
    page = page_at(width, scheme)

    complaints = show(page, EVERY_PAGE[name])

    picture(page, f"{name}-{width}-{scheme}")
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderTopStyle") == "solid"
    assert axe(page) == []


def test_axe_finds_a_planted_fault(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    html = EVERY_PAGE["own-app"].html.replace('<label for="client_id">Client id</label>', "")

    show(page, EVERY_PAGE["own-app"], html)

    assert [rule.partition(":")[0] for rule in axe(page)] == ["label"]


def test_the_words_of_a_button_that_is_a_link_stand_on_one_line(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    show(page, pages.notice(PLAIN, pages.Notice.USED, back="https://app.example/return"))

    button = page.get_by_role("link", name="Go to Acme PSA").bounding_box()

    assert button
    assert button["height"] == 48


def test_light_and_dark_follow_the_reader(page_at: PageAt) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = page_at(390, scheme)
        show(page, EVERY_PAGE["operators-app"])
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert colours == {"light": "rgb(245, 246, 248)", "dark": "rgb(16, 19, 24)"}


@req("A16", "F01", "F15")
def test_planted_scripts_styles_and_pictures_do_nothing(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    planted = (
        "<script>document.title = 'taken'</script><style>main { display: none }</style>"
        "<img src=https://evil.example/p.png onerror=\"document.title = 'taken'\">"
    )
    html = EVERY_PAGE["operators-app"].html.replace("</main>", planted + "</main>")

    complaints = show(page, EVERY_PAGE["operators-app"], html)

    assert page.title() == "Connect NinjaOne · Acme PSA"
    assert page.locator("main").is_visible()
    assert len([text for text in complaints if "Content Security Policy" in text]) >= 3


def test_the_redirect_uri_follows_the_region(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    show(page, EVERY_PAGE["own-app"])
    shown = page.locator(".uris code:visible")
    assert shown.count() == 0
    assert page.get_by_text("Choose above where you sign in").is_visible()

    for choice in CHOICES:
        page.get_by_label(choice.name).check()
        assert shown.all_inner_texts() == [f"{CONNECT}/callback/{choice.key}"]

    page.get_by_label("An address of your own").check()
    assert shown.all_inner_texts() == [f"{CONNECT}/callback/branded"]
    assert not page.get_by_text("Choose above where you sign in").is_visible()


def test_a_click_selects_the_whole_redirect_uri_even_where_it_wraps(page_at: PageAt) -> None:
    page = page_at(320, "light")
    show(page, EVERY_PAGE["own-app-chosen"])

    page.locator(".uris code:visible").click()

    selected = page.evaluate("getSelection().toString().trim()")
    assert selected == "https://abc1234567.execute-api.eu-west-1.amazonaws.com/callback/eu"


def test_the_fields_of_an_own_address_appear_with_their_choice(page_at: PageAt) -> None:
    page = page_at(390, "light")
    show(page, EVERY_PAGE["own-app"])
    subdomain = page.get_by_label("First part of your address")
    assert not subdomain.is_visible()

    page.get_by_label("An address of your own").check()

    assert subdomain.is_visible()
    assert page.get_by_label("Rest of your address").is_visible()


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    show(page, EVERY_PAGE["own-app-chosen"])

    stops = [focused(page) for _ in range(5)]

    assert stops == ["region=eu", "client_id", "client_secret", "button", "a"]


def focused(page: Page) -> str:
    """Press Tab once, see that the focus is drawn, and name where it is."""
    page.keyboard.press("Tab")
    now: Locator = page.locator(":focus")
    assert now.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    assert now.evaluate("element => parseFloat(getComputedStyle(element).outlineWidth)") >= 2
    name = now.get_attribute("name")
    tag = str(now.evaluate("element => element.localName"))
    return f"{name}={now.get_attribute('value')}" if name == "region" else name or tag


def test_nothing_is_sent_until_a_region_is_chosen(page_at: PageAt) -> None:
    page = page_at(1280, "light")
    show(page, EVERY_PAGE["regions"])
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))

    page.get_by_role("button").click()

    assert page.locator("input:invalid").count() == len(CHOICES)
    assert sent == []


class World:
    """Connect, NinjaOne, the product and its login on four ports: where a form leads, and what each was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, str], str]] = []
        self.connect = self.ninjaone = self.product = self.login = ""

    def answer(self, path: str) -> tuple[int, Mapping[str, str], str]:
        """Go on as the broker does, as NinjaOne does when it remembers a consent, and as a product with a login."""
        steps = {
            "/ws/oauth/authorize": f"{self.connect}/callback/eu",
            "/callback/eu": f"{self.product}/return",
            "/return": f"{self.login}/login",
        }
        if path in steps:
            return 303, {"location": steps[path], **security_headers()}, ""
        page = {
            f"/connect/{SESSION}": pages.connect_page(PLAIN, OWN_APP),
            f"/connect/{SESSION}/authorize": pages.leave(PLAIN, f"{self.ninjaone}/ws/oauth/authorize", "eu"),
        }.get(path)
        if page is None:
            return 200, {"content-type": "text/html"}, "<title>back</title>"
        return page.status, page.headers, page.html


@contextmanager
def loopback(world: World, name: str) -> Iterator[str]:
    """Serve one of the three on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            world.asked.append((name, f"{self.command} {self.path}", dict(self.headers), body))
            status, headers, html = world.answer(self.path)
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(html.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with (
        loopback(made, "connect") as made.connect,
        loopback(made, "ninjaone") as made.ninjaone,
        loopback(made, "product") as made.product,
        loopback(made, "login") as made.login,
    ):
        yield made


def fill_in(page: Page, world: World) -> Locator:
    """Open the connect page, answer everything, and give the button that sends it."""
    page.goto(f"{world.connect}/connect/{SESSION}")
    page.get_by_label("Europe").check()
    page.get_by_label("Client id").fill("Xr6YAvcfxC")
    page.get_by_label("Client secret").fill("a secret & more")
    return page.get_by_role("button")


@req("F01")
def test_the_form_leads_to_ninjaone_and_home_again_without_any_script(browser: Browser, world: World) -> None:
    """The product sends the person on to another origin, which no policy of ours names."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        button = fill_in(page, world)

        button.click()
        page.wait_for_url(f"{world.login}/login")

    journey = world.asked[:6]
    _, _, posted, body = journey[1]
    assert [name for name, *_ in journey] == ["connect", "connect", "ninjaone", "connect", "product", "login"]
    referrers = [headers.get("Referer") for _, _, headers, _ in journey]
    assert referrers == [None, f"{world.connect}/connect/{SESSION}", None, None, None, None], "our origin alone has one"
    assert (posted["Sec-Fetch-Site"], posted["Origin"]) == ("same-origin", world.connect)
    assert parse_qs(body, keep_blank_values=True) == {
        "region": ["eu"],
        "subdomain": [""],
        "suffix": ["rmmservice.com"],
        "client_id": ["Xr6YAvcfxC"],
        "client_secret": ["a secret & more"],
    }


@req("F01", "E02")
def test_a_form_that_was_bent_to_another_origin_is_not_sent(page_at: PageAt, world: World) -> None:
    page = page_at(1280, "light")
    button = fill_in(page, world)
    page.evaluate("where => { document.forms[0].action = where }", f"{world.ninjaone}/stolen")

    with page.expect_console_message(lambda message: "form-action" in message.text):
        button.dispatch_event("click")  # without waiting for a navigation that never starts

    assert "ninjaone" not in [name for name, *_ in world.asked]


def test_back_from_ninjaone_leads_to_the_connect_page(page_at: PageAt, world: World) -> None:
    """The page that goes on is not kept in the history, so nobody falls forward again."""
    page = page_at(1280, "light")

    fill_in(page, world).click()
    page.wait_for_url(f"{world.login}/login")
    page.go_back()

    assert page.url == f"{world.connect}/connect/{SESSION}"
