"""The restore drill: connections are lost, a backup is brought back, tried with a few, and activated."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.adapters import rows
from broker.model import ConnectionRef, Status
from local.world import World
from ninjaone_connect_cli.names import Moment
from tests.support.cli import Cli, csv_of, granted, state_rows

CUSTOMERS = 5


@pytest.fixture
def fleet(world: World, cli: Cli, tmp_path: Path) -> list[ConnectionRef]:
    """Five customers' connections, all refreshed once."""
    lines = [
        {"tenant_id": f"c{number}", "refresh_token": granted(world), "region": "eu"} for number in range(CUSTOMERS)
    ]
    made = cli.local("import", str(csv_of(tmp_path, lines))).json
    world.run_event_sources()
    return [ConnectionRef(each["tenant_id"], each["connection_id"]) for each in made]


def table(world: World) -> str:
    return world.settings("refresh")["CONNECTIONS_TABLE"]


@pytest.fixture
def backup(world: World, cli: Cli, fleet: list[ConnectionRef]) -> Iterator[str]:
    """The table as it is now, brought back under another name."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = cli.local("restore", "begin", "--at", now)
    assert made.code == 0, made.err
    yield made.json["table"]
    world.aws("dynamodb").delete_table(TableName=made.json["table"])


def lose(world: World, ref: ConnectionRef) -> None:
    """Delete a connection's rows, as a bad script does."""
    for key in (ref.connection, ref.connection + rows.PROFILE):
        world.aws("dynamodb").delete_item(TableName=table(world), Key=rows.key(ref.tenant, key))


def asked(world: World) -> int:
    """Count what NinjaOne was asked for tokens so far."""
    return sum(line.count('"refresh.answered"') for line in world.log_lines)


def test_the_drill(world: World, cli: Cli, fleet: list[ConnectionRef], backup: str) -> None:
    """Four of five are lost; they come back inert, one is tried, then all are refreshed and used again."""
    for ref in fleet[1:]:
        lose(world, ref)

    copied = cli.local("restore", "copy", backup)
    before = asked(world)
    world.run_event_sources()

    assert copied.json == {"kept as it is": 1, "copied": 4}
    assert {row.epoch for ref, row in state_rows(world).items() if ref != fleet[0]} == {0}
    assert asked(world) == before, "nothing that was brought back is presented before it is activated"

    probed = cli.local("restore", "probe", "--count", "1")

    assert (probed.code, [each["outcome"] for each in probed.json]) == (0, ["renewed"])
    assert sorted(row.version for row in state_rows(world).values()) == [2, 2, 2, 2, 3]

    activated = cli.local("restore", "activate", "--yes")
    world.run_event_sources()

    assert activated.json == {"activated": 3, "changed meanwhile": 0}
    for ref in fleet:
        used = cli.local("token", ref.tenant, ref.connection).json
        assert world.ninjaone.oracle.accepts("eu.ninjarmm.com", used["access_token"])
    assert cli.local("doctor").code == 0


@pytest.mark.req("J08")
def test_a_table_brought_back_under_its_own_name_presents_nothing_until_it_is_activated(
    world: World, cli: Cli, fleet: list[ConnectionRef]
) -> None:
    held = cli.local("epoch", "hold", "--yes")
    world.clock.advance(61)  # functions keep the epoch for a minute
    before = asked(world)
    for ref in fleet:
        world.aws("dynamodb").update_item(
            TableName=table(world),
            Key=rows.key(ref.tenant, ref.connection),
            UpdateExpression="SET refresh_at = :now",
            ExpressionAttributeValues={":now": {"N": str(int(world.clock.now()))}},
        )
    world.run_event_sources()

    assert held.json["epoch"] == 2
    assert asked(world) == before
    assert cli.local("epoch", "show", "--count").json["connections of epoch 1"] == CUSTOMERS

    cli.local("restore", "activate", "--yes")
    assert {row.outcome_unknown for row in state_rows(world).values()} == {True}, (
        "what was rescued meanwhile is looked for first"
    )
    world.run_event_sources()
    cli.local("epoch", "activate", "--epoch", "1", "--yes")
    world.clock.advance(61)


