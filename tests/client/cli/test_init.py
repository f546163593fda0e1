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
from ninjaone_connect_cli.init import COSTS, MAX_LENGTH, Environment
from ninjaone_connect_cli.question import INTERRUPTED
from tests.deployment.template.stack import source
from tests.support.cli import ROOT, Cli, bare_environment
from tests.support.commands import judge_aws, words

ANSWERS = "Example PSA\nhttps://app.example.com/ninjaone/return\nn\n\neu-central-1\n\n300\n"
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0f0f0f0f-1111"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, bare_environment())


def written(cli: Cli) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    return tomllib.loads((cli.folder / "samconfig.toml").read_text(encoding="utf-8"))


def overrides(cli: Cli) -> str:
    return str(written(cli)["dev"]["deploy"]["parameters"]["parameter_overrides"])


def with_clients(*tries: dict[str, str]) -> str:
    given = "".join(f"{ids.get(region, '')}\n" for ids in tries for region in ninjaone.REGIONS)
    return ANSWERS.replace("\nn\n", f"\ny\n{given}")


def with_domain(certificate: str, answers: str = ANSWERS) -> str:
    return answers.replace("eu-central-1\n\n", f"eu-central-1\nconnect.example.com\n{certificate}\n")


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
    assert 'ReturnUrls="main=https://app.example.com/ninjaone/return"' in overrides(cli)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("a\u202eb\n", "It must be 1 to 80"),
        ("x" * 81 + "\n", "It must be 1 to 80"),
        ("M\udcfcller\n", "It holds U+DCFC"),
        ("\n", "It must be a name such as"),
        ("  \n", "It must be a name such as"),
        ("https://app.example.com\n", "not an address: people read it on the page"),
        ("www.example.com\n", "not an address: people read it on the page"),
        ("app.example.com/ninjaone\n", "not an address: people read it on the page"),
    ],
)
def test_a_wrong_name_is_asked_for_again(cli: Cli, wrong: str, says: str) -> None:
    ended = cli("init", typed=wrong + ANSWERS)

    assert ended.code == 0
    assert says in ended.err


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "an https address such as"),
        ("app.example.com/back", "an https address such as"),
        ("http://app.example.com", "an https address such as"),
        ("https://a.example/?x=1", "an address without a query"),
        ("https://a.example/#x", "an address without a fragment"),
        ("https://a.example/", "an address without a slash at its end"),
        ("main=https://a.example/", "an address without a slash at its end"),
        ("https://a.example, https://b.example", "one address without spaces and commas"),
        ("https://ä.example", "pairs key=https address"),
        (f"https://a.example/{'x' * 400}", "at most 400 characters, with main= before it"),
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


def test_a_product_may_be_called_like_a_domain(cli: Cli) -> None:
    assert cli("init", typed=ANSWERS.replace("Example PSA", "monday.com")).code == 0

    assert 'ProductName="monday.com"' in overrides(cli)


def test_client_apps_of_ones_own_are_asked_for_by_host(cli: Cli) -> None:
    ended = cli("init", typed=with_clients({"eu": "AbC-eu", "us2": "XyZ"}))

    assert ended.code == 0, ended.err
    assert 'ClientIds="us2=XyZ,eu=AbC-eu"' in overrides(cli)


def test_client_ids_that_are_too_long_together_are_asked_for_again(cli: Cli) -> None:
    ended = cli("init", typed=with_clients(dict.fromkeys(ninjaone.REGIONS, "x" * 70), {"eu": "AbC"}))

    assert ended.code == 0, ended.err
    assert "Together these are 520 characters, and ClientIds takes 400." in ended.err
    assert 'ClientIds="eu=AbC"' in overrides(cli)


def test_init_and_the_template_agree_on_lengths() -> None:
    parameters = source()["Parameters"]

    assert {parameters[name]["MaxLength"] for name in ("ReturnUrls", "ClientIds")} == {MAX_LENGTH}


