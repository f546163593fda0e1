"""Bringing refresh tokens from another system: all of a file or none of it, once, and never shown."""

import json
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.seal import Seal
from broker.config import Config
from broker.model import ConnectionRef, ConnectionState, Purpose, Reason, Status
from broker.secret import Secret
from local.world import World
from ninjaone_connect_cli import import_table, store
from ninjaone_connect_cli.import_file import EntryError, read
from tests.support.cli import Cli, csv_of, granted, state_rows

PLAIN = {"tenant_id": "acme", "refresh_token": "x", "region": "eu"}


def test_imported_tokens_are_refreshed_and_used_like_any_other(world: World, cli: Cli, tmp_path: Path) -> None:
    lines = [
        {"tenant_id": f"customer-{number}", "refresh_token": granted(world), "region": "eu", "label": "Brought along"}
        for number in range(3)
    ]

    ended = cli.local("import", str(csv_of(tmp_path, lines)))
    world.run_event_sources()

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

    (row,) = state_rows(world).values()
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
    before = state_rows(world)

    again = cli.local("import", str(file))

    assert [each["outcome"] for each in again.json] == ["there already"]
    assert state_rows(world).keys() == before.keys()


def test_an_import_that_stopped_half_way_goes_on_where_it_was(world: World, cli: Cli, tmp_path: Path) -> None:
    lines = [{"tenant_id": f"t{number}", "refresh_token": f"x{number}", "region": "eu"} for number in range(4)]
    cli.local("import", str(csv_of(tmp_path, lines[:2])))

    rest = cli.local("import", str(csv_of(tmp_path, lines)))

    assert [each["outcome"] for each in rest.json] == ["there already"] * 2 + ["imported"] * 2
    assert len(state_rows(world)) == 4


def test_a_dry_run_says_everything_and_writes_nothing(world: World, cli: Cli, tmp_path: Path) -> None:
    file = csv_of(tmp_path, [PLAIN])

    ended = cli.local("import", str(file), "--dry-run")

    assert [each["outcome"] for each in ended.json] == ["would be imported"]
    assert state_rows(world) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"tenant_id": "a b", "refresh_token": "x", "region": "eu"}, "line 2: tenant_id must be 1 to 64 letters"),
        ({"tenant_id": "a", "refresh_token": "", "region": "eu"}, "line 2: refresh_token must be given"),
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
    assert state_rows(world) == {}


def test_two_lines_for_one_connection_are_a_fault_until_each_has_a_key(world: World, cli: Cli, tmp_path: Path) -> None:
    line = PLAIN
    twice = cli.local("import", str(csv_of(tmp_path, [line, line])))
    other = line | {"refresh_token": "y"}
    keyed = cli.local("import", str(csv_of(tmp_path, [line | {"key": "1"}, other | {"key": "2"}])))

    assert "line 3: the same tenant and key as line 2" in twice.err
    assert keyed.code == 0
    assert len(state_rows(world)) == 2


def test_one_token_for_two_connections_is_a_fault(world: World, cli: Cli, tmp_path: Path) -> None:
    line = {"refresh_token": "shared", "region": "eu"}

    ended = cli("--local", "import", str(csv_of(tmp_path, [{"tenant_id": name, **line} for name in ("a", "b")])))

    assert ended.code == 1
    assert "line 3: the same refresh token as line 2" in ended.err
    assert state_rows(world) == {}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"acme,a-token-of-theirs,eu\nother,a-token-of-theirs-2,eu\n", "line 1: this is no heading"),
        ("t.csv", b"tenant_id:refresh_token:region\nacme:a-token-of-theirs:eu\n", "line 1: this is no heading"),
        ("t.csv", b"", "line 1: this is no heading"),
        ("t.csv", b"tenant_id,refresh_token\nacme,a-token-of-theirs,eu\n", "line 2: there are more values than"),
        ("t.csv", b"tenant_id,refresh_token,label\nacme,a-token-of-theirs,M\xfcller\n", "line 2: this is not UTF-8"),
        ("t.jsonl", b"[" * 100_000, "line 1: as many arrays must end as begin"),
        ("t.jsonl", b'{"a":' * 100_000, "line 1: this is no JSON object"),
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
    assert state_rows(world) == {}


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
    assert len(state_rows(world)) == 5


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
    assert {ConnectionRef(each["tenant_id"], each["connection_id"]) for each in told} == state_rows(world).keys()
    assert len(told) == 2


