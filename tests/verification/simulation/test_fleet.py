"""Whatever NinjaOne does to one tenant, a neighbour's token ends never; and what NinjaOne got wrong heals."""

import pytest

from tests.verification.simulation.fleet import answers, hangs
from tests.verification.simulation.schedules import ILL, neighbours, outage, wrong_verdicts
from tools.requirements import req

pytestmark = pytest.mark.filterwarnings("ignore:This metric doesn't meet")


QUICK = list(ILL)[:2]


@req("O03", "O04")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ILL])
def test_no_neighbours_token_ends_whatever_one_tenant_is_answered(name: str) -> None:
    many, answer = ILL[name]

    assert neighbours(many, answer, 5) == 0


@req("O03", "O04")
def test_no_neighbours_token_ends_beside_two_tenants_in_trouble() -> None:
    assert neighbours(3, answers(403), 5, tenants=2) == 0


@req("I05")
@pytest.mark.parametrize(("tenants", "told"), [({"ill": 8}, 0), ({f"ill-{number}": 1 for number in range(8)}, 0)])
def test_verdicts_that_were_wrong_for_a_few_minutes_tell_nobody_to_connect_again(
    tenants: dict[str, int], told: int
) -> None:
    found = wrong_verdicts(20, tenants, 0)

    assert (found.left, found.told) == (0, told)


@pytest.mark.slow
@req("I05")
def test_who_was_told_wrongly_is_active_again_within_as_long_as_the_verdicts_lasted() -> None:
    found = wrong_verdicts(60, {"ill": 3}, 5)

    assert found.left == 0
    assert found.back <= 60 + 10


@req("O03")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(answers(502), id="502"),
        pytest.param(answers(429), id="429", marks=pytest.mark.slow),
        pytest.param(hangs, id="no answer", marks=pytest.mark.slow),
    ],
)
def test_in_an_outage_ninjaone_is_asked_once_a_minute_and_after_it_everybody_is_renewed(answer: object) -> None:
    found = outage(60, {f"tenant-{number}": 2 for number in range(20)}, answer)  # type: ignore[arg-type]  # parametrized

    assert found.most == 1
    assert found.renewed <= 3
