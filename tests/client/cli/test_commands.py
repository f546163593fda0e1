"""The everyday commands against the local world, for people and for machines."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest

from local.browser import Browser
from local.world import World
from ninjaone_connect_cli.calls import ticket_of
from ninjaone_connect_cli.names import CONNECTION, TENANT
from tests.support.cli import Cli, bare_environment, csv_of, granted, put_rescued, state_rows
from tests.support.person import decide


@pytest.fixture
def connected(world: World, cli: Cli, tmp_path: Path) -> tuple[str, str]:
    """A connection with tokens that NinjaOne takes: tenant and id."""
    line = {"tenant_id": "northwind", "refresh_token": granted(world), "region": "eu", "label": "Main"}
    (made,) = cli.local("import", str(csv_of(tmp_path, [line]))).json
    world.run_event_sources()
    return made["tenant_id"], made["connection_id"]


def test_a_person_sees_a_table_with_words_and_a_machine_gets_numbers(cli: Cli, connected: tuple[str, str]) -> None:
    tenant, connection = connected

    seen, read = cli("--local", "connections", "list", tenant), cli.local("connections", "list", tenant)

    heading, row, *_ = seen.out.splitlines()
    assert heading.split()[:3] == ["connection", "status", "reason"]
    assert row.split()[:2] == [connection, "active"]
    assert "in 3" in row, "the next refresh is in half an hour"
    assert [(each["connection_id"], each["version"]) for each in read.json] == [(connection, 2)]
    assert isinstance(read.json[0]["refresh_at"], int)


def test_nothing_to_list_is_said_and_is_no_failure(cli: Cli) -> None:
    seen, read = cli("--local", "connections", "list", "nobody"), cli.local("connections", "list", "nobody")

    assert (seen.code, seen.out, seen.err) == (
        0,
        "",
        "There is no connection of the tenant nobody. Without a tenant, all are listed.\n",
    )
    assert (read.code, read.json) == (0, [])


def test_an_unknown_connection_is_one_sentence(cli: Cli) -> None:
    ended = cli("--local", "token", "northwind", "con_" + "a" * 26)

    assert ended.code == 1
    assert ended.err.startswith("There is no such connection in this tenant.")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("around", ["{}\u200b", '"{}",', "\u2018{}\u2019", " <{}>\r\n", "'{}'"])
def test_a_name_is_read_as_it_is_copied(around: str) -> None:
    connection = "con_" + "a" * 26

    assert TENANT.convert(around.format("north-wind"), None, None) == "north-wind"
    assert CONNECTION.convert(around.format(connection), None, None) == connection


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("n\u043erthwind", "underscores; it holds U+043E."),
        ("north\u00adwind", "underscores; it holds U+00AD."),
        ("no\uff0drth", "underscores; it holds U+FF0D."),
        ("north wind", "underscores."),
        ("", "underscores."),
    ],
)
def test_a_name_that_is_none_names_what_does_not_show(typed: str, says: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        TENANT.convert(typed, None, None)

    assert refused.value.message == f"A tenant is 1 to 64 letters, digits, dots, hyphens or {says}"


def test_a_session_opened_by_hand_leads_to_the_connect_page(world: World, cli: Cli) -> None:
    opened = cli.local("session", "open", "northwind", "--name", "Northwind").json

    assert opened["connect_url"].startswith(f"{world.connect_url}/connect/ses_")
    assert len(opened["binding_verifier"]) == 43


def back(connect_url: str, decision: str = "Authorize") -> str:
    """Agree at NinjaOne; give the address where a browser ends that nobody signed in with."""
    with Browser() as person:
        person.open(connect_url)
        decide(person, decision=decision)
        return person.arrive().url


class Pasting:
    """Somebody who follows the link once they are asked for the address."""

    def __init__(self, err: StringIO, *before: str, decision: str = "Authorize") -> None:
        self._err, self._before, self._decision = err, list(before), decision

    def readline(self, *_: Any) -> str:
        if self._before:
            return f"{self._before.pop(0)}\n"
        link = re.search(r"http://\S+/connect/ses_\S+", self._err.getvalue())
        assert link
        return f" {back(link[0], self._decision)}\n"


@pytest.mark.parametrize("before", [(), ("https://app.example.com/", "connect_session=ses_x&ticket=t")])
def test_a_deployment_is_tried_without_a_product_as_the_doctor_says(
    world: World, cli: Cli, before: tuple[str, ...]
) -> None:
    (todo,) = [each["todo"] for each in cli.local("doctor").json if each["check"] == "first connection"]
    command = todo.partition("without a product: ninjaone-connect ")[2]

    ended = cli("--json", *command.split(), stdin=lambda err: Pasting(err, *before))

    assert ended.code == 0, ended.err
    assert (ended.json["tenant_id"], ended.json["status"]) == ("trial", "active")
    assert ended.err.count("This is not where the link led to") == len(before)
    assert [each["state"] for each in cli.local("doctor").json if each["check"] == "first connection"] == ["ok"]


BACK = f"https://app.example.com/back?connect_session=ses_x&ticket={'t' * 43}"


@pytest.mark.parametrize(
    "pasted",
    [
        BACK,
        f" {BACK}\r",
        f"<{BACK}>",
        f"[{BACK}]({BACK})",
        f"\u201c{BACK}\u201d",
        f"//[ {BACK}",
        f"see\u00a0{BACK}#top",
    ],
)
def test_the_address_is_read_as_people_paste_it(pasted: str) -> None:
    assert ticket_of(pasted, "ses_x") == "t" * 43


@pytest.mark.parametrize(
    "pasted",
    [BACK[:-1], f"{BACK}t", "https://[half/?ticket=t", "//\u2100/", BACK.replace("ses_x", "ses_y"), "", "\udcff"],
)
def test_an_address_that_is_another_or_cut_off_is_asked_for_again(pasted: str) -> None:
    with pytest.raises(click.BadParameter, match="copy the whole address"):
        ticket_of(pasted, "ses_x")


def test_whoever_stops_at_the_address_has_connected_nothing(world: World, cli: Cli) -> None:
    ended = cli("--local", "session", "open", "northwind", "--name", "Northwind", "--complete", typed="")

    assert (ended.code, state_rows(world)) == (130, {})
    assert ended.err.rstrip().endswith("Nothing was changed.")


def test_whoever_denies_access_is_told_that_nothing_was_connected(world: World, cli: Cli) -> None:
    opening = ("--local", "session", "open", "northwind", "--name", "Northwind", "--complete")

    ended = cli(*opening, stdin=lambda err: Pasting(err, decision="Deny access"))

    assert (ended.code, state_rows(world)) == (1, {})
    assert "Access was denied at NinjaOne, so nothing was connected." in ended.err


def test_a_link_for_a_new_client_secret_needs_an_app_of_the_customer_s_own(
    cli: Cli, connected: tuple[str, str]
) -> None:
    tenant, connection = connected
    opening = ("session", "open", tenant, "--name", "Northwind", "--new-secret", connection)

    refused, both = cli.local(*opening), cli.local(*opening, "--reconnect", connection)

    assert (refused.code, both.code) == (1, 1)
    assert "the operator's client app" in refused.out + refused.err
    assert "not both" in both.out + both.err


def test_a_connection_is_ended_after_a_question(world: World, cli: Cli, connected: tuple[str, str]) -> None:
    refused = cli("--local", "--json", "connections", "disconnect", *connected, typed="n\n")
    before = {row.status for row in state_rows(world).values()}
    ended = cli.local("connections", "disconnect", *connected, "--yes")

    assert (refused.code, refused.out, before) == (1, "", {"active"})
    assert refused.err.startswith("northwind, Main on eu.ninjarmm.com: the customer would have to connect again.")
    assert json.loads(refused.err.partition("[y/N]: ")[2]) == {"error": "Nothing was changed.", "exit_code": 1}
    assert ended.json == {"connection_id": connected[1], "status": "disconnected", "revoked": True}


@pytest.mark.parametrize(
    ("command", "typed", "code"),
    [
        (("epoch", "hold"), "n\n", 1),
        (("epoch", "activate"), "\n", 1),
        (("restore", "activate"), "no\n", 1),
        (("connections", "disconnect-all"), "", 130),
    ],
)
def test_nothing_is_changed_without_a_yes(
    world: World, cli: Cli, connected: tuple[str, str], command: tuple[str, str], typed: str, code: int
) -> None:
    parameter, before = world.settings("refresh")["EPOCH_PARAMETER"], state_rows(world)
    epoch = world.aws("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]

    ended = cli("--local", *command, typed=typed)

    assert (ended.code, ended.err.rstrip().endswith("Nothing was changed.")) == (code, True)
    assert world.aws("ssm").get_parameter(Name=parameter)["Parameter"]["Value"] == epoch
    assert state_rows(world) == before


@pytest.fixture
def fleet(world: World, cli: Cli, tmp_path: Path) -> list[tuple[str, str]]:
    """Two tenants' connections with tokens that NinjaOne takes."""
    lines = [
        {"tenant_id": tenant, "refresh_token": granted(world), "region": "eu", "label": "Main"}
        for tenant in ("contoso", "northwind")
    ]
    made = cli.local("import", str(csv_of(tmp_path, lines))).json
    world.run_event_sources()
    return [(each["tenant_id"], each["connection_id"]) for each in made]