def test_a_client_id_may_be_given_as_the_pair_that_the_docs_show(cli: Cli) -> None:
    ended = cli("init", typed=with_clients({"eu": "eu=AbC"}))

    assert ended.code == 0, ended.err
    assert 'ClientIds="eu=AbC"' in overrides(cli)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("ops@example.com", "a client id as NinjaOne shows it, and not a mail address"),
        ("arn:aws:acm:eu-west-1:123456789012:certificate/0f", "a client id as NinjaOne shows it, and not an ARN"),
        ("us2=AbC", "the client id on eu.ninjarmm.com alone, or eu= before it"),
        ("eu=AbC,us2=XyZ", "the client id on eu.ninjarmm.com alone, or eu= before it"),
        ("AbC XyZ", "a client id as NinjaOne shows it: letters"),
        ("AbC…", "a client id as NinjaOne shows it: letters"),
        ("n", "a client id as NinjaOne shows it; Enter if you have none there"),
        ("eu=None", "a client id as NinjaOne shows it; Enter if you have none there"),
        ("eu=", "a client id of 1 to 128 characters"),
        ("x" * 129, "a client id of 1 to 128 characters"),
    ],
)
def test_a_wrong_client_id_is_asked_for_again(cli: Cli, wrong: str, says: str) -> None:
    ended = cli("init", typed=with_clients({"eu": f"{wrong}\nAbC"}))

    assert ended.code == 0
    (said,) = re.findall(r"It must be (.*)\.", ended.err)
    assert said.startswith(says)
    assert 'ClientIds="eu=AbC"' in overrides(cli)


def test_a_certificate_is_one_of_the_stack_s_region(cli: Cli) -> None:
    ended = cli("init", typed=with_domain(CERTIFICATE))

    assert ended.code == 0, ended.err
    assert f'ConnectDomain="connect.example.com" CertificateArn="{CERTIFICATE}"' in overrides(cli)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (CERTIFICATE.replace("eu-central-1", "us-east-1"), "a certificate of eu-central-1, as the stack is;"),
        (CERTIFICATE.replace(":acm:", ":iam:"), "an ARN such as arn:aws:acm:eu-central-1:"),
        (CERTIFICATE.replace("certificate/", "certificate-authority/"), "an ARN such as arn:aws:acm:eu-central-1:"),
        ("connect.example.com", "an ARN such as arn:aws:acm:eu-central-1:"),
    ],
)  # fmt: skip
def test_another_certificate_is_refused(cli: Cli, wrong: str, says: str) -> None:
    ended = cli("init", typed=with_domain(f"{wrong}\n{CERTIFICATE}"))

    assert ended.code == 0
    assert f"It must be {says}" in ended.err
    assert f'CertificateArn="{CERTIFICATE}"' in overrides(cli)


def test_without_a_certificate_there_is_no_domain_and_the_command_that_makes_one_is_named(cli: Cli) -> None:
    ended = cli("init", typed=with_domain(""))

    assert ended.code == 0, ended.err
    assert "Domain" not in overrides(cli)
    assert "Certificate" not in overrides(cli)
    (command,) = re.findall(r"^  (aws .*--domain-name connect\.example\.com .*)$", ended.err, re.MULTILINE)
    for _, *arguments in words(command):
        judge_aws(arguments, is_whole=True)


@pytest.mark.parametrize(
    "wrong",
    ["<ops@example.com>", "mailto:ops@example.com", "ops@example.com,", "“ops@example.com”", "'ops@example.com'",
     "ops@example.com;b", "ops@exa\u200bmple.com", "ops@example"],
)  # fmt: skip
def test_a_mail_address_that_could_not_be_subscribed_is_asked_for_again(cli: Cli, wrong: str) -> None:
    ended = cli("init", typed=ANSWERS.replace("\n\neu-central-1", f"\n{wrong}\no'neil+x@ops.example.com\neu-central-1"))

    assert ended.code == 0, ended.err
    assert "It must be one mail address alone: ops@example.com." in ended.err
    assert 'AlarmEmail="o\'neil+x@ops.example.com"' in overrides(cli)


@pytest.mark.parametrize(
    "wrong", ["Connect.Example.com", "https://connect.example.com", "connect.example.com.", "bücher.example"]
)
def test_a_domain_that_is_none_says_how_to_write_it(cli: Cli, wrong: str) -> None:
    ended = cli("init", typed=with_domain(CERTIFICATE).replace("connect.example", f"{wrong}\nconnect.example"))

    assert ended.code == 0, ended.err
    assert "in lower case, without https:// before and a slash or dot after it." in ended.err


