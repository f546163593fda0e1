"""Every optional part of the template, with it and without it; nothing refers to what is not there."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from graphlib import TopologicalSorter
from typing import Any

import pytest

from local.cloudformation.intrinsics import TemplateFault
from tests.deployment.template.stack import ROOT, Stack, deploy, resolved, source
from tools.expand import expanded
from tools.gradual import MODES, gradual
from tools.requirements import req

CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/0f0f"
OTHER_KEY = "arn:aws:kms:eu-west-1:210987654321:key/1a1a"

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"

DIGEST = "0123456789abcdef" * 4

CHOICES: Mapping[str, Mapping[str, str]] = {
    "HasProxy": {"Proxy": "on", "ReserveRefreshes": "yes"},
    "HasProxyPolicyParameter": {
        "Proxy": "on",
        "ReserveRefreshes": "yes",
        "ProxyPolicyParameter": "/connect/proxy-policy",
    },
    "HasConnectDomain": {"ConnectDomain": "connect.example.com", "OriginVerify": DIGEST},
    "HasRegionalDomain": {"ConnectDomain": "connect.example.com", "CertificateArn": CERTIFICATE},
    "HasBackendDomain": {"BackendDomain": "tokens.example.com", "CertificateArn": CERTIFICATE},
    "HasOtherSealKey": {"OtherSealKey": OTHER_KEY},
    "HasBackendPrincipals": {
        "BackendPrincipals": "arn:aws:iam::210987654321:role/backend,arn:aws:iam::210987654321:role/jobs"
    },
    "HasPermissionsBoundary": {"PermissionsBoundary": BOUNDARY},
    "HasAlarmEmail": {"AlarmEmail": "on-call@example.com"},
    "HasSnapshots": {"SnapStart": "PublishedVersions"},
    "ManyAreUrgent": {"UrgentRefreshes": "20", "ReserveRefreshes": "yes"},
    "ReservesRefreshes": {"ReserveRefreshes": "yes"},
}
"""Each condition, and the parameters that make it true."""

EVERYTHING = {name: value for choice in CHOICES.values() for name, value in choice.items()}
ALSO_SERVED = [
    {"Tracing": "Active"},
    {"RefreshPolicy": "adaptive"},
    {"ApprovalBinding": "allowed"},
    {"Proxy": "off"},
]


def test_every_condition_is_tried_here() -> None:
    assert source()["Conditions"].keys() == CHOICES.keys()


@pytest.mark.parametrize("chosen", [{}, EVERYTHING, *CHOICES.values(), *ALSO_SERVED], ids="-".join)
def test_nothing_refers_to_what_is_not_there(chosen: Mapping[str, str]) -> None:
    stack = deploy(**chosen)

    assert len(stack.resources) > 60


def test_a_reference_to_what_a_condition_leaves_out_is_noticed() -> None:
    document = expanded(source(), {})
    document["Outputs"]["Wrong"] = {"Value": {"Ref": "ConnectDomainName"}}

    with pytest.raises(TemplateFault, match="ConnectDomainName is referred to, and not there"):
        resolved(document, {})


@pytest.mark.parametrize("mode", [None, *MODES])
def test_nothing_waits_for_itself(mode: str | None) -> None:
    """CloudFormation refuses a circle, such as an API → its function → the API's address."""
    document = expanded(gradual(source(), "a stamp", mode) if mode else source(), {})
    needs = {name: set(referred(resource)) for name, resource in document["Resources"].items()}

    assert needs["SessionFunction"] >= {"ConnectApi", "SessionFunctionRole"}
    TopologicalSorter({name: found & needs.keys() for name, found in needs.items()}).prepare()


