"""What the doctor finds: the state of something, in words, and what to do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from ninjaone_connect_cli.deployment import Deployment


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    LOOK = "look"
    FIX = "fix"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    state: State
    check: str
    says: str
    todo: str = ""

    def row(self) -> dict[str, str]:
        """Write it for the screen."""
        return {"state": self.state.value, "check": self.check, "says": self.says, "todo": self.todo}


RunCheck = Callable[[Deployment], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One thing to check."""

    name: str
    run: RunCheck


def runbook(heading: str) -> str:
    """Say which section of the runbooks to read, as the descriptions of the alarms do."""
    return f"docs/operate/runbooks.md: {heading}"


def counted(number: int, one: str, many: str) -> str:
    """Write a number with what is counted, in the form that agrees with it: ``1 row`` and ``2 rows``."""
    return f"{number} {one if number == 1 else many}"


def good(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(State.OK, check, says)


def warn(check: str, says: str, todo: str) -> Finding:
    """It works, and somebody should look at it."""
    return Finding(State.LOOK, check, says, todo)


def fail(check: str, says: str, todo: str) -> Finding:
    """Does not work."""
    return Finding(State.FIX, check, says, todo)
