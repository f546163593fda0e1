"""Builds the flows from the environment: the only reader of ``os.environ``, the only maker of AWS clients."""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, TypedDict

from broker import ninjaone, policy
from broker.adapters.aws import AwsClient, ClientOnDemand
from broker.adapters.clock import Clock, Entropy, SystemClock, entropy
from broker.adapters.log import Level, Log
from broker.adapters.workers import Threads, WorkerPool
from broker.config import Config
from broker.edge.rate_limit import RateLimits

# Flows and adapters are imported where they are first used, so that a cold start imports only what its function needs.
if TYPE_CHECKING:
    from broker.adapters.breakers import BreakerStore
    from broker.adapters.client_secrets import ClientSecrets
    from broker.adapters.connections import Connections
    from broker.adapters.epoch import Epoch
    from broker.adapters.http import HttpClient, Transport
    from broker.adapters.queues import Queue
    from broker.adapters.rescue import RescueStore
    from broker.adapters.seal import Seal
    from broker.adapters.sessions import Sessions
    from broker.flows.authorize import StartAuthorization
    from broker.flows.callback import HandleCallback
    from broker.flows.client_apps import ClientApps
    from broker.flows.complete import Complete
    from broker.flows.complete_unattended import CompleteUnattended
    from broker.flows.connect import FindSession
    from broker.flows.connections import ListConnections
    from broker.flows.disconnect import Disconnect
    from broker.flows.enter_secret import EnterSecret
    from broker.flows.notify import Notify
    from broker.flows.proxy import Proxy
    from broker.flows.refresh.batch import ProcessBatch
    from broker.flows.session import OpenSession
    from broker.flows.sweep import Sweep
    from broker.flows.token import GetToken
    from broker.proxy_policy import CallRule


@dataclass(frozen=True)
class Ports:
    """Everything that leaves the process; tests replace each to make it fail.

    Attributes:
        aws: service name → client
        transport: makes a transport to NinjaOne, one for each HTTP client
        write: writes one line to standard output
    """

    clock: Clock
    entropy: Entropy
    aws: Callable[[str], Any]
    transport: Callable[[], "Transport"]
    workers: WorkerPool
    write: Callable[[str], None]


class _Common(TypedDict):
    """What most flows take; the type checker compares it with each flow's parameters."""

    clock: Clock
    entropy: Entropy
    log: Log


