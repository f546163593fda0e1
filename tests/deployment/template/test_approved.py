"""What is deployed is what was reviewed."""

import pytest

from tests.deployment.template.approved import FOLDER, listings
from tools.requirements import req

REQUIREMENTS = {
    "choices": ("F13", "G05", "H01", "M03"),
    "firewall": ("G04", "J01", "M03", "O01"),
    "functions": ("G11",),
    "roles": ("I01", "J05", "K02", "M01"),
    "stores": ("J04", "J05", "J07", "J10"),
}
"""Which requirements the values of a listing meet; the template says at each why it is so."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=req(*ids)) for name, ids in REQUIREMENTS.items()])
def test_what_is_deployed_is_what_was_reviewed(name: str) -> None:
    written = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")

    assert listings()[name].splitlines() == written.splitlines(), (
        "review the difference, and write it with `python -m tests.deployment.template.approved`"
    )


def test_every_listing_is_compared() -> None:
    assert listings().keys() == REQUIREMENTS.keys() == {path.stem for path in FOLDER.glob("*.txt")}
