"""A person who follows a connect link, agrees at NinjaOne, and comes back with a ticket."""

from urllib.parse import parse_qs, urlsplit

from local.browser import Browser, Page

ADA = "ada@nordlicht.example"
RHONE = "ada@rhone.example"
"""Somebody of another NinjaOne account on the same host."""


def decide(person: Browser, *, region: str = "eu", email: str = ADA, decision: str = "Authorize") -> Page:
    """Go on from the connect page to NinjaOne, sign in there unless one is, and decide; follow nothing from there."""
    person.submit("Continue to NinjaOne", region=region)
    if person.arrive().heading.startswith("Sign in"):
        person.submit("Sign in", email=email, password="any")
        person.arrive()
    return person.submit(decision)


def agree(connect_url: str, *, region: str = "eu", email: str = ADA, decision: str = "Authorize") -> dict[str, str]:
    """Go to NinjaOne and back; give what the return address carries."""
    with Browser() as person:
        person.open(connect_url)
        decide(person, region=region, email=email, decision=decision)
        return query_of(person.follow().location)


def query_of(url: str) -> dict[str, str]:
    """Read an address's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
