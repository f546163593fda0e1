"""Bringing refresh tokens from another system: all of a file or none of it, once, and never shown."""

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from broker.adapters.aws import AwsClient
from broker.adapters.seal import Seal
from broker.config import Config
from broker.model import ConnectionRef, ConnectionState, Purpose, Status
from broker.secret import Secret
from local.world import World
from ninjaone_connect_cli import store
from tests.support.cli import Cli, csv_of, granted, hot_rows, until


def test_imported_tokens_are_refreshed_and_used_like_any_other(world: World, cli: Cli, tmp_path: Path) -> None:
    lines = [
        {"tenant_id": f"customer-{number}", "refresh_token": granted(world), "region": "eu", "label": "Brought along"}
        for number in range(3)
    ]

    ended = cli.local("import", str(csv_of(tmp_path, lines)))
    world.run_event_sources()
    until(lambda: all(row.version == 2 for row in hot_rows(world).values()))

    assert (ended.code, [each["outcome"] for each in ended.json]) == (0, ["imported"] * 3)
    first = ended.json[0]
    used = cli.local("token", first["tenant_id"], first["connection_id"])
    assert world.ninjaone.oracle.accepts("eu.ninjarmm.com", used.json["access_token"])
    shown = cli.local("connections", "show", first["tenant_id"], first["connection_id"]).json
    assert (shown["status"], shown["label"]) == ("active", "Brought along")


def test_json_lines_with_a_customer_s_own_app_and_host(world: World, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "tokens.jsonl"
    entry = {
        "tenant_id": "acme",
        "refresh_token": "a-token",
        "host": "acme.rmmservice.eu",
        "client_id": "their-app",
        "client_secret": "their-secret",
        "consented_at": 1_790_000_000,
        "scopes": "monitoring",
    }
    file.write_text(json.dumps(entry) + "\n")

    assert cli.local("import", str(file)).code == 0

    (row,) = hot_rows(world).values()
    assert (row.host.name, row.customer_app, row.client_id) == ("acme.rmmservice.eu", True, "their-app")
    assert (int(row.consented_at), row.scopes) == (1_790_000_000, frozenset({"monitoring", "offline_access"}))
    assert (row.status, row.version, row.access) == (Status.ACTIVE, 1, None)
    assert opened(world, row).reveal() == "a-token"


def opened(world: World, row: ConnectionState) -> Secret:
    config = Config.from_env(world.settings("refresh"))
    seal = Seal(AwsClient("kms", world.aws("kms")), config.seal_key, world.clock, bytes)
    return seal.open(row.refresh or b"", Purpose.REFRESH, row.aad)


def test_a_file_imported_twice_is_there_once(world: World, cli: Cli, tmp_path: Path) -> None:
    file = csv_of(tmp_path, [{"tenant_id": "acme", "refresh_token": "first", "region": "eu"}])
    cli.local("import", str(file))
    before = hot_rows(world)

    again = cli.local("import", str(file))

    assert [each["outcome"] for each in again.json] == ["there already"]
    assert hot_rows(world).keys() == before.keys()


def test_an_import_that_stopped_half_way_goes_on_where_it_was(world: World, cli: Cli, tmp_path: Path) -> None:
    lines = [{"tenant_id": f"t{number}", "refresh_token": f"x{number}", "region": "eu"} for number in range(4)]
    cli.local("import", str(csv_of(tmp_path, lines[:2])))

    rest = cli.local("import", str(csv_of(tmp_path, lines)))

    assert [each["outcome"] for each in rest.json] == ["there already"] * 2 + ["imported"] * 2
    assert len(hot_rows(world)) == 4


def test_a_dry_run_says_everything_and_writes_nothing(world: World, cli: Cli, tmp_path: Path) -> None:
    file = csv_of(tmp_path, [{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}])

    ended = cli.local("import", str(file), "--dry-run")

    assert [each["outcome"] for each in ended.json] == ["would be imported"]
    assert hot_rows(world) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"tenant_id": "a b", "refresh_token": "x", "region": "eu"}, "line 2: tenant_id must be 1 to 64 letters"),
        ({"tenant_id": "a", "refresh_token": "", "region": "eu"}, "line 2: refresh_token must be 1 to 8192 visible"),
        ({"tenant_id": "a", "refresh_token": "x y", "region": "eu"}, "line 2: refresh_token must be 1 to 8192 visible"),
        ({"tenant_id": "a", "refresh_token": "x", "region": "mars"}, "line 2: region is none of NinjaOne's"),
        ({"tenant_id": "a", "refresh_token": "x", "host": "evil.example"}, "line 2: host is none of NinjaOne's"),
        ({"tenant_id": "a", "refresh_token": "x"}, "line 2: give region or host, one of them"),
        ({"tenant_id": "a", "refresh_token": "x", "host": "a.rmmservice.eu"}, "line 2: client_id is missing"),
        ({"tenant_id": "a", "refresh_token": "x", "region": "eu", "scopes": "root"}, "line 2: scopes must be out of"),
        (
            {"tenant_id": "a", "refresh_token": "x", "region": "eu", "consented_at": "soon"},
            "line 2: consented_at must be",
        ),
        ({"tenant_id": "a", "refresh_token": "x", "region": "eu", "colour": "red"}, "line 2: colour: there is no such"),
    ],
)
def test_a_faulty_line_is_named_and_nothing_is_imported(
    world: World, cli: Cli, tmp_path: Path, line: dict[str, str], says: str
) -> None:
    sound = dict.fromkeys(line, "") | {"tenant_id": "sound", "refresh_token": "sound", "region": "eu"}
    names = dict.fromkeys((*line, *sound), "")

    ended = cli("--local", "import", str(csv_of(tmp_path, [names | line, names | sound])))

    assert ended.code == 1
    assert "Nothing was imported. Correct these lines:\n" + says in ended.err
    assert hot_rows(world) == {}


