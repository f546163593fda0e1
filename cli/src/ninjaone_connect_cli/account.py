"""The doctor's checks of what exists on AWS only: alarms, their subscribers, the account's limits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.finding import Check, Finding, counted, fail, good, runbook, warn

NAMESPACE = "NinjaOneConnect"
"""The namespace of the functions' metrics; importing the module that writes them would load its libraries."""
_PITR = "aws dynamodb update-continuous-backups --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
_PROTECT = "aws dynamodb update-table --deletion-protection-enabled"
PRODUCTION = "ninjaone-connect"
"""The stack that `make deploy ENV=prod` makes; those of other environments add their name to it."""
FORBIDDEN = 403
SWEEP_MISSED = 10
"""Minutes without a sweep after which the alarm RefreshingStopped fires."""
SMALL_ACCOUNT = 100
"""Concurrent executions of an account below which AWS refuses to reserve any."""


def last_sweep(deployment: Deployment) -> Iterator[Finding]:
    """Whether the schedule runs: every sweep reports how many refreshes it requested, even none."""
    now = datetime.now(UTC)
    answer = deployment.aws("cloudwatch").get_metric_statistics(
        Namespace=NAMESPACE, MetricName="requested", Dimensions=[{"Name": "service", "Value": deployment.stack}],
        StartTime=now - timedelta(minutes=SWEEP_MISSED), EndTime=now, Period=60, Statistics=["SampleCount"],
    )  # fmt: skip
    if not answer["Datapoints"]:
        yield fail("schedule", f"no sweep in the last {SWEEP_MISSED} minutes", runbook("Refreshing has stopped"))
        return
    latest = max(each["Timestamp"] for each in answer["Datapoints"])
    yield good("schedule", f"the last sweep was {(now - latest).total_seconds() / 60:.0f} min ago")


def alarms(deployment: Deployment) -> Iterator[Finding]:
    """Whether alarms fire, and whether anybody is notified."""
    pages = (
        deployment.aws("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{deployment.stack}-")
    )
    ours = set(deployment.resources.values())  # the prefix is that of another stack's alarms too: x- and x-dev-
    found = [each for page in pages for each in page["MetricAlarms"] if each["AlarmName"] in ours]
    for each in found:
        if each["StateValue"] == "ALARM":
            yield fail("alarm", each["AlarmDescription"].partition(": ")[2], each["AlarmDescription"].partition(":")[0])
    muted = [each["AlarmName"] for each in found if not each["ActionsEnabled"]]
    if muted:
        yield warn("alarms", f"{counted(len(muted), 'is', 'are')} muted", "Enable their actions again.")
    yield good("alarms", f"{counted(len(found), 'is', 'are')} set")


def listeners(deployment: Deployment) -> Iterator[Finding]:
    """Whether somebody is notified of alarms."""
    sns = deployment.aws("sns")
    for check, output in (("alarm mail", "AlarmTopic"), ("paging", "PagingTopic")):
        found = sns.list_subscriptions_by_topic(TopicArn=deployment.outputs[output])["Subscriptions"]
        pending = [each for each in found if each["SubscriptionArn"] == "PendingConfirmation"]
        if pending:
            yield warn(check, "an address has not agreed yet", "Follow the link in the mail that AWS sent.")
        elif not found:
            todo = f"Deploy with AlarmEmail, which gets all alarms, or: {_subscribe(deployment, output)}"
            yield warn(check, "nobody gets these alarms", todo)
        else:
            yield good(check, counted(len(found), "subscription", "subscriptions"))


def _subscribe(deployment: Deployment, output: str) -> str:
    """Return the command that subscribes a mail address to a topic."""
    return (
        f"aws sns subscribe --region {deployment.region} --topic-arn {deployment.outputs[output]} "
        "--protocol email --notification-endpoint ADDRESS"
    )


def protection(deployment: Deployment) -> Iterator[Finding]:
    """Whether CloudFormation refuses to delete or replace what connections depend on, in a stack for production."""
    stack = deployment.stack or ""
    if stack.startswith(f"{PRODUCTION}-"):
        yield good("protection", "none is needed: by its name this stack is not for production")
        return
    cloudformation = deployment.aws("cloudformation")
    where = f"--region {deployment.region} --stack-name {stack}"
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    if not described.get("EnableTerminationProtection"):
        todo = f"aws cloudformation update-termination-protection {where} --enable-termination-protection"
        yield warn("protection", "the stack can be deleted by mistake", todo)
    if not cloudformation.get_stack_policy(StackName=stack).get("StackPolicyBody"):
        todo = f"In a clone: aws cloudformation set-stack-policy {where} --stack-policy-body file://stacks/policy.json"
        yield warn("protection", "a change could replace what connections depend on", todo)
        return
    yield good("protection", "it has a stack policy")


def firewall(deployment: Deployment) -> Iterator[Finding]:
    """Whether the public API refuses requests that bypass CloudFront, if that is in front of it."""
    if not deployment.config.origin_verify:
        yield good("firewall", "this deployment has none in front of its public API")
        return
    origin = deployment.outputs["Firewall"].partition(" Origin=")[2].partition(" ")[0]
    answer = httpx.get(f"https://{origin}/", **deployment.http_options)
    if answer.status_code == FORBIDDEN:
        yield good("firewall", "requests that bypass it are refused")
    else:
        todo = "Deploy the stack again: its functions lack the parameter OriginVerify."
        yield fail("firewall", f"{origin} answers {answer.status_code} to requests that bypass it", todo)


def table_settings(deployment: Deployment) -> Iterator[Finding]:
    """Whether the table can be restored; a restored table has lost these settings."""
    dynamodb, table = deployment.aws("dynamodb"), deployment.config.connections_table
    where = f"--region {deployment.region} --table-name {table}"
    described = dynamodb.describe_table(TableName=table)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        yield fail("table", "point-in-time recovery is off", f"{_PITR} {where}")
    elif not described.get("DeletionProtectionEnabled"):
        yield fail("table", "deletion protection is off", f"{_PROTECT} {where}")
    else:
        yield good("table", "it can be brought back, and not deleted by mistake")


def concurrency(deployment: Deployment) -> Iterator[Finding]:
    """Whether the account lets enough functions run at once."""
    limits = deployment.aws("lambda").get_account_settings()["AccountLimit"]
    most = limits["ConcurrentExecutions"]
    if most < SMALL_ACCOUNT:
        todo = "Ask AWS for 1000 (Service Quotas, Lambda, Concurrent executions); it costs nothing."
        yield warn("concurrency", f"this account runs {most} functions at once", todo)
    else:
        yield good("concurrency", f"this account runs {most} functions at once")


def dead_letters(deployment: Deployment) -> Iterator[Finding]:
    """Whether messages are in the dead-letter queue."""
    url = deployment.resources["DeadLetterQueue"]
    found = deployment.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    count = int(found["Attributes"]["ApproximateNumberOfMessages"])
    yield (
        warn(
            "dead letters",
            f"{counted(count, 'message', 'messages')} failed for good",
            runbook("Messages are in the dead-letter queue"),
        )
        if count
        else good("dead letters", "the queue is empty")
    )


CHECKS = (
    Check("concurrency", concurrency),  # first: what is wrong here makes the others fail
    Check("schedule", last_sweep),
    Check("alarms", alarms),
    Check("alarm mail", listeners),
    Check("firewall", firewall),
    Check("dead letters", dead_letters),
    Check("table", table_settings),
    Check("protection", protection),
)
