"""The built functions under Lambda's own runtime client: laid out, started and called as on AWS.

Shown here: what `sam build` made is whole, every import is in the function or its layers, and handlers answer
through the Runtime API within their time and memory. Not shown: Lambda's processor and its cold start.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker import policy
from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.clock import instant, new_connection_id
from broker.adapters.seal import Seal
from broker.config import Config
from broker.model import ConnectionRef, ConnectionState, Host, Instant, Profile, Purpose, Status, TenantId
from broker.secret import Secret
from local.aws.http_endpoint import application
from local.world import World
from ninjaone_emulator.wsgi_server import serve
from tests.deployment.runtime.platform import BUILT, ROOT, Environment, Folders
from tests.support.local_world import still_world
from tests.support.sample_events import ANSWERS

pytestmark = pytest.mark.slow
SAMPLES = sorted((ROOT / "events").glob("*.json"))
Start = Callable[[str], Environment]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with still_world() as world:
        yield world


@pytest.fixture(scope="module")
def start(world: World, folders: Folders) -> Iterator[Start]:
    """Start a function, once; it stays warm for the tests after."""
    with ExitStack() as opened:
        aws = opened.enter_context(serve(application(world.account)))
        started: dict[str, Environment] = {}

        def start(folder: str) -> Environment:
            if folder not in started:
                variables = world.settings(folder) | {"AWS_ENDPOINT_URL": aws.url}
                function = world.template.functions[folder]
                started[folder] = opened.enter_context(Environment(function, folders, variables))
            return started[folder]

        yield start


def shown(payload: Any) -> Any:
    """Give the status of an answer, or the items that are to come again."""
    if payload is None or "statusCode" in payload:
        return payload and payload["statusCode"]
    return [failure["itemIdentifier"] for failure in payload["batchItemFailures"]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_built_function_answers_its_sample_event(start: Start, sample: Path) -> None:
    environment = start(sample.stem.partition("-")[0])

    answer = environment.invoke(json.loads(sample.read_text()))

    assert answer.error is None
    assert shown(answer.payload) == ANSWERS[sample.stem]


@pytest.mark.parametrize("folder", sorted({sample.stem.partition("-")[0] for sample in SAMPLES}))
def test_a_function_has_memory_to_spare(start: Start, world: World, folder: str) -> None:
    environment = start(folder)
    environment.invoke(json.loads((ROOT / f"events/{folder}.json").read_text()))

    assert environment.highest_memory < world.template.functions[folder].memory / 2


# A connection, from process to process ------------------------------------------------------------------------------


@pytest.fixture
def connection(world: World) -> ConnectionRef:
    """A connection whose tokens this process sealed; its access token is good for some minutes, and it is due."""
    config = Config.from_env(world.settings("complete"))
    seal = Seal(AwsClient("kms", world.aws("kms")), config.seal_key, world.clock, os.urandom)
    now = instant(world.clock)
    which = ConnectionRef(TenantId("acme"), new_connection_id(os.urandom))
    spot = which.aad(1)
    state = ConnectionState(
        tenant=which.tenant,
        connection=which.connection,
        status=Status.ACTIVE,
        host=Host("eu", "eu.ninjarmm.com"),
        client_id=config.client_ids["eu"],
        customer_app=False,
        version=1,
        fence=0,
        epoch=1,
        token_expires_at=Instant(now + 600),
        sent_at=Instant(now - 3000),
        consented_at=Instant(now - 3000),
        scopes=frozenset({"monitoring"}),
        access=seal.seal(seal.data_key(Purpose.ACCESS), Secret("the-access-token"), spot),
        refresh=seal.seal(seal.data_key(Purpose.REFRESH), Secret("the-refresh-token"), spot),
        refresh_at=now,
        due_shard=policy.shard(which.connection),
    )
    profile = Profile(which.tenant, which.connection, "", (), {}, now, now)
    for row in (rows.connection_state_item(state), rows.profile_item(profile)):
        world.aws("dynamodb").put_item(TableName=config.connections_table, Item=row)
    return which


def stored(world: World, which: ConnectionRef) -> ConnectionState:
    table = world.settings("refresh")["CONNECTIONS_TABLE"]
    key = rows.key(which.tenant, which.connection)
    return rows.connection_state(world.aws("dynamodb").get_item(TableName=table, Key=key)["Item"])


def order(which: ConnectionRef) -> Any:
    event = json.loads((ROOT / "events/refresh.json").read_text())
    body = {"why": "due", "min_ttl": 0, "connections": [[which.tenant, which.connection]]}
    event["Records"][0]["body"] = json.dumps(body)
    return event


def test_a_token_sealed_in_another_process_is_given_out(start: Start, connection: ConnectionRef) -> None:
    event = json.loads((ROOT / "events/token.json").read_text())
    event["pathParameters"] = {"tenant": connection.tenant, "connection": connection.connection}

    answer = start("token").invoke(event)

    assert json.loads(answer.payload["body"])["access_token"] == "the-access-token"


def test_a_refresh_that_finds_no_way_to_ninjaone_leaves_the_row_ready_for_the_next(
    start: Start, world: World, connection: ConnectionRef
) -> None:
    before = stored(world, connection)

    answer = start("refresh").invoke(order(connection))

    after = stored(world, connection)
    assert shown(answer.payload) == []
    assert (after.fence, after.lease_until, after.refresh) == (before.fence + 1, None, before.refresh)


def test_a_function_is_told_how_long_it_may_run(world: World, folders: Folders, connection: ConnectionRef) -> None:
    """With less time than a whole refresh takes, none is begun."""
    short = replace(world.template.functions["refresh"], timeout=100)
    with serve(application(world.account)) as aws:
        variables = world.settings("refresh") | {"AWS_ENDPOINT_URL": aws.url}
        with Environment(short, folders, variables) as environment:
            environment.invoke(order(connection))

    assert stored(world, connection).fence == 0
    assert '"refresh.put_off"' in environment.output


# Starting and ending -------------------------------------------------------------------------------------------------


def test_a_missing_setting_fails_the_start_and_names_itself_and_no_value(world: World, folders: Folders) -> None:
    variables = world.settings("token")
    del variables["SEAL_KEY"], variables["URGENT_QUEUE"]

    with Environment(world.template.functions["token"], folders, variables) as environment:
        failure = environment.failed_start.get(timeout=60)

    assert failure["errorType"] == "Misconfigured"
    assert failure["errorMessage"] == "Settings to correct: SEAL_KEY is missing; URGENT_QUEUE is missing."
    assert not any(value in json.dumps(failure) for value in variables.values() if len(value) > 8)


def test_what_is_laid_out_is_what_is_deployed(folders: Folders) -> None:
    """The libraries for this machine have the names and versions of those for Lambda's."""
    deployed = {path.name for path in (BUILT / "LibrariesLayer/python").glob("*.dist-info")}
    here = {path.name for path in (folders.opt / "python").glob("*.dist-info")}

    assert here == deployed
    for task in (folders.root / name for name in ("token/var/task", "refresh/var/task")):
        assert [path.name for path in task.iterdir() if path.suffix == ".py"] == ["app.py"]
