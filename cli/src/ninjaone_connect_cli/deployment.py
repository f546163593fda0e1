"""A deployment, found by its stack's name: its settings, its addresses, and AWS clients that act on it."""

import json
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
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
from broker.config import Config
from broker.errors import Misconfigured
from ninjaone_connect import Connect
from ninjaone_connect.environment import (
    ca_bundle,
    check_aws_variables,
    check_proxies,
    check_text,
    client_options,
    credentials_hint,
    is_certificate_error,
    ssl_context,
)
from ninjaone_connect.errors import BadSetting
from ninjaone_connect_cli import aws_errors
from ninjaone_connect_cli.errors import CliError

LOCAL_FILE = ".local.json"
"""What `make run` writes while it runs."""
LOOPBACK_OPTIONS: Mapping[str, Any] = {"trust_env": False, "verify": False}
"""Arguments of httpx for this machine: plain http on loopback, no proxy, and no certificates to load."""
_LOCAL_KEYS = {"aws", "region", "access_key", "secret_key", "ninjaone", "settings", "outputs"}
"""The keys of that file."""
_SETTINGS_SOURCE = "SessionFunction"
"""The one function whose environment has every setting, the public address too."""


@dataclass(frozen=True)
class Deployment:
    """One deployment, on AWS or on this machine.

    Attributes:
        stack: its name; empty on this machine
        outputs: the stack's outputs
        aws: service name → client
        transport: makes a transport to NinjaOne
        resources: logical id → physical id; empty on this machine
        http_options: arguments of ``httpx.get`` for calling the deployment's public addresses
        now: returns Unix seconds by its clock, which can be moved on this machine
        log_url: on this machine, where the functions' log lines are found; empty on AWS
    """

    stack: str | None
    region: str
    config: Config
    outputs: Mapping[str, str]
    aws: Callable[[str], Any]
    transport: Transport
    credentials: Any
    resources: Mapping[str, str]
    http_options: Mapping[str, Any] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    log_url: str = ""

    @property
    def command(self) -> str:
        """How the command line is called for this deployment."""
        where = ["--stack", self.stack, "--aws-region", self.region] if self.stack else ["--local"]
        return shlex.join(["ninjaone-connect", *where])

    @property
    def api(self) -> Connect:
        """A client of the backend API, which signs its requests."""
        return Connect(self.outputs["BackendApiUrl"], region=self.region, credentials=self.credentials)

    def log_events(self, reference: str, since: float, most: int) -> Iterator[Mapping[str, Any]]:
        """Find log lines of the functions that name a reference, the oldest first, as CloudWatch returns them.

        Args:
            since: Unix seconds
            most: how many
        """
        start = int(since * 1000)
        if self.log_url:
            answer = httpx.get(self.log_url, params={"reference": reference}, **self.http_options).raise_for_status()
            return islice((each for each in answer.json() if each["timestamp"] >= start), most)
        pages = (
            self.aws("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=self.resources["FunctionLog"],
                filterPattern=f'"{reference}"',
                startTime=start,
                PaginationConfig={"MaxItems": most},
            )
        )
        return (event for page in pages for event in page["events"])

    @property
    def web(self) -> HttpClient:
        """A client for NinjaOne."""
        return HttpClient(self.transport, SystemClock())

    @property
    def seal(self) -> Seal:
        """Seals and opens as the functions do, with the operator's own rights."""
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
    def batches(self) -> Queue:
        """Where refreshes are requested."""
        return Queue(AwsClient("sqs", self.aws("sqs")), self.config.refresh_queue)

    @property
    def rescue(self) -> RescueStore:
        """Tokens that DynamoDB refused."""
        return RescueStore(AwsClient("s3", self.aws("s3")), self.config.rescue_bucket)


def on_aws(stack: str, region: str | None, profile: str | None) -> Deployment:
    """Find a stack and everything in it. Raises CliError."""
    session = _session(stack, region, profile)
    clients = _clients(session, verify=ca_bundle())
    try:
        outputs, resources = _described(clients("cloudformation"), stack)
        function = clients("lambda").get_function_configuration(FunctionName=resources[_SETTINGS_SOURCE])
    except (ClientError, BotoCoreError) as error:
        raise CliError(_why_not_found(error, stack, session.region_name)) from None
    except (ValueError, OSError, RuntimeError, EOFError) as error:  # of what the environment or a profile names
        raise CliError(f"{aws_errors.SETTINGS.format(what=type(error).__name__)} {credentials_hint()}") from None
    except KeyError:
        raise CliError(f"The stack {stack} is no NinjaOne Connect: name another with --stack.") from None
    return Deployment(
        stack, session.region_name, _config(function["Environment"]["Variables"]), outputs, clients, NetworkTransport,
        session.get_credentials(), resources, {"timeout": 10, "verify": ssl_context()},
    )  # fmt: skip


