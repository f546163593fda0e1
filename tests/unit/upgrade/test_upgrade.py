"""Two releases on one table: while one is deployed in place of the other, each reads what the other wrote."""

import io
import json
from typing import Any

import pytest

from broker.adapters import rows
from broker.adapters.queues import RefreshBatch, Trigger, read_batch, read_completion
from broker.adapters.rescue import RescueStore
from broker.model import Seconds
from tests.unit.upgrade import samples

BEFORE: dict[str, Any] = json.loads(samples.RECORDED.read_text(encoding="utf-8"))
NOW = samples.written()
ROWS = ["hot", "fresh", "profile", "session"]

NEEDED = {
    "hot": {"tenant", "connection", "status"},
    "fresh": {"tenant", "connection", "status"},
    "profile": {"tenant", "connection"},
    "session": {"session"},
}
"""What a reader of release 1 can't do without; all else it reads when it is there."""


# Release 1 wrote, this one reads -------------------------------------------------------------------------------------


def test_connections_of_release_1_are_read_as_they_were_meant() -> None:
    assert rows.connection_state(samples.item(BEFORE["hot"])) == samples.HOT
    assert rows.connection_state(samples.item(BEFORE["fresh"])) == samples.FRESH
    assert rows.profile(samples.item(BEFORE["profile"])) == samples.PROFILE


def test_a_person_on_the_way_does_not_notice_the_upgrade() -> None:
    assert rows.session(samples.item(BEFORE["session"])) == samples.SESSION


class Shelf:
    """An S3 client with one object."""

    def __init__(self, key: str, body: str) -> None:
        self._key, self._body = key, body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  # S3's names
        assert Key == self._key
        return {"Body": io.BytesIO(self._body.encode())}


def test_a_token_that_release_1_rescued_is_found_and_read() -> None:
    shelf = Shelf(BEFORE["rescued"]["key"], BEFORE["rescued"]["body"])

    assert RescueStore(shelf, "bucket").get(samples.REF, 6) == samples.RESCUED


def test_orders_of_release_1_are_worked() -> None:
    assert read_batch(BEFORE["order"]) == RefreshBatch(Trigger.URGENT, (samples.REF,), min_ttl=Seconds(300))
    assert read_completion(BEFORE["completion"]) == samples.SESSION.session


# This one wrote, release 1 reads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ROWS)
def test_what_release_1_reads_is_still_written_in_the_type_it_reads(kind: str) -> None:
    for name, cell in BEFORE[kind].items():
        if name in NOW[kind]:
            assert NOW[kind][name].keys() == cell.keys(), name

    assert NEEDED[kind] <= NOW[kind].keys()
    assert BEFORE[kind].keys() <= NOW[kind].keys()


@pytest.mark.parametrize("name", BEFORE["words"])
def test_no_word_is_written_that_release_1_does_not_know(name: str) -> None:
    assert set(samples.WORDS[name]) <= set(BEFORE["words"][name])


def test_objects_and_messages_still_have_the_shape_that_release_1_reads() -> None:
    assert NOW["rescued"]["key"] == BEFORE["rescued"]["key"]
    for before, now in (
        (BEFORE["rescued"]["body"], NOW["rescued"]["body"]),
        (BEFORE["order"], NOW["order"]),
        (BEFORE["completion"], NOW["completion"]),
    ):
        old, new = json.loads(before), json.loads(now)
        assert old.keys() <= new.keys()
        assert {name: type(new[name]) for name in old} == {name: type(value) for name, value in old.items()}


# And the next one ----------------------------------------------------------------------------------------------------


def test_what_a_later_release_adds_to_a_row_is_passed_over() -> None:
    later: rows.Item = {"added": {"M": {"deep": {"S": "x"}}}, "schema": {"N": "2"}}

    assert rows.connection_state(samples.item(BEFORE["hot"]) | later) == samples.HOT
    assert rows.profile(samples.item(BEFORE["profile"]) | later) == samples.PROFILE
    assert rows.session(samples.item(BEFORE["session"]) | later) == samples.SESSION


@pytest.mark.parametrize("kind", ["hot", "fresh", "profile"])
def test_a_row_says_which_release_wrote_it(kind: str) -> None:
    assert BEFORE[kind]["schema"] == {"N": "1"}
    assert NOW[kind]["schema"] == {"N": str(rows.SCHEMA)}
