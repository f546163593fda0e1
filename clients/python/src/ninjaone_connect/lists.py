"""Read NinjaOne's lists to their end: the whole list, or a ``ListIncomplete``, never a part that looks complete.

There are seven ways to the next page (the broker's docs/understand/ninjaone.md §12). None of them says reliably which
page is the last, so pages are requested until one is empty. ``ListReader`` holds the state of one list and does no I/O.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from ninjaone_connect.errors import (
    CursorExpired,
    CursorRepeats,
    ListIncomplete,
    NoAnswer,
    NotJson,
    Problem,
    Retryable,
    TooManyRequests,
)

Family = Literal["after", "anchor", "activities", "cursor", "cursor-name", "board", "whole"]
Row = dict[str, Any]
Params = Mapping[str, str | int | float | bool]
Reply = httpx.Response | httpx.TransportError | Problem | NoAnswer
"""NinjaOne's answer, none, or why the broker gave none."""

PAGE_SIZE = 100
MAX_WAIT = 60.0
FIRST_WAIT = 0.5
LONGEST_WAIT = 15.0
TRANSIENT_STATUS = {429, 502, 503}

_PATHS: tuple[tuple[str, Family], ...] = (
    (r"devices|organizations|locations", "after"),
    (r"queries/[^/]+|backup/jobs", "cursor"),
    (r"activities", "activities"),
    (r"custom-fields", "cursor-name"),
    (r"ticketing/trigger/board/[^/]+/run", "board"),
    (r"ticketing/ticket/[^/]+/log-entry", "anchor"),
    (r"alerts|users|groups|policies", "whole"),
)


@dataclass(frozen=True)
class _Page:
    """One page.

    Attributes:
        next_params: the parameters that request the next page; None on the last one
        fingerprint: a value that differs from page to page; the same one twice means that NinjaOne repeats a page
        offset: of the cursor, if the family has one
    """

    rows: list[Row]
    next_params: Params | None
    fingerprint: Hashable
    offset: int | None = None


def _by_last_id(name: str) -> Callable[[Any], _Page]:
    def read(body: Any) -> _Page:
        rows = _rows(body)
        last = int(rows[-1]["id"]) if rows else 0
        return _Page(rows, {name: last} if rows else None, last)

    return read


def _activities(body: Any) -> _Page:
    rows = _rows(body["activities"])
    return _Page(rows, {"olderThan": body["lastActivityId"]} if rows else None, body["lastActivityId"])


def _cursor(body: Any) -> _Page:
    """The cursor keeps its name while its offset moves; the last page may come without it."""
    rows, cursor = _rows(body["results"]), body.get("cursor")
    if cursor is None:
        return _Page(rows, None, None)
    offset = int(cursor["offset"])
    return _Page(rows, {"cursor": cursor["name"]} if rows else None, (cursor["name"], offset), offset)


def _cursor_name(body: Any) -> _Page:
    """Pages differ in nothing but their rows."""
    rows, name = _rows(body["results"]), body["page"]
    return _Page(rows, {"cursorName": name} if rows and name else None, json.dumps(rows))


def _board(body: Any) -> _Page:
    rows, last = _rows(body["data"]), body["metadata"]["lastCursorId"]
    return _Page(rows, {"lastCursorId": last} if rows else None, last)


def _whole(body: Any) -> _Page:
    return _Page(_rows(body), None, None)


_READERS: Mapping[Family, Callable[[Any], _Page]] = {
    "after": _by_last_id("after"),
    "anchor": _by_last_id("anchorId"),
    "activities": _activities,
    "cursor": _cursor,
    "cursor-name": _cursor_name,
    "board": _board,
    "whole": _whole,
}


def pages(
    ninjaone: httpx.Client,
    path: str,
    params: Params | None = None,
    *,
    family: Family | None = None,
    page_size: int = PAGE_SIZE,
    max_wait: float = MAX_WAIT,
) -> Iterator[list[Row]]:
    """Yield a list page by page, to its end.

    Args:
        path: such as ``/v2/devices``
        params: filters for NinjaOne, such as ``{"df": "org = 1"}``
        family: how the list is continued; only needed for a path that this module does not know
        page_size: rows to request; NinjaOne may return fewer
        max_wait: seconds that the whole list may spend waiting before it repeats requests: after 429, 502, 503 or a
            lost connection, and only for GET

    Raises:
        ListIncomplete, CursorExpired, CursorRepeats, ConnectError
        ValueError: the family of the path is unknown
    """
    reader = ListReader(path, params, family, page_size=page_size, max_wait=max_wait)
    while not reader.ended:
        try:
            reply: Reply = ninjaone.request(**reader.request())
        except (httpx.TransportError, Retryable, TooManyRequests, NoAnswer) as error:
            reply = error
        found = reader.judge(reply)
        if isinstance(found, float):
            time.sleep(found)
        elif found:
            yield found


async def async_pages(
    ninjaone: httpx.AsyncClient,
    path: str,
    params: Params | None = None,
    *,
    family: Family | None = None,
    page_size: int = PAGE_SIZE,
    max_wait: float = MAX_WAIT,
) -> AsyncIterator[list[Row]]:
    """Yield a list page by page, see ``pages``."""
    reader = ListReader(path, params, family, page_size=page_size, max_wait=max_wait)
    while not reader.ended:
        try:
            reply: Reply = await ninjaone.request(**reader.request())
        except (httpx.TransportError, Retryable, TooManyRequests, NoAnswer) as error:
            reply = error
        found = reader.judge(reply)
        if isinstance(found, float):
            await asyncio.sleep(found)
        elif found:
            yield found


