"""What the tests do and ask in a real browser."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from playwright.sync_api import Page

from local.world import World

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
ADA = "ada@nordlicht.example"
PATIENCE = 60_000  # milliseconds until a page that never changes fails the test


@contextmanager
def no_complaints(page: Page) -> Iterator[None]:
    """Fail when the browser reports a script error or something that a page's policy blocked."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield
    assert said == []


def sign_in(page: Page, world: World, name: str) -> None:
    page.goto(world.product_url)
    page.get_by_role("button", name=name).click()


def agree(page: Page, decision: str = "Authorize") -> None:
    page.get_by_label("Email").fill(ADA)
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=decision).click()


def barriers(page: Page) -> list[str]:
    """Name every rule of axe-core that the page breaks, with the element."""
    page.evaluate(AXE)
    found = json.loads(page.evaluate("axe.run().then(JSON.stringify)"))["violations"]
    return [f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"]]


def fits(page: Page) -> bool:
    """Say whether nothing reaches beyond the screen's side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
