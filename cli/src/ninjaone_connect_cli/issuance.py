"""Stop issuing access tokens of one tenant or of all within seconds, and resume it.

The switch is one inline policy on the roles of the functions that use tokens for callers: ``token``, which returns
them, and ``proxy``, if the stack has it, which returns NinjaOne's answers. An explicit Deny overrides every Allow: no
code, cache or deployment bypasses it, and a connection that is made meanwhile is covered too. IAM applies a change
within seconds. Refreshing goes on, so that a stop loses nothing.

See IAM User Guide, "Policy evaluation logic"; DynamoDB Developer Guide, "Using IAM policy conditions".
"""

import json
from collections.abc import Mapping
from typing import Any

import click
from botocore.exceptions import ClientError

from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.group import Commands
from ninjaone_connect_cli.names import TENANT
from ninjaone_connect_cli.question import confirm

POLICY = "NinjaOneConnectStopped"
ROLES = ("TokenFunctionRole", "ProxyFunctionRole")
"""The second one is only there where the parameter Proxy is on."""
ALL = "*"
"""Stands for all tenants; it is not a valid tenant id."""


@click.group(cls=Commands)
def issuance() -> None:
    """Stop issuing access tokens after a leak, and resume it."""


@issuance.command()
@click.argument("tenant", type=TENANT, required=False)
@click.option("--all", "everybody", is_flag=True, help="Of all tenants.")
@click.option("--yes", is_flag=True, help="Stop without asking.")
@pass_cli
def stop(cli: CliContext, tenant: str | None, *, everybody: bool, yes: bool) -> None:
    """Stop issuing access tokens of TENANT, or with --all of every tenant, within seconds.

    Tokens that were issued before work at NinjaOne until they expire, within an hour; `connections disconnect-all`
    revokes them.

    \b
    ninjaone-connect issuance stop northwind
    ninjaone-connect issuance stop --all
    """
    whom = _named(tenant, everybody=everybody)
    _roles(cli.deployment)
    if not yes:
        whose = "any tenant" if whom == ALL else whom
        confirm(f"No token of {whose} will be given out until `issuance resume`. Stop?")
    _write(cli.deployment, stopped_tenants(cli.deployment) | {whom})  # who was stopped during the question stays so
    _show(cli)


@issuance.command()
@click.argument("tenant", type=TENANT, required=False)
@click.option("--all", "everybody", is_flag=True, help="End every stop.")
@pass_cli
def resume(cli: CliContext, tenant: str | None, *, everybody: bool) -> None:
    """Issue access tokens of TENANT again; with --all, of every tenant.

    \b
    ninjaone-connect issuance resume northwind
    """
    whom, stopped = _named(tenant, everybody=everybody), stopped_tenants(cli.deployment)
    if whom != ALL and ALL in stopped:
        raise CliError("All tenants are stopped: `issuance resume --all` first, then stop those that must stay so.")
    left = set() if whom == ALL else stopped - {whom}
    _write(cli.deployment, left)
    _show(cli)


@issuance.command()
@pass_cli
def show(cli: CliContext) -> None:
    """Show whose access tokens are not issued.

    \b
    ninjaone-connect issuance show
    """
    _show(cli)


def _named(tenant: str | None, *, everybody: bool) -> str:
    if bool(tenant) == everybody:
        raise click.UsageError("Name one tenant, or give --all.")
    return tenant or ALL


def _show(cli: CliContext) -> None:
    stops = _stops(cli.deployment)
    rows = [
        {"tenant_id": "all" if each == ALL else each, "tokens": _how(each, stops)}
        for each in sorted(set[str]().union(*stops.values()))
    ]
    cli.screen.table(rows, {"tenant_id": "tenant", "tokens": "tokens"}, empty="Tokens are given to everybody.")


def _how(tenant: str, stops: Mapping[str, set[str]]) -> str:
    still = [role for role, stopped in stops.items() if not stopped & {tenant, ALL}]
    return f"stopped, but not for {', '.join(still)}: stop again" if still else "stopped"


def stopped_tenants(deployment: Deployment) -> set[str]:
    """Return the tenants that are stopped, if only for one function. Raises CliError on this machine."""
    return set[str]().union(*_stops(deployment).values())


def _stops(deployment: Deployment) -> Mapping[str, set[str]]:
    """Read who is stopped, by role: a function that was added after a stop is not in it."""
    return {role: _stopped_for(deployment.aws("iam"), role) for role in _roles(deployment)}


def _stopped_for(iam: Any, role: str) -> set[str]:
    try:
        answer = iam.get_role_policy(RoleName=role, PolicyName=POLICY)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return set()
        raise
    (statement,) = answer["PolicyDocument"]["Statement"]
    return {*statement.get("Condition", {}).get("ForAnyValue:StringEquals", {}).get("dynamodb:LeadingKeys", [ALL])}


def _write(deployment: Deployment, stopped: set[str]) -> None:
    for role in _roles(deployment):
        _write_for(deployment.aws("iam"), role, stopped)


def _write_for(iam: Any, role: str, stopped: set[str]) -> None:
    if stopped:
        iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(policy(stopped)))
        return
    try:
        iam.delete_role_policy(RoleName=role, PolicyName=POLICY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise


def policy(stopped: set[str]) -> dict[str, Any]:
    """Return the policy that denies a function to read tenants' tokens."""
    deny: dict[str, Any] = {"Sid": "Stopped", "Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}
    if ALL not in stopped:
        deny["Condition"] = {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": sorted(stopped)}}
    return {"Version": "2012-10-17", "Statement": [deny]}


def _roles(deployment: Deployment) -> list[str]:
    if deployment.stack is None:
        raise CliError("This acts on a role of AWS, and what `make run` runs has none: try it on a stack.")
    return [deployment.resources[role] for role in ROLES if role in deployment.resources]


COMMANDS = (issuance,)
