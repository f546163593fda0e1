"""`ninjaone-connect watch`: what an operator sees of the whole fleet at a glance."""

from pathlib import Path

from broker.adapters.aws import AwsClient
from broker.adapters.breakers import BreakerStore, host_breaker
from broker.model import Instant, TenantId
from local.world import World
from tests.support.cli import HOST, Cli, csv_of


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

    assert sum(seen[status] for status in ("active", "needs_reauth", "pending_approval", "disconnected")) == 3
    assert [each["breaker"] for each in seen["breakers"]] == [host_breaker(HOST)]
    assert seen["breakers"][0]["cause"] == "502"
    assert {each["tenant_id"] for each in seen["next"]} == {"t0", "t1", "t2"}


def test_for_a_person_without_a_terminal_it_looks_once_in_words(cli: Cli) -> None:
    ended = cli("--local", "watch")

    assert ended.code == 0
    assert "No breaker is open." in ended.err
    assert "No refresh is planned." in ended.err
