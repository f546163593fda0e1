"""The lists of the API: seven families, each with its own way to the next page (docs/understand/ninjaone.md §12)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from ninjaone_emulator.errors import api_json, api_refused
from ninjaone_emulator.message import Reply, Request
from ninjaone_emulator.state import Cursor, State, Tenant

Row = dict[str, Any]
Family = Callable[[State, Request, list[Row]], Reply]
"""Answers one page. Raises RepeatedParameter, TypeError or ValueError if the request cannot be read."""

_CLASSES = ("WINDOWS_SERVER", "WINDOWS_WORKSTATION", "MAC")


def find(method: str, path: str) -> Family | None:
    """Find what answers a list, with its rows put in."""
    found = LISTS.get((method, path))
    if found is None:
        return None
    family, rows = found
    return lambda state, request, seeded: family(state, request, rows(state, seeded))


# Families ---------------------------------------------------------------------------------------------------------


def _after(state: State, request: Request, rows: list[Row]) -> Reply:
    """A bare array after the last id of the page before; `Link` names the next page, or does not."""
    params = request.params()
    size, after = _size(state, params, 1000), int(params.get("after", "0"))
    page = [row for row in rows if row["id"] > after][:size]
    reply = api_json(state, 200, page)
    if len(page) < size or not _links(state, page[-1]["id"]):
        return reply
    query = urlencode(params | {"after": page[-1]["id"]})
    link = f'<https://{request.host}{request.path}?{query}>; rel="next"'
    return replace(reply, headers=(*reply.headers, ("Link", link)))


def _links(state: State, last: int) -> bool:
    return state.switches.link_header == "present" or (state.switches.link_header == "now_and_then" and last % 2 == 0)


def _cursor(state: State, request: Request, rows: list[Row]) -> Reply:
    """`{cursor, results}`: the cursor keeps its name while its offset moves, and ends after some time."""
    params = request.params()
    size, cursor = _size(state, params, 1000), _open(state, request, params.get("cursor", ""))
    if cursor is None:
        return api_refused(state, "cursor_expired")
    page = _next(state, cursor, rows, size)
    if cursor.offset >= len(rows) and state.switches.last_cursor == "absent":
        return api_json(state, 200, {"results": page})
    shown = {"name": cursor.name, "offset": cursor.offset, "count": len(page), "expires": cursor.expires_at}
    return api_json(state, 200, {"cursor": shown, "results": page})


def _cursor_name(state: State, request: Request, rows: list[Row]) -> Reply:
    """`{page, pageSize, count, results}`: `page` is the cursor's name, empty at the end."""
    params = request.params()
    size, cursor = _size(state, params, 50), _open(state, request, params.get("cursorName", ""))
    if cursor is None:
        return api_refused(state, "cursor_expired")
    page = _next(state, cursor, rows, size)
    name = cursor.name if cursor.offset < len(rows) else ""
    return api_json(state, 200, {"page": name, "pageSize": size, "count": len(page), "results": page})


def _open(state: State, request: Request, name: str) -> Cursor | None:
    """Find the cursor of a list, or begin one; None for one that is unknown or has ended."""
    if not name:
        cursor = Cursor(state.random_uuid(), request.path, state.now() + state.switches.cursor_seconds)
        state.cursors[cursor.name] = cursor
        return cursor
    known = state.cursors.get(name)
    return known if known and known.path == request.path and state.now() < known.expires_at else None


def _next(state: State, cursor: Cursor, rows: list[Row], size: int) -> list[Row]:
    page = rows[cursor.offset :][:size]
    if cursor.offset == 0 or not state.switches.cursor_repeats:
        cursor.offset += len(page)
    return page


def _activities(state: State, request: Request, rows: list[Row]) -> Reply:
    """Newest first: `olderThan` the last id goes on, `newerThan` an id looks for what has come since."""
    params = request.params()
    size, newer = _size(state, params, 200), int(params.get("newerThan", "0"))
    older = int(params.get("olderThan", len(rows) + 1))
    page = [row for row in reversed(rows) if newer < row["id"] < older][:size]
    return api_json(state, 200, {"lastActivityId": page[-1]["id"] if page else 0, "activities": page})


