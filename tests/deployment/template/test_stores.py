"""What is kept, and that its times and names fit together. The values themselves are in approved/stores.txt."""

import json

import pytest

from broker import policy
from broker.adapters import rows
from broker.adapters.rescue import PREFIX
from tests.deployment.template.stack import ROOT, deploy, source
from tests.support.full_rows import PROFILE, SESSION, STATE
from tools.requirements import req

STACK = deploy()
KEPT = ["ConnectionsTable", "RescueBucket", "SealKey", "ClientSecrets"]
"""What outlives the stack: without any one of these, customers would have to connect again."""


@pytest.mark.parametrize("name", KEPT)
def test_what_customers_connections_hang_on_outlives_the_stack(name: str) -> None:
    resource = STACK.resources[name]

    assert resource["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate"}
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_a_first_deployment_that_fails_can_be_rolled_back() -> None:
    """With RetainExceptOnCreate, CloudFormation would delete the table it just made, which is protected from that."""
    protected = {
        name for name, each in STACK.of("AWS::DynamoDB::Table").items() if each.get("DeletionProtectionEnabled")
    }

    assert protected
    assert {STACK.resources[name]["DeletionPolicy"] for name in protected} == {"Retain"}


def test_everything_else_goes_with_the_stack() -> None:
    kept = {name for name, each in STACK.resources.items() if each.get("DeletionPolicy", "Delete") != "Delete"}

    assert kept == {*KEPT, "RescueBucketPolicy"}


def test_a_stack_policy_guards_what_is_kept_and_the_addresses_that_are_registered_elsewhere() -> None:
    allows, guards, epoch = json.loads((ROOT / "stacks/policy.json").read_text())["Statement"]

    assert (allows["Effect"], allows["Action"], allows["Resource"]) == ("Allow", "Update:*", "*")
    assert (guards["Effect"], guards["Action"]) == ("Deny", ["Update:Replace", "Update:Delete"])
    assert set(guards["Resource"]) == {f"LogicalResourceId/{name}" for name in [*KEPT, "ConnectApi", "BackendApi"]}
    assert (epoch["Effect"], epoch["Action"], epoch["Resource"]) == ("Deny", "Update:*", "LogicalResourceId/Epoch")
    assert {"ConnectApi", "BackendApi", "Epoch"} <= STACK.resources.keys()


@req("J10")
def test_only_what_was_ended_goes_from_the_table_of_connections() -> None:
    ttl = STACK.the("ConnectionsTable")["TimeToLiveSpecification"]

    assert ttl["AttributeName"] not in rows.connection_state_item(STATE) | rows.profile_item(PROFILE)


@req("J10")
def test_sessions_go_by_the_attribute_that_rows_carry() -> None:
    ttl = STACK.the("SessionsTable")["TimeToLiveSpecification"]

    assert "N" in rows.session_item(SESSION)[ttl["AttributeName"]]


def test_what_is_due_is_looked_for_in_the_index_that_there_is() -> None:
    (index,) = STACK.the("ConnectionsTable")["GlobalSecondaryIndexes"]

    assert index["IndexName"] == STACK.the("SweepFunction")["Environment"]["Variables"]["DUE_INDEX"]


# Queues --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue"])
def test_a_message_stays_hidden_for_six_times_the_function_s_time(queue: str) -> None:
    assert STACK.the(queue)["VisibilityTimeout"] >= 6 * STACK.the("RefreshFunction")["Timeout"]


@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue"])
def test_a_message_is_kept_until_it_has_failed_too_often(queue: str) -> None:
    held = STACK.the(queue)

    assert held["MessageRetentionPeriod"] > int(held["RedrivePolicy"]["maxReceiveCount"]) * held["VisibilityTimeout"]


def test_a_completion_comes_again_when_a_call_that_died_is_known_to_be_dead() -> None:
    queue = STACK.the("CompletionQueue")
    hidden = queue["VisibilityTimeout"]

    assert STACK.the("CompleteFunction")["Timeout"] + policy.CLOCK_SKEW <= hidden
    assert 3 * hidden <= queue["MessageRetentionPeriod"] < policy.CONSENT_KEPT


def test_the_function_that_completes_has_the_time_that_it_reckons_with() -> None:
    assert STACK.the("CompleteFunction")["Timeout"] == policy.COMPLETE_TIMEOUT


# The bucket ----------------------------------------------------------------------------------------------------------


def test_roles_name_the_prefix_under_which_tokens_are_rescued() -> None:
    texts = [json.dumps(role.get("Policies", [])) for role in STACK.of("AWS::IAM::Role").values()]

    assert any(f"<RescueBucket.Arn>/{PREFIX}*" in text for text in texts)


# The key, the secret, the epoch --------------------------------------------------------------------------------------


@req("K01")
def test_the_template_holds_no_secret_s_value() -> None:
    assert STACK.the("ClientSecrets").keys() == {"Description"}


def test_no_deployment_ever_writes_the_epoch_again() -> None:
    """CloudFormation writes a parameter whenever its resource changes: that would undo what a restore activated.

    So the resource stays as it was in release 1, to the letter.
    """
    assert source()["Resources"]["Epoch"] == {
        "Type": "AWS::SSM::Parameter",
        "Properties": {
            "Type": "String",
            "Description": (
                "Which rows of which connections table may be presented to NinjaOne. See docs/operate/restore.md."
            ),
            "Value": {"Fn::Sub": '{"epoch": 1, "table": "${ConnectionsTable}"}'},
        },
    }
