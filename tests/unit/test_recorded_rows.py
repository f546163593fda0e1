"""What was stored once is read as it was meant, and written again as it was: two releases meet on one table."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from broker.adapters import rows
from tests.support.full_rows import PROFILE, SESSION, STATE

FILE = Path(__file__).with_name("recorded_rows.json")
"""Recorded from `written()` before the first release, and never changed after it."""
RECORDED: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))


def stored(kind: str) -> rows.Item:
    """Read a recorded row as DynamoDB gives it: bytes are base64 in JSON."""
    return {
        name: {tag: base64.b64decode(value) if tag == "B" else value for tag, value in cell.items()}
        for name, cell in RECORDED[kind].items()
    }


def written() -> dict[str, rows.Item]:
    """Let the code of today write each row."""
    return {
        "connection": rows.connection_state_item(STATE),
        "profile": rows.profile_item(PROFILE),
        "session": rows.session_item(SESSION),
    }


def test_a_stored_row_is_read_as_it_was_meant() -> None:
    assert rows.connection_state(stored("connection")) == STATE
    assert rows.profile(stored("profile")) == PROFILE
    assert rows.session(stored("session")) == SESSION


@pytest.mark.parametrize("kind", RECORDED)
def test_a_row_is_written_as_it_was_recorded(kind: str) -> None:
    assert written()[kind] == stored(kind)
