"""SnapStart: many environments begin from one snapshot of a function's start, days apart; none may repeat another."""

import json
import os
import re
import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from broker.adapters.clock import entropy as system_entropy
from broker.config import Config
from broker.edge import wiring
from broker.edge.wiring import Broker, Ports
from broker.model import Purpose
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from tests.deployment.template.stack import deploy
from tests.support.broker_world import START, Clock
from tests.support.journey import Journey

FUNCTIONS = sorted((Path(__file__).parents[2] / "functions").glob("*/app.py"))
DAY = 86_400
UNIQUE = ("session", "state", "cookie", "access", "refresh")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


# Before the snapshot --------------------------------------------------------------------------------------------------


class Untouched:
    """A door that nobody may go through yet."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was used before the snapshot")

    def __call__(self, *_: object) -> NoReturn:
        raise AssertionError("used before the snapshot")


@pytest.mark.parametrize("app", FUNCTIONS, ids=lambda path: path.parent.name)
def test_nothing_unique_secret_or_of_this_moment_is_made_before_the_snapshot(
    app: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are made, and asked for nothing; no clock is read, and no random byte is drawn."""
    closed: Any = Untouched()
    made: dict[str, Untouched] = {}
    ports = Ports(closed, closed, lambda service: made.setdefault(service, Untouched()), closed, closed, closed)
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setattr(wiring, "broker", lambda: Broker(config, ports))

    runpy.run_path(str(app))

    assert made, "the function wired itself"


# Restored twice -------------------------------------------------------------------------------------------------------


def restored(begin: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Go on from here in a copy of this process, as an environment does from a snapshot, and tell what it made."""
    ours, theirs = os.pipe()
    copy = os.fork()
    if copy == 0:
        try:
            os.write(theirs, json.dumps(begin()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        found: dict[str, Any] = json.loads(told.read())
    os.waitpid(copy, 0)
    return found


@pytest.fixture
def started(config: Config, ports: Ports) -> Broker:
    """A broker as it is when the snapshot is taken: everything wired, nothing asked."""
    broker = Broker(config, replace(ports, entropy=system_entropy))
    for name in ("open_session", "start_authorization", "handle_callback", "complete", "get_token", "refresh"):
        getattr(broker, name)
    return broker


@pytest.fixture
def use(aws: AwsAccount, clock: Clock, ninjaone: NinjaOne) -> Callable[[Broker, float], dict[str, Any]]:
    def used(broker: Broker, later: float) -> dict[str, Any]:
        """Use a restored broker for the first time, and tell what it made of its own."""
        clock.advance(later)
        journey = Journey(broker, ninjaone)
        session = journey.open()
        leaving = journey.leave(session)
        keys = {purpose: broker._seal.data_key(purpose) for purpose in (Purpose.ACCESS, Purpose.REFRESH)}
        return {
            "session": session.session,
            "state": parse_qs(urlsplit(leaving.location).query)["state"][0],
            "cookie": leaving.cookie.reveal(),
            "access": keys[Purpose.ACCESS].wrapped.hex(),
            "refresh": keys[Purpose.REFRESH].wrapped.hex(),
            "began": session.created_at,
            "ends": session.expires_at,
            "key_ends": keys[Purpose.ACCESS].until,
        }

    return used


def test_two_environments_of_one_snapshot_draw_nothing_alike(
    started: Broker, use: Callable[[Broker, float], dict[str, Any]]
) -> None:
    first, second = (restored(lambda: use(started, 0)) for _ in range(2))

    assert {name for name in UNIQUE if first[name] == second[name]} == set()


def test_randomness_from_before_the_snapshot_would_be_noticed(
    config: Config, ports: Ports, use: Callable[[Broker, float], dict[str, Any]]
) -> None:
    """The generator of the tests is seeded, and its state is part of the copied process."""
    started = Broker(config, ports)

    first, second = (restored(lambda: use(started, 0)) for _ in range(2))

    assert {name for name in UNIQUE if first[name] == second[name]} >= {"session", "state", "cookie"}


@pytest.mark.parametrize("later", [0, DAY, 30 * DAY])
def test_everything_that_ends_is_counted_from_the_restore(
    started: Broker, use: Callable[[Broker, float], dict[str, Any]], later: int
) -> None:
    found = restored(lambda: use(started, later))

    assert found["began"] == START + later
    assert found["ends"] - found["began"] == 1800
    assert found["key_ends"] == START + later + 300


# The role's credentials -----------------------------------------------------------------------------------------------


class Answered:
    """The body of an answer."""

    def stream(self) -> Iterator[bytes]:
        """Give it whole."""
        yield b"{}"


@contextmanager
def role() -> Iterator[str]:
    """Serve a role's credentials as Lambda does to a function with SnapStart: numbered, each good for an hour."""
    given: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given.append(len(given))
            ends = datetime.now(UTC) + timedelta(hours=1, days=given[-1])
            told = {"AccessKeyId": f"key-{given[-1]}", "SecretAccessKey": "s", "Token": "t"}
            body = json.dumps({**told, "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/role"
    server.shutdown()
    server.server_close()


def test_credentials_of_the_snapshot_are_replaced_once_they_have_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    signed: list[str] = []

    def sent(request: Any, **_: Any) -> AWSResponse:
        found = re.search(r"Credential=([^/]+)/", request.headers["Authorization"].decode())
        signed.append(found[1] if found else "")
        return AWSResponse(request.url, 200, HTTPHeaders(), Answered())

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with role() as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        session = wiring._session.__wrapped__()
        monkeypatch.setattr(wiring, "_session", lambda: session)
        client = wiring._create_client.__wrapped__("dynamodb")
        client.meta.events.register("before-send.dynamodb", sent)
        client.list_tables()
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        monkeypatch.setattr(session.get_credentials(), "_time_fetcher", lambda: tomorrow)
        client.list_tables()

    assert signed == ["key-0", "key-1"]


# The template ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chosen", "taken"), [("None", set()), ("PublishedVersions", {"PublishedVersions"})])
def test_snapshots_are_taken_only_when_asked_for_and_only_where_somebody_waits(chosen: str, taken: set[str]) -> None:
    functions = deploy(SnapStart=chosen).of("AWS::Lambda::Function")
    behind = {"SweepFunction", "RefreshFunction", "NotifyFunction"}
    found = {name: each["SnapStart"]["ApplyOn"] for name, each in functions.items()}

    assert {found[name] for name in behind} == {"None"}
    assert {found[name] for name in found.keys() - behind} - {"None"} == taken
    assert len(set(found.keys()) - behind) == len(FUNCTIONS) - len(behind)


def test_by_itself_the_template_takes_none() -> None:
    found = deploy().of("AWS::Lambda::Function").values()

    assert {each["SnapStart"]["ApplyOn"] for each in found} == {"None"}