def test_two_lines_for_one_connection_are_a_fault_until_each_has_a_key(world: World, cli: Cli, tmp_path: Path) -> None:
    line = {"tenant_id": "acme", "refresh_token": "x", "region": "eu"}
    twice = cli.local("import", str(csv_of(tmp_path, [line, line])))
    other = line | {"refresh_token": "y"}
    keyed = cli.local("import", str(csv_of(tmp_path, [line | {"key": "1"}, other | {"key": "2"}])))

    assert "line 3: the same tenant and key as line 2" in twice.err
    assert keyed.code == 0
    assert len(hot_rows(world)) == 2


def test_one_token_for_two_connections_is_a_fault(world: World, cli: Cli, tmp_path: Path) -> None:
    line = {"refresh_token": "shared", "region": "eu"}

    ended = cli("--local", "import", str(csv_of(tmp_path, [{"tenant_id": name, **line} for name in ("a", "b")])))

    assert ended.code == 1
    assert "line 3: the same refresh token as line 2" in ended.err
    assert hot_rows(world) == {}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"acme,a-token-of-theirs,eu\nother,a-token-of-theirs-2,eu\n", "line 1: this is no heading"),
        ("t.csv", b"tenant_id;refresh_token;region\nacme;a-token-of-theirs;eu\n", "line 1: this is no heading"),
        ("t.csv", b"", "line 1: this is no heading"),
        ("t.csv", b"tenant_id,refresh_token\nacme,a-token-of-theirs,eu\n", "line 2: there are more values than"),
        ("t.csv", b"tenant_id,refresh_token,label\nacme,a-token-of-theirs,M\xfcller\n", "line 2: this is not UTF-8"),
        ("t.jsonl", b"[" * 100_000, "line 1: this is no JSON object"),
        ("t.jsonl", b'"a-token-of-theirs"\n', "line 1: this is no JSON object"),
        (
            "t.jsonl",
            b'{"tenant_id": "a", "refresh_token": "a-token-of-theirs", "region": "eu", "client_secret": "\\ud800"}\n',
            "line 1: client_secret holds half a character",
        ),
    ],
)
def test_a_file_that_is_no_such_file_is_refused_without_showing_what_stands_in_it(
    world: World, cli: Cli, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    ended = cli("--local", "import", str(file))

    assert ended.code == 1
    assert "Nothing was imported. Correct these lines:\n" + says in ended.err
    assert "a-token-of-theirs" not in ended.out + ended.err
    assert hot_rows(world) == {}


CALL = "_make_api_call"
"""Where botocore makes every call, after its own repeats; its types do not tell of it."""


def answer_the_third_write(monkeypatch: pytest.MonkeyPatch, instead: BaseException) -> None:
    """Let AWS answer one write with something else."""
    real, wrote = getattr(BaseClient, CALL), count(1)

    def call(client: BaseClient, operation: str, said: dict[str, Any]) -> Any:
        if operation == "TransactWriteItems" and next(wrote) == 3:
            raise instead
        return real(client, operation, said)

    monkeypatch.setattr(BaseClient, CALL, call)
    monkeypatch.setattr(store, "time", SimpleNamespace(sleep=lambda _: None))


FIVE = [{"tenant_id": f"t{number}", "refresh_token": f"x{number}", "region": "eu"} for number in range(5)]


def test_a_call_that_aws_throttles_is_made_again(
    world: World, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_the_third_write(monkeypatch, ClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems"))

    ended = cli.local("import", str(csv_of(tmp_path, FIVE)))

    assert (ended.code, [each["outcome"] for each in ended.json]) == (0, ["imported"] * 5)
    assert len(hot_rows(world)) == 5


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        (KeyboardInterrupt(), 130),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "TransactWriteItems"), 1),
    ],
)
def test_an_import_that_is_stopped_tells_what_it_has_done(
    world: World, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: BaseException, code: int
) -> None:
    answer_the_third_write(monkeypatch, instead)
    report = tmp_path / "report.jsonl"

    ended = cli.local("import", str(csv_of(tmp_path, FIVE)), "--report", str(report))

    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert ended.code == code
    assert told == ended.json
    assert {ConnectionRef(each["tenant_id"], each["connection_id"]) for each in told} == hot_rows(world).keys()
    assert len(told) == 2


