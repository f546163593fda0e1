"""What betrays a secret: its beginning, as it is or encoded."""

import base64
import json
from collections.abc import Iterable, Iterator
from functools import cache
from urllib.parse import quote, quote_plus

SHOWN = 12
"""The first characters of a secret; whoever finds the whole finds these."""


@cache
def traces(secret: str) -> frozenset[str]:
    """Give every text whose presence would betray a secret."""
    start = secret[:SHOWN]
    found = {
        start,
        quote(start, safe=""),
        quote_plus(start, safe=""),
        json.dumps(start)[1:-1],
        "".join(f"\\u{ord(each):04x}" for each in start),
        start.encode().hex(),
        start.encode().hex().upper(),
        *_in_base64(start.encode()),
    }
    return frozenset(found)


def _in_base64(start: bytes) -> Iterator[str]:
    """Encode it at each of the three places where it may begin in a longer text; the ends depend on neighbours."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + start).decode()
            yield text[(before * 8 + 5) // 6 : len(start) * 8 // 6]


def betrayed(secrets: Iterable[str], text: str) -> list[str]:
    """List the secrets of which a text shows a trace."""
    return [secret for secret in secrets if any(trace in text for trace in traces(secret))]