def test_a_report_that_cannot_be_written_is_known_before_anything_is_stored(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    ended = cli("--local", "import", str(csv_of(tmp_path, FIVE)), "--report", str(tmp_path / "no/such/r.jsonl"))

    assert ended.code == 1
    assert "Could not open file" in ended.err
    assert state_rows(world) == {}


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize("link", ["", "symlink_to", "hardlink_to"])
def test_a_report_is_not_written_over_the_tokens(
    world: World, cli: Cli, tmp_path: Path, link: str, more: list[str]
) -> None:
    file = report = csv_of(tmp_path, FIVE)
    if link:
        report = tmp_path / "report.jsonl"
        getattr(report, link)(file)
    before = file.read_bytes()

    ended = cli("--local", "import", str(file), *more, "--report", str(tmp_path / "." / report.name))

    assert (ended.code, "name another" in ended.err) == (1, True)
    assert file.read_bytes() == before
    assert state_rows(world) == {}


def test_a_report_for_which_there_is_no_room_keeps_nobody_from_seeing_what_was_done(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    ended = cli.local("import", str(csv_of(tmp_path, FIVE)), "--report", "/dev/full")

    assert ended.code == 1
    assert "The report could not be written: No space left on device." in ended.err
    assert [each["outcome"] for each in ended.json] == ["imported"] * 5
    assert len(state_rows(world)) == 5


def test_a_client_app_without_a_stored_secret_stops_everything(world: World, cli: Cli, tmp_path: Path) -> None:
    line = PLAIN | {"client_id": "nobody-stored-me"}

    ended = cli.local("import", str(csv_of(tmp_path, [line])))

    assert ended.code == 1
    assert "No secret is stored for the client id nobody-stored-me" in ended.err
    assert state_rows(world) == {}


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

    assert len(state_rows(world)) == 1
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
    assert {ConnectionRef(each["tenant_id"], each["connection_id"]) for each in told} == state_rows(world).keys()


# What other programs write --------------------------------------------------------------------------------------------


def only(world: World) -> ConnectionState:
    (row,) = state_rows(world).values()
    return row


def faults(file: Path, config: Config) -> list[str]:
    """Read a file that is refused; give why."""
    with pytest.raises(EntryError) as refused:
        read(file, config)
    return list(refused.value.faults)


def json_of(folder: Path, line: Mapping[str, str]) -> Path:
    file = folder / "t.jsonl"
    file.write_text(json.dumps(line))
    return file


SPELLINGS = {
    "semicolons": "tenant_id;refresh_token;region\nacme;x;eu\n",
    "tabs": "tenant_id\trefresh_token\tregion\nacme\tx\teu\n",
    "bars": "tenant_id|refresh_token|region\nacme|x|eu\n",
    "sep": "sep=;\r\ntenant_id;refresh_token;region\r\nacme;x;eu\r\n",
    "sep in quotation marks": '"sep=,"\ntenant_id,refresh_token,region\nacme,x,eu\n',
    "PowerShell": '#TYPE System.Management.PSCustomObject\n"tenant_id","refresh_token","region"\n"acme","x","eu"\n',
    "blank rows": "\n,,\ntenant_id,refresh_token,region\n,,\nacme,x,eu\n , ,\n\n",
    "capitals": "TENANT_ID,Refresh_Token,REGION\nacme,x,EU\n",
    "spaces and hyphens": " Tenant ID , refresh-token , Region \nacme, x ,eu\n",
    "other case": "tenantId,refreshToken,region\nacme,x,eu\n",
    "a comma at each end": "tenant_id,refresh_token,region,\nacme,x,eu,\n",
    "sep with commas behind it": '"sep=;",,\ntenant_id;refresh_token;region\nacme;x;eu\n',
    "sep with semicolons behind it": "SEP=;;;\ntenant_id;refresh_token;region\nacme;x;eu\n",
    "old line ends": "tenant_id,refresh_token,region\racme,x,eu\r",
    "spaces before quotation marks": 'tenant_id, "refresh_token", "region"\nacme, "x", "eu"\n',
    "texts of a spreadsheet": 'tenant_id,refresh_token,region\n="acme",="x",="eu"\n',
    "spaces that show nothing": "Tenant\u00a0ID,Refresh\u200bToken,\ufeffRegion\nacme,x,eu\n",
    "shorter headings": "Tenant,Refresh Token,Region\nacme,x,eu\n",
    "a row of quotation marks": '"","",""\ntenant_id,refresh_token,region\n"","",""\nacme,x,eu\n',
    "an end as of DOS": "tenant_id,refresh_token,region\nacme,x,eu\n\x1a",
    "a torn end": "tenant_id,refresh_token,region\nacme,x,eu\n\0\0\0\0",
    "a host as region": "tenant_id,refresh_token,region\nacme,x,https://EU.ninjarmm.com/\n",
    "fewer values": "tenant_id,refresh_token,region,label,scopes\nacme,x,eu\n",
    "rows that pandas numbered": ",tenant_id,refresh_token,region\n0,acme,x,eu\n",
    "rows that R numbered": '"","tenant_id","refresh_token","region"\n"1","acme","x","eu"\n',
    "a break within a heading": '"Tenant\nID","refresh\r\ntoken",region\nacme,x,eu\n',
    "two files joined": "tenant_id,refresh_token,region\nacme,x,eu\n\ufeffTenant Id,refresh_token,region\n",
    "rows of marks": "tenant_id,refresh_token,region\nNULL,NULL,NULL\n\\N,,\n\u200b,-,N/A\n---,---,---\nacme,x,eu\n",
    "a drawn table": "+---+--+\n| tenant_id | refresh_token | region |\n+---+--+\n| acme | x | eu |\n+---+--+\n",
    "a ruled table": "tenant_id | refresh_token | region\n----------+--------+----\nacme      | x      | eu\n",
    "an end of COPY": "tenant_id\trefresh_token\tregion\nacme\tx\teu\n\\.\n",
    "what copying brings along": "tenant_id,refresh_token,region\n\ufeffacme,\u200bx\u00ad,\u2060eu\u3000\n",
}


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_exports_are_read_as_programs_write_them(tmp_path: Path, config: Config, spelling: str, charset: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(SPELLINGS[spelling].encode(charset))

    (entry,) = read(file, config)

    assert (entry.ref.tenant, entry.refresh_token, entry.host.region) == ("acme", Secret("x"), "eu")


JSONS = {
    "lines": '{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}\r\n\n',
    "an array": '[\n {"tenantId": "acme", "refreshToken": "x", "region": "eu"}\n]\n',
    "records that begin with a separator": '\x1e{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}\n',
    "indented": '{\n  "tenant_id": "acme",\n  "refresh_token": "x",\n  "region": "eu"\n}\n',
    "a comma at the end": '{"tenant_id": "acme", "refresh_token": "x", "region": "eu"},\n',
    "old line ends": '{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}\r\r',
    "rows in the object of a query": '{"select *": [{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}]}\n',
    "null": '{"tenant_id": "acme", "refresh_token": "x", "region": "eu", "host": null, "client_id": "NULL"}',
    "pages": '[{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}]\n[\n]\n',
    "a comma behind the last": '[{"tenant_id": "acme", "refresh_token": "x", "region": "eu"},]',
    "an empty record": '{}\n{"label": null}\n{"tenant_id": "acme", "refresh_token": "x", "region": "eu"}\n',
}


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.ndjson", "t.txt", "tokens"])
@pytest.mark.parametrize("spelling", JSONS)
def test_json_is_read_as_programs_write_it(tmp_path: Path, config: Config, spelling: str, name: str) -> None:
    file = tmp_path / name
    file.write_text(JSONS[spelling], encoding="utf-8", newline="")

    (entry,) = read(file, config)

    assert (entry.ref.tenant, entry.refresh_token, entry.host.region) == ("acme", Secret("x"), "eu")


MARKS = [
    "NULL", r"\N", "null", "None", "N/A", "NA", "-", "nil", "(null)", "–", "", "  ", "---", "\u2015", "\u2212", "<NA>",
    "NaT", "NaN", "-nan", "1.#QNAN", "#N/A", "#NV", "#N/D", "#REF!", "#BEZUG!", "#NAME?", "#DIV/0!", "$null", "%NULL%",
    "DBNull", "N.A.", "{null}", "[NULL]", "<nil>", "'NULL'", "[]", "{}", "`", "?", "...", "_", "(not set)", "void",
    "\u200b", "\ufeff", "\u00a0", '""""""', "****", "~", "0", "0.0", "0000-00-00 00:00:00", "\u2205", "FALSE",
    "########", "00000000-0000-0000-0000-000000000000", "#\u00bfNOMBRE?", "N.A", "unknown",
]  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_of_emptiness_is_no_client_app(tmp_path: Path, config: Config, mark: str) -> None:
    names = "tenant_id,refresh_token,region,host,client_id,client_secret,scopes,label,consented_at,key"
    file = tmp_path / "t.csv"
    file.write_text(f"{names}\nacme,x,eu{f',{mark}' * 7}\n", encoding="utf-8")

    (entry,) = read(file, config)

    assert (entry.client_secret, entry.client_id) == (None, config.client_ids["eu"])
    assert (entry.scopes, entry.consented_at) == (frozenset({"offline_access"}), None)


@pytest.mark.parametrize("mark", ["sin datos", "k.A.", "n.b.", "(leer)", "x", "see vault"])
@pytest.mark.parametrize("names", [("client_id", "client_secret"), ("refresh_token", "client_id")])
def test_a_mark_that_no_list_has_is_no_client_app_either(
    tmp_path: Path, config: Config, mark: str, names: tuple[str, str]
) -> None:
    """Such a mark fills every column that is empty; no two credentials are one text."""
    line = PLAIN | {"refresh_token": "y"} | dict.fromkeys(names, mark)

    assert "is the same text as" in faults(csv_of(tmp_path, [line]), config)[0]


@pytest.mark.parametrize("tenant", ["NA", "Void", "Missing", "None-such", "nan-1", "NV"])
def test_a_word_that_may_be_a_name_is_one(tmp_path: Path, config: Config, tenant: str) -> None:
    line = {"tenant_id": tenant, "refresh_token": "x", "region": "eu", "label": tenant}

    (entry,) = read(csv_of(tmp_path, [line]), config)

    assert (entry.ref.tenant, entry.label) == (tenant, tenant)


@pytest.mark.parametrize(("number", "tenant"), [("12345", "12345"), ("12345.0", "12345"), ("1e3", "1000")])
def test_a_whole_number_is_a_name_without_a_fraction(tmp_path: Path, config: Config, number: str, tenant: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(f'{{"tenant_id": {number}, "refresh_token": "x", "region": "eu"}}')

    (entry,) = read(file, config)

    assert entry.ref.tenant == tenant


def test_a_number_that_lost_digits_is_no_name(tmp_path: Path, config: Config) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"tenant_id": 12345678901234567890.0, "refresh_token": "x", "region": "eu"}')

    assert "took digits" in faults(file, config)[0]


@pytest.mark.parametrize("number", ["-Infinity", "2e999"])
@pytest.mark.parametrize("name", ["tenant_id", "key"])
def test_a_number_without_an_end_is_no_name(tmp_path: Path, config: Config, name: str, number: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(PLAIN | {name: "@"}).replace('"@"', number))

    assert f"{name} is a number without an end" in faults(file, config)[0]


@pytest.mark.parametrize("key", ["Zu\u0308rich", "Z\u00fcri\u2060ch", "\u2060Z\u00fcrich"])
def test_a_key_that_looks_the_same_is_the_same(tmp_path: Path, config: Config, key: str) -> None:
    (plain,) = read(csv_of(tmp_path, [PLAIN | {"key": "Z\u00fcrich"}]), config)

    (other,) = read(csv_of(tmp_path, [PLAIN | {"key": key}]), config)

    assert other.ref == plain.ref


@pytest.mark.parametrize("key", ["e1", "7e5", "2026.11", "3e-a", "1.0.0", "12-3"])
def test_a_key_that_is_no_such_number_is_taken(tmp_path: Path, config: Config, key: str) -> None:
    assert len(read(csv_of(tmp_path, [PLAIN | {"key": key}]), config)) == 1


def test_reading_does_not_grow_with_the_square_of_the_file(tmp_path: Path, config: Config) -> None:
    """Counted in the characters of the file that are gone through again for the lines before them."""
    text = "".join(json.dumps(PLAIN | {"refresh_token": str(number)}) + "\n" for number in range(300))
    searched = 0

    class Counting(str):
        __slots__ = ()

        def count(self, sub: str, start: int = 0, end: int = len(text)) -> int:  # type: ignore[override]
            nonlocal searched
            searched += end - start
            return super().count(sub, start, end)

    assert len(list(import_table._values(Counting(text)))) == 300
    assert searched <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "1790000000", "1790000000.0", "1790000000000", "1790000000000000", "1790000000000000000",
        "1790000000999", "2026-09-21T14:13:20Z",
        "2026-09-21T16:13:20+02:00", "2026-09-21 14:13:20 UTC", "2026-09-21 14:13:20+00", "2026-09-21T16:13:20.5+0200",
        "2026-09-21t14:13:20z",
    ],
)  # fmt: skip
def test_an_instant_is_read_in_the_units_that_programs_use(tmp_path: Path, config: Config, text: str) -> None:
    line = PLAIN | {"consented_at": text}

    (entry,) = read(csv_of(tmp_path, [line]), config)

    assert entry.consented_at == 1_790_000_000


@pytest.mark.parametrize(
    "text", ["monitoring;control", "Monitoring | control", '["monitoring","control"]', "{monitoring,control}"]
)
def test_scopes_are_read_with_what_programs_write_between_them(tmp_path: Path, config: Config, text: str) -> None:
    line = PLAIN | {"scopes": text}

    (entry,) = read(json_of(tmp_path, line), config)

    assert entry.scopes == {"monitoring", "control", "offline_access"}


@pytest.mark.parametrize("name", ["refresh_token", "client_id", "client_secret"])
@pytest.mark.parametrize("text", ['"s3cret"', "'s3cret'", 's3cret"', "`s3cret", "s3 cret", "s3crét", "s3cr\u200bet"])
def test_a_credential_in_quotation_marks_is_a_fault_that_does_not_show_it(
    tmp_path: Path, config: Config, name: str, text: str
) -> None:
    good = PLAIN | {"client_id": "a", "client_secret": "b"}

    [fault, *_] = faults(json_of(tmp_path, good | {name: text}), config)

    assert fault.startswith(f"line 1: {name} ")
    assert "s3cr" not in fault


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "t.csv",
            "tenant,Tenant ID,refresh_token,region\na,b,x,eu\n",
            "line 1: tenantid: the heading names this twice",
        ),
        ("t.csv", "tenant_id,refresh_token,region,,\na,x,eu,left,\n", "line 2: there are more values than"),
        (
            "t.csv",
            'tenant_id,refresh_token,region\n"a" ,"x",eu\n',
            "line 2: this is no CSV; is a quotation mark missing",
        ),
        (
            "t.csv",
            f"tenant_id,refresh_token,region,label\na,x,eu,{'b' * 200_000}\n",
            "line 2: this is no CSV; is a quotation mark missing, one too many, or a value longer than 131072",
        ),
        ("t.csv", "PK\x03\x04 workbook", "line 1: this is a workbook or an archive"),
        ("t.json", '[\n{"tenant_id": "a"},\n/* later */]', "line 3: here the JSON breaks"),
        ("t.json", '[\n{"tenant_id": "a"},\n', "line 3: as many arrays must end as begin"),
        ("t.csv", "tenant_id,refresh_token,region\nacme,x,eu\n(1 row)\n", "line 3: refresh_token must be given"),
        ("t.csv", "tenant_id,refresh_token,region\nacme,x,eu\nTotal,,1\n", "line 3: refresh_token must be given"),
        ("t.csv", ",tenant_id,refresh_token,region\nnote,acme,x,eu\n", "line 2: there are more values than"),
        ("t.csv", "\xd0\xcf\x11\xe0", "line 1: this is"),
        ("t.jsonl", '{"tenant_id": "a", "tenantId": "b"}', "line 1: this is no JSON object, or it names a field twice"),
        ("t.jsonl", '{"label": "a", "label": "b"}', "line 1: this is no JSON object, or it names a field twice"),
        ("t.jsonl", '{"tenant_id": "a"\n// later', "line 1: this is no JSON object"),
        (
            "t.csv",
            'sep=,\ntenant_id,refresh_token,region,label\nacme,x,eu,"a\nb\nc"\nother,y,mars,\n',
            "line 6: region is none",
        ),
        (
            "t.jsonl",
            json.dumps(PLAIN, indent=2) + "\n" + json.dumps(PLAIN | {"region": "mars"}, indent=2),
            "line 6: region is none",
        ),
    ],
)
def test_what_may_be_meant_in_two_ways_is_a_fault(
    tmp_path: Path, config: Config, name: str, content: str, fault: str
) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")

    assert faults(file, config)[0].startswith(fault)