@pytest.mark.parametrize(
    ("wrong", "says"), [("lots", "digits"), ("0", "at least 1"), ("5,000", "digits"), ("-3", "digits")]
)
def test_how_many_connections_are_expected_is_a_number(cli: Cli, wrong: str, says: str) -> None:
    ended = cli("init", typed=ANSWERS.replace("300", f"{wrong}\n300"))

    assert ended.code == 0
    (said,) = re.findall("It must be a number (.*)", ended.err)
    assert says in said
    assert "Error: Invalid" not in ended.err


def test_yes_or_no_is_asked_for_in_words(cli: Cli) -> None:
    ended = cli("init", typed=ANSWERS.replace("\nn\n", "\nmaybe\nNo\n"))

    assert ended.code == 0
    assert "It must be y for yes or n for no." in ended.err


def test_earlier_answers_are_kept_by_enter(cli: Cli) -> None:
    everything = with_domain(CERTIFICATE, with_clients({"us2": "XyZ", "eu": "AbC"})).replace(
        "\neu-central-1", "ops@example.com\neu-central-1"
    )
    assert cli("init", typed=everything.replace("Example PSA", 'Müller "PSA" \\ Söhne')).code == 0
    before = written(cli)

    ended = cli("init", typed=" \n" * 20)

    assert ended.code == 0, ended.err
    assert written(cli) == before
    assert "ops@example.com" in overrides(cli)
    assert "eu-central-1" in ended.err


def test_an_earlier_answer_is_left_out_by_a_hyphen(cli: Cli) -> None:
    cli("init", typed=with_domain(CERTIFICATE))

    ended = cli("init", typed="\n\n\n\n\n-\n\n")

    assert ended.code == 0, ended.err
    assert "Domain" not in overrides(cli)
    assert "Certificate" not in overrides(cli)


def test_an_earlier_certificate_of_another_region_is_not_offered(cli: Cli) -> None:
    cli("init", typed=with_domain(CERTIFICATE))

    ended = cli("init", typed="\n\n\n\neu-west-1\n\n\n\n")

    assert ended.code == 0, ended.err
    assert "Without a certificate there is no domain yet" in ended.err
    assert "Certificate" not in overrides(cli)


@pytest.mark.parametrize(
    "form",
    [
        '"ProductName=Example Tracing=Active ReturnUrls=main=https://a.example,two=https://b.example"',
        '["ProductName=Example", "Tracing=Active", "ReturnUrls=main=https://a.example,two=https://b.example"]',
    ],
)
def test_parameters_that_somebody_wrote_into_the_file_are_kept(cli: Cli, form: str) -> None:
    (cli.folder / "samconfig.toml").write_text(f"[dev.deploy.parameters]\nparameter_overrides = {form}\n")

    ended = cli("init", typed="\n" * 10)

    assert ended.code == 0, ended.err
    assert overrides(cli) == (
        'ProductName="Example" ReturnUrls="main=https://a.example,two=https://b.example" Tracing="Active"'
    )


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param(
            f"ConnectDomain=c.example OriginVerify={'0' * 64}",
            'ConnectDomain="c.example"',
            id="a domain behind the firewall, which needs no certificate",
        ),
        pytest.param(
            f"BackendDomain=b.example CertificateArn={CERTIFICATE}",
            f'CertificateArn="{CERTIFICATE}"',
            id="the certificate of the backend's domain",
        ),
    ],
)
def test_what_a_domain_needs_is_kept(cli: Cli, written: str, kept: str) -> None:
    (cli.folder / "samconfig.toml").write_text(
        f"[dev.deploy.parameters]\nparameter_overrides = 'ProductName=E ReturnUrls=main=https://a.example {written}'\n"
    )

    ended = cli("init", typed="\n" * 10)

    assert ended.code == 0, ended.err
    assert kept in overrides(cli)


@pytest.mark.parametrize(
    "form", ["'ParameterKey=ProductName,ParameterValue=E'", "'ProductName=\"E'", "{ProductName = 'E'}"]
)
def test_parameters_that_cannot_be_read_are_not_overwritten(cli: Cli, form: str) -> None:
    text = f"[dev.deploy.parameters]\nparameter_overrides = {form}\n"
    (cli.folder / "samconfig.toml").write_text(text)

    ended = cli("init", typed=ANSWERS)

    assert ended.code == 1
    assert 'write the parameter_overrides of dev as Name="value"' in ended.err
    assert (cli.folder / "samconfig.toml").read_text() == text


