"""The seven families of lists, each walked to its end, and each way in which they are known to fail."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from ninjaone_emulator import Reply
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.testing import EU, Client, make_ninjaone

ROWS = 65
Params = dict[str, Any]


class Lists:
    """NinjaOne with a token."""

    def __init__(self, **switches: object) -> None:
        self.core = make_ninjaone(**{"list_rows": ROWS} | switches)
        self.bearer = {"Authorization": f"Bearer {Client(self.core).connect()['access_token']}"}

    def get(self, path: str, **params: Any) -> Reply:
        return self.core.respond("GET", EU, path, headers=self.bearer, query=urlencode(params))

    def post(self, path: str, **body: Any) -> Reply:
        return self.core.respond("POST", EU, path, headers=self.bearer, body=json.dumps(body).encode())


def pages(lists: Lists, path: str, follow: Callable[[Any], tuple[list[Any], Params]], **params: Any) -> Iterator[Any]:
    """Walk a list until a page is empty; `follow` reads the rows and what leads to the next page."""
    rows, more = follow(lists.get(path, **params).json())
    while rows:
        yield rows
        rows, more = follow(lists.get(path, **params | more).json())


def by_cursor(body: Any) -> tuple[list[Any], Params]:
    return body["results"], {"cursor": body["cursor"]["name"]}


WALKS: list[tuple[str, Callable[[Any], tuple[list[Any], Params]]]] = [
    *((f"/v2/{name}", lambda body: (body, {"after": body[-1]["id"]} if body else {}))
      for name in ("organizations", "devices", "locations")),
    *((f"/v2/{name}", by_cursor) for name in ("queries/operating-systems", "queries/software", "backup/jobs")),
    ("/v2/activities", lambda body: (body["activities"], {"olderThan": body["lastActivityId"]})),
    ("/v2/ticketing/ticket/1001/log-entry", lambda body: (body, {"anchorId": body[-1]["id"]} if body else {})),
]  # fmt: skip


@pytest.mark.parametrize(("path", "follow"), WALKS)
@pytest.mark.parametrize(("size", "cap"), [(20, 0), (100, 7), (ROWS, 0), (13, 0)])
def test_a_list_that_is_followed_to_an_empty_page_is_whole(
    path: str, follow: Callable[[Any], tuple[list[Any], Params]], size: int, cap: int
) -> None:
    found = list(pages(Lists(page_cap=cap), path, follow, pageSize=size))

    ids = sorted(row.get("id", row.get("deviceId")) for page in found for row in page)
    assert ids == list(range(1, ROWS + 1))
    assert max(len(page) for page in found) == min(size, cap or size)


def test_custom_fields_are_followed_by_the_name_of_a_cursor_until_there_is_none() -> None:
    lists, name, found = Lists(), "", []
    while True:
        body = lists.get("/v2/custom-fields", pageSize=30, **({"cursorName": name} if name else {})).json()
        found += body["results"]
        assert body["count"] == len(body["results"])
        if not (name := body["page"]):
            break

    assert [row["id"] for row in found] == list(range(1, ROWS + 1))


def test_a_ticket_board_is_run_by_post_and_goes_on_with_the_last_cursor_id() -> None:
    lists, last, found = Lists(), 0, []
    while data := (body := lists.post("/v2/ticketing/trigger/board/1/run", pageSize=30, lastCursorId=last).json())[
        "data"
    ]:
        found += data
        last = body["metadata"]["lastCursorId"]

    assert [row["id"] for row in found] == list(range(1, ROWS + 1))
    assert (
        lists.core.respond("POST", EU, "/v2/ticketing/trigger/board/1/run", headers=lists.bearer, body=b"[]").status
        == 400
    )


@pytest.mark.parametrize("name", ["alerts", "users", "groups", "policies"])
def test_a_list_without_pages_comes_whole_whatever_is_asked(name: str) -> None:
    assert len(Lists().get(f"/v2/{name}", pageSize=1).json()) == ROWS


def test_activities_come_newest_first_and_what_is_new_can_be_asked_for() -> None:
    lists = Lists()

    assert [row["id"] for row in lists.get("/v2/activities", pageSize=2).json()["activities"]] == [ROWS, ROWS - 1]
    assert [row["id"] for row in lists.get("/v2/activities", newerThan=ROWS - 1).json()["activities"]] == [ROWS]


@pytest.mark.parametrize(
    ("switch", "shown"), [("present", [1, 1, 1]), ("absent", [0, 0, 0]), ("now_and_then", [0, 1, 0])]
)
def test_the_link_to_the_next_page_is_there_on_full_pages_or_is_missing(switch: str, shown: list[int]) -> None:
    lists = Lists(link_header=switch)
    links = [lists.get("/v2/devices", pageSize=5, after=after).header("Link") for after in (0, 5, 10)]

    assert [int(link is not None) for link in links] == shown
    assert all(link.startswith(f"<https://{EU}/v2/devices?pageSize=5&after=") for link in links if link)
    assert lists.get("/v2/devices", pageSize=100).header("Link") is None


def test_a_cursor_keeps_its_name_moves_its_offset_and_ends() -> None:
    lists = Lists(cursor_seconds=60)
    first = lists.get("/v2/queries/software", pageSize=20).json()["cursor"]
    second = lists.get("/v2/queries/software", pageSize=20, cursor=first["name"]).json()["cursor"]

    assert (first["offset"], second["offset"], first["name"]) == (20, 40, second["name"])
    assert lists.get("/v2/backup/jobs", cursor=first["name"]).status == 400
    lists.core.advance(60)
    ended = lists.get("/v2/queries/software", cursor=first["name"])
    assert (ended.status, ended.json()["error"]) == (400, "cursor_expired")


def test_a_cursor_may_give_the_same_page_for_ever() -> None:
    lists = Lists(cursor_repeats=True)
    name = lists.get("/v2/queries/software", pageSize=20).json()["cursor"]["name"]
    again = [lists.get("/v2/queries/software", pageSize=20, cursor=name).json() for _ in range(3)]

    assert again[0] == again[1] == again[2]
    assert again[0]["results"][0]["deviceId"] == 21


@pytest.mark.parametrize("switch", ["present", "absent"])
def test_the_page_that_ends_a_report_may_name_its_cursor_or_not(switch: str) -> None:
    body = Lists(last_cursor=switch).get("/v2/queries/software").json()

    assert ("cursor" in body) == (switch == "present")
    assert len(body["results"]) == ROWS


@pytest.mark.parametrize(
    ("kind", "status", "html"),
    [("html_502", 502, True), ("html_200_rate_limit", 200, True), ("429_retry_after", 429, True)],
)
def test_a_page_in_the_middle_may_fail_and_comes_when_it_is_asked_for_again(kind: str, status: int, html: bool) -> None:
    lists = Lists()
    lists.core.faults.plan(Fault(kind, on="api", skip=6))
    replies = [lists.get("/v2/devices", pageSize=5, after=5 * page) for page in (0, 1, 2, 3, 4, 5, 6, 6)]

    assert [reply.status for reply in replies] == [200] * 6 + [status, 200]
    assert (replies[6].header("Content-Type") == "text/html") == html
    assert replies[7].json()[0]["id"] == 31


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v2/devices", {"pageSize": 0}),
        ("/v2/devices", {"after": "x"}),
        ("/v2/activities", {"olderThan": "x"}),
        ("/v2/queries/software", {"pageSize": -1}),
        ("/v2/ticketing/ticket/1001/log-entry", {"anchorId": ""}),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(path: str, params: Params) -> None:
    assert Lists().get(path, **params).status == 400
