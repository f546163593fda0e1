"""The body of a token request."""

from dataclasses import dataclass

from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.model import Seconds

MAX_MIN_TTL = Seconds(3000)
DEFAULT_MIN_TTL = Seconds(300)
MAX_VERSION = 2**53 - 1
"""The largest integer that every JSON reader represents exactly. See RFC 8259 §6."""


@dataclass(frozen=True)
class TokenRequest:
    """Which access token a backend needs.

    Attributes:
        min_ttl: seconds that it should last
        refused_version: the version of a token that NinjaOne refused, so that another is needed; 0: none
    """

    min_ttl: Seconds
    refused_version: int


def token_request(request: Request) -> TokenRequest:
    """Read the body. Raises InvalidRequest."""
    body = Fields(request, frozenset({"min_ttl", "refused_version"}))
    min_ttl = Seconds(body.number("min_ttl", default=DEFAULT_MIN_TTL, most=MAX_MIN_TTL))
    refused_version = body.number("refused_version", default=0, most=MAX_VERSION)
    body.check()
    return TokenRequest(min_ttl, refused_version)
