"""What AWS itself says of a deployment: routes, logs, functions, roles, keys, tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloudformation.template import read
from local.privilege_table import PARAMETERS, purposes
from ninjaone_connect_cli.deployment import Deployment
from tools.deployed.reach import anybody
from tools.requirements import req

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
APIS = {"ConnectApi": "connect", "BackendApi": "backend"}
OPENS = {
    folder: set(purposes(function.statements, "kms:Decrypt"))
    for folder, function in read(TEMPLATE, PARAMETERS).functions.items()
}
"""What each function may open, as the template says it. That it says what was reviewed, the tests show."""
PURPOSES = ("access", "refresh", "client", "code", "exchanged", "verifier")
TOLD = {"requestTime", "requestId", "routeKey", "status", "responseLatency", "identity.sourceIp", "identity.userArn"}
"""What an access log may hold."""


def is_left_out(deployment: Deployment, folder: str) -> bool:
    """Return whether the operator chose to do without a function."""
    return folder == "proxy" and "ProxyFunction" not in deployment.resources


def functions(deployment: Deployment) -> list[Mapping[str, Any]]:
    """Read how each function is set up."""
    return [function(deployment, folder) for folder in OPENS if not is_left_out(deployment, folder)]


def function(deployment: Deployment, folder: str) -> Mapping[str, Any]:
    """Read how a function is set up."""
    name = deployment.resources[f"{folder.capitalize()}Function"]
    found: Mapping[str, Any] = deployment.aws("lambda").get_function_configuration(FunctionName=name)
    return found


def said(call: Any, **named: Any) -> str:
    """Return the code with which AWS refuses a call; empty when it does not."""
    try:
        call(**named)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


# Routes, throttles, logs ----------------------------------------------------------------------------------------------


@req("M03", "F13")
@pytest.mark.parametrize("api", APIS)
def test_behind_a_domain_the_address_of_aws_is_of_no_use(deployment: Deployment, api: str) -> None:
    """Behind a firewall it is CloudFront's way, and answers nobody else."""
    found = deployment.aws("apigatewayv2").get_api(ApiId=deployment.resources[api])
    ours = deployment.config.connect_url if api == "ConnectApi" else deployment.outputs["BackendApiUrl"]
    walled = api == "ConnectApi" and bool(deployment.config.origin_verify)

    assert found["DisableExecuteApiEndpoint"] is (ours != found["ApiEndpoint"] and not walled)
    if walled:
        assert anybody("GET", found["ApiEndpoint"]).status_code == 403
    if found["DisableExecuteApiEndpoint"]:
        assert anybody("GET", found["ApiEndpoint"] + "/callback/eu").status_code in {403, 404}


@req("H01", "F12")
def test_every_route_of_the_private_api_wants_a_signature(deployment: Deployment) -> None:
    apis, api = deployment.aws("apigatewayv2"), deployment.resources["BackendApi"]
    routes = apis.get_routes(ApiId=api)["Items"]

    assert len(routes) == (7 if is_left_out(deployment, "proxy") else 8)
    assert {each["AuthorizationType"] for each in routes} == {"AWS_IAM"}
    for name in APIS:
        assert "CorsConfiguration" not in apis.get_api(ApiId=deployment.resources[name])


@req("O01", "G02")
@pytest.mark.parametrize("api", APIS)
def test_a_stage_is_throttled_and_its_log_holds_no_address(deployment: Deployment, api: str) -> None:
    (stage,) = deployment.aws("apigatewayv2").get_stages(ApiId=deployment.resources[api])["Items"]
    held = json.loads(stage["AccessLogSettings"]["Format"])

    assert 0 < stage["DefaultRouteSettings"]["ThrottlingRateLimit"] <= 500
    assert 0 < stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] <= 500
    assert set(held.values()) <= {f"$context.{name}" for name in TOLD}


