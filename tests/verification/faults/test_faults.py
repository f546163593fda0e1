"""Every fault again, against what is expected and what the tables say."""

import pytest

from tests.verification.faults.matrix import Row, tell
from tests.verification.faults.stage import Answer
from tests.verification.faults.table import ROWS, committed, line, tables


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault_goes_as_the_tables_say(row: Row) -> None:
    seen = row.play()

    assert seen == row.expected
    assert line(row, seen) in committed().splitlines()


def test_the_tables_hold_every_fault_and_nothing_else() -> None:
    assert committed() == tables({row.fault: row.expected for row in ROWS})


def test_a_loss_is_never_called_nothing() -> None:
    lost = [row.fault for row in ROWS if "needs_reauth" in row.expected.lost or "409" in row.expected.ended]

    assert all(row.expected.lost != "nothing" for row in ROWS if row.fault in lost)
    assert lost


def test_what_a_caller_got_is_told_with_how_long_to_wait() -> None:
    assert tell(Answer(503, "busy", 5), "held") == "503 `busy`, Retry-After 5"
    assert tell(Answer(200, token="other"), "held") == "a fresh token"
