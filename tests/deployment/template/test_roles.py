"""What each function may do: compared line by line with `roles.txt`, which is read by people.

A role that changes is written anew with
`.venv/bin/python -m tests.deployment.template.test_roles`, and the difference is reviewed.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from broker.adapters import connections, rows
from tests.deployment.template.stack import Stack, deploy
from tools.requirements import req

WRITTEN = Path(__file__).with_name("roles.txt")
STACK = deploy()
STARS = {
    "<ConnectionsTable.Arn>/stream/*": "a stream's name holds the instant at which it was made",
    "<RescueBucket.Arn>/rescue/*": "objects of one prefix",
    "<RescueBucket.Arn>/consents/*": "objects of one prefix",
}
"""Resources with a star, each with its reason."""

Statement = Mapping[str, Any]


def statements(stack: Stack) -> Iterator[tuple[str, Statement]]:
    """Give what every role allows, with the role's owner."""
    for name, role in stack.of("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name.removesuffix("Role").removesuffix("Function"), statement


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def lines(stack: Stack) -> list[str]:
    """Write every role down, one action on one resource to a line."""
    return sorted(
        " | ".join([owner, statement.get("Sid", "(SAM's own)"), action, resource, *limits(statement)])
        for owner, statement in statements(stack)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    )


def limits(statement: Statement) -> list[str]:
    """Write a statement's conditions; equality goes without saying."""
    return [
        f"{key.partition(':')[2]} {operator.removeprefix('StringEquals')} = {' '.join(listed(wanted))}".replace(
            "  ", " "
        )
        for operator, said in statement.get("Condition", {}).items()
        for key, wanted in said.items()
    ]


@req("M01")
def test_the_roles_are_those_that_were_reviewed() -> None:
    assert lines(STACK) == WRITTEN.read_text().splitlines()


@req("M01")
def test_no_role_holds_a_star() -> None:
    for owner, statement in statements(STACK):
        assert statement["Effect"] == "Allow"
        assert not [action for action in listed(statement["Action"]) if "*" in action], owner
        assert {each for each in listed(statement["Resource"]) if "*" in each} <= STARS.keys(), owner


@req("G11")
def test_beside_its_own_statements_a_role_may_write_log_lines_and_nothing_else() -> None:
    managed = {arn for role in STACK.of("AWS::IAM::Role").values() for arn in role.get("ManagedPolicyArns", [])}

    assert managed == {"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}


def test_a_role_is_for_one_function_and_for_lambda_alone() -> None:
    functions = STACK.of("AWS::Lambda::Function")
    roles = [each["Role"] for each in functions.values()]

    assert len(set(roles)) == len(functions)
    for name, role in STACK.of("AWS::IAM::Role").items():
        (trusting,) = role["AssumeRolePolicyDocument"]["Statement"]
        owner = "scheduler" if name.endswith("EveryMinuteRole") else "lambda"
        assert trusting["Principal"] == {"Service": [f"{owner}.amazonaws.com"]}, name


@req("I01", "J05")
def test_a_key_is_used_only_for_named_purposes() -> None:
    purposes = {
        (owner, statement["Action"]): set(
            listed(statement["Condition"]["StringEquals"]["kms:EncryptionContext:purpose"])
        )
        for owner, statement in statements(STACK)
        if str(statement["Action"]).startswith("kms:")
    }

    assert purposes == {
        ("Session", "kms:GenerateDataKey"): {"client"},
        ("Authorize", "kms:GenerateDataKey"): {"client", "verifier"},
        ("Callback", "kms:GenerateDataKey"): {"code"},
        ("Complete", "kms:Decrypt"): {"code", "exchanged", "verifier", "client"},
        ("Complete", "kms:GenerateDataKey"): {"access", "exchanged", "refresh", "client"},
        ("Token", "kms:Decrypt"): {"access"},
        ("Proxy", "kms:Decrypt"): {"access"},
        ("Disconnect", "kms:Decrypt"): {"refresh", "client"},
        ("Refresh", "kms:Decrypt"): {"refresh", "client"},
        ("Refresh", "kms:GenerateDataKey"): {"access", "refresh"},
    }


@req("K02")
def test_client_secrets_are_read_where_they_are_sent_and_nowhere_else() -> None:
    readers = {owner for owner, each in statements(STACK) if each["Action"] == "secretsmanager:GetSecretValue"}

    assert readers == {"Complete", "Disconnect", "Refresh"}


def readable(owner: str) -> set[str]:
    """Name the attributes of connections that a role may read."""
    (wanted,) = [
        each["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
        for name, each in statements(STACK)
        if name == owner and each["Resource"] == "<ConnectionsTable.Arn>" and "Condition" in each
    ]
    return set(wanted)


def test_giving_tokens_reads_the_access_token_and_no_other_sealed_value() -> None:
    assert readable("Token") == {*connections.TOKEN_ATTRIBUTES, "opened_at"}
    assert readable("Token") & set(rows.SEALED) == {"access"}


def test_listing_reads_nothing_sealed() -> None:
    assert readable("Connections") >= set(connections.LISTED_ATTRIBUTES)
    assert not readable("Connections") & set(rows.SEALED)


@req("M01")
def test_no_role_may_read_or_empty_a_table_whole() -> None:
    actions = {action for _, statement in statements(STACK) for action in listed(statement["Action"])}

    assert not [
        action for action in actions if re.search(r":(Scan|BatchWrite|DeleteTable|PartiQL|Update.*Table)", action)
    ]


if __name__ == "__main__":
    WRITTEN.write_text("\n".join(lines(STACK)) + "\n")
