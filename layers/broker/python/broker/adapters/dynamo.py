"""Conditional writes to DynamoDB: conditions built from named clauses, and distinct results for applied and refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.rows import Item, value

CONDITION_FAILED = "ConditionalCheckFailedException"


@dataclass(frozen=True)
class ConditionFailed:
    """A conditional write that did not apply.

    Attributes:
        found: the item as it stands, empty when there is none
    """

    found: Item


@dataclass(frozen=True)
class ConditionalUpdate:
    """One conditional UpdateItem.

    Attributes:
        set: attribute → new value
        add: attribute → number to add
        default: attribute → value to set where it has none
        join: attribute → words to put into its set of words
        remove: attributes to drop
        when: clauses that must all hold; ``#name`` stands for an attribute, ``:word`` for a value of ``given``
    """

    set: Mapping[str, Any]
    when: tuple[str, ...]
    given: Mapping[str, Any]
    add: Mapping[str, int]
    remove: tuple[str, ...]
    default: Mapping[str, Any]
    join: Mapping[str, frozenset[str]]

    @classmethod
    def of(
        cls,
        *when: str,
        given: Mapping[str, Any] | None = None,
        set: Mapping[str, Any] | None = None,  # noqa: A002  # DynamoDB's own word
        add: Mapping[str, int] | None = None,
        remove: tuple[str, ...] = (),
        default: Mapping[str, Any] | None = None,
        join: Mapping[str, frozenset[str]] | None = None,
    ) -> "ConditionalUpdate":
        """Build an update from its conditions and changes."""
        return cls(set or {}, when, given or {}, add or {}, remove, default or {}, join or {})

    def parameters(self) -> dict[str, Any]:
        """Return UpdateItem's parameters; every name is a placeholder, because DynamoDB reserves many words."""
        sets = [f"#{name} = :{name}" for name in self.set]
        sets += [f"#{name} = if_not_exists(#{name}, :zero) + :{name}" for name in self.add]
        sets += [f"#{name} = if_not_exists(#{name}, :{name})" for name in self.default]
        update = ("SET " + ", ".join(sets)) if sets else ""
        if self.remove:
            update += " REMOVE " + ", ".join(f"#{name}" for name in self.remove)
        if self.join:
            update += " ADD " + ", ".join(f"#{name} :{name}" for name in self.join)
        condition = " AND ".join(f"({clause})" for clause in self.when)
        values = {
            **self.set,
            **self.default,
            **self.add,
            **self.join,
            **self.given,
            **({"zero": 0} if self.add else {}),
        }
        return {
            "UpdateExpression": update.strip(),
            **({"ConditionExpression": condition} if condition else {}),
            "ExpressionAttributeNames": {f"#{name}": name for name in self._names(update + condition)},
            **(
                {"ExpressionAttributeValues": {f":{name}": value(thing) for name, thing in values.items()}}
                if values
                else {}
            ),
        }

    @staticmethod
    def _names(text: str) -> list[str]:
        words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
        return sorted({word[1:] for word in words if word.startswith("#")})


def update(client: AwsClient, table: str, key: Item, write: ConditionalUpdate) -> Item | ConditionFailed:
    """Apply one conditional update and return the item as it then is.

    Raises:
        AwsError: it was not applied, or it was and the acknowledgement was lost
    """
    try:
        answer = client.call(
            "update_item",
            expected=(CONDITION_FAILED,),
            TableName=table,
            Key=key,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **write.parameters(),
        )
    except ExpectedError as refused:
        return ConditionFailed(refused.response.get("Item", {}))
    found: Item = answer["Attributes"]
    return found
