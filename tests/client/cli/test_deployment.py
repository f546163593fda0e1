"""Finding a stack on AWS, and what the doctor looks at there. AWS's answers are canned: no account is here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import pytest
from botocore.stub import Stubber

from broker.adapters import log
from broker.config import Config
from local.cloudformation.template import Template
from ninjaone_connect_cli import account, checks, deployment, doctor
from ninjaone_connect_cli.deployment import Deployment, on_aws
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.finding import State, fail, good, warn
from tests.deployment.template.stack import alarms
from tests.support.cli import Cli, bare_environment


class Account:
    """AWS clients that answer what they are told to, in order."""

    def __init__(self) -> None:
        self.session = boto3.Session("AKIAEXAMPLE", "not a secret", region_name="eu-west-1")
        self._clients: dict[str, Any] = {}
        self._stubbers: dict[str, Stubber] = {}

    def client(self, service: str, **_: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service)  # type: ignore[call-overload]  # any service
            self._stubbers[service] = Stubber(self._clients[service])
            self._stubbers[service].activate()
        return self._clients[service]

    def answers(self, service: str, operation: str, answer: Mapping[str, Any]) -> None:
        self.client(service)
        self._stubbers[service].add_response(operation, dict(answer))

    def refuses(self, service: str, operation: str, code: str) -> None:
        self.client(service)
        self._stubbers[service].add_client_error(operation, code)


@pytest.fixture
def aws() -> Iterator[Account]:
    account = Account()
    with patch.object(deployment, "_clients", lambda _session, **_options: account.client):
        yield account


OUTPUTS = {
    "BackendApiUrl": "https://abc.execute-api.eu-west-1.amazonaws.com",
    "AlarmTopic": "arn:aws:sns:eu-west-1:1:a",
    "PagingTopic": "arn:aws:sns:eu-west-1:1:p",
}


def listed(resources: Mapping[str, str]) -> dict[str, Any]:
    """Answer as ListStackResources does."""
    return {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": physical,
                "ResourceType": "AWS::CloudFormation::Stack" if name == "Alarms" else "x",
                "LastUpdatedTimestamp": datetime.now(UTC),
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for name, physical in resources.items()
        ]
    }


def describe(aws: Account, variables: Mapping[str, str]) -> None:
    """Let a stack be found."""
    now = datetime.now(UTC)
    told = [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()]
    stack = {"StackName": "mine", "CreationTime": now, "StackStatus": "CREATE_COMPLETE", "Outputs": told}
    resources = {"SessionFunction": "mine-SessionFunction-X", "DeadLetterQueue": "https://sqs/dead-letters"}
    nested = {"Alarms": "arn:aws:cloudformation:eu-west-1:1:stack/mine-Alarms-X/1"}
    aws.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    aws.answers("cloudformation", "list_stack_resources", listed(resources | nested))
    aws.answers("cloudformation", "list_stack_resources", listed({"SealBroken": "mine-SealBroken"}))
    aws.answers("lambda", "get_function_configuration", {"Environment": {"Variables": dict(variables)}})


@pytest.fixture
def found(aws: Account, environment: dict[str, str]) -> Deployment:
    describe(aws, environment)
    return on_aws("mine", "eu-west-1", None)


def test_a_stack_s_name_leads_to_everything(found: Deployment, config: Config) -> None:
    assert found.config == config
    assert found.outputs == OUTPUTS
    assert found.resources["DeadLetterQueue"] == "https://sqs/dead-letters"
    assert found.resources["SealBroken"] == "mine-SealBroken", "it is in the nested stack of the alarms"
    assert (found.stack, found.region) == ("mine", "eu-west-1")


def test_a_stack_that_is_not_there_is_one_sentence(aws: Account) -> None:
    aws.refuses("cloudformation", "describe_stacks", "ValidationError")

    with pytest.raises(CliError, match="There is no stack mine in eu-west-1"):
        on_aws("mine", "eu-west-1", None)


def test_another_stack_is_not_taken_for_this_product(aws: Account) -> None:
    stack = {"StackName": "mine", "CreationTime": datetime.now(UTC), "StackStatus": "CREATE_COMPLETE"}
    aws.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    aws.answers("cloudformation", "list_stack_resources", {"StackResourceSummaries": []})

    with pytest.raises(CliError, match="no NinjaOne Connect"):
        on_aws("mine", "eu-west-1", None)


def test_a_stack_of_another_release_says_which_settings_it_lacks(aws: Account, environment: dict[str, str]) -> None:
    describe(aws, {name: value for name, value in environment.items() if name != "SEAL_KEY"})

    with pytest.raises(CliError, match=r"SEAL_KEY is missing.*different releases"):
        on_aws("mine", "eu-west-1", None)


def test_while_ninjaone_is_down_what_has_to_be_put_right_is_before_what_can_only_wait() -> None:
    asked = [
        ("client apps", warn(f"client app ({region})", "could not be asked", "Try again.")) for region in "abcdefg"
    ]
    ended = ("connections", fail("tokens", "1 connection has an expired token", "A runbook."))

    first, *others = doctor.left_to_do([*asked, ended])

    assert (first, len(others)) == (ended[1], 7)


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({}, ["--aws-region", "eu-west-1"], "No AWS credentials were found"),
        ({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"}, [], "Name the AWS region"),
        ({}, ["--profile", "nobody"], "There is no such AWS profile"),
    ],
)
def test_an_aws_login_that_is_missing_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, changes: dict[str, str], arguments: list[str], says: str
) -> None:
    nothing = {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    cli = Cli(tmp_path, bare_environment() | nothing | changes)

    ended = cli(*arguments, "doctor")

    assert (ended.code, ended.out) == (1, "")
    assert says in ended.err
    assert len(ended.err.strip().splitlines()) == 1


# What the doctor looks at on AWS alone -------------------------------------------------------------------------------


def states(findings: Any) -> list[State]:
    return [each.state for each in findings]


def test_figures_are_called_what_the_functions_call_them() -> None:
    assert account.NAMESPACE == log.NAMESPACE


def test_a_schedule_that_runs_and_one_that_does_not(aws: Account, found: Deployment) -> None:
    point = {"Timestamp": datetime.now(UTC) - timedelta(minutes=1), "SampleCount": 1.0}
    aws.answers("cloudwatch", "get_metric_statistics", {"Datapoints": [point]})
    aws.answers("cloudwatch", "get_metric_statistics", {"Datapoints": []})

    assert states(account.last_sweep(found)) == [State.OK]
    assert states(account.last_sweep(found)) == [State.FIX]


def test_a_missing_sweep_is_seen_no_later_than_the_alarm_fires() -> None:
    alarm = alarms().of("AWS::CloudWatch::Alarm")["RefreshingStopped"]
    (period,) = [each["MetricStat"]["Period"] for each in alarm["Metrics"] if "MetricStat" in each]

    assert period * alarm["EvaluationPeriods"] == account.SWEEP_MISSED * 60


def test_an_alarm_that_fires_names_its_paragraph(aws: Account, found: Deployment, template: Template) -> None:
    firing = {
        "AlarmName": "mine-SealBroken-X",
        "AlarmDescription": "docs/operate/runbooks.md: A sealed value does not open",
        "StateValue": "ALARM",
        "ActionsEnabled": True,
    }
    of_another_stack = firing | {"AlarmName": "mine-dev-SealBroken-X"}
    aws.answers(
        "cloudwatch",
        "describe_alarms",
        {"MetricAlarms": [firing, firing | {"StateValue": "OK", "ActionsEnabled": False}, of_another_stack]},
    )

    ours = replace(found, resources={"SealBroken": "mine-SealBroken-X"})
    first, second, third = account.alarms(ours)

    assert (first.state, first.says) == (State.FIX, "A sealed value does not open")
    assert first.todo == "docs/operate/runbooks.md"
    assert (second.state, second.says) == (State.LOOK, "1 is muted")
    assert third.says == "2 are set"


def test_alarms_that_nobody_hears(aws: Account, found: Deployment) -> None:
    heard = ["arn:aws:sns:eu-west-1:1:a:1"]
    for arns in ([], heard, ["PendingConfirmation"], heard, heard, []):
        aws.answers("sns", "list_subscriptions_by_topic", {"Subscriptions": [{"SubscriptionArn": arn} for arn in arns]})

    assert [states(account.listeners(found)) for _ in range(3)] == [
        [State.LOOK, State.OK],
        [State.LOOK, State.OK],
        [State.OK, State.LOOK],
    ]


def test_nobody_is_looked_for_around_a_firewall_that_is_not_there(found: Deployment) -> None:
    assert states(account.firewall(found)) == [State.OK]


@pytest.mark.parametrize(("status", "state"), [(403, State.OK), (404, State.FIX), (200, State.FIX)])
def test_who_comes_around_the_firewall(
    found: Deployment, monkeypatch: pytest.MonkeyPatch, status: int, state: State
) -> None:
    asked: list[str] = []

    def get(url: str, **_: Any) -> httpx.Response:
        asked.append(url)
        return httpx.Response(status)

    monkeypatch.setattr(httpx, "get", get)
    command = "aws cloudformation deploy --parameter-overrides Origin=abc.execute-api.eu-west-1.amazonaws.com Domain=x"
    walled = replace(
        found, config=replace(found.config, origin_verify=("0" * 64,)), outputs={**found.outputs, "Firewall": command}
    )

    assert states(account.firewall(walled)) == [state]
    assert asked == ["https://abc.execute-api.eu-west-1.amazonaws.com/"]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (
            httpx.Response(303, headers={"location": "/notice/refused-callback", "content-security-policy": "x"}),
            State.OK,
        ),
        (
            httpx.Response(
                303, headers={"location": "/notice/way-around?reference=K7QF-2M6P", "content-security-policy": "x"}
            ),
            State.FIX,
        ),
        (httpx.Response(429, headers={"content-security-policy": "x"}), State.FIX),
    ],
)
def test_a_firewall_whose_secret_is_another_is_no_way_to_the_redirect_uri(
    found: Deployment, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, state: State
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_, **__: answer)
    config = replace(found.config, client_ids={})

    assert states(checks.connect_page(replace(found, config=config)))[:1] == [state]


@pytest.mark.parametrize(
    ("recovery", "protected", "state"),
    [("ENABLED", True, State.OK), ("ENABLED", False, State.FIX), ("DISABLED", True, State.FIX)],
)
def test_a_table_that_lost_its_settings(
    aws: Account, found: Deployment, *, recovery: str, protected: bool, state: State
) -> None:
    aws.answers("dynamodb", "describe_table", {"Table": {"DeletionProtectionEnabled": protected}})
    aws.answers(
        "dynamodb",
        "describe_continuous_backups",
        {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": recovery},
            }
        },
    )

    (finding,) = account.table_settings(found)

    assert finding.state == state
    assert bool(finding.todo) == (state is State.FIX)
    assert (" --region eu-west-1 --table-name " in finding.todo) == (state is State.FIX)


def test_a_new_account_is_told_to_ask_for_more(aws: Account, found: Deployment) -> None:
    for most in (10, 1000):
        aws.answers("lambda", "get_account_settings", {"AccountLimit": {"ConcurrentExecutions": most}})

    assert [states(account.concurrency(found)) for _ in range(2)] == [[State.LOOK], [State.OK]]


def test_the_account_s_limit_is_looked_at_before_all_that_hangs_on_it() -> None:
    assert account.CHECKS[0].run is account.concurrency


def test_dead_letters_are_counted(aws: Account, found: Deployment) -> None:
    for count in ("0", "3"):
        aws.answers("sqs", "get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": count}})

    assert [states(account.dead_letters(found)) for _ in range(2)] == [[State.OK], [State.LOOK]]


def test_a_check_that_may_not_look_says_so_and_the_others_go_on(aws: Account, found: Deployment) -> None:
    from ninjaone_connect_cli.doctor import _run
    from ninjaone_connect_cli.finding import Check

    aws.refuses("lambda", "get_account_settings", "AccessDeniedException")

    class Here:
        deployment = replace(found)

    (finding,) = _run(Here(), Check("concurrency", account.concurrency))  # type: ignore[arg-type]  # as much as it asks for

    assert finding.state is State.FIX
    assert finding.says == "could not be checked (ClientError)"


def test_a_stack_for_production_is_to_be_protected_against_being_deleted_or_replaced(
    aws: Account, found: Deployment
) -> None:
    stack = {"StackName": "mine", "CreationTime": datetime.now(UTC), "StackStatus": "CREATE_COMPLETE"}
    for protected, policy in ((False, {}), (True, {"StackPolicyBody": "{}"})):
        described = stack | {"EnableTerminationProtection": protected}
        aws.answers("cloudformation", "describe_stacks", {"Stacks": [described]})
        aws.answers("cloudformation", "get_stack_policy", policy)

    unprotected, whole = list(account.protection(found)), list(account.protection(found))

    assert [each.todo.partition(" --region")[0] for each in unprotected] == [
        "aws cloudformation update-termination-protection",
        "In a clone: aws cloudformation set-stack-policy",
    ]
    assert states(whole) == [State.OK]


def test_a_stack_that_is_not_for_production_needs_no_protection(found: Deployment) -> None:
    assert states(account.protection(replace(found, stack="ninjaone-connect-dev"))) == [State.OK]


# What is left to do after a deployment -------------------------------------------------------------------------------


def test_every_check_has_its_place_in_the_order() -> None:
    names = [check.name for check in (*account.CHECKS, *checks.CHECKS)]

    assert sorted(names) == sorted(doctor.ORDER)
    assert set(names) >= doctor.EVERYDAY


def test_what_is_left_comes_in_order_and_everyday_warnings_are_left_out() -> None:
    found = [
        ("concurrency", warn("concurrency", "10", "Ask AWS.")),
        ("alarms", warn("alarms", "1 are muted", "Enable them.")),
        ("alarms", fail("alarm", "a runbook", "Read it.")),
        ("alarm mail", warn("paging", "nobody gets these", "Subscribe.")),
        ("backend API", good("backend API", "takes it")),
        ("client apps", fail("client secret (eu)", "none is stored", "Store it.")),
        ("KMS key", fail("KMS key", "Disabled", "Enable it.")),
    ]

    left = doctor.left_to_do(found)

    assert [each.check for each in left] == ["KMS key", "client secret (eu)", "alarm", "paging", "concurrency"]


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "a-secret\r"}, [], "AWS_SECRET_ACCESS_KEY begins or ends with a line break"),
        ({"AWS_REGION": "eu-west-1\r\n"}, [], "AWS_REGION begins or ends with a line break"),
        ({"HTTPS_PROXY": "socks5://user:a-secret@127.0.0.1:1080"}, [], "HTTPS_PROXY begins with socks5://"),
        ({"NO_PROXY": "fd07::/64"}, [], "NO_PROXY holds 'fd07::/64'"),
        ({"AWS_CA_BUNDLE": "/no/such/bundle.pem"}, [], "AWS_CA_BUNDLE names a file that is not there"),
        ({"AWS_ENDPOINT_URL": "localhost:4566"}, [], "AWS_ENDPOINT_URL must begin with https://"),
        ({}, ["--aws-region", "eu west 1"], "This is no AWS region"),
        ({"NINJAONE_CONNECT_STACK": '"mine"'}, [], "NINJAONE_CONNECT_STACK stands in quotation marks"),
        ({"NINJAONE_CONNECT_STACK": "mine\r"}, [], "NINJAONE_CONNECT_STACK begins or ends with a line break"),
        ({}, ["--profile", "mi\u200bne"], "--profile holds a line break or another character that does not show"),
        ({"HTTPS_PROXY": "http://127.0.0.1:9"}, [], "HTTPS_PROXY"),
        ({"AWS_CREDENTIAL_EXPIRATION": "tomorrow"}, [], "AWS_CREDENTIAL_EXPIRATION"),
        ({"AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}, [], "AWS_CREDENTIAL_EXPIRATION"),
        ({"SSLKEYLOGFILE": "/no/such/folder/keys"}, [], "SSLKEYLOGFILE"),
    ],
)
def test_surroundings_that_can_t_be_used_are_one_sentence_that_names_them(
    tmp_path: Path, changes: dict[str, str], arguments: list[str], says: str
) -> None:
    login = {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "eu-west-1",
    }
    cli = Cli(tmp_path, bare_environment() | login | changes)

    ended = cli(*arguments, "connections", "list", "northwind")

    assert (ended.code, ended.out) == (1, "")
    assert says in ended.err
    assert "a-secret" not in ended.err
    assert len(ended.err.strip().splitlines()) == 1
