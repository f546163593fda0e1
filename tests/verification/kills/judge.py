"""Tell a loss that no client can avoid from a fault of this one."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.verification.kills.worker import said


@dataclass(frozen=True)
class Life:
    """One process, from its first request to its last.

    Attributes:
        killed: it did not end by itself
        lines: the file of what it wrote
    """

    number: int
    killed: bool
    lines: Path


@dataclass
class Connected:
    """A connection, and what NinjaOne knows of it.

    Attributes:
        grant: the consent that it lives by, at NinjaOne
        first: the version of its row when its chain of refresh tokens had one link
    """

    id: str
    grant: str
    first: int

    def number(self, version: int) -> int:
        """Say which link of the chain a row of this version holds, counted from 1."""
        return version - self.first + 1


@dataclass(frozen=True)
class Commit:
    """NinjaOne replaced a refresh token.

    Attributes:
        life: the process that had presented it
        at: Unix seconds, by the clock that the processes share
    """

    life: Life
    at: float


Commits = dict[tuple[str, int], Commit]
"""The grant and the number of the refresh token that was replaced → when, and for whom."""


def objection(connected: Connected, row: dict[str, Any], commits: Commits) -> str:
    """Say why a connection that was lost need not have been; empty when it had to be.

    It had to be when NinjaOne replaced the token that the row still holds, and the process that had asked for
    that was killed before it wrote anything, anywhere, of what came of it.
    """
    if row["reason"] != "lost_in_rotation":
        return f"it says {row['reason']}"
    number = connected.number(row["version"])
    commit = commits.get((connected.grant, number))
    if commit is None:
        return f"NinjaOne never replaced token {number}, which the row holds"
    if not commit.life.killed:
        return f"process {commit.life.number} was not killed"
    said_since = _said(commit, connected.id)
    if said_since not in ([], [f"refresh.answered granted {row['version']}"]):
        return f"process {commit.life.number} went on: {', '.join(said_since)}"
    return ""


def _said(commit: Commit, connection: str) -> list[str]:
    """List what a process said about a connection since NinjaOne replaced its token."""
    return [
        f"{line['message']} {line.get('meaning', '')} {line.get('version', '')}"
        for line in said(commit.life.lines)
        if line.get("connection") == connection and _at(line) >= commit.at
    ]


def _at(line: dict[str, Any]) -> float:
    """Read when a line was written; it is cut to milliseconds, so it may have been up to one later."""
    return datetime.fromisoformat(line["timestamp"]).timestamp() + 0.001
