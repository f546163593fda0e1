"""Which token a backend asks for."""

from dataclasses import dataclass

from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.model import Seconds

LONGEST_MIN_TTL = Seconds(3000)
DEFAULT_MIN_TTL = Seconds(300)
HIGHEST_VERSION = 2**53 - 1
"""JSON numbers are exact up to here. See RFC 8259 §6."""


@dataclass(frozen=True)
class TokenRequest:
    """What the token must be.

    Attributes:
        min_ttl: seconds that it should last
        refused_version: NinjaOne refused the token of this version, so it should be another; 0: it refused none
    """

    min_ttl: Seconds
    refused_version: int


def token_request(request: Request) -> TokenRequest:
    """Read which token is asked for. Raises InvalidRequest."""
    body = Fields(request, frozenset({"min_ttl", "refused_version"}))
    min_ttl = Seconds(body.number("min_ttl", default=DEFAULT_MIN_TTL, most=LONGEST_MIN_TTL))
    refused_version = body.number("refused_version", default=0, most=HIGHEST_VERSION)
    body.check()
    return TokenRequest(min_ttl, refused_version)
