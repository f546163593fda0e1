"""What holds of every role, whatever it says. What each says is in approved/roles.txt."""

import re

from broker.adapters import connections, rows
from tests.deployment.template.approved import listed, statements
from tests.deployment.template.stack import deploy
from tools.requirements import req

STACK = deploy()
STARS = {
    "<ConnectionsTable.Arn>/stream/*": "a stream's name holds the instant at which it was made",
    "<RescueBucket.Arn>/rescue/*": "objects of one prefix",
    "<RescueBucket.Arn>/consents/*": "objects of one prefix",
}
"""Resources with a star, each with its reason."""


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