def test_utf_16_that_was_cut_off_is_called_so(tmp_path: Path, config: Config) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes("tenant_id,refresh_token,region\nacme,x,eu".encode("utf-16")[:-1])

    assert faults(file, config)[0] == "line 2: this is UTF-16 that is damaged; save the file as UTF-8"


def test_byte_order_marks_of_files_that_were_joined_are_left_out(tmp_path: Path, config: Config) -> None:
    file = tmp_path / "tokens"
    file.write_text("\ufeff\ufeff" + json.dumps(PLAIN), encoding="utf-8")

    assert [entry.ref.tenant for entry in read(file, config)] == ["acme"]


WRONG = [
    *(("consented_at", text, "must be Unix seconds") for text in ("1.79E+09", "²", "17", "2026-09-21", "9" * 17)),
    ("consented_at", "1,790,000", "must be Unix seconds"),
    ("tenant_id", "-", "must be"),
    ("refresh_token", "-", "must be"),
    ("client_secret", "s", "is there and client_id is not"),
    ("tenant_id", "1.23457E+11", "is a number from which a spreadsheet took digits"),
    ("refresh_token", "1,2E+15", "is a number from which a spreadsheet took digits"),
    ("key", "5E+05", "is a number from which a spreadsheet took digits"),
    ("key", "4.2e-7", "is a number from which a spreadsheet took digits"),
    ("tenant_id", "9.87654E11", "is a number from which a spreadsheet took digits"),
    ("tenant_id", "40213.0", "is a number to which a program added a fraction"),
    ("key", "8,00", "is a number to which a program added a fraction"),
    ("refresh_token", "eyJhbGciOi...", "ends in dots, as where a program shows the beginning only"),
    ("label", "ä" * 90, "has 90 characters, and 80 fit; shorten it"),
    ("label", "👨\u200d👩\u200d👧\u200d👦 " * 11, "has 87 characters, and 80 fit; shorten it"),
    ("tenant_id", "ac\u200bme", "must be 1 to 64 letters, digits, dots, hyphens or underscores; it holds U+200B"),
]