@req("G11")
@pytest.mark.parametrize("log", ["FunctionLog", "AccessLog"])
def test_log_lines_are_forgotten_some_day(deployment: Deployment, log: str) -> None:
    name = deployment.resources[log]
    groups = deployment.aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]

    assert [each["retentionInDays"] > 0 for each in groups if each["logGroupName"] == name] == [True]


# Functions and roles --------------------------------------------------------------------------------------------------


@req("M01", "N05", "G11")
def test_each_function_has_a_role_of_its_own_and_no_foreign_layer(deployment: Deployment) -> None:
    found = functions(deployment)
    account = found[0]["FunctionArn"].split(":")[4]

    assert len({each["Role"] for each in found}) == len(found)
    assert {layer["Arn"].split(":")[4] for each in found for layer in each["Layers"]} == {account}
    assert {each["LoggingConfig"]["LogGroup"] for each in found} == {deployment.resources["FunctionLog"]}


def callers(deployment: Deployment, name: str) -> list[dict[str, Any]]:
    """Read who may call a function: by itself, and by the name that a gradual deployment gives it."""
    functions, found = deployment.aws("lambda"), []
    for qualifier in ({}, {"Qualifier": "live"}):
        if not said(functions.get_policy, FunctionName=name, **qualifier):
            policy = functions.get_policy(FunctionName=name, **qualifier)["Policy"]
            found += json.loads(policy)["Statement"]
    return found


@req("M02")
@pytest.mark.parametrize("folder", OPENS)
def test_a_function_is_called_by_its_own_trigger_alone(deployment: Deployment, folder: str) -> None:
    """What reads a queue or runs a schedule calls under a role, and stands in no function's policy."""
    if is_left_out(deployment, folder):
        return
    name = function(deployment, folder)["FunctionName"]
    found = callers(deployment, name)

    refused = said(deployment.aws("lambda").get_function_url_config, FunctionName=name)
    assert refused == "ResourceNotFoundException"
    assert bool(found) is (folder not in {"sweep", "refresh", "notify"})
    for statement in found:
        assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        assert any(deployment.resources[api] in str(statement["Condition"]) for api in APIS)


def allowed(deployment: Deployment, folder: str, action: str, resource: str, **context: str) -> bool:
    """Ask IAM whether a function's role may do something.

    Args:
        context: condition key → value, its colons written as two underscores
    """
    entries = [
        {"ContextKeyName": key.replace("__", ":"), "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in context.items()
    ]
    (found,) = deployment.aws("iam").simulate_principal_policy(
        PolicySourceArn=function(deployment, folder)["Role"], ActionNames=[action], ResourceArns=[resource],
        ContextEntries=entries,
    )["EvaluationResults"]  # fmt: skip
    return bool(found["EvalDecision"] == "allowed")


@req("I01", "M01", "J05")
@pytest.mark.parametrize("folder", OPENS)
def test_a_role_opens_what_it_is_for_and_nothing_else(deployment: Deployment, folder: str) -> None:
    if is_left_out(deployment, folder):
        return
    key = deployment.aws("kms").describe_key(KeyId=deployment.resources["SealKey"])["KeyMetadata"]["Arn"]

    opens = {
        purpose
        for purpose in PURPOSES
        if allowed(deployment, folder, "kms:Decrypt", key, kms__EncryptionContext__purpose=purpose)
    }

    assert opens == OPENS[folder]


@req("I01", "M01")
@pytest.mark.parametrize(("folder", "attribute", "may"), [("token", "access", True), ("token", "refresh", False),
                         ("connections", "status", True), ("connections", "access", False)])  # fmt: skip
def test_who_gives_or_lists_reads_no_other_sealed_attribute(
    deployment: Deployment, folder: str, attribute: str, may: bool
) -> None:
    table = _table(deployment, "ConnectionsTable")["TableArn"]
    context = {"dynamodb__Attributes": attribute, "dynamodb__Select": "SPECIFIC_ATTRIBUTES"}

    assert allowed(deployment, folder, "dynamodb:GetItem", table, **context) is may


@req("M04")
def test_refreshing_has_executions_of_its_own_where_that_was_asked_for(deployment: Deployment) -> None:
    (stack,) = deployment.aws("cloudformation").describe_stacks(StackName=deployment.stack)["Stacks"]
    chosen = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    for folder in ("refresh", "sweep"):
        name = function(deployment, folder)["FunctionName"]
        found = deployment.aws("lambda").get_function_concurrency(FunctionName=name)
        assert ("ReservedConcurrentExecutions" in found) is (chosen["ReserveRefreshes"] == "yes")


# What is kept ---------------------------------------------------------------------------------------------------------


def _table(deployment: Deployment, name: str) -> Mapping[str, Any]:
    found = deployment.aws("dynamodb").describe_table(TableName=deployment.resources[name])["Table"]
    described: Mapping[str, Any] = found
    return described


@req("J07")
def test_the_connections_can_be_brought_back_and_not_deleted_by_mistake(deployment: Deployment) -> None:
    table, name = _table(deployment, "ConnectionsTable"), deployment.resources["ConnectionsTable"]
    backups = deployment.aws("dynamodb").describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]

    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


