"""Build and deploy the stack with the SAM CLI, as a user does, and read what came of it."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.gradual import gradual
from tools.rehearse.cloud import ROOT_KEY, ROOT_SECRET, Account
from tools.rehearse.environment import REGION, ROOT, STACK, Environment, interpreter_version, processor

SAM = ROOT / ".venv-sam" / "bin" / "sam"
WAITING = {"Delay": 2, "MaxAttempts": 60}
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")


@dataclass(frozen=True)
class Stack:
    """A deployed stack.

    Attributes:
        outputs: what it said at its end
        resources: logical id → physical id
    """

    outputs: Mapping[str, str]
    resources: Mapping[str, str]

    @property
    def connect_url(self) -> str:
        """Where people come; redirect URIs begin with it."""
        return self.outputs["RedirectUriEu"].removesuffix("/callback/eu")


def build(environment: Environment) -> Path:
    """Build as for AWS, but for this machine's processor and the interpreter that functions run on."""
    python = (ROOT / ".venv-rehearse" / "bin" / "python").resolve()
    built = environment.folder / "build"
    variables = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PROCESSOR": processor(),
        "PYTHON": str(ROOT / ".venv" / "bin" / "python"),
        "LAYER_PYTHON": interpreter_version(),
    }
    _sam(environment, "build", "--build-dir", str(built), **variables)
    return built / "template.yaml"


def deploy(environment: Environment, template: Path, parameters: Mapping[str, str]) -> None:
    """Deploy a built template. Raises RuntimeError, with what SAM said."""
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    _sam(
        environment, "deploy", "--template-file", str(template), "--stack-name", STACK, "--resolve-s3",
        "--capabilities", *CAPABILITIES, "--no-fail-on-empty-changeset", "--no-progressbar",
        "--parameter-overrides", *overrides,
    )  # fmt: skip


def behind_aliases(template: Path) -> Path:
    """Write what `make deploy GRADUAL=now` deploys, beside a built template."""
    made = gradual(yaml.safe_load(template.read_text(encoding="utf-8")), "rehearsal", "now")
    beside = template.with_name("gradual.yaml")
    beside.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return beside


def create(account: Account, name: str, url: str, parameters: Mapping[str, str]) -> Stack:
    """Make a stack of a published template, as the form of CloudFormation's console does."""
    cloudformation = account.client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    cloudformation.create_stack(StackName=name, TemplateURL=url, Parameters=given, Capabilities=list(CAPABILITIES))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAITING)
    return read(account, name)


def delete(account: Account, name: str = STACK) -> None:
    """Take a stack away. Not by `sam delete`, which reads no address of a nested template but Amazon's."""
    cloudformation = account.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAITING)


def read(account: Account, name: str = STACK) -> Stack:
    """Read a stack as it is."""
    cloudformation = account.client("cloudformation")
    (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    resources = [each for page in pages for each in page["StackResourceSummaries"]]
    return Stack(
        {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]},
        {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in resources},
    )


def _sam(environment: Environment, command: str, *arguments: str, **variables: str) -> None:
    settings = environment.folder / "samconfig.toml"  # of its own: the repository's names the user's stacks
    settings.write_text("version = 0.1\n", encoding="utf-8")
    ran = subprocess.run(
        [SAM, command, *arguments, "--region", REGION, "--config-file", str(settings)],
        cwd=ROOT, env=environment.clients(ROOT_KEY, ROOT_SECRET) | variables, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    (environment.folder / f"sam-{command}.log").write_text(ran.stdout + ran.stderr, encoding="utf-8")
    if ran.returncode:
        raise RuntimeError(f"sam {command} ended with {ran.returncode}:\n{(ran.stdout + ran.stderr)[-3000:]}")