@pytest.mark.parametrize(("name", "text", "fault"), WRONG)
def test_a_value_that_can_t_be_meant_is_a_fault(
    tmp_path: Path, config: Config, name: str, text: str, fault: str
) -> None:
    line = PLAIN | {"client_id": "NULL"} | {name: f'"{text}"' if "," in text else text}

    assert faults(csv_of(tmp_path, [line]), config)[0].startswith(f"line 2: {name} {fault}")


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\x85", "\u2028", "\u2029", "\u3000", "\u00a0"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_line_break_inside_a_value_is_kept(tmp_path: Path, config: Config, inside: str, form: str) -> None:
    label, file = f"Acme{inside}Head", tmp_path / f"t.{form}"
    line = PLAIN | {"label": label}
    raw = inside if ord(inside[0]) > 0x7F else json.dumps(inside)[1:-1]  # raw U+2028 is valid in JSON, a raw LF is not
    csv_text = f'tenant_id,refresh_token,region,label\nacme,x,eu,"{label}"\nother,y,eu,b\n'
    lines = json.dumps(line | {"label": "Acme@Head"}).replace("@", raw) + '\n{"tenant_id": "other"}\n'
    file.write_bytes((csv_text if form == "csv" else lines.replace('{"tenant_id": "other"}', "")).encode())

    first, *_ = read(file, config)

    assert first.label == label


