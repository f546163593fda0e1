"""Survivors and why each of them may survive: another line makes it redundant, and the reason names that line.

An explanation bears the text of the mutant. When that changes, the explanation is stale, and the run fails.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.verification.mutants.planted import planted
from tests.verification.mutants.sites import Mutant, files, mutants

FILE = Path(__file__).with_name("survivors.toml")
Key = tuple[str, str, str, str]


def reasons() -> Mapping[Key, str]:
    """Read them, by what names a mutant. Raises ValueError: two for one mutant, or one that says nothing."""
    found: dict[Key, str] = {}
    for entry in tomllib.loads(FILE.read_text()).get("survivor", []):
        key = (entry["file"], entry["where"], entry["was"], entry["now"])
        if key in found or len(entry["reason"].split()) < 3:
            raise ValueError(f"{FILE.name}: {key} has no reason, or two")
        found[key] = entry["reason"]
    return found


def made() -> set[Key]:
    """Name all mutants that can be made."""
    return {mutant.key for mutant in (*planted(), *(each for file in files() for each in mutants(file)))}


def stale(explained: Collection[Key], made: Collection[Key]) -> list[Key]:
    """Find explanations of mutants that are made no more."""
    return [key for key in explained if key not in made]


def entry(mutant: Mutant) -> str:
    """Write a survivor as the file takes it, without its reason."""
    text = {"file": mutant.file, "where": mutant.where, "was": mutant.was, "now": mutant.now, "reason": ""}
    return "\n".join(["[[survivor]]", *(f"{name} = {_quoted(value)}" for name, value in text.items())])


def _quoted(text: str) -> str:
    return f"'''{text}'''" if "'" in text or "\\" in text else f"'{text}'"
