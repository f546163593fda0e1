"""Every optional part of the template; nothing refers to what is not there.

What each choice adds and takes away is in approved/choices.txt.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from graphlib import TopologicalSorter
from typing import Any

import pytest

from local.cloudformation.intrinsics import TemplateFault
from tests.deployment.template.approved import CHOICES, EVERYTHING
from tests.deployment.template.stack import ROOT, Stack, deploy, resolved, source
from tools.expand import expanded
from tools.gradual import MODES, gradual
from tools.requirements import req


def test_every_condition_is_tried_here() -> None:
    assert source()["Conditions"].keys() == CHOICES.keys()


def test_all_choices_go_together_and_nothing_refers_to_what_is_not_there() -> None:
    """Each by itself is in approved/choices.txt, which could not be written otherwise."""
    assert len(deploy(**EVERYTHING).resources) > len(deploy().resources)


def test_a_proxy_is_made_only_where_it_is_asked_for() -> None:
    assert source()["Parameters"]["Proxy"]["Default"] == "off"


@req("G05")
def test_no_library_can_hand_answers_to_x_ray() -> None:
    assert "aws-xray-sdk" not in (ROOT / "layers/libraries/requirements.txt").read_text()


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


# Where choices hang together ------------------------------------------------------------------------------------------


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


def test_one_domain_for_both_apis_is_refused_before_anything_is_made() -> None:
    """API Gateway takes a domain once; the second one would end the deployment half way."""
    rule = source()["Rules"]["DomainsDiffer"]

    assert rule["RuleCondition"] == has("BackendDomain")
    same = {"Fn::Equals": [{"Ref": "BackendDomain"}, {"Ref": "ConnectDomain"}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [same]}


def test_a_firewall_without_a_domain_is_refused_before_anything_is_made() -> None:
    rule = source()["Rules"]["FirewallHasADomain"]

    assert (rule["RuleCondition"], rule["Assertions"][0]["Assert"]) == (has("OriginVerify"), has("ConnectDomain"))


def test_a_proxy_that_could_take_executions_from_refreshing_is_refused_before_anything_is_made() -> None:
    rule = source()["Rules"]["ProxyLeavesRoom"]

    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Proxy"}, "on"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "ReserveRefreshes"}, "yes"]}
    assert "allows 10" in rule["Assertions"][0]["AssertDescription"]


def has(parameter: str) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


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
