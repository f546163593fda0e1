"""A small campaign of kills, and the judge that tells its losses from faults."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.verification.kills.campaign import Campaign
from tests.verification.kills.judge import Commit, Commits, Connected, Life, objection

CON = "con_" + "a" * 26
GRANT = "3f0c"
CONNECTED = Connected(CON, GRANT, first=1)
LOST = {"reason": "lost_in_rotation", "version": 4}
COMMIT = 1_800_000_000.5


@pytest.mark.slow
def test_a_process_that_is_killed_loses_only_what_no_client_can_keep() -> None:
    with Campaign(connections=6, seed=5) as campaign:
        *_, result = campaign.run(8)

    assert result.others == []
    assert result.kills == 8
    assert result.cut > 0
    assert result.refreshes > 6


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "1.jsonl"


def killed(path: Path, *lines: dict[str, Any]) -> Commits:
    """Let NinjaOne replace token 4 for a process that wrote these lines and was killed."""
    path.write_text("".join(json.dumps({"connection": CON} | line) + "\n" for line in lines))
    return {(GRANT, 4): Commit(Life(1, killed=True, lines=path), COMMIT)}


def line(message: str, seconds: float, version: int = 4, **more: Any) -> dict[str, Any]:
    """Write a line so many seconds after the commit."""
    at = datetime.fromtimestamp(COMMIT + seconds, UTC).isoformat(timespec="milliseconds")
    return {"message": message, "timestamp": at, "version": version} | more


def test_a_token_that_was_replaced_unseen_is_an_unavoidable_loss(lines: Path) -> None:
    commits = killed(lines, line("refresh.done", -0.2), line("sweep.done", 0.1, connection=None))

    assert objection(CONNECTED, LOST, commits) == ""


def test_a_token_that_died_with_the_process_that_had_it_is_an_unavoidable_loss(lines: Path) -> None:
    commits = killed(lines, line("refresh.answered", 0.1, meaning="granted"))

    assert objection(CONNECTED, LOST, commits) == ""


@pytest.mark.parametrize(
    "ended",
    [
        "refresh.spilled",
        "refresh.unsaved",
        "refresh.put_off",
        "refresh.done",
        "lease.broken",
        "refresh.verdict_outdated",
    ],
)
def test_a_process_that_lived_to_see_the_end_lost_the_token_by_itself(lines: Path, ended: str) -> None:
    commits = killed(lines, line("refresh.answered", 0.1, meaning="granted"), line(ended, 0.2))

    assert f"process 1 went on: refresh.answered granted 4, {ended}" in objection(CONNECTED, LOST, commits)


def test_a_process_that_presents_a_replaced_token_again_has_no_excuse(lines: Path) -> None:
    commits = killed(lines, line("refresh.answered", 0.1, meaning="ambiguous"))

    assert "process 1 went on: refresh.answered ambiguous 4" in objection(CONNECTED, LOST, commits)


def test_a_process_that_was_not_killed_has_no_excuse(lines: Path) -> None:
    commits = {(GRANT, 4): Commit(Life(7, killed=False, lines=lines), COMMIT)}

    assert objection(CONNECTED, LOST, commits) == "process 7 was not killed"


def test_a_token_that_ninjaone_never_replaced_was_not_lost_on_the_way(lines: Path) -> None:
    assert "never replaced token 4" in objection(CONNECTED, LOST, {})


def test_a_loss_that_is_called_a_revocation_is_a_fault(lines: Path) -> None:
    assert objection(CONNECTED, LOST | {"reason": "revoked"}, killed(lines)) == "it says revoked"
