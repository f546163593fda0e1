"""``pages``: each family to its end, and each way in which lists are cut (docs/understand/ninjaone.md §12)."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ninjaone_connect import async_pages, pages
from ninjaone_connect.errors import CursorExpired, CursorRepeats, ListIncomplete
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.testing import EU, Client, make_ninjaone
from tests.client import loop
from tests.support.lists import BOARD, DEVICES, FIELDS, PATHS, REPORT, ROWS, TICKET, WHOLE


class Account:
    """The emulator behind an httpx transport, with a token, and the waits that were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **switches: object) -> None:
        self.core = make_ninjaone(**{"list_rows": ROWS} | switches)
        bearer = {"Authorization": f"Bearer {Client(self.core).connect()['access_token']}"}
        self.waited: list[float] = []
        self.asked = 0
        monkeypatch.setattr(time, "sleep", self.waited.append)
        self._given: dict[str, Any] = {
            "base_url": f"https://{EU}", "headers": bearer, "transport": httpx.MockTransport(self._answer),
        }  # fmt: skip

    def client(self) -> httpx.Client:
        return httpx.Client(**self._given)

    def async_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._given)

    def fault(self, kind: str, **more: Any) -> None:
        self.core.faults.plan(Fault(kind, on="api", **more))

    def read(self, path: str, **more: Any) -> list[dict[str, Any]]:
        return [row for page in pages(self.client(), path, **more) for row in page]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        reply = self.core.respond(
            request.method, request.url.host, request.url.path,
            headers=dict(request.headers), query=request.url.query.decode(), body=request.content,
        )  # fmt: skip
        if reply.delivery != "sent":
            raise httpx.ReadError("reset")
        return httpx.Response(reply.status, headers=list(reply.headers), content=reply.body)


NewAccount = Callable[..., Account]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> NewAccount:
    return lambda **switches: Account(monkeypatch, **switches)


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["id"] if "id" in row else row["deviceId"] for row in rows)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("switches", [{}, {"page_cap": 7}, {"link_header": "absent", "last_cursor": "absent"}])
@pytest.mark.parametrize("size", [100, ROWS, 13])
def test_every_family_comes_whole(path: str, switches: dict[str, Any], size: int, account: NewAccount) -> None:
    assert ids(account(**switches).read(path, page_size=size)) == WHOLE


@pytest.mark.parametrize("path", PATHS)
def test_tasks_read_the_same(path: str, account: NewAccount) -> None:
    home = account()

    async def read() -> list[dict[str, Any]]:
        async with home.async_client() as ninjaone:
            return [row async for page in async_pages(ninjaone, path, page_size=20) for row in page]

    assert ids(loop.run(read())) == WHOLE


def test_filters_go_with_every_page_and_a_path_of_its_own_family_is_named(account: NewAccount) -> None:
    assert ids(account().read("/v2/activities", params={"newerThan": 60}, page_size=2)) == WHOLE[60:]
    assert ids(account().read(DEVICES, family="after")) == WHOLE
    with pytest.raises(ValueError, match="family='after'"):
        account().read("/v2/something-new")


@pytest.mark.parametrize("kind", ["html_502", "html_503", "429", "reset", "lost_response"])
@pytest.mark.parametrize("path", [DEVICES, TICKET, "/v2/activities"])
def test_a_get_that_fails_in_the_middle_is_sent_again(kind: str, path: str, account: NewAccount) -> None:
    home = account()
    home.fault(kind, skip=6, times=3)

    assert ids(home.read(path, page_size=5)) == WHOLE
    assert len(home.waited) == 3
    assert home.waited[0] < 0.5 + 0.01 < home.waited[2] * 2.1