def _session(stack: str, region: str | None, profile: str | None) -> boto3.Session:
    """Create the session of AWS. Raises CliError, which names the setting that can't be used."""
    try:
        check_aws_variables()
        check_proxies()
        check_text("--aws-region", region or "")
        check_text("--stack or NINJAONE_CONNECT_STACK", stack)
        check_text("--profile", profile or "")
        ssl_context()
        return boto3.Session(profile_name=profile, region_name=region)
    except BadSetting as bad:
        raise CliError(str(bad)) from None
    except BotoCoreError as error:
        raise CliError(aws_errors.said(error, region)) from None


def _clients(session: boto3.Session, **options: Any) -> Callable[[str], Any]:
    """Make each service's client once.

    Args:
        options: further arguments of ``session.client``
    """
    settings = ClientConfig(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 5})
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, config=settings, **options)  # type: ignore[call-overload]  # any service
        return made[service]

    return client


def _described(cloudformation: Any, stack: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return a stack's outputs and its resources."""
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())}
    return outputs, _resources(cloudformation, stack)


def _resources(cloudformation: Any, stack: str) -> Mapping[str, str]:
    """Return the physical ids of a stack's resources by logical id, those of the stacks nested in it included."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    listed = [each for page in pages for each in page["StackResourceSummaries"] if each.get("PhysicalResourceId")]
    nested = [each["PhysicalResourceId"] for each in listed if each["ResourceType"] == "AWS::CloudFormation::Stack"]
    inner = {name: physical for each in nested for name, physical in _resources(cloudformation, each).items()}
    return inner | {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}


def _why_not_found(error: Exception, stack: str, region: str | None) -> str:
    """Return why a stack can't be found, and what to do."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code == "ValidationError":
        return f"There is no stack {stack} in {region or 'this region'}: give --stack and --aws-region."
    return aws_errors.said(error, region)


def _config(variables: Mapping[str, str]) -> Config:
    try:
        return Config.from_env(variables)
    except Misconfigured as fault:
        raise CliError(f"{fault.detail} This command line and the stack may be of different releases.") from None


# On this machine -----------------------------------------------------------------------------------------------------


def on_this_machine(folder: Path) -> Deployment:
    """Find what `make run` runs, from anywhere inside the clone. Raises CliError."""
    for parent in (folder, *folder.parents):
        if (parent / LOCAL_FILE).is_file():
            return _local(_read_local_file(parent / LOCAL_FILE))
    clone = next((each for each in (folder, *folder.parents) if (each / "local/__main__.py").is_file()), None)
    if clone:
        raise CliError(f"Nothing runs here: start it with `make run` in {clone}, leave it running, and try again.")
    raise CliError(
        f"{folder} is not inside a clone of NinjaOne Connect, and --local finds there what `make run` runs: "
        "change to the clone (cd), start it if it does not run, and try again."
    )


def _read_local_file(file: Path) -> Mapping[str, Any]:
    """Read what `make run` wrote, and see that it runs. Raises CliError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        missing = _LOCAL_KEYS - values.keys()
        address = urlsplit(values["aws"])
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except OSError:
        raise CliError(f"{file} is of a `make run` that has ended: start it again.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        missing = _LOCAL_KEYS
    if missing:
        raise CliError(f"{file} is damaged: end `make run`, delete the file, and start it again.")
    return cast("Mapping[str, Any]", values)


def _local(values: Mapping[str, Any]) -> Deployment:
    session = _local_session(values["access_key"], values["secret_key"], values["region"])
    return Deployment(
        None, values["region"], _config(values["settings"]), values["outputs"],
        _clients(session, endpoint_url=values["aws"]), lambda: EmulatorTransport(values["ninjaone"]),
        Credentials(values["access_key"], values["secret_key"]), {}, {"timeout": 10, **LOOPBACK_OPTIONS},
        _clock(values["aws"]), f"{values['aws']}/_local/log",
    )  # fmt: skip


@cache
def _local_session(access_key: str, secret_key: str, region: str) -> boto3.Session:
    """Return one session for all commands of a process: creating one loads the services' models, which takes long."""
    return boto3.Session(access_key, secret_key, region_name=region)


def _clock(aws: str) -> Callable[[], float]:
    """Return the clock of what runs here, which its showroom can move."""
    try:
        ahead = float(httpx.get(f"{aws}/_local/clock", timeout=5, **LOOPBACK_OPTIONS).text) - time.time()
    except (httpx.HTTPError, ValueError):
        ahead = 0.0
    return lambda: time.time() + ahead


class CertificateDistrusted(httpx.ConnectError):
    """A host showed a certificate that is not trusted here; it has a class because the broker's client drops texts."""


class NetworkTransport(httpx.BaseTransport):
    """Calls NinjaOne as this machine calls any host: through its proxy, with the authorities it trusts."""

    def __init__(self) -> None:
        self._client = httpx.Client(**client_options())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on. Raises CertificateDistrusted."""
        try:
            return self._client.send(request, stream=True)
        except httpx.ConnectError as error:
            if is_certificate_error(error):
                raise CertificateDistrusted("", request=request) from None
            raise

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class EmulatorTransport(httpx.BaseTransport):
    """Sends requests for NinjaOne to its emulator on this machine."""

    def __init__(self, address: str) -> None:
        self._address, self._inner = address, httpx.HTTPTransport(**LOOPBACK_OPTIONS)

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
