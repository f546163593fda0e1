"""stacks/firewall.yaml: what people send passes it unchanged, is written nowhere, and nobody comes around it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from broker.edge.browser import notice
from broker.edge.pages import Notice, security_headers
from broker.edge.wiring import Broker
from tests.deployment.template.stack import ROOT, deploy, resolved, source
from tools.requirements import req

ORIGIN = "0123456789.execute-api.eu-west-1.amazonaws.com"
GIVEN = {
    "Origin": ORIGIN,
    "Domain": "connect.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/0f0f",
    "OriginSecret": "ninjaone-connect-origin-1",
}
STACK = resolved(source("stacks/firewall.yaml"), GIVEN)
DISTRIBUTION: Mapping[str, Any] = STACK.the("Distribution")["DistributionConfig"]
BEHAVIOUR: Mapping[str, Any] = DISTRIBUTION["DefaultCacheBehavior"]
FIREWALL = STACK.the("Firewall")


# The way through -----------------------------------------------------------------------------------------------------


def test_it_stands_before_every_address_of_the_domain() -> None:
    (origin,) = DISTRIBUTION["Origins"]

    assert DISTRIBUTION["Aliases"] == ["connect.example.com"]
    assert DISTRIBUTION["WebACLId"] == "<Firewall.Arn>"
    assert "CacheBehaviors" not in DISTRIBUTION
    assert (origin["Id"], origin["DomainName"]) == (BEHAVIOUR["TargetOriginId"], ORIGIN)


def test_nothing_is_kept_and_all_but_the_host_is_passed_on() -> None:
    """The names of these policies of AWS are in their documentation; only the numbers can be given."""
    assert BEHAVIOUR["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "CachingDisabled"
    assert BEHAVIOUR["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac", "AllViewerExceptHostHeader"
    assert {"GET", "POST"} <= set(BEHAVIOUR["AllowedMethods"])


def test_no_error_is_kept_for_whoever_asks_next() -> None:
    """Each status that CloudFront keeps by itself, also where nothing else may be kept."""
    kept = {each["ErrorCode"]: each for each in DISTRIBUTION["CustomErrorResponses"]}

    assert kept.keys() == {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
    for each in kept.values():
        assert each == {"ErrorCode": each["ErrorCode"], "ErrorCachingMinTTL": 0}, "the page is the API's own"


@req("J01")
def test_both_ways_are_tls_1_2_and_https_alone() -> None:
    (origin,) = DISTRIBUTION["Origins"]

    assert BEHAVIOUR["ViewerProtocolPolicy"] == "https-only"
    assert DISTRIBUTION["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_an_authorization_code_is_passed_on_once_and_its_answer_waited_for() -> None:
    (origin,) = DISTRIBUTION["Origins"]
    longest = max(deploy().the(f"{name}Function")["Timeout"] for name in ("Connect", "Authorize", "Callback"))

    assert origin["ConnectionAttempts"] == 1
    assert origin["CustomOriginConfig"]["OriginReadTimeout"] > 30 > longest, "API Gateway's own limit is between"


# Who comes around it -------------------------------------------------------------------------------------------------


@req("M03")
def test_the_header_is_read_from_a_secret_and_is_no_parameter() -> None:
    (origin,) = DISTRIBUTION["Origins"]

    assert origin["OriginCustomHeaders"] == [
        {"HeaderName": "X-Origin-Verify", "HeaderValue": "{{resolve:secretsmanager:ninjaone-connect-origin-1}}"}
    ]


def test_the_command_in_the_outputs_gives_every_parameter_that_has_no_default() -> None:
    command = deploy().outputs["Firewall"]
    given = dict(pair.split("=") for pair in command.partition("--parameter-overrides ")[2].split())
    declared = source("stacks/firewall.yaml")["Parameters"]

    assert given.keys() == {name for name, each in declared.items() if "Default" not in each}
    assert given["Origin"] == "<ConnectApi>.execute-api.eu-west-1.amazonaws.com"
    assert "--region us-east-1" in command, "a firewall of CloudFront is made nowhere else"
    assert "--stack-name local-eu-west-1-firewall" in command, "stacks of two regions may have one name"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Origin", "https://x.example"), ("CertificateArn", "arn:aws:acm:eu-west-1:1:certificate/x"), ("Domain", "x")],
)
def test_what_can_t_work_is_refused_before_anything_is_made(name: str, value: str) -> None:
    assert not re.fullmatch(source("stacks/firewall.yaml")["Parameters"][name]["AllowedPattern"], value)


# What is written down ------------------------------------------------------------------------------------------------


@req("G03")
def test_the_access_log_holds_no_path_no_query_no_cookie_and_no_referrer() -> None:
    fields = set(STACK.the("AccessLogDelivery")["RecordFields"])

    assert {"c-ip", "sc-status", "x-edge-request-id"} <= fields
    assert not fields & {"cs-uri-stem", "cs-uri-query", "cs(Cookie)", "cs(Referer)", "cs(Host)", "x-host-header"}
    assert "Logging" not in DISTRIBUTION, "the older logging has every field"


@req("G04")
def test_what_the_firewall_keeps_of_a_request_lacks_query_body_cookie_and_referrer() -> None:
    """This holds for samples as well; what is only redacted from its log would be seen in them."""
    kept = {
        (each["Field"]["FieldType"], *each["Field"].get("FieldKeys", ())): each
        for each in FIREWALL["DataProtectionConfig"]["DataProtections"]
    }

    assert kept.keys() == {("QUERY_STRING",), ("BODY",), ("SINGLE_HEADER", "cookie"), ("SINGLE_HEADER", "referer")}
    for each in kept.values():
        assert each["Action"] == "SUBSTITUTION"
        assert not each.keys() & {"ExcludeRuleMatchDetails", "ExcludeRateBasedDetails"}


def visible(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, list):
        for each in part:
            yield from visible(each)
    elif isinstance(part, dict):
        for name, each in part.items():
            if name == "VisibilityConfig":
                yield each
            yield from visible(each)


@req("G04")
def test_no_request_is_sampled_for_its_path_names_a_session() -> None:
    found = list(visible(FIREWALL))

    assert len(found) == 1 + len(FIREWALL["Rules"])
    assert not [each for each in found if each["SampledRequestsEnabled"]]
    assert all(each["CloudWatchMetricsEnabled"] for each in found)


@req("G04")
def test_of_what_was_refused_the_log_has_no_path_and_of_the_rest_nothing() -> None:
    logging = STACK.the("BlockedLogging")

    assert {next(iter(each)) for each in logging["RedactedFields"]} == {"UriPath", "QueryString", "SingleHeader"}
    assert logging["LoggingFilter"]["DefaultBehavior"] == "DROP"
    assert [each["Conditions"] for each in logging["LoggingFilter"]["Filters"]] == [
        [{"ActionCondition": {"Action": "BLOCK"}}]
    ]
    assert logging["LogDestinationConfigs"][0].endswith(f":log-group:{STACK.the('BlockedLog')['LogGroupName']}")


def test_log_lines_are_forgotten_some_day() -> None:
    assert {each["RetentionInDays"] for each in STACK.of("AWS::Logs::LogGroup").values()} == {90}


# Who is refused ------------------------------------------------------------------------------------------------------


@req("O01")
def test_one_address_may_ask_so_often_and_is_then_told_to_wait() -> None:
    first = min(FIREWALL["Rules"], key=lambda rule: int(rule["Priority"]))
    block = first["Action"]["Block"]["CustomResponse"]

    assert first["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert first["Statement"]["RateBasedStatement"]["Limit"] == 300
    assert block["ResponseCode"] == 429
    assert block["CustomResponseBodyKey"] in FIREWALL["CustomResponseBodies"]
    assert {"Name": "Retry-After", "Value": "300"} in block["ResponseHeaders"]


def test_no_rule_looks_for_attacks_in_forms_that_hold_secrets_and_addresses() -> None:
    """A set of rules for any web site would refuse redirect URIs and base64 now and then."""
    groups = {
        rule["Statement"]["ManagedRuleGroupStatement"]["Name"]
        for rule in FIREWALL["Rules"]
        if "ManagedRuleGroupStatement" in rule["Statement"]
    }

    assert groups == {"AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesKnownBadInputsRuleSet"}


@req("F11")
def test_what_api_gateway_answers_itself_gets_the_headers_that_our_pages_have(broker: Broker) -> None:
    config = STACK.the("Headers")["ResponseHeadersPolicyConfig"]
    ours = {**security_headers(), **notice(broker, Notice.NOT_FOUND).headers}
    said = config["SecurityHeadersConfig"]

    assert said["ContentTypeOptions"] == {"Override": False}
    assert said["FrameOptions"]["FrameOption"] == ours["x-frame-options"].upper()
    assert said["ReferrerPolicy"]["ReferrerPolicy"] == ours["referrer-policy"]
    assert said["ContentSecurityPolicy"]["ContentSecurityPolicy"].startswith("default-src 'none'")
    assert str(said["StrictTransportSecurity"]["AccessControlMaxAgeSec"]) in ours["strict-transport-security"]
    assert config["CustomHeadersConfig"]["Items"] == [
        {"Header": "Cache-Control", "Value": ours["cache-control"], "Override": False}
    ]
    assert {each["Override"] for each in said.values()} == {False}, "a page's own policy stays"


# Beside the others ---------------------------------------------------------------------------------------------------


def test_every_name_that_a_second_firewall_would_want_as_well_has_its_stack_s_name_in_it() -> None:
    names = [
        each[key]
        for name in STACK.resources
        for each in [STACK.the(name)]
        for key in ("Name", "LogGroupName")
        if key in each
    ]

    names.append(STACK.the("Headers")["ResponseHeadersPolicyConfig"]["Name"])
    assert len(names) == 5
    assert all(name == "<Distribution>" or "local" in name for name in names)


def test_the_access_log_does_not_fill_the_account_s_policy_for_logs() -> None:
    assert STACK.the("AccessLog")["LogGroupName"] == "/aws/vendedlogs/local"


def test_the_guide_has_its_steps() -> None:
    section = (ROOT / "docs/operate/firewall.md").read_text(encoding="utf-8")

    for named in ("OriginVerify", "OriginSecret", "stacks/firewall.yaml", "us-east-1", "DomainTarget", "doctor"):
        assert named in section, named
