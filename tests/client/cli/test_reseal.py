"""Moving everything under another KMS key while the service goes on."""

import json
from pathlib import Path

import pytest

from broker.adapters import rows
from broker.adapters.seal import wrapped_key
from broker.model import TenantId
from local.world import World
from tests.support.cli import Cli, csv_of, granted, put_rescued


@pytest.fixture
def other_key(world: World, cli: Cli) -> str:
    """A second KMS key, which the deployment seals with from now on."""
    arn: str = world.aws("kms").create_key()["KeyMetadata"]["Arn"]
    handle = cli.folder / ".local.json"
    said = json.loads(handle.read_text())
    said["settings"]["SEAL_KEY"] = arn
    handle.write_text(json.dumps(said))
    return arn


@pytest.fixture(autouse=True)
def same_key_afterwards(cli: Cli) -> object:
    handle = cli.folder / ".local.json"
    held = handle.read_text()
    yield
    handle.write_text(held)


@pytest.fixture
def connected(world: World, cli: Cli, tmp_path: Path) -> list[dict[str, str]]:
    """Three connections, one of them with the customer's own app; refreshed once."""
    lines = [{"tenant_id": f"t{number}", "refresh_token": granted(world), "region": "eu"} for number in range(2)]
    customer_app = {
        "tenant_id": "own",
        "refresh_token": "x",
        "region": "eu",
        "client_id": "theirs",
        "client_secret": "secret",
    }
    names = dict.fromkeys([*lines[0], *customer_app], "")
    made = cli.local("import", str(csv_of(tmp_path, [*(names | line for line in lines), names | customer_app]))).json
    world.run_event_sources()
    return list(made)


def items(world: World) -> list[rows.Item]:
    table = world.settings("refresh")["CONNECTIONS_TABLE"]
    found: list[rows.Item] = world.aws("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    return [item for item in found if not item["tenant"]["S"].startswith("#")]


def keys_of(world: World) -> set[str]:
    """Ask KMS which keys everything is sealed under."""
    blobs = [bytes(item[name]["B"]) for item in items(world) for name in rows.SEALED if name in item]
    purposes = [name for item in items(world) for name in rows.SEALED if name in item]
    asked = zip(blobs, purposes, strict=True)
    return {
        world.aws("kms").decrypt(
            CiphertextBlob=wrapped_key(blob),
            EncryptionContext={"app": "ninjaone-connect", "purpose": purpose},
        )["KeyId"]
        for blob, purpose in asked
    }


def test_everything_comes_under_the_new_key_and_still_opens(
    world: World, cli: Cli, connected: list[dict[str, str]], other_key: str
) -> None:
    sealed = sum(name in item for item in items(world) for name in rows.SEALED)

    ended = cli.local("reseal")

    assert ended.json == {"resealed": 4, "already": 2}
    assert sealed == 6
    assert keys_of(world) == {other_key}
    token = cli.local("token", connected[0]["tenant_id"], connected[0]["connection_id"]).json["access_token"]
    assert world.ninjaone.oracle.accepts("eu.ninjarmm.com", token)


def test_a_second_run_finds_nothing_to_do(
    world: World, cli: Cli, connected: list[dict[str, str]], other_key: str
) -> None:
    cli.local("reseal")
    before = items(world)

    ended = cli.local("reseal")

    assert ended.json == {"resealed": 0, "already": 6}
    assert items(world) == before


def test_what_is_rescued_moves_along(world: World, cli: Cli, connected: list[dict[str, str]], other_key: str) -> None:
    key = f"rescue/{connected[0]['tenant_id']}/{connected[0]['connection_id']}/2"
    put_rescued(world, key)

    assert cli.local("reseal").json["resealed"] == 5
    assert (cli.local("rescue", "adopt").code, keys_of(world)) == (0, {other_key})


def test_a_row_that_changes_meanwhile_is_left_and_taken_up_again(
    world: World, cli: Cli, connected: list[dict[str, str]], other_key: str
) -> None:
    """A refresh stores new tokens between the look at a row and the write: the new ones win, and are resealed after."""
    from ninjaone_connect_cli.deployment import on_this_machine
    from ninjaone_connect_cli.reseal import Reseal

    resealing = Reseal(on_this_machine(cli.folder))
    read = list(resealing.store.items())
    (changed, *_) = [row for row in read if row.state]
    world.aws("dynamodb").update_item(
        TableName=world.settings("refresh")["CONNECTIONS_TABLE"],
        Key={name: changed.item[name] for name in ("tenant", "connection")},
        UpdateExpression="ADD version :one, fence :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

    outcomes = {row.key: resealing.one(row) for row in read if row.state}

    assert outcomes.pop(changed.key) == "busy"
    assert set(outcomes.values()) == {"resealed"}
    assert cli.local("reseal").code == 0
    assert keys_of(world) == {other_key}


def test_a_refusal_of_kms_stops_with_a_sentence_and_leaves_everything_as_it_was(
    world: World, cli: Cli, connected: list[dict[str, str]]
) -> None:
    handle = cli.folder / ".local.json"
    said = json.loads(handle.read_text())
    said["settings"]["SEAL_KEY"] = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    handle.write_text(json.dumps(said))
    before = items(world)

    ended = cli("--local", "reseal")

    assert ended.code == 1
    assert "kms:ReEncryptFrom" in ended.err
    assert items(world) == before


def test_what_does_not_open_is_named_and_the_rest_comes_under_the_new_key(
    world: World, cli: Cli, connected: list[dict[str, str]], other_key: str
) -> None:
    table, first = world.settings("refresh")["CONNECTIONS_TABLE"], connected[0]
    key = rows.key(TenantId(first["tenant_id"]), first["connection_id"])
    held = bytearray(world.aws("dynamodb").get_item(TableName=table, Key=key)["Item"]["refresh"]["B"])
    held[40] ^= 1
    world.aws("dynamodb").update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET #refresh = :broken, #client = :broken_too",
        ExpressionAttributeNames={"#refresh": "refresh", "#client": "client"},
        ExpressionAttributeValues={":broken": {"B": bytes(held)}, ":broken_too": {"B": b"?"}},
    )
    bucket = world.settings("refresh")["RESCUE_BUCKET"]
    world.aws("s3").put_object(Bucket=bucket, Key="rescue/readme.txt", Body=b"hello")

    ended = cli.local("reseal")

    world.aws("s3").delete_object(Bucket=bucket, Key="rescue/readme.txt")
    assert ended.code == 1
    assert ended.json == {"resealed": 3, "already": 2, "does not open": 2}
    assert (
        f"{first['tenant_id']} {first['connection_id']}: refresh, client\nrescue/readme.txt"
        in json.loads(ended.err)["error"]
    )
    world.aws("dynamodb").update_item(TableName=table, Key=key, UpdateExpression="REMOVE #r, #c",
                                      ExpressionAttributeNames={"#r": "refresh", "#c": "client"})  # fmt: skip
    assert keys_of(world) == {other_key}
