"""`ninjaone-connect init`: questions in words, each answer checked as it is given, and the file that SAM reads."""

import json
import re
import subprocess
import tomllib
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from broker import ninjaone
from ninjaone_connect_cli.app import INTERRUPTED
from ninjaone_connect_cli.init import COSTS, Environment
from tests.support.cli import ROOT, Cli, bare_environment

ANSWERS = "Example PSA\nhttps://app.example.com/ninjaone/return\nn\n\n\neu-central-1\n300\n"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, bare_environment())


def written(cli: Cli) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    return tomllib.loads((cli.folder / "samconfig.toml").read_text(encoding="utf-8"))


def test_two_answers_are_enough_and_the_rest_by_enter(cli: Cli) -> None:
    ended = cli("init", typed=ANSWERS)

    assert ended.code == 0, ended.err
    dev = written(cli)["dev"]
    assert dev["global"]["parameters"] == {"stack_name": "ninjaone-connect-dev", "region": "eu-central-1"}
    assert dev["deploy"]["parameters"]["parameter_overrides"] == (
        'ProductName="Example PSA" ReturnUrls="main=https://app.example.com/ninjaone/return"'
    )
    assert f"about ${COSTS[500]} a month" in ended.err
    assert "`make deploy` deploys ninjaone-connect-dev to eu-central-1" in ended.err
    assert "Before you deploy: No AWS credentials were found" in ended.err
    assert ended.err.rstrip().endswith("export AWS_PROFILE=NAME."), "make deploy has no --profile"


def test_an_address_may_be_given_as_the_pair_that_the_docs_show(cli: Cli) -> None:
    ended = cli("init", typed=ANSWERS.replace("https://app", "main=https://app"))

    assert ended.code == 0, ended.err
    overrides = written(cli)["dev"]["deploy"]["parameters"]["parameter_overrides"]
    assert 'ReturnUrls="main=https://app.example.com/ninjaone/return"' in str(overrides)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("a\u202eb\n", "It must be 1 to 80"),
        ("x" * 81 + "\n", "It must be 1 to 80"),
        ("M\udcfcller\n", "It holds U+DCFC"),
    ],
)
def test_a_wrong_name_is_asked_for_again(cli: Cli, wrong: str, says: str) -> None:
    ended = cli("init", typed=wrong + ANSWERS)

    assert ended.code == 0
    assert says in ended.err


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("app.example.com/back", "an https address such as"),
        ("http://app.example.com", "an https address such as"),
        ("https://a.example/?x=1", "an address without a query"),
        ("https://a.example/#x", "an address without a fragment"),
        ("https://a.example/", "an address without a slash at its end"),
        ("main=https://a.example/", "an address without a slash at its end"),
        ("https://a.example, https://b.example", "one address without spaces and commas"),
        ("https://ä.example", "pairs key=https address"),
    ],
)
def test_a_wrong_return_address_is_asked_for_again_with_the_one_rule_that_it_breaks(
    cli: Cli, wrong: str, says: str
) -> None:
    name, _, rest = ANSWERS.partition("\n")

    ended = cli("init", typed=f"{name}\n{wrong}\n{rest}")

    assert ended.code == 0
    (said,) = re.findall(r"It must be (.*)\.", ended.err)
    assert said.startswith(says)


def test_client_apps_of_ones_own_are_asked_for_by_host(cli: Cli) -> None:
    ids = {"eu": "AbC-eu", "us2": "XyZ"}

    given = "".join(f"{ids.get(region, '')}\n" for region in ninjaone.REGIONS)
    typed = ANSWERS.replace("\nn\n", f"\ny\n{given}")

    ended = cli("init", typed=typed)

    assert ended.code == 0, ended.err
    overrides = str(written(cli)["dev"]["deploy"]["parameters"]["parameter_overrides"])
    assert 'ClientIds="us2=XyZ,eu=AbC-eu"' in overrides


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("inside", ["\u2028", "\x85", "\u2029"])
def test_what_somebody_else_wrote_into_the_file_is_kept(cli: Cli, mark: str, inside: str) -> None:
    others = f'{mark}version = 0.1\r\n[prod.global.parameters]\r\nstack_name = "a{inside}b"\r\n'
    (cli.folder / "samconfig.toml").write_bytes(others.encode())

    ended = cli("init", typed=ANSWERS)

    assert ended.code == 0, ended.err
    assert written(cli)["prod"]["global"]["parameters"] == {"stack_name": f"a{inside}b"}
    assert "dev" in written(cli)


def test_a_disk_that_is_full_costs_no_other_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.folder / "samconfig.toml").write_text("[prod.global.parameters]\n")

    def fill(file: Path, text: str, **_: Any) -> None:
        file.write_bytes(text.encode()[:20])
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    ended = cli("init", typed=ANSWERS)

    assert (ended.code, "No space left on device" in ended.err) == (1, True)
    assert "prod" in written(cli)


def test_another_environment_is_kept_to_the_letter(cli: Cli) -> None:
    cli("init", typed=ANSWERS)
    before = written(cli)["dev"]

    ended = cli("init", "--env", "prod", typed=ANSWERS.replace("Example PSA", 'Müller "PSA" \\ Söhne'))

    assert ended.code == 0, ended.err
    assert written(cli)["dev"] == before
    prod = written(cli)["prod"]["deploy"]["parameters"]
    assert prod["confirm_changeset"] is True
    assert 'ProductName="Müller \\"PSA\\" \\\\ Söhne"' in str(prod["parameter_overrides"])


def test_what_is_there_is_not_asked_for_again(cli: Cli) -> None:
    cli("init", typed=ANSWERS)

    assert cli("init", "--keep").code == 0
    assert cli("init", "--keep", "--env", "prod").code == INTERRUPTED  # it asks, and nobody answers


def test_a_file_that_is_no_toml_is_left_alone(cli: Cli) -> None:
    (cli.folder / "samconfig.toml").write_text("[dev\n")

    ended = cli("init", typed=ANSWERS)

    assert ended.code == 1
    assert "samconfig.toml can't be read" in ended.err
    assert (cli.folder / "samconfig.toml").read_text() == "[dev\n"


@pytest.mark.slow
def test_sam_reads_the_answers_as_they_were_given() -> None:
    names = {"ProductName": 'Müller "PSA" \\ Söhne', "ReturnUrls": "main=https://a.example/b,two=https://b.example"}
    subprocess.run(["make", "--silent", ".venv-sam/.locked"], cwd=ROOT, check=True)
    overrides = tomllib.loads(Environment("dev", names, "eu-west-1").lines())["dev"]["deploy"]["parameters"]
    read = (
        "import json, sys; from samcli.cli.types import CfnParameterOverridesType as T; "
        "print(json.dumps(T().convert((sys.argv[1],), None, None)))"
    )
    command = [".venv-sam/bin/python", "-c", read, overrides["parameter_overrides"]]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == names
