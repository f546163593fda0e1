"""The pages of docs/reference that are written from the code are what the code says now."""

import pytest

import ninjaone_connect
from tools.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m tools.reference"


def test_every_public_name_of_the_client_has_a_heading() -> None:
    page = PAGES["python-client.md"]()

    assert [name for name in ninjaone_connect.__all__ if f"\n## {name}\n" not in page] == []


def test_every_family_of_errors_is_on_the_page_of_problems() -> None:
    page = PAGES["problems.md"]()

    for slug in ("invalid-request", "needs-reauth", "unknown-client", "busy", "seal-broken"):
        assert f"| `{slug}` |" in page