OTHERS = {
    "indented": '  [prod.global.parameters]\n  region = "eu-west-1"\n\t[prod.deploy.parameters]\n\ts3_bucket = "b"\n',
    "spaces in headings": '[ prod . "global" . parameters ] # ours\nregion = "eu-west-1"\n',
    "quoted": "['prod'.deploy.parameters]\ns3_bucket = 'b'\n",
    "inline": 'prod.deploy.parameters = {s3_bucket = "b", resolve_s3 = false}\n',
    "a heading within a text": '[prod.build.parameters]\nnote = """\n[dev]\nis another"""\nuse_container = true\n',
    "an array over lines": '[prod.deploy.parameters]\ntags = [\n  "a=b",\n]\nfail_on_empty_changeset = false\n',
    "an array of tables": '[[prod.notes]]\nby = "ops"\n',
    "no parameters": "[prod]\n",
}


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("is_above", [True, False])
def test_environments_that_somebody_wrote_by_hand_are_kept(cli: Cli, others: str, *, is_above: bool) -> None:
    mine = '[dev.global.parameters]\nregion = "us-east-1"\n[dev.deploy.parameters]\ncapabilities = "CAPABILITY_IAM"\n'
    is_above = is_above or others == "inline"  # what stands below a heading belongs to it
    text = f"version = 0.1\n{OTHERS[others] + mine if is_above else mine + OTHERS[others]}"
    (cli.folder / "samconfig.toml").write_text(text)

    first = cli("init", typed=ANSWERS)
    second = cli("init", typed="\n" * 10)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert written(cli)["prod"] == tomllib.loads(text)["prod"]
    assert written(cli)["dev"]["global"]["parameters"]["region"] == "eu-central-1"


def test_settings_and_comments_of_the_environment_are_kept_where_nobody_asks_for_them(cli: Cli) -> None:
    file = cli.folder / "samconfig.toml"
    file.write_text(
        "# agreed in May\n[dev.global.parameters]\nstack_name = 'connect-test'\n# of the platform team\n"
        "[dev.deploy.parameters]\nregion = 'us-east-1'\ns3_bucket = 'b'\nrole_arn = 'r'\ntags = ['a=b', 'c=d']\n\n"
        "# prod is deployed on Fridays\n[prod.global.parameters]\n[dev.build.parameters]\ncached = true\n"
    )

    ended = cli("init", typed=ANSWERS)

    dev = written(cli)["dev"]
    assert "deploys connect-test to eu-central-1" in ended.err
    assert dev["global"]["parameters"] == {"stack_name": "connect-test", "region": "eu-central-1"}
    kept = {"s3_bucket": "b", "role_arn": "r", "tags": ["a=b", "c=d"]}
    assert kept.items() <= dev["deploy"]["parameters"].items()
    assert {"region", "resolve_s3"}.isdisjoint(dev["deploy"]["parameters"])
    assert dev["build"]["parameters"] == {"cached": True}
    lines = [line for line in file.read_text().splitlines() if line]
    assert lines[lines.index("# prod is deployed on Fridays") + 1] == "[prod.global.parameters]"
    assert lines[lines.index("# agreed in May") + 1] == "[dev.global.parameters]"
    assert lines[lines.index("# of the platform team") + 1] == "[dev.deploy.parameters]"


@pytest.mark.parametrize(
    ("form", "kept"),
    [
        ('dev.deploy.parameters.s3_bucket = "b" # ours\n', {"s3_bucket": "b"}),
        ('[dev]\ndeploy = {parameters = {role_arn = "r", region = "eu-west-1"}} # ours\n', {"role_arn": "r"}),
        ('[dev.deploy]\nparameters.capabilities = "CAPABILITY_IAM" # ours\n', {"capabilities": "CAPABILITY_IAM"}),
        ('[dev.deploy.parameters]\ntags = [\n"a=b", # ours\n]\n[prod]\n[dev.global]\n', {"tags": ["a=b"]}),
        ('["dev".deploy."parameters"]\nnotification_arns = [["n"]] # ours\n', {"notification_arns": [["n"]]}),
    ],
)
def test_settings_are_kept_in_whatever_form_toml_allows(cli: Cli, form: str, kept: dict[str, object]) -> None:
    (cli.folder / "samconfig.toml").write_text(form)

    ended = cli("init", typed=ANSWERS)

    assert ended.code == 0, ended.err
    deploy = written(cli)["dev"]["deploy"]["parameters"]
    assert kept.items() <= deploy.items()
    assert "region" not in deploy
    assert "Example PSA" in overrides(cli)
    assert "# ours" in (cli.folder / "samconfig.toml").read_text()