@req("J10")
@pytest.mark.parametrize(("name", "attribute"), [("ConnectionsTable", "forget_at"), ("SessionsTable", "expires_at")])
def test_what_ended_goes_by_itself(deployment: Deployment, name: str, attribute: str) -> None:
    lives = deployment.aws("dynamodb").describe_time_to_live(TableName=deployment.resources[name])

    assert lives["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}


@req("J05")
def test_the_key_is_the_accounts_own_and_rotates(deployment: Deployment) -> None:
    kms, key = deployment.aws("kms"), deployment.resources["SealKey"]

    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True


@req("J05")
def test_without_a_purpose_the_key_is_of_no_use_to_anybody(deployment: Deployment) -> None:
    """The caller's own rights may forbid it too, so the policy is read besides."""
    kms, key = deployment.aws("kms"), deployment.resources["SealKey"]
    statements = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
    (denying,) = [each for each in statements if each["Effect"] == "Deny"]

    assert said(kms.generate_data_key, KeyId=key, KeySpec="AES_256") == "AccessDeniedException"
    assert denying["Principal"] in ({"AWS": "*"}, "*")
    assert set(denying["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert denying["Condition"] == {"Null": {"kms:EncryptionContext:purpose": "true"}}


@req("J10", "J04")
def test_rescued_tokens_are_shut_away_and_go_after_35_days(deployment: Deployment) -> None:
    s3, bucket = deployment.aws("s3"), deployment.resources["RescueBucket"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]

    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert (rule["Status"], rule["Expiration"]["Days"]) == ("Enabled", 35)


@req("G01")
@pytest.mark.parametrize("queue", ["RefreshQueue", "UrgentQueue", "CompletionQueue", "DeadLetterQueue"])
def test_a_queue_is_encrypted_and_open_to_nobody_else(deployment: Deployment, queue: str) -> None:
    found = deployment.aws("sqs").get_queue_attributes(QueueUrl=deployment.resources[queue], AttributeNames=["All"])

    assert found["Attributes"]["SqsManagedSseEnabled"] == "true"
    assert "Policy" not in found["Attributes"]


@req("K01", "M02")
def test_no_client_secret_is_in_a_variable(deployment: Deployment) -> None:
    client = deployment.aws("secretsmanager")
    try:
        stored = client.get_secret_value(SecretId=deployment.resources["ClientSecrets"])
    except client.exceptions.ResourceNotFoundException:
        pytest.skip("no client secret is stored: every customer brings a client app of their own")
    secrets = json.loads(stored["SecretString"]).values()
    variables = json.dumps([each["Environment"]["Variables"] for each in functions(deployment)])

    assert not [secret for secret in secrets if secret in variables]
