"""The emulator in a real browser: readable on every screen, and no script needed."""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse

import pytest
from playwright.sync_api import Page, expect

from ninjaone_emulator import NinjaOne
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.testing import ADA, EU, Client, make_ninjaone
from ninjaone_emulator.wsgi_server import Server, serve
from tests.browser.conftest import PageAt, Picture

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SCREENS = [(320, "dark"), (1280, "light")]


def _say_back(_: object, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"back"]


@pytest.fixture
def core() -> NinjaOne:
    return make_ninjaone()


@pytest.fixture
def client(core: NinjaOne) -> Iterator[Client]:
    """An app whose product listens, and says "back" whatever it is asked."""
    with serve(_say_back) as product:
        app = Client(core)
        app.redirect_uri = f"{product.url}/callback/eu"
        core.admin.add_redirect(app.fields["client_id"], app.redirect_uri)
        yield app


@pytest.fixture
def server(core: NinjaOne) -> Iterator[Server]:
    with serve(create_app(core)) as running:
        yield running


def broken_rules(page: Page) -> list[str]:
    """Name every rule of axe-core that the page breaks, with the element."""
    page.evaluate(AXE)
    result: dict[str, Any] = json.loads(page.evaluate("axe.run().then(JSON.stringify)"))
    assert len(result["passes"]) > 10
    return [f"{rule['id']}: {node['html']}" for rule in result["violations"] for node in rule["nodes"]]


def to_consent(page: Page, server: Server, client: Client) -> None:
    page.goto(f"{server.url}/{EU}/ws/oauth/authorize?{client.query()}")
    page.get_by_label("Email").fill(ADA)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Authorize")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
@pytest.mark.parametrize("name", ["index", "control", "sign-in", "nobody", "consent"])
def test_a_page_of_the_emulator_is_readable_on_every_screen(
    page_at: PageAt, picture: Picture, server: Server, client: Client, width: int, scheme: str, name: str
) -> None:
    page = page_at(width, scheme)
    if name == "consent":
        to_consent(page, server, client)
    else:
        address = {"index": "", "control": "control"}.get(name, f"{EU}/")
        page.goto(f"{server.url}/{address}")
    if name == "nobody":
        page.get_by_label("Email").fill("nobody@nordlicht.example")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("It is not NinjaOne, and nothing here is real.")).to_be_visible()

    picture(page, f"ninjaone-{name}-{width}-{scheme}")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert broken_rules(page) == []


@pytest.mark.parametrize(("button", "answer"), [("Authorize", "code"), ("Deny access", "error")])
def test_a_person_decides_and_comes_back_to_the_product(
    page_at: PageAt, server: Server, client: Client, button: str, answer: str
) -> None:
    page = page_at(1280, "light")
    to_consent(page, server, client)

    page.get_by_role("button", name=button).click()

    page.wait_for_url(f"{client.redirect_uri}?**")
    assert parse_qs(urlsplit(page.url).query).keys() == {answer, "state"}


def test_a_remembered_decision_is_not_asked_for_again(page_at: PageAt, server: Server, client: Client) -> None:
    page = page_at(1280, "light")
    to_consent(page, server, client)
    page.get_by_label("Remember my decision").check()
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{client.redirect_uri}?**")

    page.goto(f"{server.url}/{EU}/ws/oauth/authorize?{client.query()}")

    assert page.url.startswith(f"{client.redirect_uri}?code=")


def test_the_control_page_is_worked_by_hand(page_at: PageAt, server: Server, core: NinjaOne) -> None:
    page = page_at(1280, "light")
    page.goto(f"{server.url}/control")

    page.get_by_text("Tokens and refreshing").click()
    page.get_by_label("What a refresh does to the refresh token").select_option("reuse_kills_family")
    page.get_by_role("button", name="Set these").first.click()
    page.get_by_label("Fault", exact=True).select_option("lost_response")
    page.get_by_role("button", name="Plan the fault").click()

    expect(page.get_by_text("Answers get lost: the token endpoint")).to_be_visible()
    assert core.switches.rotation == "reuse_kills_family"
    assert core.faults.planned[0].kind == "lost_response"
