"""Every error of AWS again, against rules that hold for all of them, and against the tables."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws.event_sources import POLLED
from tests.deployment.template.stack import ROOT, alarms
from tests.verification.aws_errors.injection import MESSAGE, MISSING, REFUSALS, code, kinds
from tests.verification.aws_errors.observation import Seen, calls_of
from tests.verification.aws_errors.scenes import SCENES, Scene
from tests.verification.aws_errors.table import Failure, committed, play_all, rows
from tests.verification.roles.stage import Stage, stage

ANSWERS = {("secretsmanager.GetSecretValue", MISSING)}
"""Errors that are no error of AWS but an answer: the operator has stored no client secret yet."""
NO_CALLS = {("complete", "s3:ListBucket"), ("refresh", "s3:ListBucket")}
"""Actions that are no calls: with this one, S3 says of what is not there that it is not, and not that it is denied."""
RUNBOOKS = (ROOT / "docs/operate/runbooks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.function}-{scene.title}")
def test_an_error_comes_to_what_the_tables_say(shared: Stage, scene: Scene) -> None:
    seen = play_all(scene, shared)

    assert [fault for failure, each in seen.items() for fault in wrong(scene, failure, each)] == []
    assert rows(seen) == committed()[scene.title], "read the change, then run: make faults"


def wrong(scene: Scene, failure: Failure, seen: Seen) -> list[str]:
    """Name what breaks a rule that holds for every error, whatever the tables say."""
    (call, kind), observed = failure, seen.observed
    refused, expected = kind in REFUSALS, failure in ANSWERS
    alone = not scene.before  # else the error that is answered is the other one
    later = observed.answer.startswith("503") or "/try-again-later" in observed.answer
    turned_away = observed.answer.startswith("5") or "/notice/" in observed.answer
    rules = {
        "it is not logged as what it is": bool(logged(call, kind, seen)) is not expected,
        "its message is logged": MESSAGE not in json.dumps(seen.lines),
        "it is not counted as a refusal, or a passing error is": ("aws_refused" in observed.counts)
        is (refused and not expected),
        "its alarm does not fire, or fires for a passing error": ("AwsRefused" in observed.alarms)
        is (refused and not expected),
        "nothing says that it happened": bool(observed.said),
        "a passing error is called for good": refused or not observed.answer.startswith(("500", "4")),
        "an error that stays is said to pass": not (refused and alone and later),
        "whoever calls is turned away for an hour, and no alarm fires": not turned_away or bool(observed.alarms),
    }
    return [f"{call}, {kind}: {rule}" for rule, holds in rules.items() if not holds]


def logged(call: str, kind: str, seen: Seen) -> list[dict[str, Any]]:
    """Find the lines that name an error by its service, operation and code."""
    service, _, operation = call.partition(".")
    named = ("aws.refused" if kind in REFUSALS else "aws.failed", service, operation.lower(), code(kind, call))
    keys = ("message", "aws_service", "operation", "code")
    lines = [{**line, "operation": str(line.get("operation", "")).lower()} for line in seen.lines]
    return [line for line in lines if tuple(line.get(key) for key in keys) == named]


@pytest.mark.slow
def test_every_action_of_every_role_is_among_the_calls(shared: Stage) -> None:
    """What only Lambda itself does under a role, to read what feeds the function, is no call of the function's."""
    shared.policy_usage.used.clear()
    for scene in SCENES:
        calls_of(scene, shared)
    used = {(folder, action) for folder, _, action in shared.policy_usage.used}

    own = {(folder, action) for folder in shared.roles for action in own_actions(shared, folder)}
    assert own - used == NO_CALLS
    assert len(own) > 30


def own_actions(shared: Stage, folder: str) -> set[str]:
    """List what a role allows, without what the platform needs of it."""
    function = shared.roles[folder].function
    feeds = [
        each for each in shared.template.event_source_mappings if shared.template.function(each.function) is function
    ]
    polled = {
        f"{service}:{action}" for each in feeds for service in [each.source.split(":")[2]] for action in POLLED[service]
    }
    polled |= {"sqs:SendMessage" for each in feeds if each.failures}
    return {action for statement in function.statements for action in statement.actions} - polled


def test_the_tables_hold_every_scene_and_nothing_else() -> None:
    assert committed().keys() == {scene.title for scene in SCENES}
    assert all(committed().values())


def test_every_alarm_of_the_tables_has_its_runbook() -> None:
    known = alarms().of("AWS::CloudWatch::Alarm")
    named = {name.strip("` ") for lines in committed().values() for line in lines for name in _last(line)} - {"–"}

    assert "AwsRefused" in named
    for name in named:
        heading = known[name]["AlarmDescription"].removeprefix("docs/operate/runbooks.md: ")
        assert f"\n## {heading}\n" in RUNBOOKS


def _last(line: str) -> list[str]:
    """Read the last cell of a row."""
    return line.rstrip("| ").rpartition("|")[2].split(",")


def test_only_kms_knows_a_key_that_is_disabled() -> None:
    assert "disabled" in kinds("kms.Decrypt")
    assert "disabled" not in kinds("dynamodb.GetItem")