class Broker:
    """The flows and adapters, each created when it is first used."""

    def __init__(self, config: Config, ports: Ports) -> None:
        self.config, self.ports = config, ports
        self.log = Log(ports.write, ports.clock, config.service, least=Level.DEBUG if config.verbose else Level.INFO)
        self.limits = RateLimits(ports.clock)

    @cached_property
    def open_session(self) -> "OpenSession":
        from broker.flows.session import OpenSession

        return OpenSession(self.config, self._sessions, self._connections, self._seal, **self._common)

    @cached_property
    def find_session(self) -> "FindSession":
        from broker.flows.connect import FindSession

        return FindSession(self._sessions, self.ports.clock)

    @cached_property
    def start_authorization(self) -> "StartAuthorization":
        from broker.flows.authorize import StartAuthorization

        return StartAuthorization(self.config, self._sessions, self._seal, web=self._http, **self._common)

    @cached_property
    def enter_secret(self) -> "EnterSecret":
        from broker.flows.enter_secret import EnterSecret

        return EnterSecret(self.config, self._sessions, self._seal, web=self._http, **self._common)

    @cached_property
    def handle_callback(self) -> "HandleCallback":
        from broker.flows.callback import HandleCallback

        completions = self._queue(self.config.completion_queue)
        return HandleCallback(
            self.config, self._sessions, self._seal, completions, clock=self.ports.clock, log=self.log
        )

    @cached_property
    def complete(self) -> "Complete":
        from broker.flows.complete import Complete
        from broker.flows.exchange import Exchange
        from broker.flows.redeem import RedeemCode
        from broker.flows.store_connection import StoreConnection
        from broker.flows.store_secret import StoreSecret

        sessions, connections, seal = self._sessions, self._connections, self._seal
        exchange = Exchange(self._http, self.ports.clock, self.log)
        redeem = RedeemCode(sessions, seal, self._rescue, exchange, **self._common)
        store = StoreConnection(
            sessions, connections, seal, epoch=self._epoch, exchange=exchange, redeem=redeem, **self._common
        )
        return Complete(
            self.config,
            sessions,
            connections,
            seal,
            client_secrets=self._client_secrets,
            redeem=redeem,
            store=store,
            store_secret=StoreSecret(
                sessions, connections, seal, self._urgent_queue, clock=self.ports.clock, log=self.log
            ),
            clock=self.ports.clock,
            log=self.log,
        )

    @cached_property
    def complete_unattended(self) -> "CompleteUnattended":
        from broker.adapters.bus import Bus
        from broker.flows.complete_unattended import CompleteUnattended

        bus = Bus(self._on_demand("events"), self.config.event_bus)
        return CompleteUnattended(self.config, self._sessions, self.complete, bus, clock=self.ports.clock, log=self.log)

    @cached_property
    def get_token(self) -> "GetToken":
        from broker.flows.token import GetToken

        return GetToken(
            self._connections,
            self._seal,
            self._urgent_queue,
            self._breakers,
            wait=self.config.token_wait,
            is_known=self._is_known,
            **self._common,
        )

    @cached_property
    def proxy(self) -> "Proxy":
        from broker.flows.proxy import Proxy

        return Proxy(self.get_token, self._http, self._proxy_rules, clock=self.ports.clock, log=self.log)

    @cached_property
    def list_connections(self) -> "ListConnections":
        from broker.flows.connections import ListConnections

        return ListConnections(self._connections, self._breakers, self.ports.clock, self.log)

    @cached_property
    def disconnect(self) -> "Disconnect":
        from broker.flows.disconnect import Disconnect

        return Disconnect(self._connections, self._seal, self._client_apps, self._http, **self._common)

    @cached_property
    def sweep(self) -> "Sweep":
        from broker.flows.sweep import Sweep

        batches = self._queue(self.config.refresh_queue)
        return Sweep(self._connections, batches, self._rescue, clock=self.ports.clock, log=self.log)

    @cached_property
    def refresh(self) -> "ProcessBatch":
        from broker.flows.refresh.batch import ProcessBatch
        from broker.flows.refresh.connection import RefreshConnection
        from broker.flows.refresh.failure import RecordFailure
        from broker.flows.refresh.save import SaveTokens
        from broker.flows.refresh.timing import Timing

        timing = Timing(self.config.refresh_timeout)
        save = SaveTokens(
            self._connections,
            self._seal,
            self._rescue,
            timing=timing,
            adaptive=self.config.adaptive,
            clock=self.ports.clock,
            log=self.log,
        )
        failure = RecordFailure(
            self._connections, self._rescue, save, timing=timing, entropy=self.ports.entropy, log=self.log
        )
        refresh = RefreshConnection(
            self._connections,
            self._seal,
            rescue=self._rescue,
            apps=self._client_apps,
            save=save,
            failure=failure,
            timing=timing,
            **self._common,
        )
        return ProcessBatch(
            self._connections,
            refresh,
            epoch=self._epoch,
            breakers=self._breakers,
            web=self._http,
            workers=self.ports.workers,
            adaptive=self.config.adaptive,
            **self._common,
        )

    @cached_property
    def notify(self) -> "Notify":
        from broker.adapters.bus import Bus
        from broker.flows.notify import Notify

        return Notify(Bus(self._aws("events"), self.config.event_bus), self.log)

    @cached_property
    def _proxy_rules(self) -> "Callable[[], tuple[CallRule, ...]]":
        if not self.config.proxy_policy_parameter:
            return lambda: self.config.proxy_policy
        from broker.adapters.stored_proxy_policy import StoredProxyPolicy

        return StoredProxyPolicy(self._aws("ssm"), self.config.proxy_policy_parameter, self.ports.clock)

    @cached_property
    def _common(self) -> "_Common":
        return {"clock": self.ports.clock, "entropy": self.ports.entropy, "log": self.log}

    @cached_property
    def _sessions(self) -> "Sessions":
        from broker.adapters.sessions import Sessions

        return Sessions(self._aws("dynamodb"), self.config.sessions_table)

    @cached_property
    def _connections(self) -> "Connections":
        from broker.adapters.connections import Connections

        return Connections(
            self._aws("dynamodb"),
            self.config.connections_table,
            due_index=self.config.due_index,
            sessions_table=self.config.sessions_table,
        )

    @cached_property
    def _breakers(self) -> "BreakerStore":
        from broker.adapters.breakers import BreakerStore

        return BreakerStore(self._aws("dynamodb"), self.config.connections_table)

    @cached_property
    def _rescue(self) -> "RescueStore":
        from broker.adapters.rescue import RescueStore

        return RescueStore(self._on_demand("s3"), self.config.rescue_bucket)

    @cached_property
    def _seal(self) -> "Seal":
        from broker.adapters.seal import Seal

        return Seal(self._aws("kms"), self.config.seal_key, self.ports.clock, self.ports.entropy)

    @cached_property
    def _client_secrets(self) -> "ClientSecrets":
        from broker.adapters.client_secrets import ClientSecrets

        return ClientSecrets(self._on_demand("secretsmanager"), self.config.client_secrets, self.ports.clock)

    @cached_property
    def _client_apps(self) -> "ClientApps":
        from broker.flows.client_apps import ClientApps

        return ClientApps(self._connections, self._seal, self._client_secrets)

    @cached_property
    def _epoch(self) -> "Epoch":
        from broker.adapters.epoch import Epoch

        ssm = self._aws("ssm")
        return Epoch(ssm, self.config.epoch_parameter, self.config.connections_table, self.ports.clock)

    def _aws(self, service: str) -> AwsClient:
        return AwsClient(service, self.ports.aws(service), self.log)

    def _on_demand(self, service: str) -> AwsClient:
        """Wrap a client that many processes never call, so that it is made only when it is called.

        A token that is valid needs no queue; a completion needs Secrets Manager only for your own client app, and S3
        only after DynamoDB failed.
        """
        return AwsClient(service, ClientOnDemand(lambda: self.ports.aws(service)), self.log)

    def _queue(self, url: str) -> "Queue":
        from broker.adapters.queues import Queue

        return Queue(self._on_demand("sqs"), url)

    @cached_property
    def _urgent_queue(self) -> "Queue":
        return self._queue(self.config.urgent_queue)

    @cached_property
    def _transport(self) -> "Transport":
        return self.ports.transport()

    def _http(self) -> "HttpClient":
        from broker.adapters.http import HttpClient

        return HttpClient(self._transport, self.ports.clock, is_known=self._is_known)

    def _is_known(self, host: str) -> bool:
        """Return whether a host is NinjaOne's."""
        return ninjaone.find_host(host, self.config.branded_suffixes) is not None


