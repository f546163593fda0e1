"""What surrounds the broker in a test: time by hand, AWS that fails when told to, NinjaOne, the lines written."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import httpx

from local.aws.account import AwsAccount, Record
from local.aws.roles import Role
from local.cloudformation.resources import Key, Table
from local.cloudformation.template import Template
from ninjaone_emulator import NinjaOne, Reply
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.in_memory import InMemory
from tests.support.keys_in_memory import KeysInMemory
from tests.support.settings_in_memory import SettingsInMemory
from tests.support.tables_in_memory import TablesInMemory

START = 1_800_000_000
"""A whole quarter of an hour."""
CLIENT_SECRETS = json.dumps({app.client_id: app.client_secret for app in OPERATOR_APPS.values()})


class Clock:
    """Time that moves by hand alone; whoever sleeps moves it, and what is planned then happens on the way."""

    def __init__(self) -> None:
        self.seconds = float(START)
        self.slept: list[float] = []
        self._planned: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        for due in [each for each in self._planned if each[0] <= self.seconds]:
            self._planned.remove(due)
            due[1]()

    def plan(self, seconds: float, action: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self._planned.append((self.seconds + seconds, action))

    def left(self, seconds: float) -> Callable[[], float]:
        """Count down an invocation that begins now."""
        end = self.seconds + seconds
        return lambda: end - self.seconds


class InlineWorkers:
    """A crew of one: the workers take turns, so that a test repeats itself exactly."""

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        for worker in workers:
            worker()


class LogLines:
    """What the broker wrote on standard output."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def write(self, line: str) -> None:
        self.text.append(line)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self.text)

    def named(self, name: str) -> list[dict[str, Any]]:
        """Find the lines of one event."""
        return [line for line in self if line.get("message") == name]

    @property
    def names(self) -> list[str]:
        """The events, in order; figures left out."""
        return [line["message"] for line in self if "message" in line]

    def clear(self) -> None:
        self.text.clear()


Answer = Callable[[httpx.Request], httpx.Response]


class NinjaOneTransport(httpx.BaseTransport):
    """The way to NinjaOne: remembers what was sent, and gives canned answers first where there are some."""

    def __init__(self, ninjaone: NinjaOne, clock: Clock) -> None:
        self._ninjaone, self._clock = ninjaone, clock
        self.requests: list[httpx.Request] = []
        self.canned: deque[Answer] = deque()
        self.meanwhile: list[Callable[[], object]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        while self.meanwhile:
            self.meanwhile.pop(0)()
        if self.canned:
            return self.canned.popleft()(request)
        return self._deliver(self._asked(request), request)

    def _asked(self, request: httpx.Request) -> Reply:
        return self._ninjaone.respond(
            request.method,
            request.url.host,
            request.url.path,
            headers=dict(request.headers),
            query=request.url.query.decode(),
            body=request.content,
        )

    def _deliver(self, reply: Reply, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions["timeout"]["read"]
        self._clock.advance(min(reply.delay, timeout))
        if reply.delay > timeout:
            raise httpx.ReadTimeout("too late")
        if reply.delivery == "lost":
            raise httpx.RemoteProtocolError("closed without an answer")
        if reply.delivery == "reset":
            raise httpx.ReadError("reset")
        return httpx.Response(reply.status, headers=list(reply.headers), stream=httpx.ByteStream(reply.body))

    def answer(self, status: int, body: bytes | Mapping[str, object] = b"", **headers: str) -> None:
        """Can the next answer; NinjaOne hears nothing of its request."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.canned.append(lambda _: httpx.Response(status, headers=named, stream=httpx.ByteStream(content)))

    def fail(self, error: type[httpx.TransportError]) -> None:
        """Let the next request fail."""

        def failing(request: httpx.Request) -> httpx.Response:
            raise error("a text that may quote what was sent", request=request)

        self.canned.append(failing)

    def sent(self, path: str) -> list[dict[str, str]]:
        """List the forms that were posted to an endpoint."""
        return [
            dict(parse_qsl(each.content.decode()))
            for each in self.requests
            if each.method == "POST" and each.url.path == path
        ]

    @property
    def tokens_asked(self) -> list[dict[str, str]]:
        """The forms posted to the token endpoint."""
        return self.sent("/ws/oauth/token")


class QuickAws(AwsAccount):
    """AWS in memory whose DynamoDB is the simulation's, in place of moto's, and whose settings are read directly."""

    def __init__(self, template: Template, now: Callable[[], float]) -> None:
        self._tables = TablesInMemory(template.tables, now)
        settings = InMemory(SettingsInMemory())
        self._simulated = {"dynamodb": InMemory(self._tables), "ssm": settings, "secretsmanager": settings}
        super().__init__(template, now)

    def client(self, service: str, role: Role | None = None) -> Any:
        """Give the client of a service; what the simulation has of it answers in place of moto."""
        made = super().client(service, role)
        if service in self._simulated:
            self._simulated[service].serve(made)
        return made

    def changes(self, table: Table, start: int) -> list[Record]:
        """List a stream's records from the `start`th on."""
        return self._tables.records[table.name][start:]

    def _make_table(self, table: Table) -> None:
        """The tables are there already."""


class SharedAws(QuickAws):
    """AWS in memory that several tests use one after the other.

    Its KMS is the simulation's too. A role cannot be judged there: it reads in what moto sealed which key that was.
    """

    def __init__(self, template: Template) -> None:
        self._clock = Clock()
        self._made = template
        self._changed = set[str]()
        super().__init__(template, self._time)
        self._simulated["kms"] = InMemory(KeysInMemory(template.keys))

    def client(self, service: str, role: Role | None = None) -> Any:
        """Give the client of a service, which notes whether something was changed."""
        made = super().client(service, role)
        made.meta.events.register("before-call", self._note, unique_id="what was changed")
        return made

    def begin(self, clock: Clock) -> None:
        """Forget what the test before left, and go by the clock of the next one.

        What it changed is put right, and nothing else: a call of moto's takes 4 ms, and few tests change these.
        """
        self._clock = clock
        self._tables.empty()
        for queue in self._backend("sqs").queues.values():
            vars(queue).update(_messages=[], _pending_messages=set())  # a purge is allowed once a minute
        for service in self._changed & self._RESTORED.keys():
            self._RESTORED[service](self)
        self._changed.clear()

    def _make_key(self, key: Key) -> None:
        """The keys are there already."""

    def _empty_buckets(self) -> None:
        for bucket in self._made.buckets:
            for found in self.client("s3").list_objects_v2(Bucket=bucket.name).get("Contents", []):
                self.client("s3").delete_object(Bucket=bucket.name, Key=found["Key"])

    def _put_parameters(self) -> None:
        for parameter in self._made.parameters:
            text = {"Name": parameter.name, "Value": parameter.value, "Type": "String"}
            self.client("ssm").put_parameter(**text, Overwrite=True)

    def _store_client_secrets(self) -> None:
        for secret in self._made.secrets:
            self.put_secret(secret.arn, CLIENT_SECRETS)

    _RESTORED: ClassVar[Mapping[str, Callable[["SharedAws"], None]]] = {
        "s3": _empty_buckets,
        "ssm": _put_parameters,
        "secretsmanager": _store_client_secrets,
    }

    def _note(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(("Get", "List", "Describe", "Head")):
            self._changed.add(model.service_model.service_name)

    def _time(self) -> float:
        return self._clock.now()
