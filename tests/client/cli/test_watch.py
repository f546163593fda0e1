"""`ninjaone-connect watch`: what an operator sees of the whole fleet at a glance."""

import re
import time
from pathlib import Path

from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, host_breaker
from broker.model import Instant, TenantId
from local.world import World
from ninjaone_connect_cli.screen import fitted
from ninjaone_connect_cli.watch import COLUMNS
from tests.support.cli import HOST, Cli, csv_of, state_rows, write


def imported(cli: Cli, folder: Path, count: int) -> None:
    lines = [
        {"tenant_id": f"t{number}", "refresh_token": f"token-{number}-" * 5, "region": "eu", "key": str(number)}
        for number in range(count)
    ]
    assert cli("--local", "import", str(csv_of(folder, lines))).code == 0


def open_breaker(world: World) -> None:
    table = world.settings("refresh")["CONNECTIONS_TABLE"]
    store, now = BreakerStore(AwsClient("dynamodb", world.aws("dynamodb")), table), Instant(1_800_000_000)
    seen = store.add_failure(host_breaker(HOST), TenantId("t1"), now, "502")
    store.open(host_breaker(HOST), seen, now, "502")


def test_one_look_counts_states_and_names_open_breakers_and_the_next_refreshes(
    cli: Cli, world: World, folder: Path
) -> None:
    imported(cli, folder, 3)
    open_breaker(world)

    seen = cli.local("watch").json

    assert (seen["paused"], seen["active"]) == (3, 0), "they have no token, and their host renews none"
    assert [each["breaker"] for each in seen["breakers"]] == [host_breaker(HOST)]
    assert seen["breakers"][0]["cause"] == "502"
    assert {each["tenant_id"] for each in seen["next"]} == {"t0", "t1", "t2"}


def test_for_a_person_without_a_terminal_it_looks_once_in_words(cli: Cli) -> None:
    ended = cli("--local", "watch")

    assert ended.code == 0
    assert "No breaker is open." in ended.err
    assert "No refresh is planned." in ended.err


def counted(cli: Cli, *names: str) -> list[int]:
    seen = cli.local("watch").json
    return [seen[name] for name in names]


def test_a_connection_that_fails_is_counted_as_the_list_and_the_doctor_name_it(
    cli: Cli, world: World, folder: Path
) -> None:
    imported(cli, folder, 3)
    first, second, _ = state_rows(world)
    write(world, first, failures=2, cause="status_500", token_expires_at=int(time.time()) + 600)
    write(world, second, failures=1, cause="status_500", token_expires_at=int(time.time()) - 60)

    seen = cli("--local", "watch").out
    listed = cli.local("connections", "list", "--status", "paused").json

    assert {each["connection_id"] for each in listed} == {first.connection, second.connection}
    assert re.search(r"^paused +2$", seen, re.MULTILINE), seen
    assert counted(cli, "paused", "failing", "active") == [2, 2, 1]


def test_tokens_expire_by_the_clock_of_the_deployment(cli: Cli, world: World, folder: Path) -> None:
    imported(cli, folder, 1)
    (ref,) = state_rows(world)
    before = world.clock.offset
    write(world, ref, status="active", access=b"sealed", token_expires_at=int(world.clock.now()) + 3600)
    valid = counted(cli, "tokens_expired")
    world.clock.advance(2 * 3600)
    try:
        expired = counted(cli, "tokens_expired")
        (finding,) = [each for each in cli.local("doctor").json if each["check"] == "tokens"]
    finally:
        world.clock.offset = before

    assert (valid, expired, finding["state"]) == ([0], [1], "fix")


def test_of_the_next_refreshes_the_tenant_is_left_out_before_the_failures() -> None:
    assert list(fitted({**dict.fromkeys(COLUMNS, 10)}, 36)) == ["connection_id", "failures", "refresh_at"]
