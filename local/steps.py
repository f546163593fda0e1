"""Check steps one after the other and print each: what was claimed, and at the first miss what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.browser import Page
from local.product.backend import Problem


class Missed(Exception):
    """A step did not show what it must; it has been printed."""


@dataclass
class Steps:
    """How many steps were checked. What they compare is printed at a miss, so it must hold no secret."""

    count: int = 0

    def equal(self, claim: str, got: object, expected: object) -> None:
        """Check that two values are the same."""
        self.count += 1
        if got != expected:
            print(f"NO {self.count:3}  {claim}\n        expected  {expected!r}\n        got       {got!r}")
            raise Missed
        print(f"ok {self.count:3}  {claim}")

    def says(self, claim: str, page: Page, *sentences: str, status: int = 200) -> None:
        """Check that a page has this status and says all this."""
        found = tuple(sentence for sentence in sentences if sentence in page.text)
        self.equal(claim, (page.status, *found), (status, *sentences))

    def leads(self, claim: str, page: Page, target: str) -> None:
        """Check that a page redirects to this address, whatever its query."""
        self.equal(claim, (page.status in {302, 303}, bare(page.location)), (True, target))

    def stuck(self, error: Exception) -> None:
        """Print that the way to the next step ended; the messages of what is caught here name no secret."""
        print(f"NO {self.count + 1:3}  the way to this step ended\n        got       {type(error).__name__}: {error}")

    def refused(self, claim: str, slug: str, call: Callable[[], object]) -> None:
        """Check that the broker's API answers a call with this problem."""
        try:
            call()
        except Problem as problem:
            self.equal(claim, problem.slug, slug)
        else:
            self.equal(claim, "no problem", slug)


def bare(url: str) -> str:
    """Leave out the query, which may hold what must not be printed."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
