"""No secret is printed: every path is walked with known ones, then all that lies open is searched for them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from broker import oauth
from local.aws.roles import Role
from local.browser import Browser
from local.world import World
from ninjaone_emulator.faults import KINDS, Fault
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from tests.security.traces import betrayed
from tests.support.http_flow import Backend, Flow
from tests.support.local_world import still_world
from tests.support.person import decide, query_of
from tools.requirements import req

CUSTOMER = dict(zip(("client_id", "client_secret"), CUSTOMER_APPS["eu"], strict=True))


@dataclass
class Tap:
    """What functions say to AWS, and AWS quoting it back when it is told to fail.

    Attributes:
        armed: the call to refuse, as ``dynamodb.UpdateItem``
    """

    said: list[tuple[str, str]] = field(default_factory=list)
    armed: str = ""

    def on(self, client: Any) -> None:
        service = client.meta.service_model.service_name

        def listen(params: Mapping[str, Any], model: Any, **_: Any) -> None:
            call, text = f"{service}.{model.name}", json.dumps(params, default=lambda _sealed: "", ensure_ascii=False)
            self.said.append((call, text))
            if call == self.armed:
                answer = {"Error": {"Code": "ThrottlingException", "Message": f"You sent {params}"}}
                raise ClientError(answer, model.name)  # type: ignore[arg-type]  # a part of a response is enough

        client.meta.events.register("before-parameter-build", listen)


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    made, enforce_on = Tap(), Role.enforce_on

    def guarded(role: Role, client: Any) -> Any:
        made.on(client)
        return enforce_on(role, client)

    with patch.object(Role, "enforce_on", guarded):
        yield made


@pytest.fixture(scope="module")
def world(tap: Tap) -> Iterator[World]:
    """A world whose functions are listened to from their start."""
    with still_world() as world:
        yield world


@dataclass
class Known:
    """The secrets of a run, by kind."""

    flows: list[Flow] = field(default_factory=list)
    browsers: list[Browser] = field(default_factory=list)
    said: dict[str, set[str]] = field(default_factory=dict)

    def add(self, kind: str, *secrets: str) -> None:
        self.said.setdefault(kind, set()).update(each for each in secrets if len(each) >= 16)

    def collect(self, world: World) -> None:
        """Read what NinjaOne issued, what the browsers carried and what the backend kept."""
        state = world.ninjaone.state
        self.add("code", *state.codes, *(each.rpartition(".")[2] for each in state.codes))
        self.add("refresh token", *state.refresh_tokens, *(each.rpartition(".")[2] for each in state.refresh_tokens))
        self.add("access token", *state.access_tokens)
        self.add("client secret", *(app.client_secret for app in (*OPERATOR_APPS.values(), *CUSTOMER_APPS.values())))
        self.add("verifier", *(flow.verifier[-20:] for flow in self.flows))
        for page in (page for browser in self.browsers for page in browser.pages if page.location):
            query = query_of(page.location)
            self.add("state", query.get("state", "").partition(".")[2])
            self.add("ticket", query.get("ticket", ""))
            for line in page.headers.get_list("set-cookie"):
                self.add("cookie", line.partition(";")[0].partition("=")[2] if line.startswith("__Host-") else "")

    def but(self, *kinds: str) -> set[str]:
        return {secret for kind, held in self.said.items() if kind not in kinds for secret in held}


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def start(world: World, backend: Backend, browser: Callable[[], Browser], known: Known) -> Callable[..., Flow]:
    """Begin flows whose secrets are known."""

    def begin(**opening: object) -> Flow:
        flow = Flow(world, backend, browser(), "acme").open(**opening)
        known.flows.append(flow)
        known.browsers.append(flow.browser)
        return flow

    return begin


Start = Callable[..., Flow]


def walk(world: World, start: Start, backend: Backend) -> None:
    """Connect, use, refresh, reconnect and disconnect, with the operator's app and with one's own."""
    for opening in ({}, {"client": "customer", "region": "eu", "client_credentials": CUSTOMER}):
        made = start(**opening).connect()
        path = f"/v1/tenants/acme/connections/{made['connection_id']}"
        backend.post(f"{path}/token")
        world.clock.advance(2900)
        world.run_event_sources()
        backend.post(f"{path}/token", {"min_ttl": 0})
        again = start(connection_id=made["connection_id"], region="eu")
        again.complete(again.home()["ticket"])
        backend.get("/v1/tenants/acme/connections")
        backend.call("DELETE", path)
    customer_app = start(client="customer")
    customer_app.leave("eu", CUSTOMER)
    customer_app.browser.get(customer_app.agree())


def err(world: World, start: Start) -> None:
    """Let people and backends do all that is refused."""
    flow = start()
    back = flow.back()
    query = query_of(back)
    base = f"{world.connect_url}/callback/eu"
    for wrong in (query | {"iss": "x"}, query | {"state": query["state"] + "x"}, query | {"code": query["code"] + " "}):
        flow.browser.open(f"{base}?{urlencode(wrong)}")
    flow.browser.open(f"{back}&code={query['code']}")
    ticket = query_of(flow.browser.get(back).location)["ticket"]
    flow.browser.open(back)
    flow.complete(ticket, end_user_id="other")
    flow.complete(ticket, binding_verifier=flow.verifier + "x")
    flow.complete(ticket, tenant="rival")
    flow.complete(ticket + "x")
    flow.complete(ticket, access_token="x", refresh_token=ticket)
    start().back(decision="Deny access")
    start(client="customer").leave("eu", CUSTOMER | {"client_secret": CUSTOMER["client_secret"] + " x"})
    start(client="customer").leave("nowhere", CUSTOMER)
    start(client="customer").leave("us2", CUSTOMER)


def fail(world: World, start: Start, backend: Backend) -> None:
    """Let NinjaOne fail in each of its ways, at the code and at the refresh."""
    made = start().connect()
    for kind in KINDS:
        if kind == "slow":
            continue  # the same as what comes of it: no answer
        world.ninjaone.faults.plan(Fault(kind, on="token", seconds=1))
        flow = start()
        flow.complete(flow.home()["ticket"])
        world.ninjaone.faults.clear()
        world.ninjaone.faults.plan(Fault(kind, on="token", seconds=1))
        world.clock.advance(2900)
        world.run_event_sources()
        world.ninjaone.faults.clear()
    world.ninjaone.admin.rotate_secret(OPERATOR_APPS["eu"].client_id)
    flow = start()
    flow.complete(flow.home()["ticket"])
    world.clock.advance(2900)
    world.run_event_sources()
    world.ninjaone.app(OPERATOR_APPS["eu"].client_id).secret = OPERATOR_APPS["eu"].client_secret
    backend.call("DELETE", f"/v1/tenants/acme/connections/{made['connection_id']}")


CALLS = [
    "dynamodb.PutItem",
    "dynamodb.GetItem",
    "dynamodb.UpdateItem",
    "dynamodb.TransactWriteItems",
    "dynamodb.Query",
    "dynamodb.BatchGetItem",
    "kms.GenerateDataKey",
    "kms.Decrypt",
    "secretsmanager.GetSecretValue",
    "ssm.GetParameter",
    "sqs.SendMessage",
    "s3.PutObject",
    "events.PutEvents",
]


def be_refused(world: World, start: Start, backend: Backend, tap: Tap) -> None:
    """Let each of AWS's calls fail with a text that quotes what it was sent."""
    made = start().connect()
    for call in CALLS:
        flow = start()
        ticket = flow.home()["ticket"]
        world.clock.advance(2900)
        flow.session, second = flow.session, start()
        tap.armed = call
        second.leave()
        flow.complete(ticket)
        backend.post(f"/v1/tenants/acme/connections/{made['connection_id']}/token", {"min_ttl": 0})
        if call not in {"dynamodb.UpdateItem", "dynamodb.GetItem"}:
            world.run_event_sources()
        tap.armed = ""
        world.run_event_sources()


