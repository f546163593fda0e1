"""The whole product on one machine: NinjaOne, AWS, the gateway, a SaaS, each as its own address on loopback.

    with World() as world:
        httpx.get(world.product_url)

One world at a time in a process: moto's memory is the process's own.
"""

import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.credentials import Credentials

from broker.adapters.workers import Threads
from broker.config import Config
from broker.edge.handler import Entry as Handler
from broker.edge.wiring import Broker, Ports
from local import product
from local.aws.account import AwsAccount
from local.aws.event_sources import POLLED, EventSource, EventSourceThread, QueueSource, ScheduleSource, StreamSource
from local.aws.gateway.http_api import Gateway
from local.aws.gateway.sigv4 import DEMO, Principal
from local.aws.lambda_runtime import Entry, Pool, Runtime
from local.aws.roles import PolicyUsage, Role
from local.clock import Clock
from local.cloudformation.resources import EventSourceMapping, Function
from local.cloudformation.template import Template, TemplateFault, read
from local.ports import sentence
from local.reroute import Reroute
from local.showroom import pages
from local.showroom.killer import Reaper
from local.showroom.timeline import Showroom
from ninjaone_emulator import NinjaOne, seed
from ninjaone_emulator.http_app import create_app as ninjaone_app
from ninjaone_emulator.seed import OPERATOR_APPS
from ninjaone_emulator.wsgi_server import DeferredApp, serve

PARTS = ("connect", "api", "ninjaone", "product")
"""What listens, in the order of the ports."""

ROOT = Path(__file__).parents[1]
LINES_KEPT = 50_000
ROUNDS = 10_000
"""Rounds of `run_event_sources` after which it says that the queues never become empty."""


