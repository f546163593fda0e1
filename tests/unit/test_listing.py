"""Rows side by side: pages that part a pair, rows without their other half, rows that can't be read."""

import pytest

from broker.adapters.listing import pairs, readable, whole_pairs
from broker.adapters.rows import Item, connection_state_item, profile_item
from tests.support.full_rows import PROFILE, STATE

ROW, NAMES = connection_state_item(STATE), profile_item(PROFILE)
DAMAGED: Item = {**ROW, "version": {"S": "seven"}}
STRAY: Item = {**NAMES, "connection": {"S": "con_" + "b" * 26 + "#profile"}}


def test_rows_that_can_be_read_are_and_the_others_are_counted() -> None:
    assert readable([DAMAGED, ROW, {}]) == ([STATE], 2)


def test_a_state_row_and_the_profile_behind_it_are_a_connection() -> None:
    found, unread = pairs([ROW, NAMES])

    assert ([(each.state, each.profile) for each in found], unread) == ([(STATE, PROFILE)], 0)


@pytest.mark.parametrize(
    "rows", [[ROW], [NAMES], [ROW, STRAY], [NAMES, ROW]], ids=["no profile", "no state", "another's", "the wrong way"]
)
def test_half_a_connection_is_not_listed(rows: list[Item]) -> None:
    assert pairs(rows) == ([], 0)


@pytest.mark.parametrize("rows", [[DAMAGED, NAMES], [ROW, {**NAMES, "organizations": {"S": "{"}}]])
def test_a_row_that_cant_be_read_hides_no_other(rows: list[Item]) -> None:
    found, unread = pairs([*rows, ROW, NAMES])

    assert (len(found), unread) == (1, 1)


def test_a_last_page_is_left_as_it_is() -> None:
    assert whole_pairs([NAMES, ROW], None) == ([NAMES, ROW], None)


def test_a_page_that_ends_with_a_profile_is_left_as_it_is() -> None:
    assert whole_pairs([ROW, NAMES], NAMES) == ([ROW, NAMES], NAMES)


def test_a_page_that_parts_a_pair_leaves_the_state_row_to_the_next_one() -> None:
    assert whole_pairs([ROW, NAMES, ROW], ROW) == ([ROW, NAMES], NAMES)
    assert whole_pairs([ROW, ROW], ROW) == ([ROW], ROW)


def test_a_page_of_one_row_is_left_as_it_is_for_it_would_come_again_for_ever() -> None:
    assert whole_pairs([ROW], ROW) == ([ROW], ROW)