def test_every_connection_of_every_tenant_is_ended_after_a_question(
    world: World, cli: Cli, fleet: list[tuple[str, str]]
) -> None:
    refused = cli("--local", "connections", "disconnect-all", typed="n\n")
    before = {row.status for row in state_rows(world).values()}
    ended = cli.local("connections", "disconnect-all", "--yes")
    again = cli("--local", "connections", "disconnect-all", "--yes")

    assert (refused.code, before) == (1, {"active"})
    assert (ended.code, ended.json) == (0, [])
    assert {row.status for row in state_rows(world).values()} == {"disconnected"}
    assert "0 connections ended" in again.err, "what ended before is left alone"


def test_a_revocation_that_ninjaone_does_not_confirm_is_listed(
    world: World, cli: Cli, fleet: list[tuple[str, str]]
) -> None:
    before = world.ninjaone.switches.revoke
    world.ninjaone.switches.update({"revoke": "404"})
    try:
        ended = cli.local("connections", "disconnect-all", "--yes")
    finally:
        world.ninjaone.switches.update({"revoke": before})

    assert ended.code == 0, "they ended here; what is left is their customers' to do"
    assert sorted((each["tenant_id"], each["connection_id"]) for each in ended.json) == sorted(fleet)
    assert {each["outcome"] for each in ended.json} == {"ended, NinjaOne did not confirm the revocation"}


