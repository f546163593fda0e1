"""The query of the list of connections."""

import re

from broker.adapters.rows import PROFILE
from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest
from broker.model import connection_id

_LIMIT = re.compile(r"[1-9][0-9]?|100")


def list_page(request: Request) -> tuple[int, str | None]:
    """Read the page size and the cursor.

    A repeated cursor is refused: taken for none, it would lead a caller who appends it to the last address back to the
    first page again and again.

    Raises:
        InvalidRequest
    """
    faults = [Fault(name, "Pass it once.") for name in ("limit", "cursor") if len(request.query_values(name)) > 1]
    limit, cursor = request.query_parameter("limit") or "50", request.query_parameter("cursor")
    if not _LIMIT.fullmatch(limit):
        faults.append(Fault("limit", "Use a whole number from 1 to 100."))
    if cursor is not None and connection_id(cursor.removesuffix(PROFILE)) is None:
        faults.append(Fault("cursor", "Pass the cursor of the previous page unchanged."))
    if faults:
        raise InvalidRequest(*faults)
    return int(limit), cursor
