"""A gradual deployment: every call goes to a name, every deployment is a version of its own, an alarm takes it back."""

from pathlib import Path

import pytest
import yaml

from tests.deployment.template.stack import Stack, alarms, deploy, resolved, source
from tools.expand import expanded
from tools.gradual import MODES, TAKEN_BACK_BY, gradual, main

STAMPS = ("2027-01-15 08:00:00 UTC", "2027-01-15 09:00:00 UTC")


@pytest.fixture(scope="module")
def first() -> Stack:
    return resolved(expanded(gradual(source(), STAMPS[0], "yes"), {}), {})


@pytest.fixture(scope="module")
def second() -> Stack:
    return resolved(expanded(gradual(source(), STAMPS[1], "yes"), {}), {})


def test_without_being_asked_for_nothing_is_gradual() -> None:
    stack = deploy()

    assert not stack.of("AWS::Lambda::Alias")
    assert not stack.of("AWS::CodeDeploy::DeploymentGroup")


def test_every_function_changes_over_by_a_tenth_for_five_minutes(first: Stack) -> None:
    functions = first.of("AWS::Lambda::Function")
    aliases = {name: each for name, each in first.resources.items() if each["Type"] == "AWS::Lambda::Alias"}

    assert {each["Properties"]["FunctionName"] for each in aliases.values()} == {f"<{name}>" for name in functions}
    assert all("CodeDeployLambdaAliasUpdate" in each["UpdatePolicy"] for each in aliases.values())
    for group in first.of("AWS::CodeDeploy::DeploymentGroup").values():
        assert group["DeploymentConfigName"].endswith("LambdaCanary10Percent5Minutes")


def test_an_alarm_of_a_bad_release_takes_it_back(first: Stack) -> None:
    groups = first.of("AWS::CodeDeploy::DeploymentGroup")
    names = {each["AlarmName"] for each in alarms().of("AWS::CloudWatch::Alarm").values()}

    assert len(groups) == len(first.of("AWS::Lambda::Function"))
    for group in groups.values():
        assert {each["Name"] for each in group["AlarmConfiguration"]["Alarms"]} == {
            f"local-{name}" for name in TAKEN_BACK_BY
        }
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert {each["Name"] for each in group["AlarmConfiguration"]["Alarms"]} <= names
        assert len(group["AlarmConfiguration"]["Alarms"]) <= 10, "CodeDeploy takes no more"


@pytest.fixture(scope="module")
def at_once() -> Stack:
    return resolved(expanded(gradual(source(), STAMPS[0], "now"), {}), {})


def test_a_release_can_go_out_though_an_alarm_fires(at_once: Stack) -> None:
    """It may be the release that ends the alarm; CodeDeploy would refuse to begin."""
    assert len(at_once.of("AWS::Lambda::Alias")) == len(at_once.of("AWS::Lambda::Function"))
    assert not at_once.of("AWS::CodeDeploy::DeploymentGroup")
    assert not [each for each in at_once.resources.values() if "UpdatePolicy" in each]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_calls_a_function_past_its_name(request: pytest.FixtureRequest, mode: str) -> None:
    first: Stack = request.getfixturevalue({"yes": "first", "now": "at_once"}[mode])
    feeds = {each["FunctionName"] for each in first.of("AWS::Lambda::EventSourceMapping").values()}
    permissions = {each["FunctionName"] for each in first.of("AWS::Lambda::Permission").values()}
    (schedule,) = first.of("AWS::Scheduler::Schedule").values()

    assert all(name.endswith("Aliaslive>") for name in feeds | permissions | {schedule["Target"]["Arn"]})
    for api in ("ConnectApi", "BackendApi"):
        paths = first.the(api)["Body"]["paths"]
        targets = [
            operation["x-amazon-apigateway-integration"]["uri"]
            for each in paths.values()
            for operation in each.values()
        ]
        assert all("Aliaslive>" in target for target in targets)


def test_a_deployment_is_a_version_of_its_own_even_when_only_a_setting_changed(first: Stack, second: Stack) -> None:
    versions = [set(stack.of("AWS::Lambda::Version")) for stack in (first, second)]
    said = [{each["Description"] for each in stack.of("AWS::Lambda::Function").values()} for stack in (first, second)]

    assert len(versions[0]) == len(first.of("AWS::Lambda::Function"))
    assert versions[0].isdisjoint(versions[1])
    assert said[0].isdisjoint(said[1]), "Lambda refuses a version in which nothing is new"


def test_a_built_template_is_rewritten_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = tmp_path / "template.yaml"
    built.write_text(yaml.safe_dump(source(), sort_keys=False, allow_unicode=True))

    assert main(built, "yes") == 0

    made = yaml.safe_load(built.read_text())
    assert made["Globals"]["Function"]["AutoPublishAlias"] == "live"
    assert made["Parameters"] == source()["Parameters"]
    assert "changes over gradually" in capsys.readouterr().out


def test_another_way_to_deploy_is_refused_and_nothing_is_rewritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path / "template.yaml", "true") == 1
    assert "GRADUAL is yes or now, not true" in capsys.readouterr().err
