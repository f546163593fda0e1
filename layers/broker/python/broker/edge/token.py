"""What a backend asks of its connections: how long a token must last, which page of the list."""

import re

from broker.adapters.rows import PROFILE
from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest
from broker.model import Seconds, connection_id

LONGEST_MIN_TTL = Seconds(3000)
DEFAULT_MIN_TTL = Seconds(300)

_LIMIT = re.compile(r"[1-9][0-9]?|100")


def min_ttl(request: Request) -> Seconds:
    """Read how long a token must last. Raises   InvalidRequest"""
    body = Fields(request, frozenset({"min_ttl"}))
    found = Seconds(body.number("min_ttl", default=DEFAULT_MIN_TTL, most=LONGEST_MIN_TTL))
    body.check()
    return found


def list_page(request: Request) -> tuple[int, str | None]:
    """Read how many to list and after which. Raises   InvalidRequest"""
    limit, cursor = request.query("limit") or "50", request.query("cursor")
    faults = []
    if not _LIMIT.fullmatch(limit):
        faults.append(Fault("limit", "Give a whole number from 1 to 100."))
    if cursor is not None and connection_id(cursor.removesuffix(PROFILE)) is None:
        faults.append(Fault("cursor", "Give the cursor of the page before as it came."))
    if faults:
        raise InvalidRequest(*faults)
    return int(limit), cursor