def test_a_report_that_cannot_be_written_is_known_before_anything_is_stored(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    ended = cli("--local", "import", str(csv_of(tmp_path, FIVE)), "--report", str(tmp_path / "no/such/r.jsonl"))

    assert ended.code == 1
    assert "Could not open file" in ended.err
    assert hot_rows(world) == {}


def test_a_client_app_without_a_stored_secret_stops_everything(world: World, cli: Cli, tmp_path: Path) -> None:
    line = {"tenant_id": "acme", "refresh_token": "x", "region": "eu", "client_id": "nobody-stored-me"}

    ended = cli.local("import", str(csv_of(tmp_path, [line])))

    assert ended.code == 1
    assert "No secret is stored for the client id nobody-stored-me" in ended.err
    assert hot_rows(world) == {}


@pytest.mark.req("G01")
def test_no_token_or_secret_is_shown_whatever_happens(world: World, cli: Cli, tmp_path: Path) -> None:
    secrets = ("a-refresh-token-of-theirs", "a-client-secret-of-theirs")
    line = {
        "tenant_id": "acme",
        "refresh_token": secrets[0],
        "region": "eu",
        "client_id": "own",
        "client_secret": secrets[1],
    }
    report = tmp_path / "report.jsonl"
    said = []
    for faulty in ({}, {"tenant_id": "a b"}, {"region": "mars"}, {"scopes": "x"}):
        file = csv_of(tmp_path, [line | {"scopes": ""} | faulty])
        for more in (["--dry-run"], ["--report", str(report)], []):
            ended = cli("--local", "import", str(file), *more)
            said += [ended.out, ended.err, report.read_text() if report.exists() else ""]

    assert len(hot_rows(world)) == 1
    assert not [text for text in said for secret in secrets if secret in text]


def test_the_report_names_each_line_s_connection(world: World, cli: Cli, tmp_path: Path) -> None:
    lines = [{"tenant_id": name, "refresh_token": f"x-{name}", "region": "eu"} for name in ("one", "two")]
    report = tmp_path / "report.jsonl"

    cli("--local", "import", str(csv_of(tmp_path, lines)), "--report", str(report))

    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(each["line"], each["tenant_id"], each["outcome"]) for each in told] == [
        (2, "one", "imported"),
        (3, "two", "imported"),
    ]
    assert {ConnectionRef(each["tenant_id"], each["connection_id"]) for each in told} == hot_rows(world).keys()
