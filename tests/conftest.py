"""A broker with everything it calls, for every test that asks for it."""

import os
import re
import ssl
from collections.abc import Iterator
from inspect import CO_VARKEYWORDS
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import botocore.hooks
import certifi
import pytest
from botocore.compat import accepts_kwargs
from botocore.loaders import JSONFileLoader, Loader
from hypothesis import HealthCheck, settings

from broker.adapters.aws import AwsClient
from broker.adapters.connections import Connections
from broker.adapters.seal import Seal
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.edge.wiring import Broker, Ports
from broker.model import ConnectionState
from local.aws.account import AwsAccount
from local.cloudformation.template import Template, read
from ninjaone_emulator import NinjaOne, seed
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, InlineWorkers, LogLines, NinjaOneTransport, SharedAws
from tests.support.fates import Fates
from tests.support.journey import CONNECT_URL, Journey
from tests.support.refreshing import Refreshing

settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("project")

PARAMETERS = {
    "ProductName": "Example Product",
    "ReturnUrls": "main=https://app.example/return,second=https://second.example/back",
    "ClientIds": ",".join(f"{region}={OPERATOR_APPS[region].client_id}" for region in ("eu", "app", "us2")),
    "ApprovalBinding": "allowed",
    "Proxy": "on",
}

AUTHORITIES = {certifi.where(), os.environ.get("SSL_CERT_FILE") or certifi.where()}
WHOLLY_SLOW = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    """Let figures bear the time of a clock that was moved: Powertools warns that CloudWatch would pass over them."""
    config.addinivalue_line("filterwarnings", "ignore:This metric doesn't meet the requirements:UserWarning")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file that is slow as a whole unread in `make test`: each worker would import it to deselect its tests."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return bool(WHOLLY_SLOW.search(collection_path.read_text(encoding="utf-8"))) or None


@pytest.fixture(scope="session", autouse=True)
def authorities() -> Iterator[None]:
    """Read each file of certificate authorities once: a client of httpx reads it anew, and that takes 50 ms."""
    reads, held = ssl.create_default_context, dict[str, ssl.SSLContext]()

    def context(*purpose: ssl.Purpose, cafile: str | Path | None = None, **more: Any) -> ssl.SSLContext:
        if purpose or any(more.values()) or str(cafile) not in AUTHORITIES:
            return reads(*purpose, cafile=cafile, **more)
        return held.get(str(cafile)) or held.setdefault(str(cafile), reads(cafile=cafile))

    with patch.object(ssl, "create_default_context", context):
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_sessions() -> Iterator[None]:
    """Read botocore's endpoints and its list of services once: every session reads them anew, and that takes 80 ms.

    A model of a service is changed by whoever makes a client of it, so each gets one of its own. Whether a handler
    takes keywords is read from its code, for a session asks that of 130 handlers, each of which `inspect` takes apart.
    """
    read, lists = JSONFileLoader.load_file, Loader.list_available_services
    held, listed = dict[str, Any](), dict[tuple[str, ...], list[str]]()

    def load_file(loader: JSONFileLoader, file_path: str) -> Any:
        if Path(file_path).name.startswith("service-"):
            return read(loader, file_path)
        return held.get(file_path) or held.setdefault(file_path, read(loader, file_path))

    def list_available_services(loader: Loader, type_name: str) -> list[str]:
        place = (type_name, *loader.search_paths)
        return listed.get(place) or listed.setdefault(place, lists(loader, type_name))

    def takes_keywords(handler: Any) -> bool:
        code = getattr(handler, "__code__", None)
        return bool(code.co_flags & CO_VARKEYWORDS if code else accepts_kwargs(handler))

    with (
        patch.object(JSONFileLoader, "load_file", load_file),
        patch.object(Loader, "list_available_services", list_available_services),
        patch.object(botocore.hooks, "accepts_kwargs", takes_keywords),
    ):
        yield


@pytest.fixture(scope="session")
def template() -> Template:
    """template.yaml under the parameters of the tests."""
    return read(Path(__file__).parents[1] / "template.yaml", PARAMETERS)


@pytest.fixture(scope="session")
def environment(template: Template) -> dict[str, str]:
    """The variables that every function gets, and the one that opening sessions gets besides."""
    return {**template.functions["session"].environment, "CONNECT_URL": CONNECT_URL}


@pytest.fixture(scope="session")
def config(environment: dict[str, str]) -> Config:
    return Config.from_env(environment)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def entropy() -> Random:
    """Random bytes that repeat from run to run."""
    return Random(20)


@pytest.fixture(scope="module")
def account(template: Template) -> Iterator[SharedAws]:
    with SharedAws(template) as made:
        yield made


@pytest.fixture
def aws(account: SharedAws, clock: Clock) -> AwsAccount:
    """AWS in memory, made once for a module; every test finds it empty, but for the secrets and the epoch."""
    account.begin(clock)
    return account


@pytest.fixture
def aws_faults(aws: AwsAccount) -> Iterator[AwsFaults]:
    made = AwsFaults(aws.client)
    yield made
    made.end()


@pytest.fixture
def ninjaone(clock: Clock) -> NinjaOne:
    core = NinjaOne(clock.now, Random(21).randbytes)
    seed(core, CONNECT_URL)
    return core


@pytest.fixture
def network(ninjaone: NinjaOne, clock: Clock) -> NinjaOneTransport:
    return NinjaOneTransport(ninjaone, clock)


@pytest.fixture
def lines() -> LogLines:
    return LogLines()


@pytest.fixture
def ports(clock: Clock, entropy: Random, aws: AwsAccount, network: NinjaOneTransport, lines: LogLines) -> Ports:
    return Ports(
        clock=clock,
        entropy=entropy.randbytes,
        aws=aws.client,
        transport=lambda: lambda: network,
        workers=InlineWorkers(),
        write=lines.write,
    )


@pytest.fixture
def broker(config: Config, ports: Ports) -> Broker:
    return Broker(config, ports)


@pytest.fixture
def journey(broker: Broker, ninjaone: NinjaOne) -> Journey:
    return Journey(broker, ninjaone)


@pytest.fixture
def sessions(aws: AwsAccount, config: Config) -> Sessions:
    return Sessions(AwsClient("dynamodb", aws.client("dynamodb")), config.sessions_table)


@pytest.fixture
def connections(aws: AwsAccount, config: Config) -> Connections:
    return Connections(
        AwsClient("dynamodb", aws.client("dynamodb")),
        config.connections_table,
        due_index=config.due_index,
        sessions_table=config.sessions_table,
    )


@pytest.fixture
def seal(aws: AwsAccount, config: Config, clock: Clock, entropy: Random) -> Seal:
    return Seal(AwsClient("kms", aws.client("kms")), config.seal_key, clock, entropy.randbytes)


@pytest.fixture
def refreshing(
    broker: Broker, clock: Clock, connections: Connections, seal: Seal, ninjaone: NinjaOne, lines: LogLines
) -> Refreshing:
    return Refreshing(broker, clock, connections, seal, ninjaone, lines)


@pytest.fixture
def fates(refreshing: Refreshing, network: NinjaOneTransport, monkeypatch: pytest.MonkeyPatch) -> Fates:
    """A NinjaOne that serves everybody, until a test gives some another fate."""
    made = Fates(refreshing, network)
    monkeypatch.setattr(network, "handle_request", made.handle)
    return made


@pytest.fixture
def state(journey: Journey, network: NinjaOneTransport) -> ConnectionState:
    """A connection that was just made; what NinjaOne was asked for that is forgotten."""
    made, _ = journey.connect()
    network.requests.clear()
    return made
