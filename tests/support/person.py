"""A person who follows a connect link, agrees at NinjaOne, and comes back with a ticket."""

from urllib.parse import parse_qs, urlsplit

from local.browser import Browser

ADA = "ada@nordlicht.example"
RHONE = "ada@rhone.example"
"""Somebody of another NinjaOne account on the same host."""


def agree(connect_url: str, *, region: str = "eu", email: str = ADA, decision: str = "Authorize") -> dict[str, str]:
    """Go to NinjaOne and back; give what the return address carries."""
    with Browser() as person:
        person.open(connect_url)
        person.submit("Continue to NinjaOne", region=region)
        person.arrive()
        person.submit("Sign in", email=email, password="any")
        person.arrive()
        person.submit(decision)
        home = person.follow().location
    return {name: values[0] for name, values in parse_qs(urlsplit(home).query).items()}