@pytest.mark.req("J09")
def test_a_connection_that_was_ended_after_the_backup_stays_ended(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    ended = fleet[0]
    cli.local("connections", "disconnect", ended.tenant, ended.connection, "--yes")

    assert cli.local("restore", "copy", backup, "--replace-broken").json == {"kept as it is": CUSTOMERS}
    assert state_rows(world)[ended].status is Status.DISCONNECTED


def test_a_newer_token_is_never_replaced_by_that_of_the_backup(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    before = state_rows(world)

    assert cli.local("restore", "copy", backup, "--replace-broken").json == {"kept as it is": CUSTOMERS}
    assert state_rows(world) == before


def test_a_row_that_was_damaged_is_replaced_when_that_is_asked_for(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    damaged = fleet[2]
    world.aws("dynamodb").update_item(
        TableName=table(world),
        Key=rows.key(damaged.tenant, damaged.connection),
        UpdateExpression="SET #refresh = :rubbish",
        ExpressionAttributeNames={"#refresh": "refresh"},
        ExpressionAttributeValues={":rubbish": {"B": b"\x01\x00\x04xxxx" + bytes(40)}},
    )

    kept = cli.local("restore", "copy", backup)
    replaced = cli.local("restore", "copy", backup, "--replace-broken")
    probed = cli.local("restore", "probe")

    assert kept.json == {"kept as it is": CUSTOMERS}
    assert replaced.json == {"kept as it is": CUSTOMERS - 1, "copied": 1}
    assert [(each["connection_id"], each["outcome"]) for each in probed.json] == [(damaged.connection, "renewed")]


def damaged(world: World, ref: ConnectionRef, **attributes: dict[str, str]) -> None:
    """Write into a row by hand."""
    for name, cell in attributes.items():
        world.aws("dynamodb").update_item(
            TableName=table(world),
            Key=rows.key(ref.tenant, ref.connection),
            UpdateExpression="SET #name = :cell",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":cell": cell},
        )


def test_a_row_that_cannot_be_read_stops_nobody_and_comes_back_when_that_is_asked_for(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    unreadable, lost, later = fleet[:3]
    damaged(world, unreadable, status={"S": "frozen"})
    damaged(world, later, status={"S": "frozen"}, schema={"N": "99"})
    lose(world, lost)

    shown = cli.local("epoch", "show", "--count")
    looked = cli.local("restore", "copy", backup, "--dry-run")
    copied = cli.local("restore", "copy", backup, "--replace-broken")

    rest = {"kept as it is": 2, "kept: a later release wrote it": 1}
    assert shown.code == 0
    assert looked.json == {**rest, "can't be read (--replace-broken)": 1, "would be copied": 1}
    assert copied.json == {**rest, "copied": 2}
    assert cli.local("restore", "activate", "--yes").json == {"activated": 2, "changed meanwhile": 0}


def test_what_was_disconnected_and_then_damaged_is_never_revived(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    for number, ref in enumerate(fleet[:2]):
        cli.local("connections", "disconnect", ref.tenant, ref.connection, "--yes")
        damaged(world, ref, version={"S": "many"}, **({"status": {"S": "gone"}} if number else {}))

    copied = cli.local("restore", "copy", backup, "--replace-broken")

    assert copied.json == {"kept: it was disconnected": 2, "kept as it is": CUSTOMERS - 2}
    assert cli.local("restore", "activate", "--yes").json == {"activated": 0, "changed meanwhile": 0}


def test_a_profile_that_is_gone_comes_back_to_its_connection(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    ref = fleet[0]
    before = state_rows(world)
    world.aws("dynamodb").delete_item(TableName=table(world), Key=rows.key(ref.tenant, ref.connection + rows.PROFILE))
    assert cli.local("connections", "list", ref.tenant).json == []

    looked = cli.local("restore", "copy", backup, "--dry-run").json
    copied = cli.local("restore", "copy", backup).json

    assert looked == {"kept as it is": CUSTOMERS - 1, "its profile would be copied": 1}
    assert copied == {"kept as it is": CUSTOMERS - 1, "profile copied": 1}
    assert [each["connection_id"] for each in cli.local("connections", "list", ref.tenant).json] == [ref.connection]
    assert state_rows(world) == before


def test_a_connection_that_waits_for_its_approval_is_activated_with_the_rest(
    world: World, cli: Cli, fleet: list[ConnectionRef]
) -> None:
    damaged(world, fleet[0], status={"S": "pending_approval"})
    world.aws("dynamodb").update_item(
        TableName=table(world),
        Key=rows.key(fleet[0].tenant, fleet[0].connection),
        UpdateExpression="REMOVE refresh_at, due_shard",
    )
    cli.local("epoch", "hold", "--yes")

    cli.local("restore", "activate", "--yes")

    waiting = state_rows(world)[fleet[0]]
    assert {row.epoch for row in state_rows(world).values()} == {2}
    assert (waiting.status, waiting.refresh_at, waiting.due_shard) == (Status.PENDING_APPROVAL, None, None)
    cli.local("epoch", "activate", "--epoch", "1", "--yes")
    world.clock.advance(61)


def test_a_connection_that_needs_its_customer_is_no_probe(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    for ref in fleet:
        damaged(world, ref, status={"S": "needs_reauth"}, reason={"S": "revoked"}, epoch={"N": "0"})

    assert "There is nothing to probe" in cli("--local", "restore", "probe").err


def test_a_dry_run_copies_nothing(world: World, cli: Cli, fleet: list[ConnectionRef], backup: str) -> None:
    lose(world, fleet[0])

    ended = cli.local("restore", "copy", backup, "--dry-run")

    assert ended.json == {"kept as it is": CUSTOMERS - 1, "would be copied": 1}
    assert fleet[0] not in state_rows(world)


def test_a_token_that_ninjaone_replaced_after_the_backup_is_said_to_be_lost(
    world: World, cli: Cli, fleet: list[ConnectionRef], backup: str
) -> None:
    lost = fleet[0]
    for each in world.ninjaone.oracle.grants():
        world.ninjaone.admin.revoke_grant(each.id)
    lose(world, lost)
    cli.local("restore", "copy", backup)

    probed = cli.local("restore", "probe", "--count", "1")

    assert probed.code == 1
    assert [each["outcome"] for each in probed.json] == ["refused"]
    assert "Not all were renewed" in probed.err


def test_the_live_table_is_no_backup(world: World, cli: Cli) -> None:
    assert cli("--local", "restore", "copy", table(world)).err.strip().endswith("Name the restored one.")


def test_with_nothing_to_probe_one_is_told(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    assert "There is nothing to probe" in cli("--local", "restore", "probe").err


def test_a_backup_older_than_the_memory_of_what_was_ended_is_refused(cli: Cli) -> None:
    assert "That is too far back" in cli("--local", "restore", "begin", "--at", "2020-01-01T00:00:00Z").err


# What people type ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["2026-11-23", "23.11.2026 14:00", "yesterday", "", "1790000000"])
def test_an_instant_that_is_none_says_how_to_write_it(cli: Cli, typed: str) -> None:
    ended = cli("--local", "restore", "begin", "--at", typed)

    assert ended.code == 2
    assert "An instant is a date and a time in UTC, such as 2026-11-23T14:00:00Z." in ended.err


@pytest.mark.parametrize("typed", ["2999-01-01 00:00", "2999-01-01T02:00:00+05:30", "2999-01-01T02:00:00Z"])
def test_nothing_is_restored_from_the_future(cli: Cli, typed: str) -> None:
    ended = cli("--local", "restore", "begin", "--at", typed, "--no-wait")

    assert (ended.code, ended.err.startswith("That is in the future: it is ")) == (1, True)


@pytest.mark.parametrize("typed", ["2026-11-23T16:00:00+02:00", " 2026-11-23 14:00\u200b", "2026-11-23T14:00:00Z"])
def test_an_instant_is_read_in_its_zone(typed: str) -> None:
    assert Moment().convert(typed, None, None) == datetime(2026, 11, 23, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("", 2, "A table's name is 3 to 255 letters"),
        ("my table", 2, "A table's name is 3 to 255 letters"),
        ("t\u00e4ble", 2, "showed it; it holds U+00E4."),
        ("Connections-20261123T140000", 1, "There is no table Connections-20261123T140000 yet: name it as"),
    ],
)
def test_a_table_that_is_none_is_said_to_be_none(cli: Cli, table: str, code: int, says: str) -> None:
    ended = cli("--local", "restore", "copy", "--", table)

    assert (ended.code, says in ended.err) == (code, True), ended.err