def test_a_connection_that_could_not_be_ended_is_listed_and_the_others_are_ended(
    world: World, cli: Cli, fleet: list[tuple[str, str]]
) -> None:
    (tenant, connection), other = fleet
    table = world.settings("refresh")["CONNECTIONS_TABLE"]
    damaged = {"tenant": {"S": tenant}, "connection": {"S": connection}, "status": {"S": "frozen"}}
    world.aws("dynamodb").put_item(TableName=table, Item=damaged)

    ended = cli.local("connections", "disconnect-all", "--yes")

    assert ended.code == 1
    assert [each["connection_id"] for each in ended.json] == [connection]
    assert cli.local("connections", "show", *other).json["status"] == "disconnected"


# The doctor ----------------------------------------------------------------------------------------------------------


def test_the_doctor_finds_a_whole_deployment_in_place(cli: Cli) -> None:
    ended = cli.local("doctor")

    assert ended.code == 0
    assert [each["check"] for each in ended.json if each["state"] != "ok"] == ["first connection"]
    assert {"client secret (eu)", "client app (eu)", "redirect URI (eu)", "backend API", "clock", "epoch"} <= {
        each["check"] for each in ended.json
    }
    assert cli("--local", "doctor").err.strip().endswith("Nothing has to be put right.")


def test_the_doctor_says_when_nothing_is_left(cli: Cli, connected: tuple[str, str]) -> None:
    assert cli("--local", "doctor").err.strip().endswith("Everything is in place.")


