"""A real browser for the tests that need one: Debian's chromium, driven by playwright."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[2] / ".screenshots"

PageAt = Callable[[int, str], Page]
Picture = Callable[[Page, str], None]


def later(*values: object) -> pytest.ParameterSet:
    """Leave a case to `make test-all`: a screen of another size or colour, where another case shows the same page."""
    return pytest.param(*values, marks=pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where there is no browser, skip in one line that says how to get it; fail where REQUIRE_BROWSER=1."""
    if not CHROMIUM.exists() and item.get_closest_marker("browser"):
        missing = pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip
        missing(f"there is no {CHROMIUM}: apt-get install -y chromium fonts-liberation")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One chromium for all tests that are marked ``browser``."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page_at(browser: Browser) -> Iterator[PageAt]:
    """Open a fresh browser profile: ``page_at(390, "dark")``, a width in CSS pixels and a colour scheme."""
    contexts: list[BrowserContext] = []

    def open_page(width: int, scheme: str) -> Page:
        phone = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
            is_mobile=phone,
            has_touch=phone,
        )
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def picture() -> Picture:
    """Keep a screenshot of the whole page for a person to look at; git does not."""

    def keep(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png", full_page=True)

    return keep