def test_tasks_wait_as_threads_do(account: NewAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    home, waited = account(), list[float]()
    home.fault("429_retry_after", skip=2)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def read() -> list[dict[str, Any]]:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        async with home.async_client() as ninjaone:
            return [row async for page in async_pages(ninjaone, DEVICES, page_size=20) for row in page]

    assert ids(loop.run(read())) == WHOLE
    assert waited == [30]


def test_the_wait_that_ninjaone_names_is_kept_within_the_budget(account: NewAccount) -> None:
    home = account()
    home.fault("429_retry_after", seconds=25, skip=1, times=2)

    assert ids(home.read(DEVICES, page_size=20)) == WHOLE
    assert home.waited == [25, 25]

    home.waited.clear()
    home.fault("429_retry_after", seconds=25, skip=1, times=3)
    with pytest.raises(ListIncomplete, match="20 rows of /v2/devices were read, and there may be more") as caught:
        home.read(DEVICES, page_size=20)
    assert (home.waited, caught.value.status) == ([25, 25], 429)


def test_waits_that_ninjaone_does_not_name_end_as_well(account: NewAccount) -> None:
    home = account()
    home.fault("reset", times=None)

    with pytest.raises(ListIncomplete, match="ReadError"):
        home.read(DEVICES)
    assert 30 < sum(home.waited) <= 60


def waited(text: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Read a list whose first answer names this wait; give the seconds that were waited."""
    waits: list[float] = []
    answers = [httpx.Response(503, headers={"retry-after": text}), httpx.Response(200, json=[])]
    monkeypatch.setattr(time, "sleep", waits.append)

    client = httpx.Client(base_url=f"https://{EU}", transport=httpx.MockTransport(lambda _: answers.pop(0)))
    assert list(pages(client, DEVICES)) == []
    return waits[0]


@pytest.mark.parametrize("text", ["7", "7.5", "7s", "7, 7", "7 seconds"])
def test_a_wait_is_read_however_it_is_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 7 <= waited(text, monkeypatch) < 8


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon", "-1"])
def test_a_wait_that_is_past_or_unreadable_is_a_short_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < waited(text, monkeypatch) <= 0.5


@pytest.mark.parametrize("kind", ["html_200_rate_limit", "truncated_json", "500", "html_404"])
def test_what_is_no_page_is_an_error_and_never_the_end(kind: str, account: NewAccount) -> None:
    home = account()
    home.fault(kind, skip=2)

    with pytest.raises(ListIncomplete, match="10 rows"):
        home.read(DEVICES, page_size=5)
    assert home.asked == 3


@pytest.mark.parametrize("kind", ["html_502", "429", "reset"])
def test_a_post_is_never_sent_twice(kind: str, account: NewAccount) -> None:
    home = account()
    home.fault(kind, skip=1)

    with pytest.raises(ListIncomplete):
        home.read(BOARD, page_size=5)
    assert home.asked == 2


def test_a_cursor_that_ended_is_told(account: NewAccount) -> None:
    for path in (REPORT, FIELDS):
        home = account(cursor_seconds=60)
        walk = pages(home.client(), path, page_size=20)
        next(walk)
        home.core.advance(60)
        with pytest.raises(CursorExpired, match=r"cursor_expired.*the cursor has ended"):
            list(walk)


@pytest.mark.parametrize("path", [REPORT, FIELDS])
def test_a_cursor_that_repeats_is_told(path: str, account: NewAccount) -> None:
    home = account(cursor_repeats=True)

    with pytest.raises(CursorRepeats):
        home.read(path, page_size=20)
    assert home.asked <= 3


@pytest.mark.parametrize("path", [DEVICES, TICKET, "/v2/activities", BOARD])
def test_a_list_that_does_not_move_on_is_told(path: str) -> None:
    bodies: dict[str, Any] = {"/v2/activities": {"lastActivityId": 1, "activities": [{"id": 1}]}}
    bodies[BOARD] = {"data": [{"id": 1}], "metadata": {"lastCursorId": 1}}
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=bodies.get(path, [{"id": 1}])))

    with pytest.raises(CursorRepeats):
        list(pages(httpx.Client(base_url=f"https://{EU}", transport=answer), path))


@pytest.mark.parametrize("last", ["present", "absent"])
@pytest.mark.parametrize("kind", ["html_502", "reset", "429"])
def test_a_report_goes_on_where_its_offset_shows_that_nothing_was_lost(
    kind: str, last: str, account: NewAccount
) -> None:
    home = account(last_cursor=last)
    home.fault(kind, skip=1)

    assert ids(home.read(REPORT, page_size=20)) == WHOLE


@pytest.mark.parametrize("kind", ["html_502_after_commit", "lost_response"])
@pytest.mark.parametrize("skip", [1, 3])
@pytest.mark.parametrize("path", [REPORT, FIELDS])
def test_a_report_that_lost_a_page_is_an_error(kind: str, skip: int, path: str, account: NewAccount) -> None:
    home = account(last_cursor="absent")
    home.fault(kind, skip=skip)

    with pytest.raises(ListIncomplete):
        home.read(path, page_size=20)


@pytest.mark.parametrize("first", [0, 20, 7])
def test_an_offset_may_count_from_the_beginning_of_a_page_or_its_end(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of twenty, a lost answer, then what really is the next page, or the one after it."""
    monkeypatch.setattr(time, "sleep", lambda _: None)

    def read(offset: int) -> int:
        def page(number: int, offset: int) -> httpx.Response:
            rows = [{"deviceId": number * 20 + row} for row in range(20)]
            return httpx.Response(200, json={"results": rows, "cursor": {"name": "c", "offset": offset}})

        end = httpx.Response(200, json={"results": []})
        answers = [page(0, first), httpx.Response(502), page(1, offset), end]
        client = httpx.Client(base_url=f"https://{EU}", transport=httpx.MockTransport(lambda _: answers.pop(0)))
        return sum(map(len, pages(client, REPORT)))

    if first != 7:
        assert read(first + 20) == 40
    with pytest.raises(ListIncomplete, match="may have lost a page"):
        read(first + 40)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (DEVICES, {"error": "x"}), (DEVICES, [{"name": "no id"}]), (DEVICES, "text"), (REPORT, []), (REPORT, {}),
        ("/v2/activities", {"activities": [{"id": 1}]}), (FIELDS, {"results": [{"id": 1}]}), (BOARD, {"data": []}),
    ],
)  # fmt: skip
def test_a_page_of_another_shape_is_an_error(path: str, body: Any) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=body))

    with pytest.raises(ListIncomplete, match="no page of this list"):
        list(pages(httpx.Client(base_url=f"https://{EU}", transport=answer), path))


@pytest.mark.parametrize("path", ["/v2/alerts", DEVICES])
@pytest.mark.parametrize("status", [201, 202, 203, 206])
def test_a_list_that_is_not_there_yet_or_not_all_of_it_is_an_error(path: str, status: int) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, json=[]))

    with pytest.raises(ListIncomplete, match=f"answered {status} with something that is no page") as caught:
        list(pages(httpx.Client(base_url=f"https://{EU}", transport=answer), path))
    assert caught.value.status == status


def test_a_page_that_is_nested_without_end_is_an_error() -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, text="[" * 100_000))

    with pytest.raises(ListIncomplete, match="no page of this list"):
        list(pages(httpx.Client(base_url=f"https://{EU}", transport=answer), DEVICES))


def test_a_refusal_names_the_error_and_nothing_else(account: NewAccount) -> None:
    home = account(organizations_need_admin=True)
    client = home.client()
    client.headers["Authorization"] = "Bearer other"

    with pytest.raises(ListIncomplete, match="401 not_authenticated") as caught:
        list(pages(client, "/v2/organizations"))
    assert caught.value.status == 401
