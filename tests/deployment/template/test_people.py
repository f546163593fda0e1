"""The policies of stacks/people.yaml, judged as IAM judges them: what each person or backend may do, and may not."""

from collections.abc import Sequence

import pytest

from local.cloudformation.function_reader import statements
from local.cloudformation.intrinsics import Scope
from local.cloudformation.properties import Properties
from local.iam import Allowed, Statement, decide
from tests.deployment.template.stack import deploy, resolved, source
from tools.expand import expanded
from tools.gradual import gradual
from tools.requirements import req

NAME = "ninjaone-connect"
ACCOUNT = "eu-west-1:123456789012"
API = f"arn:aws:execute-api:{ACCOUNT}:abc123/$default"
GIVEN = {"Service": NAME, "BackendApi": "abc123", "Artifacts": "artifacts"}
PEOPLE = resolved(source("stacks/people.yaml"), GIVEN)
TAG = "${aws:PrincipalTag/tenant}"


def policy(name: str, tenant: str | None = None) -> list[Statement]:
    """Read a policy; IAM puts the principal's tag in, and a statement whose variable has no value fits nothing."""
    document = PEOPLE.the(name)["PolicyDocument"]
    read = statements(Properties(name, {}, Scope({}, {}, lambda *_: "")), document)
    return [_with_tag(each, tenant) for each in read if tenant or TAG not in "".join(each.resources)]


def _with_tag(statement: Statement, tenant: str | None) -> Statement:
    resources = tuple(each.replace(TAG, tenant or "") for each in statement.resources)
    return Statement(statement.sid, statement.effect, statement.actions, resources, statement.conditions)


def may(who: Sequence[Statement], action: str, resource: str) -> bool:
    return isinstance(decide(who, action, resource, {}), Allowed)


def calls(who: Sequence[Statement], method: str, path: str) -> bool:
    return may(who, "execute-api:Invoke", f"{API}/{method}{path}")


ROUTES = [
    ("POST", "/v1/tenants/{}/connect-sessions"),
    ("POST", "/v1/tenants/{}/connect-sessions/ses_1/complete"),
    ("GET", "/v1/tenants/{}/connections"),
    ("GET", "/v1/tenants/{}/connections/con_1"),
    ("POST", "/v1/tenants/{}/connections/con_1/token"),
    ("POST", "/v1/tenants/{}/connections/con_1/approve"),
    ("DELETE", "/v1/tenants/{}/connections/con_1"),
    ("GET", "/v1/tenants/{}/connections/con_1/ninjaone/v2/devices"),
]


def test_every_route_of_the_private_api_is_tried_here() -> None:
    paths = deploy().the("BackendApi")["Body"]["paths"]

    assert sum(len(each) for each in paths.values()) == len(ROUTES)


@req("H02")
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_backend_of_one_tenant_calls_for_no_other(method: str, path: str) -> None:
    backend = policy("OneTenant", "acme")

    assert calls(backend, method, path.format("acme"))
    assert not calls(backend, method, path.format("acme-2"))
    assert not calls(backend, method, path.format("northwind"))
    assert not calls(policy("OneTenant"), method, path.format("acme")), "it has no tag"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_support_looks_and_takes_no_token_and_none_of_ninjaone_s_data(method: str, path: str) -> None:
    looks = method == "GET" and "/ninjaone/" not in path

    assert calls(policy("Support"), method, path.format("acme")) is looks


@pytest.mark.parametrize("who", ["OneTenant", "Support"])
def test_who_calls_the_api_reaches_nothing_behind_it(who: str) -> None:
    there = policy(who, "acme")

    assert not may(there, "dynamodb:GetItem", f"arn:aws:dynamodb:{ACCOUNT}:table/{NAME}-ConnectionsTable-X")
    assert not may(there, "kms:Decrypt", f"arn:aws:kms:{ACCOUNT}:key/1")
    assert not may(there, "execute-api:Invoke", f"arn:aws:execute-api:{ACCOUNT}:another/$default/GET/v1/tenants/acme/x")