class World:
    """The whole product, running from the start of its `with` block to its end.

    Attributes:
        connect_url, api_url, ninjaone_url, product_url: the address of each
        ninjaone: the emulator: switches, faults, oracle (it does not run if another provider is used)
        account: AWS in memory
        aws: service → its client, without the restrictions of a role
        clock: the time of broker and NinjaOne, which can be moved
        reroute: rewrites addresses of NinjaOne's hosts to the local ones
        template: the typed values of template.yaml
        log_lines: what functions wrote, newest last
        failures: functions that raised, timed out or were throttled, as (folder, what)
        policy_usage: which statements of which roles were used, and what was refused
        reaper: kills a refresh at the worst moment
        showroom: the showroom's state, which its pages show
    """

    def __init__(
        self,
        *,
        port: int = 0,
        background: bool = True,
        provider: str = "",
        template: Path = ROOT / "template.yaml",
        parameters: Mapping[str, str] | None = None,
        principals: Iterable[Principal] = (DEMO,),
        executions: float = math.inf,
        write: Callable[[str], None] | None = None,
        clock: Clock | None = None,
        account: Callable[[Template, Callable[[], float]], AwsAccount] = AwsAccount,
    ) -> None:
        """Configure the world.

        Args:
            port: the first of four; 0 takes free ones
            background: whether threads run queues, stream and schedule; otherwise only `run_event_sources` does
            provider: the address of another authorization server, used instead of every NinjaOne host
            template: what to run; its functions are those of this repository
            parameters: parameters of the template besides those that the world sets
            principals: who may call the backend API; the first one is the product's
            executions: how many concurrent executions the account allows
            write: called with every log line
            clock: the time of broker and NinjaOne; by default the machine's
            account: creates AWS in memory from the template and a clock
        """
        self._make_account = account
        self._port, self._background, self._provider = port, background, provider.rstrip("/")
        self._path, self._parameters, self._write = template, dict(parameters or {}), write
        self._principals, self._executions = tuple(principals), executions
        self._opened = ExitStack()
        self.clock, self.policy_usage, self.reaper = clock or Clock(), PolicyUsage(), Reaper()
        self.log_lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.failures: deque[tuple[str, str]] = deque(maxlen=LINES_KEPT)

    @property
    def credentials(self) -> Credentials:
        """What the product signs with."""
        return self._principals[0].credentials

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            ports = self._listen(opening)
            self.template = read(self._path, self._given())
            self.account = opening.enter_context(self._make_account(self.template, self.clock.now))
            self.aws = self.account.client
            self._store_secrets()
            self.showroom = opening.enter_context(Showroom(self, polls=self._background))
            self._assemble(ports)
            if self._background:
                opening.enter_context(EventSourceThread([*self._event_sources, *self._schedules]))
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def run_event_sources(self) -> None:
        """Call scheduled functions once, then handle queues and stream until nothing is left to do now."""
        for schedule in self._schedules:
            schedule.tick()
        for _ in range(ROUNDS):
            worked = [source.work() for source in self._event_sources]
            if not any(worked):
                return
        raise RuntimeError(f"after {ROUNDS} rounds the queues still have work")

    def broker_for(self, folder: str) -> Broker:
        """Return a broker with the settings and the role of a function, named by its folder."""
        return self._broker(self.template.functions[folder])

    def settings(self, folder: str) -> dict[str, str]:
        """Return a function's variables, with the local addresses in place of AWS's."""
        return self._environment(self.template.functions[folder])

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs, with the local addresses instead of AWS's."""
        return {name: self._here(str(value)) for name, value in self.template.outputs.items()}

    def store_client_secrets(self, secrets: Mapping[str, str]) -> None:
        """Store the secrets of the operator's client apps, as an operator does: client id → secret."""
        (stored,) = self.template.secrets
        self.account.put_secret(stored.arn, json.dumps(dict(secrets)))

    def client_secrets(self) -> dict[str, str]:
        """Return the secrets that are stored for the operator's client apps: client id → secret."""
        (stored,) = self.template.secrets
        found: dict[str, str] = json.loads(
            self.aws("secretsmanager").get_secret_value(SecretId=stored.arn)["SecretString"]
        )
        return found

    def expire(self) -> int:
        """Delete expired rows, which DynamoDB does some day; return how many."""
        return self.account.expire(self.clock.now())

    # Putting it together ------------------------------------------------------------------------------------

    def _listen(self, opening: ExitStack) -> dict[str, DeferredApp]:
        """Open the four addresses, so that each part can know those of the others before they exist."""
        ports, urls = {}, {"ninjaone": self._provider}
        for number, part in enumerate(PARTS):
            if not urls.get(part):
                ports[part] = DeferredApp()
                urls[part] = self._serve(opening, ports[part], self._port + number if self._port else 0)
        self.connect_url, self.api_url, self.product_url = urls["connect"], urls["api"], urls["product"]
        self.ninjaone_url = urls["ninjaone"]
        return ports

    @staticmethod
    def _serve(opening: ExitStack, app: DeferredApp, port: int) -> str:
        try:
            return opening.enter_context(serve(app, port)).url
        except OSError as error:
            raise OSError(sentence(port, error)) from error

    def _given(self) -> dict[str, str]:
        """Return the template's parameters for this world: the product's, and the apps registered at NinjaOne."""
        apps = {} if self._provider else OPERATOR_APPS
        return {
            "ProductName": product.PRODUCT_NAME,
            "Accent": product.ACCENT,
            "Logo": product.logo(),
            "ReturnUrls": f"{product.RETURN_KEY}={self.product_url}/ninjaone/return{self._example()}",
            "ClientIds": ",".join(f"{region}={app.client_id}" for region, app in apps.items()),
            "Scopes": "monitoring management",
            "ApprovalBinding": "allowed",
            "Proxy": "on" if math.isinf(self._executions) else "off",
        } | self._parameters

    def _example(self) -> str:
        """Return one more return address, for a product of your own on the next port: see examples/."""
        return f",example=http://127.0.0.1:{self._port + len(PARTS)}/ninjaone/return" if self._port else ""

    def _store_secrets(self) -> None:
        """Store what an operator stores after the deployment: the secrets of the client apps."""
        apps = {} if self._provider else OPERATOR_APPS
        self.store_client_secrets({app.client_id: app.client_secret for app in apps.values()})

    def _assemble(self, ports: Mapping[str, DeferredApp]) -> None:
        suffixes = next(iter(self.template.functions.values())).environment["BRANDED_SUFFIXES"]
        domains = ("ninjarmm.com", *suffixes.split(","))
        self.reroute = Reroute(self.ninjaone_url, domains, prefixed=not self._provider)
        self.ninjaone = NinjaOne(self.clock.now, os.urandom)
        seed(self.ninjaone, self.connect_url)
        entries = entries_of(self.template)
        functions = self.template.functions
        self._roles = {folder: Role(each, self.template, self.policy_usage) for folder, each in functions.items()}
        pool = Pool(self._executions - sum(each.concurrency or 0 for each in functions.values()))
        self._runtimes = {
            folder: Runtime(each, self._starter(each, entries[folder]), self._tell, pool)
            for folder, each in functions.items()
        }
        self._event_sources = [self._event_source(mapping) for mapping in self.template.event_source_mappings]
        self._schedules = self._scheduled()
        for api in self.template.apis:
            gateway = Gateway(api, self._runtimes.values(), self._principals, rewrite=self.reroute.text)
            ports["api" if api.signed else "connect"].app = gateway
        site = product.create_app(
            self.api_url, self.connect_url, self.credentials, self.reroute.text, now=self.clock.now
        )
        ports["product"].app = site
        if "ninjaone" in ports:
            ports["ninjaone"].app = ninjaone_app(self.ninjaone)
            pages.mount(site, self.showroom)

    def _environment(self, function: Function) -> dict[str, str]:
        """Return a function's variables, with the local addresses instead of AWS's."""
        return {name: self._here(value) for name, value in function.environment.items()}

    def _here(self, text: str) -> str:
        for api in self.template.apis:
            text = text.replace(api.endpoint, self.api_url if api.signed else self.connect_url)
        return text

    def _starter(self, function: Function, entry: Handler[Any]) -> Callable[[], Entry]:
        """Return how a function's environments start; a wrong setting fails here."""
        Config.from_env(self._environment(function))
        return lambda: entry.bind(self._broker(function))

    def _broker(self, function: Function) -> Broker:
        role = self._roles[function.folder]
        ports = Ports(
            clock=self.clock,
            entropy=os.urandom,
            aws=lambda service: self.account.client(service, role),
            transport=lambda: self.reroute.transport,
            workers=Threads(),
            write=self._log,
        )
        killable = self.reaper.ports(ports) if function.folder == "refresh" else ports
        return Broker(Config.from_env(self._environment(function)), killable)

    def _log(self, line: str) -> None:
        self.log_lines.append(line)
        self.showroom.hear(line)
        if self._write:
            self._write(line)

    def _tell(self, folder: str, what: str) -> None:
        self.failures.append((folder, what))
        self._log(json.dumps({"level": "ERROR", "message": "function.failed", "function": folder, "error": what}))

    def _event_source(self, mapping: EventSourceMapping) -> EventSource:
        function = self.template.function(mapping.function)
        role, runtime = self._roles[function.folder], self._runtimes[function.folder]
        service = mapping.source.split(":")[2]
        for action in POLLED[service]:
            role.demand(f"{service}:{action}", mapping.source)
        if service == "sqs":
            queue = self.template.queue(mapping.source)
            return QueueSource(mapping, runtime, queue=queue, aws=self.account, role=role)
        table = self.template.table(mapping.source)
        give_up = self._giving_up(mapping, role)
        return StreamSource(mapping, runtime, table=table, give_up=give_up, aws=self.account)

    def _giving_up(self, mapping: EventSourceMapping, role: Role) -> Callable[[str], None]:
        """Return what handles a stream's batches that failed too often: it sends them to a queue, under the role."""
        if not mapping.failures:
            return lambda _told: None
        queue, sqs = self.template.queue(mapping.failures), self.account.client("sqs", role)
        role.demand("sqs:SendMessage", queue.arn)
        return lambda told: sqs.send_message(QueueUrl=queue.url, MessageBody=told)

    def _scheduled(self) -> list[ScheduleSource]:
        return [
            ScheduleSource(schedule, self._runtimes[folder], now=self.clock.now)
            for folder, function in self.template.functions.items()
            for schedule in function.schedules
            if schedule.enabled
        ]


def entries_of(template: Template) -> dict[str, Handler[Any]]:
    """Import every function's handler; folders and template must agree on which there are.

    Raises:
        TemplateFault
    """
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    for folder in (folders - template.left_out) ^ template.functions.keys():
        where = "no folder" if folder in template.functions else "only a folder"
        raise TemplateFault(f"functions/{folder} has {where}: the template and functions/ must agree")
    found: dict[str, Handler[Any]] = {}
    for folder, function in template.functions.items():
        module, _, name = function.handler.rpartition(".")
        found[folder] = getattr(import_module(f"functions.{folder}.{module}"), name)
    return found
