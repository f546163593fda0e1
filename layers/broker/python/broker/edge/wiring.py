"""The environment → settings → doors → flows: the only reader of ``os.environ``, the only maker of AWS clients."""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from broker import ninjaone
from broker.adapters.clock import Clock, Entropy, SystemClock, entropy
from broker.adapters.log import Level, Log
from broker.adapters.workers import Crew, Threads
from broker.config import Config
from broker.edge.rate_limit import Limits

# Flows and adapters are imported where they are first used: a function pays at its start for what its privilege needs.
if TYPE_CHECKING:
    from broker.adapters.client_secrets import Credentials
    from broker.adapters.connections import Connections
    from broker.adapters.epoch import Epoch
    from broker.adapters.http import Transport, Web
    from broker.adapters.queues import Queue
    from broker.adapters.seal import Seal
    from broker.adapters.sessions import Sessions
    from broker.flows.authorize import Depart
    from broker.flows.callback import Arrive
    from broker.flows.complete import Complete
    from broker.flows.connections import Show
    from broker.flows.disconnect import Disconnect
    from broker.flows.notify import Notify
    from broker.flows.refresh.batch import Refresh
    from broker.flows.session import Look, Open
    from broker.flows.sweep import Sweep
    from broker.flows.token import Vend


@dataclass(frozen=True)
class Doors:
    """The ways out of the process; each can be made to fail.

    aws         service name → client
    transport   make a transport towards NinjaOne, one for each client
    write       put one line on standard output
    """

    clock: Clock
    entropy: Entropy
    aws: Callable[[str], Any]
    transport: Callable[[], "Transport"]
    crew: Crew
    write: Callable[[str], None]