def referred(part: Any) -> Iterator[str]:
    """Name what a part of the template refers to, the texts of Sub included."""
    if isinstance(part, list):
        for item in part:
            yield from referred(item)
    elif isinstance(part, dict):
        for name, inner in part.items():
            if name == "Ref":
                yield inner
            elif name == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif name == "DependsOn":
                yield from [inner] if isinstance(inner, str) else inner
            else:
                text = (inner if isinstance(inner, str) else inner[0]) if name == "Fn::Sub" else ""
                yield from (piece.split("}")[0].split(".")[0] for piece in text.split("${")[1:])
                yield from referred(inner)


# What each choice changes --------------------------------------------------------------------------------------------


def body(stack: Stack, api: str) -> Any:
    return stack.the(api)["Body"]


def endpoint_disabled(stack: Stack, api: str) -> bool:
    (server,) = body(stack, api)["servers"]
    said: bool = server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]
    return said


@req("M03", "F13")
@pytest.mark.parametrize(("api", "other"), [("Connect", "Backend"), ("Backend", "Connect")])
def test_a_domain_of_one_s_own_is_the_only_way_to_its_api(api: str, other: str) -> None:
    bare, chosen = deploy(), deploy(**CHOICES[{"Connect": "HasRegionalDomain", "Backend": "HasBackendDomain"}[api]])

    assert not endpoint_disabled(bare, f"{api}Api")
    assert f"{api}DomainName" not in bare.resources
    assert endpoint_disabled(chosen, f"{api}Api")
    assert not endpoint_disabled(chosen, f"{other}Api")
    assert chosen.the(f"{api}DomainMapping") == {
        "DomainName": f"<{api}DomainName>",
        "ApiId": f"<{api}Api>",
        "Stage": f"<{api}ApiApiGatewayDefaultStage>",
    }
    (settings,) = chosen.the(f"{api}DomainName")["DomainNameConfigurations"]
    assert settings == {"CertificateArn": CERTIFICATE, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    assert chosen.outputs[f"{api}DomainTarget"] == f"<{api}DomainName.RegionalDomainName>"


def test_the_redirect_uris_and_the_function_that_opens_sessions_agree_on_the_address() -> None:
    for chosen, address in (
        ({}, "<ConnectApi.ApiEndpoint>"),
        (CHOICES["HasConnectDomain"], "https://connect.example.com"),
        (CHOICES["HasRegionalDomain"], "https://connect.example.com"),
    ):
        stack = deploy(**chosen)
        assert stack.the("SessionFunction")["Environment"]["Variables"]["CONNECT_URL"] == address
        uris = {value for name, value in stack.outputs.items() if name.startswith("RedirectUri")}
        assert uris == {f"{address}/callback/{key}" for key in ("app", "us2", "eu", "ca", "oc", "jp", "fed", "branded")}


def test_a_domain_without_a_certificate_is_refused_before_anything_is_made() -> None:
    rule = source()["Rules"]["DomainsHaveACertificate"]

    unwalled = {"Fn::Equals": [{"Ref": "OriginVerify"}, ""]}
    assert rule["RuleCondition"] == {"Fn::Or": [{"Fn::And": [has("ConnectDomain"), unwalled]}, has("BackendDomain")]}
    assert rule["Assertions"][0]["Assert"] == has("CertificateArn")


def test_a_firewall_without_a_domain_is_refused_before_anything_is_made() -> None:
    rule = source()["Rules"]["FirewallHasADomain"]

    assert (rule["RuleCondition"], rule["Assertions"][0]["Assert"]) == (has("OriginVerify"), has("ConnectDomain"))


def test_a_proxy_that_could_take_executions_from_refreshing_is_refused_before_anything_is_made() -> None:
    rule = source()["Rules"]["ProxyLeavesRoom"]

    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Proxy"}, "on"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "ReserveRefreshes"}, "yes"]}
    assert "allows 10" in rule["Assertions"][0]["AssertDescription"]


def test_without_a_proxy_there_is_no_function_no_route_and_no_role_for_it() -> None:
    assert source()["Parameters"]["Proxy"]["Default"] == "off"
    bare = deploy(Proxy="off")

    assert not [name for name in bare.resources if "Proxy" in name]
    assert not [path for path in body(bare, "BackendApi")["paths"] if "ninjaone" in path]


def has(parameter: str) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


@req("M03")
def test_behind_a_firewall_the_domain_is_cloudfront_s_and_every_function_knows_its_digest() -> None:
    stack = deploy(**CHOICES["HasConnectDomain"])

    assert not endpoint_disabled(stack, "ConnectApi"), "it is where CloudFront asks"
    assert "ConnectDomainName" not in stack.resources
    assert {
        each["Environment"]["Variables"]["ORIGIN_VERIFY"] for each in stack.of("AWS::Lambda::Function").values()
    } == {DIGEST}


@req("M04")
@pytest.mark.parametrize("at_once", [str(each) for each in source()["Parameters"]["UrgentRefreshes"]["AllowedValues"]])
def test_nothing_is_reserved_in_a_new_account_unless_it_is_asked_for(at_once: str) -> None:
    """A new account has 10 concurrent executions in all, and refuses to have any of them reserved."""
    bare, chosen = deploy(Proxy="off"), deploy(ReserveRefreshes="yes", UrgentRefreshes=at_once)
    feeds = [int(chosen.the(name)["ScalingConfig"]["MaximumConcurrency"]) for name in ("RefreshFeed", "UrgentFeed")]

    assert not [name for name, each in bare.of("AWS::Lambda::Function").items() if reserved(each)]
    kept = {name: int(each["ReservedConcurrentExecutions"]) for name, each in chosen.of("AWS::Lambda::Function").items()
            if reserved(each)}  # fmt: skip
    assert kept == {"RefreshFunction": sum(feeds), "SweepFunction": 1, "ProxyFunction": 20}
    assert feeds == [5, int(at_once)]


def reserved(function: Mapping[str, Any]) -> bool:
    return "ReservedConcurrentExecutions" in function


@req("G05")
def test_tracing_is_off_unless_it_is_asked_for_and_then_sees_only_names_and_durations() -> None:
    bare, chosen = deploy(), deploy(Tracing="Active")

    assert not [name for name, each in bare.of("AWS::Lambda::Function").items() if "TracingConfig" in each]
    assert not [arn for role in bare.of("AWS::IAM::Role").values() for arn in role.get("ManagedPolicyArns", [])
                if "ray" in arn.lower()]  # fmt: skip
    assert {each["TracingConfig"]["Mode"] for each in chosen.of("AWS::Lambda::Function").values()} == {"Active"}
    assert "aws-xray-sdk" not in (ROOT / "layers/libraries/requirements.txt").read_text(), "it would copy answers"


def test_alarms_reach_a_topic_always_and_a_mailbox_where_one_is_given() -> None:
    bare, chosen = deploy(), deploy(AlarmEmail="on-call@example.com")

    assert not bare.of("AWS::SNS::Subscription")
    assert chosen.the("AlarmSubscription") == {
        "TopicArn": "<AlarmTopic>", "Protocol": "email", "Endpoint": "on-call@example.com",
    }  # fmt: skip
    assert chosen.the("PagingSubscription")["TopicArn"] == "<PagingTopic>"
    assert (bare.outputs["AlarmTopic"], bare.outputs["PagingTopic"]) == ("<AlarmTopic>", "<PagingTopic>")


def test_another_key_seals_and_the_own_one_still_opens() -> None:
    stack = deploy(OtherSealKey=OTHER_KEY)
    said = [
        statement
        for role in stack.of("AWS::IAM::Role").values()
        for policy in role.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if str(statement["Action"]).startswith("kms:")
    ]

    assert {each["Environment"]["Variables"]["SEAL_KEY"] for each in stack.of("AWS::Lambda::Function").values()} == {
        OTHER_KEY
    }
    assert {str(each["Resource"]) for each in said if each["Action"] == "kms:GenerateDataKey"} == {OTHER_KEY}
    assert {str(each["Resource"]) for each in said if each["Action"] == "kms:Decrypt"} == {
        str(["<SealKey.Arn>", OTHER_KEY])
    }


def test_the_function_that_passes_calls_on_may_read_its_rules_and_no_other_parameter() -> None:
    def read(**chosen: str) -> list[str]:
        (policy,) = deploy(**chosen).the("ProxyFunctionRole")["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        return [each["Resource"] for each in statements if each["Action"] == "ssm:GetParameter"]

    assert read(**CHOICES["HasProxy"]) == []
    (resource,) = read(**CHOICES["HasProxyPolicyParameter"])
    assert resource.endswith(":parameter/connect/proxy-policy")


@req("H01")
def test_a_backend_of_another_account_has_a_role_to_assume_only_where_one_is_named() -> None:
    """An HTTP API takes no resource policy: a caller of another account can only come through a role of this one."""
    bare, chosen = deploy(), deploy(**CHOICES["HasBackendPrincipals"])
    role = chosen.the("BackendRole")
    (trusts,) = role["AssumeRolePolicyDocument"]["Statement"]
    (policy,) = role["Policies"]
    (allows,) = policy["PolicyDocument"]["Statement"]

    assert "BackendRole" not in bare.resources
    assert "BackendRole" not in bare.outputs
    assert trusts["Principal"] == {"AWS": CHOICES["HasBackendPrincipals"]["BackendPrincipals"].split(",")}
    assert (allows["Action"], allows["Resource"]) == ("execute-api:Invoke", chosen.outputs["BackendPermission"])
    assert chosen.outputs["BackendRole"] == "<BackendRole.Arn>"


def test_every_role_is_bounded_where_the_account_demands_it() -> None:
    both = {**CHOICES["HasBackendPrincipals"], **CHOICES["HasPermissionsBoundary"]}

    assert {role["PermissionsBoundary"] for role in deploy(**both).of("AWS::IAM::Role").values()} == {BOUNDARY}
    assert not [role for role in deploy().of("AWS::IAM::Role").values() if "PermissionsBoundary" in role]


# Twice in one account ------------------------------------------------------------------------------------------------

NAMES = {
    "AlarmName", "AliasName", "BucketName", "DashboardName", "FunctionName", "LayerName", "LogGroupName", "QueueName",
    "RoleName", "TableName", "TopicName", "StateMachineName", "DomainName",
}  # fmt: skip
NAMED_BY_TYPE = {"AWS::Scheduler::Schedule", "AWS::SecretsManager::Secret", "AWS::SSM::Parameter", "AWS::KMS::Alias",
                 "AWS::Events::EventBus"}  # fmt: skip
ELSEWHERE = {"AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::EventInvokeConfig"}
"""Where FunctionName says whose it is."""


def fixed_names(stack: Stack) -> dict[str, str]:
    """Give the names that a second stack in the same account and region would want as well."""
    found = {}
    for logical_id, resource in stack.resources.items():
        wanted = NAMES | ({"Name"} if resource["Type"] in NAMED_BY_TYPE else set())
        for name in wanted & resource.get("Properties", {}).keys():
            if resource["Type"] not in ELSEWHERE and "local" not in resource["Properties"][name]:
                found[logical_id] = resource["Properties"][name]
    return found


def test_a_second_stack_in_the_same_account_takes_no_name_of_the_first() -> None:
    assert fixed_names(deploy()) == {}


def test_a_fixed_name_is_noticed() -> None:
    document = deepcopy(source())
    del document["Resources"]["SweepFunction"]["Properties"]["Events"]["EveryMinute"]["Properties"]["OmitName"]

    stack = resolved(expanded(document, {}), {})

    assert fixed_names(stack) == {"SweepFunctionEveryMinute": "SweepFunctionEveryMinute"}