def is_lambda() -> bool:
    """Return whether this process is a Lambda execution environment."""
    return "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ


@cache
def broker() -> Broker:
    """Create the broker of this process. Raises Misconfigured, so that a bad setting fails the start, not a request."""
    _silence_libraries()
    return Broker(Config.from_env(os.environ), _ports())


def _silence_libraries() -> None:
    """Prevent the libraries' own loggers from quoting requests, whatever the function's log level is."""
    for name in ("boto3", "botocore", "httpcore", "httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _ports() -> Ports:
    return Ports(
        clock=SystemClock(),
        entropy=entropy,
        aws=_cached_client,
        transport=_system_transport,
        workers=Threads(),
        write=_write,
    )


def _system_transport() -> "Transport":
    from broker.adapters.transport import system_transport

    return system_transport()


@cache
def _session() -> Any:
    """Return the botocore session of all clients: boto3 around it would lengthen each cold start by a tenth."""
    from botocore.session import get_session

    return get_session()


_CLIENT_LOCK = Lock()


def _cached_client(service: str) -> Any:
    """Return the client of a service: a session may not make two at a time, and threads of a batch ask for them."""
    with _CLIENT_LOCK:
        return _create_client(service)


@cache
def _create_client(service: str) -> Any:
    """Make the client of a service. Its timeouts are short, because each caller has a deadline and retries by itself.

    Requests are built here and their form is tested, so botocore need not validate the parameters of every call.
    """
    from botocore.config import Config as ClientConfig

    settings = ClientConfig(
        connect_timeout=policy.AWS_CONNECT,
        read_timeout=policy.AWS_READ,
        retries={"mode": "standard", "total_max_attempts": policy.AWS_ATTEMPTS},
        max_pool_connections=256,
        parameter_validation=False,
        user_agent="ninjaone-connect/1",  # botocore's own is built again for every call
    )
    return _session().create_client(service, config=settings)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