@pytest.mark.parametrize("unsafe", ["\x00", "\x1b[31m", "\t", "\x7f", "\u202e", "\u2066", "\x9b"])
@pytest.mark.parametrize("name", ["label", "key", "client_id"])
def test_what_acts_on_a_terminal_is_refused_with_row_and_column(
    tmp_path: Path, config: Config, unsafe: str, name: str
) -> None:
    file = tmp_path / "t.jsonl"
    line = PLAIN | {"client_secret": "s", name: f"a{unsafe}b"}
    file.write_text("\n" + json.dumps({"client_id": "c"} | line))

    (fault,) = faults(file, config)
    assert fault.startswith(f"line 2: column {name} holds U+{ord(unsafe[0]):04X}, which acts on the text around it")


@pytest.mark.parametrize("host", ["https://acme.rmmservice.eu/", "ACME.rmmservice.eu", "acme.rmmservice.eu:443/ws"])
@pytest.mark.parametrize("scopes", ["monitoring;management", "monitoring+management", "Management Monitoring"])
def test_hosts_and_scopes_are_read_as_people_write_them(tmp_path: Path, config: Config, host: str, scopes: str) -> None:
    line = {"tenant_id": "a", "refresh_token": "x", "host": host, "client_id": "c", "client_secret": "s"}

    (entry,) = read(csv_of(tmp_path, [line | {"scopes": scopes}]), config)

    assert entry.host.name == "acme.rmmservice.eu"
    assert entry.scopes == {"monitoring", "management", "offline_access"}


