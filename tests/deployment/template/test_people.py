"""The policies of stacks/people.yaml, judged as IAM judges them: what each person or backend may do, and may not."""

import json
from collections.abc import Sequence

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]  # cfn-lint ships no types

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
    "AWS::ApiGatewayV2::ApiMapping": ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/domainnames/x/apimappings"),
    "AWS::ApiGatewayV2::DomainName": ("apigateway:POST", "arn:aws:apigateway:eu-west-1::/domainnames"),
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
    "AWS::SNS::Subscription": ("sns:Subscribe", f"arn:aws:sns:{ACCOUNT}:{{}}"),
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
NOT_ASKED_FOR = {
    "ec2:DescribeNetworkInterfaces",  # no function is in a VPC
    "kms:Decrypt",  # nothing that CloudFormation reads is under a key of ours
    "logs:DeleteDataProtectionPolicy",  # no log group has one
    "s3:ListTagsForResource",  # of directory buckets
    "secretsmanager:GetSecretValue",  # a secret's value stands in no template
    "secretsmanager:RemoveRegionsFromReplication",  # no secret is replicated
}
"""Actions that CloudFormation's schemas name for the types in `MADE`, and that this stack gives no cause for."""
REACHED = [
    "*",
    *(resource.format(f"{NAME}-Alarms-X") for _, resource in MADE.values()),
    "arn:aws:apigateway:eu-west-1::/tags/x",
    f"arn:aws:cloudwatch:{ACCOUNT}:alarm:*",
    "arn:aws:s3:::artifacts/code",
]
"""The stack's own resources, and what AWS gives no resource or only all of them for."""
POLICY_LIMIT = 6144
"""Characters that IAM takes for a managed policy, blanks not counted ("IAM and AWS STS quotas")."""


@pytest.fixture(scope="module")
def types() -> set[str]:
    document = expanded(gradual(source(), "a stamp", "yes"), {})
    kinds = {each["Type"] for each in document["Resources"].values()}
    return kinds | {each["Type"] for each in source("stacks/alarms.yaml")["Resources"].values()}


def test_whoever_deploys_may_make_every_resource_of_the_stack_and_of_no_other(types: set[str]) -> None:
    deployer = policy("Deployer")

    assert types == MADE.keys()
    for action, resource in MADE.values():
        assert may(deployer, action, resource.format(f"{NAME}-Alarms-X")), (action, resource)
        if "{}" in resource:
            assert not may(deployer, action, resource.format("another-Alarms-X")), (action, resource)


@pytest.mark.parametrize("kind", MADE)
def test_whoever_deploys_may_read_and_delete_what_was_made(kind: str) -> None:
    """CloudFormation reads each resource that it made, and on a failed deployment deletes it again."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("eu-west-1", kind).schema["handlers"]
    needed = {action for name in ("read", "delete") for action in handlers[name]["permissions"]} - NOT_ASKED_FOR
    deployer = policy("Deployer")

    assert needed
    assert {each for each in needed if not any(may(deployer, each, resource) for resource in REACHED)} == set()


def test_the_first_domain_of_an_account_can_be_made_with_the_role_that_it_needs() -> None:
    role = "arn:aws:iam::123456789012:role/aws-service-role/{}.amazonaws.com/AWSServiceRoleFor{}"
    deployer = policy("Deployer")

    assert may(deployer, "iam:CreateServiceLinkedRole", role.format("ops.apigateway", "APIGateway"))
    assert not may(deployer, "iam:CreateServiceLinkedRole", role.format("organizations", "Organizations"))


def test_iam_takes_the_policies_as_long_as_they_are() -> None:
    """With a stack's name as long as `init` makes it."""
    made = resolved(source("stacks/people.yaml"), GIVEN | {"Service": f"{NAME}-{'x' * 31}", "Artifacts": "x" * 63})

    for each in made.of("AWS::IAM::ManagedPolicy").values():
        assert len(json.dumps(each["PolicyDocument"], separators=(",", ":"))) <= POLICY_LIMIT


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