class Broker:
    """Everything a function may need, made when it is first asked for."""

    def __init__(self, config: Config, doors: Doors) -> None:
        self.config, self.doors = config, doors
        self.log = Log(doors.write, doors.clock, config.service, least=Level.DEBUG if config.verbose else Level.INFO)
        self.limits = Limits(doors.clock)

    @cached_property
    def open(self) -> "Open":
        from broker.flows.session import Open

        return Open(self.config, self._sessions, self._seal, **self._around)

    @cached_property
    def look(self) -> "Look":
        from broker.flows.session import Look

        return Look(self._sessions, self.doors.clock)

    @cached_property
    def depart(self) -> "Depart":
        from broker.flows.authorize import Depart

        return Depart(self.config, self._sessions, self._seal, web=self._web, **self._around)

    @cached_property
    def arrive(self) -> "Arrive":
        from broker.flows.callback import Arrive

        completions = self._queue(self.config.completion_queue)
        return Arrive(self.config, self._sessions, self._seal, completions, **self._around)

    @cached_property
    def complete(self) -> "Complete":
        from broker.flows.complete import Complete
        from broker.flows.exchange import Exchange

        exchange = Exchange(self._web, self.doors.clock, self.log)
        return Complete(
            self.config,
            self._sessions,
            self._connections,
            self._seal,
            credentials=self._credentials,
            epoch=self._epoch,
            exchange=exchange,
            **self._around,
        )

    @cached_property
    def vend(self) -> "Vend":
        from broker.flows.token import Vend

        urgent = self._queue(self.config.urgent_queue)
        return Vend(
            self._connections, self._seal, urgent, is_known=self._is_known, clock=self.doors.clock, log=self.log
        )

    @cached_property
    def show(self) -> "Show":
        from broker.flows.connections import Show

        return Show(self._connections, self._brakes, self.doors.clock, self.log)

    @cached_property
    def disconnect(self) -> "Disconnect":
        from broker.flows.disconnect import Disconnect

        return Disconnect(self._connections, self._seal, self._credentials, self._web, **self._around)

    @cached_property
    def sweep(self) -> "Sweep":
        from broker.flows.sweep import Sweep

        orders = self._queue(self.config.refresh_queue)
        return Sweep(self._connections, orders, self._rescue, clock=self.doors.clock, log=self.log)

    @cached_property
    def refresh(self) -> "Refresh":
        from broker.flows.refresh.batch import Refresh
        from broker.flows.refresh.connection import Renewal
        from broker.flows.refresh.failure import Settle
        from broker.flows.refresh.save import Keep
        from broker.policy import Timing

        timing = Timing(self.config.refresh_timeout)
        keep = Keep(
            self._connections, self._seal, self._rescue, timing=timing, adaptive=self.config.adaptive, **self._around
        )
        settle = Settle(self._connections, self._rescue, keep, timing=timing, entropy=self.doors.entropy, log=self.log)
        renewal = Renewal(
            self._connections,
            self._seal,
            rescue=self._rescue,
            credentials=self._credentials,
            keep=keep,
            settle=settle,
            timing=timing,
            **self._around,
        )
        return Refresh(
            self._connections,
            self._seal,
            renewal,
            epoch=self._epoch,
            brakes=self._brakes,
            web=self._web,
            crew=self.doors.crew,
            **self._around,
        )

    @cached_property
    def notify(self) -> "Notify":
        from broker.adapters.bus import Bus
        from broker.flows.notify import Notify

        return Notify(Bus(self.doors.aws("events"), self.config.event_bus), self.log)

    @cached_property
    def _around(self) -> dict[str, Any]:
        return {"clock": self.doors.clock, "entropy": self.doors.entropy, "log": self.log}

    @cached_property
    def _sessions(self) -> "Sessions":
        from broker.adapters.sessions import Sessions

        return Sessions(self.doors.aws("dynamodb"), self.config.sessions_table)

    @cached_property
    def _connections(self) -> "Connections":
        from broker.adapters.connections import Connections

        return Connections(
            self.doors.aws("dynamodb"),
            self.config.connections_table,
            due_index=self.config.due_index,
            sessions_table=self.config.sessions_table,
        )

    @cached_property
    def _brakes(self) -> Any:
        from broker.adapters.breakers import Brakes

        return Brakes(self.doors.aws("dynamodb"), self.config.connections_table)

    @cached_property
    def _rescue(self) -> Any:
        from broker.adapters.rescue import Rescue

        return Rescue(self.doors.aws("s3"), self.config.rescue_bucket)

    @cached_property
    def _seal(self) -> "Seal":
        from broker.adapters.seal import Seal

        return Seal(self.doors.aws("kms"), self.config.seal_key, self.doors.clock, self.doors.entropy)

    @cached_property
    def _credentials(self) -> "Credentials":
        from broker.adapters.client_secrets import Credentials

        return Credentials(self.doors.aws("secretsmanager"), self.config.client_secrets, self.doors.clock)

    @cached_property
    def _epoch(self) -> "Epoch":
        from broker.adapters.epoch import Epoch

        ssm = self.doors.aws("ssm")
        return Epoch(ssm, self.config.epoch_parameter, self.config.connections_table, self.doors.clock)

    def _queue(self, url: str) -> "Queue":
        from broker.adapters.queues import Queue

        return Queue(self.doors.aws("sqs"), url)

    @cached_property
    def _transport(self) -> "Transport":
        return self.doors.transport()

    def _web(self) -> "Web":
        from broker.adapters.http import Web

        return Web(self._transport, self.doors.clock, is_known=self._is_known)

    def _is_known(self, host: str) -> bool:
        """Say whether a host is NinjaOne's."""
        return ninjaone.host(host, self.config.branded_suffixes) is not None


def is_lambda() -> bool:
    """Say whether this process is a Lambda execution environment."""
    return "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ


@cache
def broker() -> Broker:
    """Wire the broker of this process; a bad setting fails the start, and no customer. Raises   Misconfigured"""
    _quiet()
    return Broker(Config.from_env(os.environ), _doors())


def _quiet() -> None:
    """Keep the libraries' own loggers from quoting requests, whatever level the function's log is set to."""
    for name in ("boto3", "botocore", "httpcore", "httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _doors() -> Doors:
    return Doors(
        clock=SystemClock(),
        entropy=entropy,
        aws=_client,
        transport=_system_transport,
        crew=Threads(),
        write=_write,
    )


def _system_transport() -> "Transport":
    from broker.adapters.transport import system_transport

    return system_transport()


@cache
def _session() -> Any:
    """One session for all clients. botocore's own: boto3 around it costs each start a tenth more, and adds nothing."""
    from botocore.session import get_session

    return get_session()


@cache
def _client(service: str) -> Any:
    """Make one client of each service. Short timeouts: whoever calls has a deadline and tries again by itself.

    What is sent is made here and checked by the tests, so botocore need not check it again at every call.
    """
    from botocore.config import Config as ClientConfig

    settings = ClientConfig(
        connect_timeout=2,
        read_timeout=5,
        retries={"mode": "standard", "max_attempts": 2},
        max_pool_connections=256,
        parameter_validation=False,
        user_agent="ninjaone-connect/1",  # botocore's own is put together anew for every call
    )
    return _session().create_client(service, config=settings)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
