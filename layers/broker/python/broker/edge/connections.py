"""The query of the list of connections."""

import re

from broker.adapters.rows import PROFILE
from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest
from broker.model import connection_id

_LIMIT = re.compile(r"[1-9][0-9]?|100")


def list_page(request: Request) -> tuple[int, str | None]:
    """Read the page size and the cursor. Raises InvalidRequest."""
    limit, cursor = request.query_parameter("limit") or "50", request.query_parameter("cursor")
    faults = []
    if not _LIMIT.fullmatch(limit):
        faults.append(Fault("limit", "Use a whole number from 1 to 100."))
    if cursor is not None and connection_id(cursor.removesuffix(PROFILE)) is None:
        faults.append(Fault("cursor", "Pass the cursor of the previous page unchanged."))
    if faults:
        raise InvalidRequest(*faults)
    return int(limit), cursor