def test_a_link_to_the_file_and_its_mode_are_kept(cli: Cli) -> None:
    (cli.folder / "shared").mkdir()
    target, link = cli.folder / "shared/ours.toml", cli.folder / "samconfig.toml"
    target.write_text("# nothing yet\n")
    target.chmod(0o600)
    link.symlink_to(target)

    assert cli("init", typed=ANSWERS).code == 0

    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_text().startswith("version = 0.1\n# nothing yet\n")
    assert "dev" in written(cli)
    assert [each.name for each in target.parent.iterdir()] == ["ours.toml"]


@pytest.mark.parametrize(
    ("by_hand", "kept"),
    [
        (r"C:\PSA", r'"C:\PSA"'),
        (r'"C:\PSA"', r'"C:\PSA"'),
        ("'a b'", '"a b"'),
        (r"a\ b", '"a b"'),
        (r'"a\\ b"', r'"a\\ b"'),
        ("O'Neil", '"O\'Neil"'),
        (r'"\"a\""', r'"\"a\""'),
    ],
)
def test_values_are_read_from_the_file_as_sam_reads_them(cli: Cli, by_hand: str, kept: str) -> None:
    """Of both kinds of quotation marks the outer ones go, and a backslash before other characters stays."""
    parameters = json.dumps(f"ReturnUrls=main=https://a.example Note={by_hand}")
    (cli.folder / "samconfig.toml").write_text(f"[dev.deploy.parameters]\nparameter_overrides = {parameters}\n")

    assert cli("init", typed="E\n" + "\n" * 10).code == 0
    first = overrides(cli)
    assert cli("init", typed="\n" * 10).code == 0

    assert f"Note={kept}" in first
    assert overrides(cli) == first


@pytest.mark.parametrize("name", ["PSA\\", 'The \\"PSA'])
def test_what_sam_would_read_otherwise_is_asked_for_again(cli: Cli, name: str) -> None:
    ended = cli("init", typed=f"{name}\n{ANSWERS}")

    assert ended.code == 0
    assert "SAM can't read a backslash at the end or before a quotation mark." in ended.err


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
    assert [each.name for each in cli.folder.iterdir()] == ["samconfig.toml"]


def test_two_commands_at_once_write_a_file_each(cli: Cli) -> None:
    (cli.folder / "samconfig.toml.new").write_text("of another command")

    assert cli("init", typed=ANSWERS).code == 0

    assert (cli.folder / "samconfig.toml.new").read_text() == "of another command"
    assert {each.name for each in cli.folder.iterdir()} == {"samconfig.toml", "samconfig.toml.new"}


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
    asks = cli("init", "--keep", "--env", "prod")  # and nobody answers
    assert (asks.code, asks.err.rpartition(": ")[2].strip()) == (INTERRUPTED, "Nothing was changed.")


def test_a_file_that_is_no_toml_is_left_alone(cli: Cli) -> None:
    (cli.folder / "samconfig.toml").write_text("[dev\n")

    ended = cli("init", typed=ANSWERS)

    assert ended.code == 1
    assert "samconfig.toml can't be read" in ended.err
    assert (cli.folder / "samconfig.toml").read_text() == "[dev\n"


@pytest.mark.slow
def test_sam_reads_the_answers_as_they_were_given() -> None:
    names = {"ProductName": 'Müller "PSA" \\ Söhne', "ReturnUrls": "main=https://a.example/b,two=https://b.example"}
    names |= {"AlarmEmail": r"o'neil\\b@\a.example", "ConnectDomain": r'\ \\ \' "a"'}
    subprocess.run(["make", "--silent", ".venv-sam/.locked"], cwd=ROOT, check=True)
    overrides = str(Environment("dev", names, "eu-west-1").written["deploy"]["parameter_overrides"])
    read = (
        "import json, sys; from samcli.cli.types import CfnParameterOverridesType as T; "
        "print(json.dumps(T().convert((sys.argv[1],), None, None)))"
    )
    command = [".venv-sam/bin/python", "-c", read, overrides]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == names
