"""The functions on moto, each under its role; each call starts an environment, so that nothing is cached."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from broker.config import Config
from broker.edge.wiring import Broker, Ports
from local.aws.account import AwsAccount
from local.aws.event_sources import POLLED
from local.aws.roles import PolicyUsage, Role
from local.cloudformation.template import Template, read
from local.iam import Statement
from local.world import entries_of
from ninjaone_emulator import NinjaOne, seed
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.broker_world import Clock, InlineWorkers, NinjaOneTransport, QuickAws
from tests.support.invoke import context, invoke
from tests.verification.simulation import gateway

CONNECT_URL = "https://connect.example"
PARAMETERS = {
    "ProductName": "Example Product",
    "ReturnUrls": "main=https://app.example/return",
    "ClientIds": f"eu={OPERATOR_APPS['eu'].client_id}",
    "ApprovalBinding": "allowed",
    "Proxy": "on",
}

Answer = dict[str, Any]


def template() -> Template:
    """Read template.yaml under the parameters of the stage."""
    return read(Path(__file__).parents[3] / "template.yaml", PARAMETERS)


class Stage:
    """One account, one NinjaOne, and the functions. Time moves by hand."""

    def __init__(self, read_template: Template, aws: AwsAccount, clock: Clock) -> None:
        self.template, self.aws, self.clock = read_template, aws, clock
        self.policy_usage = PolicyUsage()
        self.lines: list[dict[str, Any]] = []
        self.ninjaone = NinjaOne(clock.now, Random(1).randbytes)
        seed(self.ninjaone, CONNECT_URL)
        self.network = NinjaOneTransport(self.ninjaone, clock)
        functions = read_template.functions
        self.roles = {
            folder: Role(function, read_template, self.policy_usage) for folder, function in functions.items()
        }
        self._entries = entries_of(read_template)
        self._environment = {
            **functions["session"].environment,
            **functions["proxy"].environment,
            "CONNECT_URL": CONNECT_URL,
        }
        self._numbers = count(1)
        secrets = {OPERATOR_APPS["eu"].client_id: OPERATOR_APPS["eu"].client_secret}
        aws.put_secret(read_template.secrets[0].arn, json.dumps(secrets))

    @property
    def config(self) -> Config:
        return Config.from_env(self._environment)

    def tenant(self) -> str:
        """Name a tenant that nobody else uses."""
        return f"tenant-{next(self._numbers)}"

    def call(self, folder: str, event: Mapping[str, Any]) -> Any:
        """Start an environment of a function and call it."""
        role = self.roles[folder]
        ports = Ports(
            clock=self.clock,
            entropy=Random(next(self._numbers)).randbytes,
            aws=lambda service: self.aws.client(service, role),
            transport=lambda: lambda: self.network,
            workers=InlineWorkers(),
            write=lambda line: self.lines.append(json.loads(line)),
        )
        broker = Broker(self.config, ports)
        return invoke(self._entries[folder].bind(broker), event, context(self.clock, role.function.timeout))

    def work(self, folder: str, *bodies: str) -> None:
        """Call a function with messages of a queue; each must be worked."""
        records = [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]
        assert self.call(folder, {"Records": records}) == {"batchItemFailures": []}

    def take(self, queue: str) -> list[str]:
        """Take everything off a queue, by the last part of its name, able to do everything."""
        url = self.queue(queue)
        sqs, bodies = self.aws.client("sqs"), []
        for _ in range(50):
            received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            for message in received:
                bodies.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not received:
                return bodies
        raise AssertionError("a queue that does not end")

    def queue(self, name: str) -> str:
        return next(queue.url for queue in self.template.queues if queue.logical_id == name)

    def table(self, hash_key: str) -> str:
        return next(table.name for table in self.template.tables if table.hash_key == hash_key)

    def poll(self, folder: str) -> None:
        """Let the platform read what feeds a function, under the function's role. Raises PermissionError."""
        for mapping in self.template.event_source_mappings:
            if self.template.function(mapping.function).folder == folder:
                service = mapping.source.split(":")[2]
                for action in POLLED[service]:
                    self.roles[folder].demand(f"{service}:{action}", mapping.source)
                if mapping.failures:
                    self.roles[folder].demand("sqs:SendMessage", mapping.failures)

    @contextmanager
    def amended(self, folder: str, statements: tuple[Statement, ...]) -> Iterator[None]:
        """Give a function another role for a while."""
        role = self.roles[folder]
        whole = role.function
        role.function = replace(whole, statements=statements)
        try:
            yield
        finally:
            role.function = whole

    @contextmanager
    def refusing(self, folder: str, service: str, operation: str) -> Iterator[None]:
        """Let AWS refuse one call of a function's, as it does when it is overloaded."""
        client = self.aws.client(service, self.roles[folder])

        def refuse(**_: Any) -> None:
            raise client.exceptions.from_code("ThrottlingException")(
                {"Error": {"Code": "ThrottlingException"}}, operation
            )

        name = f"before-call.{client.meta.service_model.service_id.hyphenize()}.{operation}"
        client.meta.events.register(name, refuse)
        try:
            yield
        finally:
            client.meta.events.unregister(name, refuse)


@contextmanager
def stage() -> Iterator[Stage]:
    """Set it up."""
    clock = Clock()
    held = template()
    with QuickAws(held, clock.now) as aws:
        yield Stage(held, aws, clock)


def status(answer: Any) -> int:
    return gateway.status(answer)


Chapter = Callable[[Stage], None]
