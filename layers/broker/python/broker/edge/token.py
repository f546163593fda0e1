"""How long a token must last that a backend asks for."""

from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.model import Seconds

LONGEST_MIN_TTL = Seconds(3000)
DEFAULT_MIN_TTL = Seconds(300)


def min_ttl(request: Request) -> Seconds:
    """Read how long a token must last. Raises   InvalidRequest"""
    body = Fields(request, frozenset({"min_ttl"}))
    found = Seconds(body.number("min_ttl", default=DEFAULT_MIN_TTL, most=LONGEST_MIN_TTL))
    body.check()
    return found