# A corrected file -----------------------------------------------------------------------------------------------------

KEYED = PLAIN | {"key": "1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "typo", "client_secret": "s"},
        {"label": "Wrong", "client_id": "", "client_secret": ""},
        {"scopes": "control", "client_id": "", "client_secret": ""},
        {"region": "us2", "client_id": "", "client_secret": ""},
    ],
)
def test_a_corrected_file_corrects_what_a_wrong_one_made(
    world: World, cli: Cli, tmp_path: Path, wrong: dict[str, str]
) -> None:
    right = dict.fromkeys(wrong, "") | KEYED | {"refresh_token": granted(world)}
    cli.local("import", str(csv_of(tmp_path, [right | wrong])))
    looked = cli.local("import", str(csv_of(tmp_path, [right])), "--dry-run").json

    corrected = cli.local("import", str(csv_of(tmp_path, [right]))).json
    again = cli.local("import", str(csv_of(tmp_path, [right]))).json
    world.run_event_sources()

    assert [each[0]["outcome"] for each in (looked, corrected, again)] == [
        "would be corrected", "corrected", "there already",
    ]  # fmt: skip
    row = only(world)
    assert (row.status, row.host.region, row.customer_app) == (Status.ACTIVE, "eu", False)
    assert {"monitoring", "management"} <= row.scopes


