"""stacks/firewall.yaml: what people send passes it unchanged, is written nowhere, and nobody comes around it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from broker.edge.browser import notice
from broker.edge.http import security_headers
from broker.edge.pages import Notice
from broker.edge.wiring import Broker
from tests.deployment.template.approved import FIREWALL
from tests.deployment.template.stack import deploy, resolved, source
from tools.requirements import req

STACK = resolved(source("stacks/firewall.yaml"), FIREWALL)
DISTRIBUTION: Mapping[str, Any] = STACK.the("Distribution")["DistributionConfig"]


# The way through -----------------------------------------------------------------------------------------------------


def test_an_answer_is_waited_for_longer_than_the_api_takes() -> None:
    (origin,) = DISTRIBUTION["Origins"]
    longest = max(deploy().the(f"{name}Function")["Timeout"] for name in ("Connect", "Authorize", "Callback"))

    assert origin["CustomOriginConfig"]["OriginReadTimeout"] > 30 > longest, "API Gateway's own limit is between"


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