def found(cli: Cli, check: str) -> dict[str, str]:
    """Give what the doctor says of one thing, which is not well."""
    ended = cli.local("doctor")
    assert ended.code == 1
    (finding,) = [each for each in ended.json if each["check"] == check]
    assert finding["todo"]
    assert finding["state"] == "fix"
    return finding  # type: ignore[no-any-return]  # read from JSON


def test_the_doctor_names_a_missing_client_secret_and_the_command_that_stores_it(world: World, cli: Cli) -> None:
    secret = world.settings("refresh")["CLIENT_SECRETS"]
    held = world.aws("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    eu = world.settings("refresh")["CLIENT_IDS"].partition("eu=")[2].partition(",")[0]
    world.account.put_secret(
        secret, json.dumps({name: value for name, value in json.loads(held).items() if name != eu})
    )
    try:
        finding = found(cli, "client secret (eu)")
    finally:
        world.account.put_secret(secret, held)

    assert finding["todo"].startswith("aws secretsmanager put-secret-value")


def test_the_doctor_names_a_client_app_that_ninjaone_does_not_know(world: World, cli: Cli) -> None:
    eu = world.settings("refresh")["CLIENT_IDS"].partition("eu=")[2].partition(",")[0]
    apps = world.ninjaone.state.apps
    app = apps.pop(eu)
    try:
        finding = found(cli, "client app (eu)")
    finally:
        apps[eu] = app

    assert "knows no client app" in finding["says"]


def test_the_doctor_names_a_table_that_is_not_activated(world: World, cli: Cli) -> None:
    name = world.settings("refresh")["EPOCH_PARAMETER"]
    held = world.aws("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    world.aws("ssm").put_parameter(Name=name, Value='{"epoch": 1, "table": "another"}', Overwrite=True)
    try:
        finding = found(cli, "epoch")
    finally:
        world.aws("ssm").put_parameter(Name=name, Value=held, Overwrite=True)

    assert finding["says"] == "the active table is another"


def test_the_doctor_names_every_redirect_uri_where_no_name_leads(cli: Cli) -> None:
    handle = cli.folder / ".local.json"
    held = handle.read_text()
    said = json.loads(held)
    said["settings"]["CONNECT_URL"] = "https://connect.nowhere.invalid"
    handle.write_text(json.dumps(said))

    found = cli.local("doctor")

    handle.write_text(held)
    named = [each for each in found.json if each["check"].startswith("redirect URI")]
    assert found.code == 1
    assert len(named) > 1
    assert {each["todo"] for each in named} == {"Does the DNS name connect.nowhere.invalid point at the stack?"}


def test_the_doctor_names_connections_that_are_overdue(world: World, cli: Cli, connected: tuple[str, str]) -> None:
    tenant, connection = connected
    world.aws("dynamodb").update_item(
        TableName=world.settings("refresh")["CONNECTIONS_TABLE"],
        Key={"tenant": {"S": tenant}, "connection": {"S": connection}},
        UpdateExpression="SET refresh_at = :long_ago, lease_until = :long",
        ExpressionAttributeValues={":long_ago": {"N": "1000000000"}, ":long": {"N": "9000000000"}},
    )

    assert "1 connection is overdue" in found(cli, "refreshing")["says"]


def test_next_names_one_thing_at_a_time_until_somebody_has_connected(
    world: World, cli: Cli, request: pytest.FixtureRequest
) -> None:
    secret = world.settings("refresh")["CLIENT_SECRETS"]
    held = world.aws("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    eu = world.settings("refresh")["CLIENT_IDS"].partition("eu=")[2].partition(",")[0]
    world.account.put_secret(secret, json.dumps(json.loads(held) | {eu: "another"}))
    try:
        several = cli("--local", "doctor", "--next")
        listed = cli.local("doctor", "--next")
    finally:
        world.account.put_secret(secret, held)
    one = cli("--local", "doctor", "--next")
    request.getfixturevalue("connected")
    none = cli("--local", "doctor", "--next")

    assert (several.code, several.err.strip()) == (1, "2 things are left to do.")
    assert [line.partition(": ")[0] for line in several.out.splitlines()[::2]] == ["client secret (eu)", "Then"]
    assert several.out.splitlines()[-1] == "Then: first connection"
    assert [each["check"] for each in listed.json] == ["client secret (eu)", "first connection"]
    assert (one.code, one.err.strip()) == (1, "One thing is left to do.")
    assert "execute-api:Invoke" in one.out
    assert (none.code, none.out, none.err.strip()) == (0, "", "Nothing is left to do.")


# The rescue store ----------------------------------------------------------------------------------------------------


def test_what_waits_in_the_rescue_store_is_listed_and_taken_into_its_row(
    world: World, cli: Cli, connected: tuple[str, str]
) -> None:
    """As after a DynamoDB that refused: the tokens of the next version lie in S3."""
    tenant, connection = connected
    (row,) = state_rows(world).values()
    key = f"rescue/{tenant}/{connection}/{row.version}"
    put_rescued(world, key)

    listed = cli.local("rescue", "list")
    restored = cli.local("rescue", "adopt")

    assert [(each["connection_id"], each["version"]) for each in listed.json] == [(connection, 2)]
    assert (restored.code, restored.json[0]["outcome"]) == (0, "done")
    (after,) = state_rows(world).values()
    assert after.version == 3
    assert cli.local("token", tenant, connection).json["access_token"] == "rescued-access"


def test_an_empty_rescue_store_is_good_news(cli: Cli) -> None:
    assert cli("--local", "rescue", "list").err == "Nothing waits: every token is in its row.\n"
    assert cli.local("rescue", "adopt").json == []


# Where it acts -------------------------------------------------------------------------------------------------------


def test_outside_a_clone_one_is_told_where_to_go(tmp_path: Path) -> None:
    ended = Cli(tmp_path, bare_environment())("--local", "doctor")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"{tmp_path} is not inside a clone of NinjaOne Connect")


def test_inside_a_clone_where_nothing_runs_one_is_told_where_to_start_it(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local/__main__.py").touch()

    ended = Cli(tmp_path / "local", bare_environment())("--local", "doctor")

    assert (ended.code, ended.out) == (1, "")
    assert f"start it with `make run` in {tmp_path}, leave it running" in ended.err


# Names that are none --------------------------------------------------------------------------------------------------

NO_TENANTS = ["", " ", "\u200b", "''", "acme\udcff", "..", "acme/x", "ac\u200bme", "株式会社", "a" * 65]


@pytest.mark.parametrize("tenant", NO_TENANTS)
@pytest.mark.parametrize(
    "command", [("connections", "disconnect-all", "--yes"), ("connections", "list"), ("issuance", "stop", "--yes")]
)
def test_a_tenant_that_is_none_never_stands_for_everybody(
    cli: Cli, connected: tuple[str, str], command: tuple[str, ...], tenant: str
) -> None:
    """As where a script's variable is not set."""
    ended = cli("--local", *command, "--", tenant)

    assert (ended.code, ended.out) == (2, "")
    assert "A tenant is 1 to 64 letters" in ended.err
    assert cli.local("connections", "show", *connected).json["status"] == "active"


@pytest.mark.parametrize("connection", ["", ".", "con_", "con_" + "A" * 26, "con_\udcff", "northwind"])
@pytest.mark.parametrize(
    "command",
    [
        ("connections", "show", "northwind"),
        ("token", "northwind"),
        ("session", "open", "northwind", "--name", "Northwind", "--reconnect"),
        ("session", "open", "northwind", "--name", "Northwind", "--new-secret"),
    ],
)
def test_a_connection_that_is_none_is_told_before_anything_is_asked(
    cli: Cli, command: tuple[str, ...], connection: str
) -> None:
    ended = cli("--local", *command, connection)

    assert (ended.code, ended.out) == (2, "")
    assert "A connection is con_ and 26 letters and digits" in ended.err


def test_names_may_have_been_copied_with_whitespace_around_them(cli: Cli, connected: tuple[str, str]) -> None:
    tenant, connection = connected

    assert cli.local("connections", "show", f" {tenant}\r", f"{connection}\u00a0").json["status"] == "active"
