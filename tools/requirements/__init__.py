"""Requirements as tests: `req` marks a test with what it shows; `python -m tools.requirements` prints the table."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CHECKLIST = Path(__file__).parent / "checklist.toml"


@dataclass(frozen=True)
class Requirement:
    """Something that must hold.

    Attributes:
        says: one sentence
        sources: RFCs and the like
        asvs: ids of OWASP ASVS 5.0.0 that a test of this shows too
        not_here: why it does not apply; empty where it does
    """

    id: str
    says: str
    sources: tuple[str, ...]
    asvs: tuple[str, ...] = ()
    not_here: str = ""


@cache
def checklist() -> dict[str, Requirement]:
    """Read the requirements, in their order."""
    with CHECKLIST.open("rb") as file:
        listed = tomllib.load(file)
    return {
        name: Requirement(
            name, held["says"], tuple(held["from"]), tuple(held.get("asvs", ())), held.get("not_here", "")
        )
        for name, held in listed.items()
    }


@cache
def known() -> frozenset[str]:
    """Every id that a test may be marked with: of the checklist, and `ASVS-…` of what it names."""
    listed = checklist()
    return frozenset(listed) | {f"ASVS-{each}" for held in listed.values() for each in held.asvs}


def req(*ids: str) -> pytest.MarkDecorator:
    """Mark a test with the requirements it shows.

    Raises:
        LookupError: an id that is not on the checklist
    """
    if foreign := set(ids) - known():
        raise LookupError(f"not on the checklist: {', '.join(sorted(foreign))}")
    return pytest.mark.req(*ids)


def shown(ids: tuple[str, ...]) -> set[str]:
    """Return the ids that a mark covers: a test of C03 is a test of the ASVS ids that C03 names."""
    listed = checklist()
    return set(ids) | {f"ASVS-{each}" for name in ids if name in listed for each in listed[name].asvs}