def test_what_works_is_not_touched_by_a_file_that_says_otherwise(world: World, cli: Cli, tmp_path: Path) -> None:
    line = KEYED | {"refresh_token": granted(world)}
    cli.local("import", str(csv_of(tmp_path, [line])))
    world.run_event_sources()
    before = only(world)

    again = cli.local("import", str(csv_of(tmp_path, [line | {"refresh_token": "another", "label": "Other"}]))).json

    assert [each["outcome"] for each in again] == ["there already"]
    assert only(world) == before


def test_a_row_that_a_refresh_is_at_work_on_is_not_touched(world: World, cli: Cli, tmp_path: Path) -> None:
    cli.local("import", str(csv_of(tmp_path, [KEYED])))
    leased = rows.value(int(time.time()) + 60)
    key = rows.key(only(world).tenant, only(world).connection)
    table = world.settings("refresh")["CONNECTIONS_TABLE"]
    world.aws("dynamodb").update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET lease_until = :until",
        ExpressionAttributeValues={":until": leased},
    )
    before = only(world)

    again = cli.local("import", str(csv_of(tmp_path, [KEYED | {"refresh_token": "other"}]))).json

    assert [each["outcome"] for each in again] == ["there already"]
    assert only(world) == before


def test_scopes_that_an_import_claimed_wrongly_are_corrected_by_the_next(
    world: World, cli: Cli, tmp_path: Path
) -> None:
    line = KEYED | {"refresh_token": granted(world)}
    cli.local("import", str(csv_of(tmp_path, [line | {"scopes": "monitoring control"}])))
    world.run_event_sources()
    told = only(world)

    corrected = cli.local("import", str(csv_of(tmp_path, [line]))).json
    world.run_event_sources()

    assert told.reason is Reason.SCOPE_WITHDRAWN
    assert [each["outcome"] for each in corrected] == ["corrected"]
    assert (only(world).status, only(world).reason) == (Status.ACTIVE, None)
    assert only(world).scopes == {"monitoring", "management", "offline_access"}
