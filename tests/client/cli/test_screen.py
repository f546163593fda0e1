"""What is shown: nothing that is copied is cut, nothing acts on the terminal, and no encoding stops a command."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ninjaone_connect_cli.app import in_front
from ninjaone_connect_cli.screen import fitted, moment
from tests.support.cli import ROOT, bare_environment

pytestmark = pytest.mark.slow

LINK = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/connect/ses_" + "a" * 26
CONNECTION = "con_" + "b" * 26
SAID = r"""
from ninjaone_connect_cli.screen import Screen, never_fail_to_encode
never_fail_to_encode()
screen = Screen(as_json=False)
screen.record({"connect_url": LINK, "access_token": "t" * 2000, "empty": None})
row = {"connection_id": CONNECTION, "tenant_id": "n" * 40, "status": "active", "label": LABEL}
row["consent_ends_at"] = 1_800_000_000
names = {key: key.removesuffix("_id").removesuffix("_at").replace("_", " ") for key in row}
screen.table([row], names, empty="")
screen.lines(["aws dynamodb update-continuous-backups " + "x" * 200])
screen.say("[red]brackets[/red] – stay")
"""


def script(label: str) -> list[str]:
    said = SAID.replace("LINK", repr(LINK)).replace("CONNECTION", repr(CONNECTION)).replace("LABEL", ascii(label))
    return [sys.executable, "-c", said]


def piped(label: str, encoding: str) -> str:
    environment = bare_environment() | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run(script(label), cwd=ROOT, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")
    return ended.stdout.decode(encoding, "replace")


def on_a_terminal(label: str, columns: int) -> str:
    """Run it with a terminal of so many columns."""
    here, there = pty.openpty()
    environment = bare_environment() | {"COLUMNS": str(columns), "TERM": "dumb"}
    with subprocess.Popen(script(label), cwd=ROOT, env=environment, stdout=there, stderr=subprocess.PIPE) as process:
        os.close(there)
        said = b""
        with suppress(OSError):
            while part := os.read(here, 65_536):
                said += part
        assert process.stderr is not None
        said += process.stderr.read()
    os.close(here)
    return said.decode()


LABEL = "A long label of a customer that has a lot to say about itself and its branches"


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_terminal_of_any_width_shows_whole_what_is_copied(columns: int) -> None:
    said = on_a_terminal(LABEL, columns)

    for whole in (LINK, "t" * 2000, CONNECTION, "x" * 200):
        assert whole in said
    assert "…" not in said


@pytest.mark.parametrize("columns", ["0", "00", "-1", "\u00b2", "wide", ""])
def test_a_terminal_without_a_size_shows_everything(columns: str) -> None:
    environment = bare_environment() | {"COLUMNS": columns}
    ended = subprocess.run(script("short"), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert (ended.returncode, LINK in ended.stdout, CONNECTION in ended.stdout) == (0, True, True), ended.stderr


def test_columns_give_way_in_a_narrow_window_and_are_named() -> None:
    assert "Not shown for want of room: label, consent ends" in on_a_terminal(LABEL, 90).replace("\r\n", " ")
    assert "Not shown" not in on_a_terminal("short", 200)


def test_a_pipe_gets_each_row_on_one_line() -> None:
    (row,) = [line for line in piped(LABEL, "utf-8").splitlines() if line.startswith("con_")]

    assert row.split()[:2] == [CONNECTION, "n" * 40]
    assert LABEL in row
    assert "2027-01-15 08:00Z, " in row


ODD = ["Bäckerei", "株式会社", "🚒", "\ud800", "–", "\u202eevil", "a\nb", "\x1b[2J", "\u2028", "\x00"]


@pytest.mark.parametrize("encoding", ["cp932", "cp437", "ascii", "cp1252", "utf-8", "latin-1:strict"])
def test_no_name_stops_an_encoding(encoding: str) -> None:
    said = piped(" ".join(ODD), encoding.partition(":")[0])

    assert CONNECTION in said


@pytest.mark.parametrize(
    ("name", "shown"), [("\u202e", r"\u202e"), ("\n", r"\u000a"), ("\x1b", r"\u001b"), ("\x85", r"\u0085")]
)
def test_what_acts_on_a_terminal_is_written_out_in_every_cell(name: str, shown: str) -> None:
    said = piped(f"a{name}b", "utf-8")

    assert f"a{shown}b" in said
    assert name == "\n" or name not in said


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (None, {"connection_id": 30, "label": 50, "says": 40}),
        (124, {"connection_id": 30, "label": 50, "says": 40}),
        (100, {"connection_id": 30, "label": 33, "says": 33}),
        (60, {"connection_id": 30, "label": 13, "says": 13}),
        (50, {"connection_id": 30, "label": 18}),
        (35, {"connection_id": 30}),
        (10, {"connection_id": 30}),
    ],
)
def test_texts_are_folded_before_columns_go_and_ids_are_never_touched(room: int | None, shown: dict[str, int]) -> None:
    assert fitted({"connection_id": 30, "label": 50, "says": 40}, room) == shown


@pytest.mark.parametrize(
    ("instant", "words"),
    [(1_800_000_000, "2027-01-15 08:00Z, in 0 s"), (1_800_001_620, "2027-01-15 08:27Z, in 27 min"), (10**20, "in ")],
)
def test_an_instant_is_said_absolutely_and_relatively(instant: int, words: str) -> None:
    assert moment(instant, 1_800_000_000).replace("in -0", "in 0").replace("0 s ago", "in 0 s").startswith(words)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["doctor", "--json"], ["--json", "doctor"]),
        (["connections", "list", "--local", "x", "--json"], ["--json", "--local", "connections", "list", "x"]),
        (["token", "--", "--json"], ["token", "--", "--json"]),
    ],
)
def test_flags_that_may_stand_anywhere_come_in_front(typed: list[str], read: list[str]) -> None:
    assert in_front(typed) == read


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["connections", "show", "--json"], 2, "Missing argument"),
        (["nothing", "--json"], 2, "No such command"),
        (["--local", "doctor", "--json"], 1, "is not inside a clone"),
    ],
)
def test_a_machine_reads_errors_too(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    command = [sys.executable, "-m", "ninjaone_connect_cli", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, check=False)

    told = json.loads(ended.stderr)
    assert (ended.returncode, told["exit_code"]) == (code, code)
    assert says in told["error"]
    assert ended.stdout == ""


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    """As with ``| head``."""
    command = f"{sys.executable} -m ninjaone_connect_cli --help"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.stderr == ""
    assert ended.returncode in {0, 1}


CLOSED = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")


@pytest.mark.parametrize(
    ("command", "code", "closed"),
    [
        ("--version", 0, ">&-"),
        ("init", 130, "<&-"),
        ("--local doctor", 1, "<&- >&- 2>&-"),
        *(pytest.param("--version", 0, each, marks=pytest.mark.slow) for each in CLOSED if each != ">&-"),
        *(pytest.param("init", 130, each, marks=pytest.mark.slow) for each in CLOSED if each != "<&-"),
        *(pytest.param("--local doctor", 1, each, marks=pytest.mark.slow) for each in CLOSED[:3]),
    ],
)
def test_a_closed_stream_is_no_failure(tmp_path: Path, command: str, code: int, closed: str) -> None:
    """As under a scheduler that gives its jobs no terminal."""
    ended = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m ninjaone_connect_cli {command} {closed}"],
        cwd=tmp_path, env=bare_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "Traceback" not in ended.stderr
    assert ended.returncode == code


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m ninjaone_connect_cli --version > /dev/full"],
        cwd=tmp_path, env=bare_environment() | {"PYTHONUNBUFFERED": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (1, "Standard output: No space left on device\n")


def test_what_is_typed_in_another_encoding_is_asked_for_again(tmp_path: Path) -> None:
    typed = "Müller\nE\nhttps://a.example\nn\n\neu-west-1\n\n50\n".encode("cp1252")
    ended = subprocess.run(
        [sys.executable, "-m", "ninjaone_connect_cli", "init"],
        cwd=tmp_path, env=bare_environment() | {"PYTHONIOENCODING": "utf-8:strict"}, input=typed,
        capture_output=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr.decode()
    assert b"It holds U+DCFC, which is no part of a text." in ended.stderr
    assert 'ProductName=\\"E\\"' in (tmp_path / "samconfig.toml").read_text()