MADE = {
    "AWS::ApiGatewayV2::Api": ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/apis"),
    "AWS::ApiGatewayV2::Stage": ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/apis/abc/stages"),
    "AWS::CloudFormation::Stack": ("cloudformation:CreateStack", f"arn:aws:cloudformation:{ACCOUNT}:stack/{{}}/1"),
    "AWS::CloudWatch::Alarm": ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{ACCOUNT}:alarm:{{}}"),
    "AWS::CodeDeploy::Application": ("codedeploy:CreateApplication", f"arn:aws:codedeploy:{ACCOUNT}:application:{{}}"),
    "AWS::CodeDeploy::DeploymentGroup": (
        "codedeploy:CreateDeploymentGroup",
        f"arn:aws:codedeploy:{ACCOUNT}:deploymentgroup:{{}}/group",
    ),
    "AWS::DynamoDB::Table": ("dynamodb:CreateTable", f"arn:aws:dynamodb:{ACCOUNT}:table/{{}}"),
    "AWS::IAM::Role": ("iam:CreateRole", "arn:aws:iam::123456789012:role/{}"),
    "AWS::KMS::Alias": ("kms:CreateAlias", f"arn:aws:kms:{ACCOUNT}:alias/{NAME}"),
    "AWS::KMS::Key": ("kms:CreateKey", "*"),
    "AWS::Lambda::Alias": ("lambda:CreateAlias", f"arn:aws:lambda:{ACCOUNT}:function:{{}}"),
    "AWS::Lambda::EventInvokeConfig": (
        "lambda:PutFunctionEventInvokeConfig",
        f"arn:aws:lambda:{ACCOUNT}:function:{{}}:live",
    ),
    "AWS::Lambda::EventSourceMapping": ("lambda:CreateEventSourceMapping", "*"),
    "AWS::Lambda::Function": ("lambda:CreateFunction", f"arn:aws:lambda:{ACCOUNT}:function:{{}}"),
    "AWS::Lambda::LayerVersion": ("lambda:PublishLayerVersion", f"arn:aws:lambda:{ACCOUNT}:layer:{NAME}-libraries"),
    "AWS::Lambda::Permission": ("lambda:AddPermission", f"arn:aws:lambda:{ACCOUNT}:function:{{}}"),
    "AWS::Lambda::Version": ("lambda:PublishVersion", f"arn:aws:lambda:{ACCOUNT}:function:{{}}"),
    "AWS::Logs::LogGroup": ("logs:CreateLogGroup", f"arn:aws:logs:{ACCOUNT}:log-group:{{}}"),
    "AWS::S3::Bucket": ("s3:CreateBucket", f"arn:aws:s3:::{NAME}-rescuebucket-x"),
    "AWS::S3::BucketPolicy": ("s3:PutBucketPolicy", f"arn:aws:s3:::{NAME}-rescuebucket-x"),
    "AWS::SNS::Topic": ("sns:CreateTopic", f"arn:aws:sns:{ACCOUNT}:{{}}"),
    "AWS::SQS::Queue": ("sqs:CreateQueue", f"arn:aws:sqs:{ACCOUNT}:{{}}"),
    "AWS::SSM::Parameter": ("ssm:PutParameter", f"arn:aws:ssm:{ACCOUNT}:parameter/CFN-Epoch-X"),
    "AWS::Scheduler::Schedule": ("scheduler:CreateSchedule", f"arn:aws:scheduler:{ACCOUNT}:schedule/default/{{}}"),
    "AWS::SecretsManager::Secret": (
        "secretsmanager:CreateSecret",
        f"arn:aws:secretsmanager:{ACCOUNT}:secret:ClientSecrets-X",
    ),
}
"""What CloudFormation calls first to make a resource of each type, under the name that it would give it."""


@pytest.fixture(scope="module")
def types() -> set[str]:
    document = expanded(gradual(source(), "a stamp", "yes"), {})
    kinds = {each["Type"] for each in document["Resources"].values() if "Condition" not in each}
    return kinds | {each["Type"] for each in source("stacks/alarms.yaml")["Resources"].values()}


def test_whoever_deploys_may_make_every_resource_of_the_stack_and_of_no_other(types: set[str]) -> None:
    deployer = policy("Deployer")

    assert types == MADE.keys()
    for action, resource in MADE.values():
        assert may(deployer, action, resource.format(f"{NAME}-Alarms-X")), (action, resource)
        if "{}" in resource:
            assert not may(deployer, action, resource.format("another-Alarms-X")), (action, resource)


@req("M01")
@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:GetItem", f"arn:aws:dynamodb:{ACCOUNT}:table/{NAME}-ConnectionsTable-X"),
        ("dynamodb:Scan", f"arn:aws:dynamodb:{ACCOUNT}:table/{NAME}-ConnectionsTable-X"),
        ("kms:Decrypt", f"arn:aws:kms:{ACCOUNT}:key/1"),
        ("kms:ReEncryptFrom", f"arn:aws:kms:{ACCOUNT}:key/1"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{ACCOUNT}:secret:ClientSecrets-X"),
        ("s3:GetObject", f"arn:aws:s3:::{NAME}-rescuebucket-x/rescue/acme/con_1/3"),
        ("sqs:ReceiveMessage", f"arn:aws:sqs:{ACCOUNT}:{NAME}-RefreshQueue-X"),
        ("logs:FilterLogEvents", f"arn:aws:logs:{ACCOUNT}:log-group:{NAME}-FunctionLog-X"),
        ("execute-api:Invoke", f"{API}/POST/v1/tenants/acme/connections/con_1/token"),
        ("iam:CreateUser", "arn:aws:iam::123456789012:user/x"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/administrator"),
    ],
)
def test_whoever_deploys_reads_and_opens_nothing(action: str, resource: str) -> None:
    assert not may(policy("Deployer"), action, resource)
