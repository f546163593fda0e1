"""The roles at work. Taking out every part takes a minute: ``make least-privilege``; here whole statements go."""

from collections.abc import Iterator

import pytest

from tests.verification.roles.bounds import MAY, calls, done
from tests.verification.roles.journeys import CHAPTERS
from tests.verification.roles.removal import is_noticed, removals
from tests.verification.roles.stage import Stage, stage
from tools.requirements import req

FUNCTIONS = sorted(CHAPTERS)
LONG = {"complete", "refresh"}
"""Functions whose journeys take many seconds for every part that is taken out of their roles."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with stage() as made:
        yield made


def test_every_function_has_its_chapter_and_its_bounds(shared: Stage) -> None:
    assert shared.template.functions.keys() == CHAPTERS.keys() == MAY.keys()


def test_everything_that_a_function_may_do_is_tried(shared: Stage) -> None:
    assert set().union(*MAY.values()) <= {name for name, _ in calls(shared)}


@req("M01")
@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_does_its_work_under_its_role(shared: Stage, folder: str) -> None:
    refused = dict(shared.policy_usage.refused)

    CHAPTERS[folder](shared)

    assert dict(shared.policy_usage.refused) == refused


@req("M01", "I01", "K02")
@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_may_do_this_and_nothing_else(shared: Stage, folder: str) -> None:
    assert done(shared, folder) == MAY[folder]


@req("I01")
def test_who_may_open_what() -> None:
    opens = {folder: {name[5:] for name in may if name.startswith("open ")} for folder, may in MAY.items()}

    assert {folder for folder, purposes in opens.items() if "refresh" in purposes} == {"refresh", "disconnect"}
    assert opens["token"] == opens["proxy"] == {"access"}
    assert MAY["token"] == MAY["proxy"]
    assert [opens[folder] for folder in ("session", "connect", "authorize", "callback", "connections", "sweep")] == [
        set()
    ] * 6


@req("M01")
@pytest.mark.parametrize(
    "folder", [pytest.param(each, marks=pytest.mark.slow) if each in LONG else each for each in FUNCTIONS]
)
def test_no_statement_can_go(shared: Stage, folder: str) -> None:
    statements = shared.roles[folder].function.statements
    whole = [each for each in removals(folder, statements) if each.what in {held.sid for held in statements}]

    assert [str(each) for each in whole if not is_noticed(shared, each)] == []
    assert len(whole) == len(statements)


@req("M01", "I01")
@pytest.mark.parametrize("folder", FUNCTIONS)
def test_no_condition_can_go(shared: Stage, folder: str) -> None:
    widening = [each for each in removals(folder, shared.roles[folder].function.statements) if each.widens]

    assert [str(each) for each in widening if not is_noticed(shared, each)] == []
