"""Each safeguard is missed by the simulation when it is taken away."""

import pytest

from tests.verification.mutants.hunting import caught
from tests.verification.mutants.safeguards import MUTANTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", range(len(MUTANTS)), ids=[mutant.name for mutant in MUTANTS])
def test_a_missing_safeguard_is_noticed(number: int) -> None:
    assert caught(number)
