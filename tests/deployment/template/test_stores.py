"""What is kept: tables, queues, the rescue bucket, the key, the secret and the epoch."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker import policy
from broker.adapters import rows
from broker.adapters.rescue import PREFIX
from broker.flows import redeem
from tests.deployment.template.stack import ROOT, deploy, source
from tests.support.full_rows import PROFILE, SESSION, STATE
from tools.requirements import req

STACK = deploy()
KEPT = ["ConnectionsTable", "RescueBucket", "SealKey", "ClientSecrets"]
"""What outlives the stack: without any one of these, customers would have to connect again."""


def keys(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(each["AttributeName"], each["KeyType"]) for each in table["KeySchema"]]


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


@req("J07")
def test_the_table_of_connections_can_be_brought_back_and_not_deleted_by_mistake() -> None:
    table = STACK.the("ConnectionsTable")

    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


@req("J10")
def test_only_what_was_ended_goes_from_the_table_of_connections() -> None:
    ttl = STACK.the("ConnectionsTable")["TimeToLiveSpecification"]

    assert ttl == {"AttributeName": "forget_at", "Enabled": True}
    assert ttl["AttributeName"] not in rows.connection_state_item(STATE) | rows.profile_item(PROFILE)


def test_connections_are_found_by_tenant_and_when_they_are_due() -> None:
    table = STACK.the("ConnectionsTable")
    (index,) = table["GlobalSecondaryIndexes"]

    assert keys(table) == [("tenant", "HASH"), ("connection", "RANGE")]
    assert keys(index) == [("due_shard", "HASH"), ("refresh_at", "RANGE")]
    told = STACK.the("SweepFunction")["Environment"]["Variables"]["DUE_INDEX"]
    assert index["IndexName"] == told


@req("J04")
def test_the_index_repeats_keys_and_nothing_else() -> None:
    (index,) = STACK.the("ConnectionsTable")["GlobalSecondaryIndexes"]

    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_stream_tells_what_was_and_what_is() -> None:
    assert STACK.the("ConnectionsTable")["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


@req("J10")
def test_sessions_go_by_the_attribute_that_rows_carry() -> None:
    table = STACK.the("SessionsTable")
    ttl = table["TimeToLiveSpecification"]

    assert keys(table) == [("session", "HASH")]
    assert ttl["Enabled"] is True
    assert "N" in rows.session_item(SESSION)[ttl["AttributeName"]]
    assert table["SSESpecification"] == {"SSEEnabled": True}


# Queues --------------------------------------------------------------------------------------------------------------

FED = {"CompletionQueue": "CompleteFunction", "RefreshQueue": "RefreshFunction", "UrgentQueue": "RefreshFunction"}


@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue"])
def test_an_order_stays_hidden_for_six_times_the_function_s_time(queue: str) -> None:
    assert STACK.the(queue)["VisibilityTimeout"] >= 6 * STACK.the(FED[queue])["Timeout"]


@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue"])
def test_an_order_is_kept_until_it_has_failed_too_often(queue: str) -> None:
    held = STACK.the(queue)

    assert held["MessageRetentionPeriod"] > int(held["RedrivePolicy"]["maxReceiveCount"]) * held["VisibilityTimeout"]


@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue"])
def test_an_order_that_fails_too_often_is_kept_for_a_person_to_see(queue: str) -> None:
    redrive = STACK.the(queue)["RedrivePolicy"]

    assert redrive["deadLetterTargetArn"] == "<DeadLetterQueue.Arn>"
    assert 3 <= int(redrive["maxReceiveCount"]) <= 10
    assert STACK.the("DeadLetterQueue")["MessageRetentionPeriod"] == 14 * 86_400


def test_a_completion_comes_again_when_a_call_that_died_is_known_to_be_dead() -> None:
    queue = STACK.the("CompletionQueue")
    hidden = queue["VisibilityTimeout"]

    assert STACK.the("CompleteFunction")["Timeout"] + redeem.SKEW <= hidden
    assert 3 * hidden <= queue["MessageRetentionPeriod"] < policy.CONSENT_KEPT


def test_the_function_that_completes_has_the_time_that_it_reckons_with() -> None:
    assert STACK.the("CompleteFunction")["Timeout"] == policy.COMPLETE_TIMEOUT


@pytest.mark.parametrize("queue", [*FED, "DeadLetterQueue"])
def test_a_queue_is_encrypted(queue: str) -> None:
    assert STACK.the(queue)["SqsManagedSseEnabled"] is True


# The bucket ----------------------------------------------------------------------------------------------------------


def test_the_rescue_bucket_is_closed_encrypted_and_versioned() -> None:
    bucket = STACK.the("RescueBucket")
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]

    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_the_rescue_bucket_answers_nobody_without_tls() -> None:
    policy = STACK.the("RescueBucketPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert policy["Bucket"] == "<RescueBucket>"
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == ["<RescueBucket.Arn>", "<RescueBucket.Arn>/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@req("J10")
def test_rescued_tokens_go_after_35_days() -> None:
    (rule,) = STACK.the("RescueBucket")["LifecycleConfiguration"]["Rules"]

    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 35)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 35}


def test_roles_name_the_prefix_under_which_tokens_are_rescued() -> None:
    texts = [json.dumps(role.get("Policies", [])) for role in STACK.of("AWS::IAM::Role").values()]

    assert any(f"<RescueBucket.Arn>/{PREFIX}*" in text for text in texts)


# The key, the secret, the epoch --------------------------------------------------------------------------------------


@req("J05")
def test_the_key_rotates_and_is_of_no_use_without_a_purpose() -> None:
    key = STACK.the("SealKey")
    allowing, denying = key["KeyPolicy"]["Statement"]

    assert key["EnableKeyRotation"] is True
    assert key["PendingWindowInDays"] == 30
    assert allowing["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert (denying["Effect"], denying["Principal"]) == ("Deny", {"AWS": "*"})
    assert denying["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert denying["Condition"] == {"Null": {"kms:EncryptionContext:purpose": "true"}}


def test_the_key_has_a_name_for_people() -> None:
    assert STACK.the("SealKeyAlias") == {"AliasName": "alias/local", "TargetKeyId": "<SealKey>"}


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
