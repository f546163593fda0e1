"""A gradual deployment: every call goes to a name, every deployment is a version of its own, an alarm takes it back."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.template.stack import ROOT, Stack, alarms, deploy, expanded, resolved, source

_spec = spec_from_file_location("gradual", ROOT / "tools/gradual.py")
assert _spec
assert _spec.loader
overlay: Any = module_from_spec(_spec)
_spec.loader.exec_module(overlay)

STAMPS = ("2027-01-15 08:00:00 UTC", "2027-01-15 09:00:00 UTC")


@pytest.fixture(scope="module")
def first() -> Stack:
    return resolved(expanded({}, overlay.gradual(source(), STAMPS[0])), {})


@pytest.fixture(scope="module")
def second() -> Stack:
    return resolved(expanded({}, overlay.gradual(source(), STAMPS[1])), {})


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
            f"local-{name}" for name in overlay.TAKEN_BACK_BY
        }
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert {each["Name"] for each in group["AlarmConfiguration"]["Alarms"]} <= names
        assert len(group["AlarmConfiguration"]["Alarms"]) <= 10, "CodeDeploy takes no more"


def test_nothing_calls_a_function_past_its_name(first: Stack) -> None:
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

    overlay.main(built)

    made = yaml.safe_load(built.read_text())
    assert made["Globals"]["Function"]["AutoPublishAlias"] == "live"
    assert made["Parameters"] == source()["Parameters"]
    assert "changes over gradually" in capsys.readouterr().out