class ListReader:
    """The state of one list that is being read."""

    def __init__(
        self, path: str, params: Params | None, family: Family | None, *, page_size: int, max_wait: float
    ) -> None:
        self._path, self._family = path, family or _family(path)
        self._params: dict[str, Any] = dict(params or {})
        if self._family != "whole":
            self._params["pageSize"] = page_size
        self._next_params: Params = {}
        self._fingerprints: set[Hashable] = set()
        self._rows = 0
        self._first_offset_counts_rows: bool | None = None
        self._wait_left, self._next_wait, self._may_have_lost_page = max_wait, FIRST_WAIT, False
        self.ended = False

    def request(self) -> dict[str, Any]:
        """Return httpx's parameters of the request for the next page."""
        asked = {**self._params, **self._next_params}
        if self._family == "board":
            return {"method": "POST", "url": self._path, "json": asked}
        return {"method": "GET", "url": self._path, "params": asked}

    def judge(self, reply: Reply) -> list[Row] | float:
        """Read the page, or return how many seconds to wait before asking for it again.

        Raises:
            ListIncomplete, NotJson
        """
        if isinstance(reply, NotJson):
            raise reply
        if isinstance(reply, Problem):
            return self._retry_wait(reply.type.rpartition(":")[2], reply.status, reply.retry_after)
        if isinstance(reply, httpx.TransportError | NoAnswer):
            return self._retry_wait(type(reply).__name__, None, None)
        if reply.status_code in TRANSIENT_STATUS:
            return self._retry_wait(f"status {reply.status_code}", reply.status_code, _retry_after(reply))
        if not reply.is_success:
            raise self._refused(reply)
        return self._accept(self._read(reply))

    def _retry_wait(self, what: str, status: int | None, named: float | None) -> float:
        """Return how long to wait. Only a GET is repeated, and no page of a cursor whose offset can't be checked."""
        lost = status != 429  # NinjaOne may have given the page and moved its cursor on
        wait = max(named, FIRST_WAIT) if named is not None else self._next_wait * random.uniform(0.5, 1)  # noqa: S311
        unchecked = lost and self._family == "cursor-name" and self._fingerprints
        if self._family == "board" or unchecked or wait > self._wait_left:
            raise ListIncomplete(self._sentence(f"gave no page ({what}); ask for the list again later"), status)
        self._wait_left -= wait
        self._next_wait = min(self._next_wait * 2, LONGEST_WAIT)
        self._may_have_lost_page = self._may_have_lost_page or lost
        return float(wait)

    def _refused(self, reply: httpx.Response) -> ListIncomplete:
        status, name = reply.status_code, _error_name(reply)
        if self._family in {"cursor", "cursor-name"} and self._fingerprints and status in {400, 404, 410}:
            advice = "the cursor has ended. Read on without long breaks, or ask for larger pages"
            return CursorExpired(self._sentence(f"refused the next page ({status} {name}): {advice}"), status)
        return ListIncomplete(self._sentence(f"refused the page ({status} {name})"), status)

    def _read(self, reply: httpx.Response) -> _Page:
        """Read a page. Raises ListIncomplete, also for a 202 or 206: the list is not ready, or not all of it is."""
        try:
            return _READERS[self._family](reply.json() if reply.status_code == 200 else None)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            kind = reply.headers.get("content-type", "no content type")
            what = f"answered {reply.status_code} with something that is no page of this list ({kind})"
            raise ListIncomplete(self._sentence(what), reply.status_code) from None

    def _accept(self, page: _Page) -> list[Row]:
        if page.rows and page.fingerprint is not None and page.fingerprint in self._fingerprints:
            raise CursorRepeats(self._sentence("gives the same page again and again"), None)
        self._check_offset(page)
        self._fingerprints.add(page.fingerprint)
        self._rows += len(page.rows)
        self._next_params, self.ended = page.next_params or {}, page.next_params is None
        self._next_wait, self._may_have_lost_page = FIRST_WAIT, False
        return page.rows

    def _check_offset(self, page: _Page) -> None:
        """After a lost answer, see by the cursor's offset that no page was lost with it."""
        if self._family != "cursor":
            return
        if not self._fingerprints:  # does the offset count the rows up to the end of a page, or up to its beginning?
            self._first_offset_counts_rows = {len(page.rows): True, 0: False}.get(page.offset or 0)
        elif self._may_have_lost_page and page.offset != self._expected_offset(page):
            raise ListIncomplete(self._sentence("may have lost a page with an answer; ask for the list again"), None)

    def _expected_offset(self, page: _Page) -> int:
        if self._first_offset_counts_rows is None:
            return -1
        return self._rows + (len(page.rows) if self._first_offset_counts_rows else 0)

    def _sentence(self, what: str) -> str:
        return f"NinjaOne {what}. {self._rows} rows of {self._path} were read, and there may be more."


def _family(path: str) -> Family:
    name = path.removeprefix("/api").removeprefix("/v2/")
    found = next((family for pattern, family in _PATHS if re.fullmatch(pattern, name)), None)
    if found is None:
        raise ValueError(f"It is not known how {path} is continued: name its family, such as family='after'.")
    return found


def _rows(value: Any) -> list[Row]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _error_name(reply: httpx.Response) -> str:
    """Return the name of NinjaOne's error, without its texts."""
    try:
        body = reply.json()
        return str(body.get("error") or body.get("resultCode") or "no name")[:60]
    except (AttributeError, ValueError):
        return "no JSON"


def _retry_after(reply: httpx.Response) -> float | None:
    """Read the seconds to wait, however a server writes them; a date begins with a letter. See RFC 9110 §10.2.3."""
    text = reply.headers.get("retry-after", "")
    if seconds := re.match(r"\d+(?:\.\d+)?", text):
        return float(seconds[0])
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None
