"""The table in docs/understand/architecture.md is what the roles say."""

from dataclasses import replace

import pytest

from local.privilege_table import BEGIN, PAGE, filled, table
from tests.verification.roles.stage import template
from tools.requirements import req


@req("M01")
def test_the_page_shows_the_privileges_as_the_template_gives_them() -> None:
    page = PAGE.read_text()

    assert filled(page, template()) == page, "run: python -m local.privilege_table"


def test_another_role_is_another_table() -> None:
    held = template()
    token = held.functions["token"]
    changed = replace(held, functions={**held.functions, "token": replace(token, statements=token.statements[1:])})

    assert table(changed) != table(held)


def test_a_text_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        filled(BEGIN, template())
