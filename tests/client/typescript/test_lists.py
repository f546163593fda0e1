"""``pages`` of the TypeScript client against the emulator: every family, and every known way to cut a list (§12)."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ninjaone_emulator.faults import Fault
from ninjaone_emulator.http_app import create_app
from ninjaone_emulator.testing import EU, Client, make_ninjaone
from ninjaone_emulator.wsgi_server import serve
from tests.client.typescript.conftest import run
from tests.support.lists import BOARD, DEVICES, FIELDS, PATHS, REPORT, TICKET, WHOLE

pytestmark = pytest.mark.slow

ALL: dict[str, Any] = {"ids": WHOLE}


class Cases:
    """Lists to read, each of an emulator of its own, and what has to come of them."""

    def __init__(self, doors: ExitStack) -> None:
        self._doors, self.given, self.expected = doors, list[dict[str, Any]](), list[dict[str, Any]]()

    def add(
        self, path: str, expected: dict[str, Any], *, fault: Fault | None = None, switches: Any = None, **options: Any
    ) -> None:
        core = make_ninjaone(**{"list_rows": len(WHOLE)} | (switches or {}))
        bearer = f"Bearer {Client(core).connect()['access_token']}"
        if fault:
            core.faults.plan(fault)
        server = self._doors.enter_context(serve(create_app(core, lambda _: None)))
        given = {"base": f"{server.url}/{EU}", "bearer": bearer, "path": path, "options": options}
        self.given.append(given)
        self.expected.append(expected)


def broken(kind: str, **more: Any) -> Fault:
    return Fault(kind, on="api", **more)


def incomplete(status: int | None, read: int, error: str = "ListIncomplete") -> dict[str, Any]:
    return {"error": error, "read": read} | ({} if status is None else {"status": status})


def _families(cases: Cases) -> None:
    for path in PATHS:
        cases.add(path, ALL, switches={"page_cap": 7, "link_header": "absent"}, pageSize=20)
        cases.add(path, ALL, switches={"last_cursor": "absent"})


def _failures_that_pass(cases: Cases) -> None:
    for kind in ("html_502", "html_503", "429", "reset", "lost_response"):
        cases.add(DEVICES, ALL, fault=broken(kind, skip=6), pageSize=5)
        cases.add(TICKET, ALL, fault=broken(kind, skip=2), pageSize=5)
        cases.add(BOARD, incomplete(None, 5) | _status(kind), fault=broken(kind, skip=1), pageSize=5)
    for kind in ("html_502", "429"):
        cases.add(REPORT, ALL, fault=broken(kind, skip=1), pageSize=20)
    cases.add(DEVICES, incomplete(429, 0), fault=broken("429_retry_after", seconds=2), maxWait=1)
    cases.add(DEVICES, ALL, fault=broken("429_retry_after", seconds=0), maxWait=1)


def _cut_lists(cases: Cases) -> None:
    for kind in ("html_502_after_commit", "lost_response"):
        cases.add(REPORT, incomplete(None, 20), fault=broken(kind, skip=1), pageSize=20)
        cases.add(FIELDS, incomplete(None, 20) | _status(kind), fault=broken(kind, skip=1), pageSize=20)
    for kind, status in (("html_200_rate_limit", 200), ("truncated_json", 200), ("500", 500), ("html_404", 404)):
        cases.add(DEVICES, incomplete(status, 10), fault=broken(kind, skip=2), pageSize=5)
    cases.add(REPORT, incomplete(400, 20, "CursorExpired"), switches={"cursor_seconds": 0}, pageSize=20)
    for path, read in ((REPORT, 20), (FIELDS, 40)):
        cases.add(path, incomplete(None, read, "CursorRepeats"), switches={"cursor_repeats": True}, pageSize=20)


def test_it_reads_what_the_python_client_reads(compiled: Path) -> None:
    with ExitStack() as doors:
        cases = Cases(doors)
        for add in (_families, _failures_that_pass, _cut_lists):
            add(cases)
        found = json.loads(run("node", str(compiled / "testing/lists.js"), text=json.dumps(cases.given)))

    for given, expected, outcome in zip(cases.given, cases.expected, found, strict=True):
        if "ids" in outcome:
            outcome["ids"].sort()
        assert outcome == expected, given


def _status(kind: str) -> dict[str, int]:
    status = {"html_502": 502, "html_503": 503, "429": 429, "html_502_after_commit": 502}.get(kind)
    return {} if status is None else {"status": status}