def have_a_bug(start: Start) -> None:
    """Let the code itself fail where it has a secret in its hands."""

    def quoting(*args: Any, **named: Any) -> Any:
        raise RuntimeError(f"unexpected: {[each.reveal() for each in named.values() if hasattr(each, 'reveal')]}")

    flow = start()
    ticket = flow.home()["ticket"]
    with patch.object(oauth, "code_grant", quoting):
        assert flow.complete(ticket).status_code == 500
    with patch.object(oauth, "authorization_url", quoting):
        assert start().leave().status == 500


def hashes(secrets: set[str]) -> set[str]:
    """Give what could be logged in a secret's place, and should not be."""
    return {sha256(each.encode()).hexdigest() for each in secrets}


@pytest.mark.slow
@req("G01", "G07", "A08", "G08", "K05", "C11", "J04")
def test_no_path_leaves_a_trace_of_a_secret(
    world: World, start: Start, backend: Backend, known: Known, tap: Tap, browser: Callable[[], Browser]
) -> None:
    walk(world, start, backend)
    err(world, start)
    fail(world, start, backend)
    be_refused(world, start, backend, tap)
    have_a_bug(start)
    world.run_event_sources()
    known.collect(world)

    assert known.said.keys() == {
        "code", "refresh token", "access token", "client secret", "verifier", "state", "ticket", "cookie",
    }  # fmt: skip
    everything = known.but()
    assert betrayed(everything, "\n".join(world.log_lines)) == []
    assert betrayed(hashes(everything), "\n".join(world.log_lines)) == []
    assert betrayed(everything, "\n".join(what for _, what in world.failures)) == []
    for call in sorted({call for call, _ in tap.said}):
        assert betrayed(everything, "\n".join(text for each, text in tap.said if each == call)) == [], call
    for table in world.template.tables:
        items = world.aws("dynamodb").scan(TableName=table.name)["Items"]
        plain = [{name: value for name, value in item.items() if "B" not in value} for item in items]
        assert betrayed(everything, json.dumps(plain)) == [], table.name


