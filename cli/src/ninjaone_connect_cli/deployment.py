"""Where a deployment is: a stack's name leads to its settings, its addresses, and AWS clients that act on it."""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import boto3
import httpx
from botocore.config import Config as ClientConfig
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from broker.adapters.aws import AwsClient
from broker.adapters.client_secrets import ClientSecrets
from broker.adapters.clock import SystemClock, entropy
from broker.adapters.epoch import Epoch
from broker.adapters.http import HttpClient, Transport
from broker.adapters.queues import Queue
from broker.adapters.rescue import RescueStore
from broker.adapters.seal import Seal
from broker.adapters.transport import system_transport
from broker.config import Config
from broker.errors import Misconfigured
from ninjaone_connect import Connect
from ninjaone_connect_cli.errors import CliError

_MAY_NOT_LOOK = "This identity may not look at the stack; see docs/operate/permissions.md."

LOCAL = ".local.json"
"""What `make run` writes while it runs."""
_WRITTEN = {"aws", "region", "access_key", "secret_key", "ninjaone", "settings", "outputs"}
"""What it says there."""
_TOLD_BY = "SessionFunction"
"""The one function that is told every setting, the public address too."""


@dataclass(frozen=True)
class Deployment:
    """One deployment, on AWS or on this machine.

    stack       its name; none on this machine
    outputs     what the deployment said at its end
    aws         service name → client
    transport   the way to NinjaOne
    resources   logical id → physical id; empty on this machine
    """

    stack: str | None
    region: str
    config: Config
    outputs: Mapping[str, str]
    aws: Callable[[str], Any]
    transport: Transport
    credentials: Any
    resources: Mapping[str, str]

    @property
    def api(self) -> Connect:
        """The private API, signed for."""
        return Connect(self.outputs["BackendApiUrl"], region=self.region, credentials=self.credentials)

    @property
    def web(self) -> HttpClient:
        """A client for NinjaOne."""
        return HttpClient(self.transport, SystemClock())

    @property
    def seal(self) -> Seal:
        """Seals and opens as the functions do, under the operator's own rights."""
        return Seal(AwsClient("kms", self.aws("kms")), self.config.seal_key, SystemClock(), entropy)

    @property
    def epoch(self) -> Epoch:
        """The restore epoch, as the functions see it."""
        ssm = AwsClient("ssm", self.aws("ssm"))
        return Epoch(ssm, self.config.epoch_parameter, self.config.connections_table, SystemClock())

    @property
    def client_secrets(self) -> ClientSecrets:
        """The operator's client secrets, as the functions read them."""
        client = AwsClient("secretsmanager", self.aws("secretsmanager"))
        return ClientSecrets(client, self.config.client_secrets, SystemClock())

    @property
    def orders(self) -> Queue:
        """Where refreshes are ordered."""
        return Queue(AwsClient("sqs", self.aws("sqs")), self.config.refresh_queue)

    @property
    def rescue(self) -> RescueStore:
        """Tokens that DynamoDB refused."""
        return RescueStore(AwsClient("s3", self.aws("s3")), self.config.rescue_bucket)


def on_aws(stack: str, region: str | None, profile: str | None) -> Deployment:
    """Find a stack and everything in it. Raises   Trouble"""
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        clients = _clients(session)
        outputs, resources = _described(clients("cloudformation"), stack)
        told = clients("lambda").get_function_configuration(FunctionName=resources[_TOLD_BY])
    except (ClientError, BotoCoreError) as error:
        raise CliError(_what_to_do(error, stack, region)) from None
    except KeyError:
        raise CliError(f"The stack {stack} is no NinjaOne Connect: name another with --stack.") from None
    return Deployment(
        stack, session.region_name, _config(told["Environment"]["Variables"]), outputs, clients, system_transport(),
        session.get_credentials(), resources,
    )  # fmt: skip


def _clients(session: boto3.Session) -> Callable[[str], Any]:
    settings = ClientConfig(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5})
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, config=settings)  # type: ignore[call-overload]  # any service
        return made[service]

    return client