def _board(state: State, request: Request, rows: list[Row]) -> Reply:
    """A POST whose body names the last row seen; the next one stands in `metadata`."""
    body = json.loads(request.body or b"{}")
    if not isinstance(body, dict):
        raise TypeError("the body is no object")
    size, last = _size(state, body, 50), int(body.get("lastCursorId", 0))
    page = [row for row in rows if row["id"] > last][:size]
    return api_json(state, 200, {"data": page, "metadata": {"lastCursorId": page[-1]["id"] if page else 0}})


def _anchor(state: State, request: Request, rows: list[Row]) -> Reply:
    """A bare array after an anchor."""
    params = request.params()
    size, anchor = _size(state, params, 500), int(params.get("anchorId", "0"))
    return api_json(state, 200, [row for row in rows if row["id"] > anchor][:size])


def _unpaged(state: State, _: Request, rows: list[Row]) -> Reply:
    """All of it, whatever is asked."""
    return api_json(state, 200, rows)


def _size(state: State, params: Mapping[str, Any], usual: int) -> int:
    """Read how many rows are asked for; the switch may give fewer although more follow."""
    size = int(params.get("pageSize", usual))
    if size < 1:
        raise ValueError("pageSize is not positive")
    return min(size, state.switches.page_cap or size)


# Rows -------------------------------------------------------------------------------------------------------------


def organizations(state: State, tenant: Tenant) -> list[Row]:
    """List a tenant's organizations, as many as the switch says."""
    seeded: list[Row] = [{"id": each.id, "name": each.name} for each in tenant.organizations]
    more = range(len(seeded) + 1, state.switches.list_rows + 1)
    return seeded + [{"id": number, "name": f"Organization {number}"} for number in more]


def _as_they_are(_: State, seeded: list[Row]) -> list[Row]:
    return seeded


def _devices(state: State, seeded: list[Row]) -> list[Row]:
    """Create one device of each class in every organization, or as many devices in all as the switch says."""
    pairs = [(each["id"], kind) for each in seeded for kind in _CLASSES]
    return [
        {
            "id": number,
            "organizationId": organization,
            "nodeClass": kind,
            "systemName": f"{kind.replace('_', '-')}-{organization}",
            "offline": number % 4 == 0,
        }
        for number, (organization, kind) in enumerate(pairs[: state.switches.list_rows or None], start=1)
    ]


def _numbered(state: State, seeded: list[Row]) -> list[Row]:
    """Return as many rows as there are devices, each with an id and nothing else."""
    return [{"id": row["id"], "name": f"row {row['id']}"} for row in _devices(state, seeded)]


def _reports(state: State, seeded: list[Row]) -> list[Row]:
    """Return a report's rows: one for each device, named by it."""
    return [{"deviceId": row["id"], "name": f"report of {row['systemName']}"} for row in _devices(state, seeded)]


LISTS: Mapping[tuple[str, str], tuple[Family, Callable[[State, list[Row]], list[Row]]]] = {
    ("GET", "/v2/organizations"): (_after, _as_they_are),
    ("GET", "/v2/devices"): (_after, _devices),
    ("GET", "/v2/locations"): (_after, _numbered),
    ("GET", "/v2/queries/operating-systems"): (_cursor, _reports),
    ("GET", "/v2/queries/software"): (_cursor, _reports),
    ("GET", "/v2/backup/jobs"): (_cursor, _reports),
    ("GET", "/v2/activities"): (_activities, _numbered),
    ("GET", "/v2/custom-fields"): (_cursor_name, _numbered),
    ("POST", "/v2/ticketing/trigger/board/1/run"): (_board, _numbered),
    ("GET", "/v2/ticketing/ticket/1001/log-entry"): (_anchor, _numbered),
    ("GET", "/v2/alerts"): (_unpaged, _numbered),
    ("GET", "/v2/users"): (_unpaged, _numbered),
    ("GET", "/v2/groups"): (_unpaged, _numbered),
    ("GET", "/v2/policies"): (_unpaged, _numbered),
}
