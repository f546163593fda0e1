"""Conditional writes, and the three ways in which one can end."""

from typing import Any

import pytest

from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.dynamo import ConditionalUpdate, ConditionFailed, update
from broker.config import Config
from broker.errors import AwsUnavailable
from broker.model import TenantId
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults, throttled, unreachable

KEY = rows.key(TenantId("acme"), "row")


@pytest.fixture
def write(aws: AwsAccount, config: Config) -> Any:
    def apply(change: ConditionalUpdate) -> rows.Item | ConditionFailed:
        return update(AwsClient("dynamodb", aws.client("dynamodb")), config.connections_table, KEY, change)

    return apply


def test_a_write_sets_adds_and_removes_and_gives_the_item_as_it_then_is(write: Any) -> None:
    write(ConditionalUpdate.of(set={"status": "active", "access": b"\0"}, add={"version": 1}))

    found = write(
        ConditionalUpdate.of(set={"status": "paused"}, add={"version": 2, "fence": 1}, remove=("access", "absent"))
    )

    assert rows.plain(found) == {
        "tenant": "acme", "connection": "row", "status": "paused", "version": 3, "fence": 1,
    }  # fmt: skip


def test_a_default_stays_as_it_was_first_set_and_words_are_joined(write: Any) -> None:
    for number, word in enumerate(("a", "b")):
        found = write(ConditionalUpdate.of(default={"since": number}, join={"failing": frozenset({word})}))

    assert rows.plain(found) == {"tenant": "acme", "connection": "row", "since": 0, "failing": {"a", "b"}}


def test_every_clause_of_a_condition_must_hold(write: Any) -> None:
    write(ConditionalUpdate.of(set={"a": 1, "b": 2}))

    either = write(ConditionalUpdate.of("#a = :one OR #b = :one", "#b = :one", given={"one": 1}, set={"a": 9}))

    assert isinstance(either, ConditionFailed)


def test_a_write_names_what_it_uses_and_nothing_else() -> None:
    """DynamoDB refuses names that no expression uses; moto does not."""
    write = ConditionalUpdate.of("(#a = :one) OR #b IN (:one, :two)", given={"one": 1, "two": 2}, set={"c": 3})

    assert write.parameters()["ExpressionAttributeNames"] == {"#a": "a", "#b": "b", "#c": "c"}


def test_a_write_that_only_removes_needs_no_values(write: Any) -> None:
    write(ConditionalUpdate.of(set={"client": b"sealed"}))

    found = write(ConditionalUpdate.of("attribute_exists(#tenant)", remove=("client",)))

    assert "client" not in rows.plain(found)


@pytest.mark.parametrize(
    ("change", "values"),
    [
        (ConditionalUpdate.of("attribute_exists(#a)", remove=("a",)), None),
        (ConditionalUpdate.of(set={"a": 1}), {":a"}),
        (ConditionalUpdate.of("#a < :b", given={"b": 1}, add={"a": 2}), {":a", ":b", ":zero"}),
        (ConditionalUpdate.of(default={"a": 1}, join={"b": frozenset({"c"})}), {":a", ":b"}),
    ],
)
def test_no_value_is_given_that_is_not_used(change: ConditionalUpdate, values: set[str] | None) -> None:
    """DynamoDB refuses a value that no expression names, and an empty map of values; moto takes both."""
    parameters = change.parameters()
    given = parameters.get("ExpressionAttributeValues")

    assert (set(given) if given is not None else None) == values
    assert ("ConditionExpression" in parameters) == bool(change.when)


@pytest.mark.parametrize("error", [throttled(), unreachable()], ids=["throttled", "down"])
def test_a_write_that_was_never_done_is_busy(write: Any, aws_faults: AwsFaults, error: Exception) -> None:
    aws_faults.refuse("dynamodb.UpdateItem", error=error)

    with pytest.raises(AwsUnavailable) as busy:
        write(ConditionalUpdate.of(set={"a": 1}))

    assert busy.value.__cause__ is None
    assert "quote" not in str(busy.value)


def test_a_reserved_word_may_be_an_attribute(write: Any) -> None:
    """Names go through placeholders: ``status``, ``region`` and ``token`` are words of DynamoDB's own."""
    found = write(
        ConditionalUpdate.of("attribute_not_exists(#token)", set={"status": "x", "region": "eu", "token": "t"})
    )

    assert rows.plain(found)["token"] == "t"