def _described(cloudformation: Any, stack: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Give a stack's outputs and its resources."""
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}
    return outputs, _resources(cloudformation, stack)


def _resources(cloudformation: Any, stack: str) -> Mapping[str, str]:
    """Give the physical ids of a stack's resources by logical id, those of the stacks nested in it included."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    listed = [each for page in pages for each in page["StackResourceSummaries"] if each.get("PhysicalResourceId")]
    nested = [each["PhysicalResourceId"] for each in listed if each["ResourceType"] == "AWS::CloudFormation::Stack"]
    inner = {name: physical for each in nested for name, physical in _resources(cloudformation, each).items()}
    return inner | {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}


def _what_to_do(error: Exception, stack: str, region: str | None) -> str:
    """Say it without the library's own text, which may be long and is about AWS's words."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    sentences = {
        "ValidationError": f"There is no stack {stack} in {region or 'this region'}: give --stack and --region.",
        "NoRegionError": "Name the AWS region of the stack with --region.",
        "NoCredentialsError": "No AWS credentials were found: log in, or name a profile with --profile.",
        "ProfileNotFound": "There is no such AWS profile: `aws configure list-profiles` names them.",
        "ExpiredToken": "The AWS login ran out: log in again (`aws sso login`).",
        "UnauthorizedSSOTokenError": "The AWS login ran out: log in again (`aws sso login`).",
        "SSOTokenLoadError": "The AWS login ran out: log in again (`aws sso login`).",
        "AccessDenied": _MAY_NOT_LOOK,
        "AccessDeniedException": _MAY_NOT_LOOK,
    }
    return sentences.get(
        code, f"AWS does not answer as it should ({code}). Try again, or look at the AWS Health Dashboard."
    )


def _config(variables: Mapping[str, str]) -> Config:
    try:
        return Config.from_env(variables)
    except Misconfigured as fault:
        raise CliError(f"{fault.detail} This command line and the stack may be of different releases.") from None


# On this machine -----------------------------------------------------------------------------------------------------


def on_this_machine(folder: Path) -> Deployment:
    """Find what `make run` runs, from anywhere inside the clone. Raises   Trouble"""
    for host in (folder, *folder.parents):
        if (host / LOCAL).is_file():
            return _local(_running(host / LOCAL))
    raise CliError("Nothing runs on this machine: start it with `make run`, and call this from inside the clone.")


def _running(file: Path) -> Mapping[str, Any]:
    """Read what `make run` wrote, and see that it runs. Raises   CliError"""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        missing = _WRITTEN - values.keys()
        address = urlsplit(values["aws"])
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except OSError:
        raise CliError(f"{file} is of a `make run` that has ended: start it again.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        missing = _WRITTEN
    if missing:
        raise CliError(f"{file} is damaged: end `make run`, delete the file, and start it again.")
    return cast("Mapping[str, Any]", values)


def _local(values: Mapping[str, Any]) -> Deployment:
    session = boto3.Session(values["access_key"], values["secret_key"], region_name=values["region"])

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=values["aws"])  # type: ignore[call-overload]  # any service

    return Deployment(
        None, values["region"], _config(values["settings"]), values["outputs"], client,
        lambda: Here(values["ninjaone"]), Credentials(values["access_key"], values["secret_key"]), {},
    )  # fmt: skip


class Here(httpx.BaseTransport):
    """Carries what is meant for NinjaOne to what stands in for it on this machine."""

    def __init__(self, address: str) -> None:
        self._address, self._inner = address, httpx.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        there = httpx.URL(self._address.replace("{host}", request.url.host) + request.url.raw_path.decode("ascii"))
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
        moved = httpx.Request(
            request.method, there, headers=[(b"Host", there.netloc), *headers], stream=request.stream,
            extensions=request.extensions,
        )  # fmt: skip
        return self._inner.handle_request(moved)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()
