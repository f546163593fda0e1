"""What is deployed is what was reviewed."""

import pytest

from tests.deployment.template.approved import FOLDER, listings
from tools.requirements import req

LISTINGS = [
    pytest.param("choices", marks=req("F13", "G05", "H01", "M03")),
    pytest.param("firewall", marks=req("G04", "J01", "M03", "O01")),
    pytest.param("functions", marks=req("G11")),
    pytest.param("roles", marks=req("I01", "J05", "K02", "M01")),
    pytest.param("stores", marks=req("J04", "J05", "J07", "J10")),
]
"""Each listing, and the requirements that its values meet; the template says at each why it is so."""


@pytest.mark.parametrize("name", LISTINGS)
def test_what_is_deployed_is_what_was_reviewed(name: str) -> None:
    written = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")

    assert listings()[name].splitlines() == written.splitlines(), (
        "review the difference, and write it with `python -m tests.deployment.template.approved`"
    )


def test_every_listing_is_compared() -> None:
    compared = {str(name) for each in LISTINGS for name in each.values}

    assert listings().keys() == compared == {path.stem for path in FOLDER.glob("*.txt")}