@req("G01", "A08", "H05", "C13")
def test_no_answer_holds_a_secret_but_the_one_it_is_for(
    world: World, start: Start, backend: Backend, known: Known
) -> None:
    walk(world, start, backend)
    err(world, start)
    known.collect(world)

    for browser in known.browsers:
        for page in (page for page in browser.pages if page.url.startswith(world.connect_url)):
            cookies = "\n".join(page.headers.get_list("set-cookie"))
            others = "\n".join(held for name, held in page.headers.items() if name not in {"location", "set-cookie"})
            leads_on = {"state"} if page.url.endswith("/authorize") else set()  # its page goes on to NinjaOne
            assert betrayed(known.but(*leads_on), page.answer.text + others) == []
            assert betrayed(known.but("state", "ticket"), page.location) == []
            assert betrayed(known.but("cookie"), cookies) == []
    for answer in backend.answers.seen:
        is_token = answer.request.url.path.endswith("/token") and answer.status_code == 200
        assert betrayed(known.but("access token") if is_token else known.but(), answer.text) == []
        assert betrayed(known.but(), str(answer.headers)) == []


@req("H12")
def test_the_product_gives_no_token_to_a_browser(world: World, browser: Callable[[], Browser], known: Known) -> None:
    """Its whole way: sign in, connect, come back, look at the connection and at what it opens."""
    person = browser()
    person.open(world.product_url)
    person.submit("Ana")
    person.arrive()
    person.submit("Connect NinjaOne")
    person.arrive()
    decide(person)
    person.arrive()
    person.open(world.product_url)
    known.collect(world)

    seen = [page for page in person.pages if page.url.startswith(world.product_url)]
    assert len(seen) >= 5
    assert world.ninjaone.state.access_tokens
    tokens = known.but("verifier", "ticket", "state", "cookie")
    assert betrayed(tokens, "\n".join(page.answer.text + str(page.headers) for page in seen)) == []


@req("G09", "I02")
def test_towards_ninjaone_secrets_are_in_bodies_alone(
    world: World, start: Start, backend: Backend, known: Known
) -> None:
    asked: list[str] = []
    respond = world.ninjaone.respond

    def listening(method: str, host: str, path: str, **more: Any) -> Any:
        cookies = more.get("headers", {}).keys() & {"Cookie", "cookie"}
        if (not cookies and "/ws/oauth/authorize" not in path) or "check" in more.get("query", ""):
            asked.append(f"{method} {host} {path}?{more.get('query', '')}")
        return respond(method, host, path, **more)

    with patch.object(world.ninjaone, "respond", listening):
        walk(world, start, backend)
    known.collect(world)

    assert {line.split("?")[0] for line in asked} >= {
        "POST eu.ninjarmm.com /ws/oauth/token",
        "POST eu.ninjarmm.com /ws/oauth/revoke",
        "GET eu.ninjarmm.com /ws/oauth/authorize",
    }
    assert betrayed(known.but(), "\n".join(asked)) == []
