"""Both clients against one table made from the API document: every operation, every status, every example."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from ninjaone_connect import Connect, ConnectError
from tests.client.typescript.conftest import run
from tests.contract.documents import PROBLEM, Answer, document

pytestmark = pytest.mark.slow

KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")  # AWS's documentation example
CALLS: dict[str, Callable[[Connect], Any]] = {
    "session": lambda connect: connect.open_session("t", end_user_id="u", tenant_name="T", return_to="main"),
    "complete": lambda connect: connect.complete("t", "ses_1", end_user_id="u", ticket="k", binding_verifier="v"),
    "connections": lambda connect: next(connect.connections("t"), None),
    "connection": lambda connect: connect.connection("t", "con_1"),
    "disconnect": lambda connect: connect.disconnect("t", "con_1"),
    "token": lambda connect: connect.token("t", "con_1"),
    "proxy": lambda connect: connect.ninjaone("t", "con_1").get("/v2/devices"),
    "approve": lambda connect: connect.approve("t", "con_1"),
}


def rows() -> list[dict[str, Any]]:
    """Every answer that the API document shows, as (operation, status, content type, body)."""
    return [
        {
            "operation": answer.operation.name,
            "status": answer.status,
            "content_type": kind,
            "headers": {name: said["schema"]["const"] for name, said in fixed(answer)},
            "body": body,
        }
        for operation in document("api").operations()
        for answer in operation.answers
        for kind, content in answer.contents.items()
        for body in document("api").examples(content).values()
    ]


def fixed(answer: Answer) -> Iterator[tuple[str, Any]]:
    """Give the headers of an answer that have one value only."""
    headers = answer.said.get("headers", {}).items()
    return ((name, said) for name, said in headers if "const" in said.get("schema", {}))


def in_python(row: dict[str, Any]) -> dict[str, Any]:
    def answer(_request: httpx.Request) -> httpx.Response:
        now = format_datetime(datetime.now(UTC), usegmt=True)
        return httpx.Response(
            row["status"],
            headers=row["headers"] | {"content-type": row["content_type"], "date": now},
            content=json.dumps(row["body"]),
        )

    transport = httpx.MockTransport(answer)
    with Connect(
        "https://broker.example", region="eu-west-1", credentials=KEYS, max_wait=0, transport=transport
    ) as connect:
        try:
            CALLS[row["operation"]](connect)
        except ConnectError as error:
            return {"error": type(error).__name__, "message": str(error)}
    return {"value": True}


def named(slug: str) -> str:
    return "".join(part.title() for part in slug.split("-"))


def test_both_clients_read_every_answer_of_every_operation_alike(compiled: Path) -> None:
    table = rows()
    assert {row["operation"] for row in table} == set(CALLS)
    python = [in_python(row) for row in table]
    typescript = json.loads(run("node", str(compiled / "testing/contract.js"), text=json.dumps(table)))

    for row, ours, theirs in zip(table, python, typescript, strict=True):
        assert ours.get("error") == theirs.get("error"), row
        if row["content_type"] == PROBLEM:
            assert ours["error"] == named(re.sub(".*:", "", row["body"]["type"])), row
            assert ours["message"] == theirs["message"], row
        if "value" in theirs and isinstance(row["body"], dict) and "connections" not in row["body"]:
            assert theirs["value"] == sorted(row["body"]), row
