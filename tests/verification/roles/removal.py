"""Take each part out of each role. A chapter must notice when a role may less, the bounds when it may more."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from local.iam import Statement
from tests.verification.roles.bounds import MAY, done
from tests.verification.roles.journeys import CHAPTERS
from tests.verification.roles.stage import Stage

Statements = tuple[Statement, ...]


@dataclass(frozen=True)
class Removal:
    """A role with a part taken out.

    Attributes:
        widens: the rest allows more than before: a condition is gone
    """

    folder: str
    what: str
    statements: Statements
    widens: bool = False

    def __str__(self) -> str:
        return f"{self.folder}: {self.what}"


def removals(folder: str, statements: Statements) -> Iterator[Removal]:
    """List every part of a role that can be taken out."""
    for number, whole in enumerate(statements):
        before, after = statements[:number], statements[number + 1 :]
        yield Removal(folder, whole.sid, before + after)
        for what, part, widens in _parts(whole):
            yield Removal(folder, f"{whole.sid} {what}", (*before, part, *after), widens)


def _parts(whole: Statement) -> Iterator[tuple[str, Statement, bool]]:
    """Take one action, resource, condition or value of a condition out of a statement."""
    for action in whole.actions if len(whole.actions) > 1 else ():
        yield action, replace(whole, actions=_without(whole.actions, action)), False
    for resource in whole.resources if len(whole.resources) > 1 else ():
        yield resource, replace(whole, resources=_without(whole.resources, resource)), False
    for number, condition in enumerate(whole.conditions):
        others = whole.conditions[:number] + whole.conditions[number + 1 :]
        yield f"unless {condition.key}", replace(whole, conditions=others), True
        for value in condition.values if len(condition.values) > 1 else ():
            part = replace(condition, values=_without(condition.values, value))
            yield f"{condition.key} {value}", replace(whole, conditions=(*others, part)), False


def _without(values: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(value for value in values if value != one)


def is_noticed(stage: Stage, removal: Removal) -> bool:
    """Say whether a chapter fails, or the bounds do, under the rest of the role."""
    with stage.amended(removal.folder, removal.statements):
        if removal.widens:
            return done(stage, removal.folder) != MAY[removal.folder]
        try:
            CHAPTERS[removal.folder](stage)
        except Exception:  # noqa: BLE001  # whatever fails was noticed; the whole role passes the same chapter
            stage.network.canned.clear()
            stage.network.meanwhile.clear()
            return True
    return False
