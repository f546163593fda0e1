"""Ask what a deployment needs, in words, and write the configuration that `make deploy` uses.

Every answer is checked as it is given, by the same rules as the functions check their settings at their start.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
import click

from broker import ninjaone
from broker.config import ASKED
from broker.text import first_unsafe, trimmed
from ninjaone_connect_cli.at import At, here
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.identity import identity

FILE = Path("samconfig.toml")
STACKS = {"dev": "ninjaone-connect-dev", "prod": "ninjaone-connect"}
COSTS = {50: 20, 500: 22, 5_000: 38}
"""Dollars a month for so many connections, as README.md says: list prices without free tiers."""

Check = Callable[[str], object]


@click.command()
@click.option("--env", default="dev", show_default=True, help="The environment: `make deploy ENV=…` names it.")
@click.option("--keep", is_flag=True, help="Ask nothing where the file has this environment already.")
@here
def init(at: At, env: str, *, keep: bool) -> None:
    """Ask what a deployment needs, and write it to samconfig.toml, which git ignores.

    \b
    ninjaone-connect init              # then: make deploy
    ninjaone-connect init --env prod   # then: make deploy ENV=prod
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", env):
        raise CliError("An environment's name has lower-case letters, digits and hyphens, and begins with a letter.")
    if keep and env in _read(FILE):
        return
    ask = Ask()
    made = Environment(env, ask.parameters(), ask.region())
    ask.cost()
    fresh = FILE.with_name(f"{FILE.name}.new")  # a full disk costs no other environment
    fresh.write_text(_other_lines(FILE, env) + made.lines(), encoding="utf-8")
    fresh.replace(FILE)
    name = "" if env == "dev" else f" ENV={env}"
    at.screen.say(f"{FILE} is written. `make deploy{name}` deploys {made.stack} to {made.region}.")
    at.screen.say(_account(made.region))


@dataclass(frozen=True)
class Environment:
    """One environment of the configuration file.

    Attributes:
        answers: parameter of the template → value
        region: of AWS
    """

    name: str
    answers: Mapping[str, str]
    region: str

    @property
    def stack(self) -> str:
        """The stack's name."""
        return STACKS.get(self.name, f"ninjaone-connect-{self.name}")

    def lines(self) -> str:
        """Write it as SAM reads it."""
        overrides = " ".join(f"{name}={_quoted(answer)}" for name, answer in self.answers.items())
        return f"""
[{self.name}.global.parameters]
stack_name = {_toml(self.stack)}
region = {_toml(self.region)}

[{self.name}.deploy.parameters]
capabilities = "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"
confirm_changeset = {"true" if self.name == "prod" else "false"}
parameter_overrides = {_toml(overrides)}
resolve_s3 = true
s3_prefix = {_toml(self.stack)}
tags = {_toml(f"service={self.stack}")}
"""


class Ask:
    """The questions, in the order in which a team knows the answers."""

    def parameters(self) -> dict[str, str]:
        """Ask for the template's parameters; what is not asked for keeps its default."""
        answers = {
            "ProductName": self._text("What is your product called, for the customers who connect", "ProductName"),
            "ReturnUrls": self._text("Where do they come back to in your product (an https address)", "ReturnUrls"),
            "ClientIds": self._client_ids(),
            "AlarmEmail": self._text(
                "Which mail address gets all alarms, also those that page (empty: none yet)", "AlarmEmail", default=""
            ),
            "ConnectDomain": self._text(
                "A domain of yours for the pages, best chosen now (empty: AWS's address)", "ConnectDomain", default=""
            ),
        }
        if answers["ConnectDomain"]:
            question = "The ARN of that domain's ACM certificate, in the stack's region"
            answers["CertificateArn"] = self._text(question, "CertificateArn")
        answers["ReturnUrls"] = _pair("main", answers["ReturnUrls"])
        return {name: answer for name, answer in answers.items() if answer}

    def region(self) -> str:
        """Ask for the AWS region."""
        session = boto3.Session()
        known = session.get_available_regions("apigatewayv2")

        def check(value: str) -> None:
            if value not in known:
                raise ValueError("an AWS region such as eu-west-1")

        return self._asked("Which AWS region", check, default=session.region_name or "eu-west-1")

    def cost(self) -> None:
        """Say what it will cost, for the next larger number of connections in the table."""
        count = click.prompt("About how many connections do you expect", type=click.IntRange(1), default=50, err=True)
        most = next((size for size in COSTS if size >= count), None)
        said = f"about ${COSTS[most]} a month" if most else "see docs/understand/scale.md for what so many cost"
        click.echo(f"By AWS's list prices: {said}.", err=True)

    def _client_ids(self) -> str:
        """Ask for the operator's client apps, if there are any: most teams can't have one for all accounts."""
        click.echo(
            "Each customer can register a client app of their own in NinjaOne; that works with every account.\n"
            "A client app of yours for all customers needs NinjaOne's help (docs/operate/your-app.md).",
            err=True,
        )
        if not click.confirm("Do you have client apps of your own", default=False, err=True):
            return ""
        asked = {
            region: self._text(f"  Its client id on {host} (empty: none)", region, default="")
            for region, host in ninjaone.REGIONS.items()
        }
        return ",".join(_pair(region, client) for region, client in asked.items() if client)

    def _text(self, question: str, name: str, *, default: str | None = None) -> str:
        return self._asked(question, lambda value: CHECKS[name](value) if value else None, default=default)

    def _asked(self, question: str, check: Check, *, default: str | None = None) -> str:
        """Ask until the answer is valid; say each time what it must be."""

        def read(value: str) -> str:
            value = trimmed(value)
            try:
                check(value)
            except ValueError as wanted:
                raise click.BadParameter(f"It must be {wanted}.") from None
            if unsafe := first_unsafe(value):  # half a character too, as of a terminal that speaks no UTF-8
                raise click.BadParameter(f"It holds U+{ord(unsafe):04X}, which is no part of a text. Type it anew.")
            return value

        answer: str = click.prompt(question, value_proc=read, default=default, show_default=bool(default), err=True)
        return answer


def _matching(pattern: str, wanted: str) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(wanted)

    return check


def _as_pair(parameter: str, key: str) -> Check:
    """Check a value as the pair ``key=value`` of a parameter that lists such pairs; it may be the pair already."""
    return lambda value: ASKED[parameter](_pair(key, value))


_RETURN_RULES: Mapping[str, str] = {
    r"[^\s,]*": "one address without spaces and commas; more of them go into the file afterwards",
    r"(https://|http://127\.0\.0\.1).*": "an https address such as https://app.example.com/ninjaone/return",
    r"[^?]*": "an address without a query: leave out the question mark and what follows it",
    r"[^#]*": "an address without a fragment: leave out the # and what follows it",
    r".*[^/]": "an address without a slash at its end",
}
"""What a return address has to match → what to say where it does not. All rules together are the parameter's."""


def _return_address(value: str) -> None:
    """Check a return address. Raises ValueError with the one rule that it breaks."""
    address = value.removeprefix("main=")
    for pattern, wanted in _RETURN_RULES.items():
        _matching(pattern, wanted)(address)
    _as_pair("ReturnUrls", "main")(address)


def _pair(key: str, value: str) -> str:
    """Write a value as a pair, unless it was given as one, as the docs and the file show it."""
    return f"{key}={value.removeprefix(f'{key}=')}"


CHECKS: Mapping[str, Check] = {
    "ProductName": ASKED["ProductName"],
    "ReturnUrls": _return_address,
    **{region: _as_pair("ClientIds", region) for region in ninjaone.REGIONS},
    "AlarmEmail": _matching(r"[^@\s]+@[^@\s]+", "a mail address"),
    "ConnectDomain": _matching(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "a domain such as connect.example.com"),
    "CertificateArn": _matching(r"arn:aws[a-z-]*:acm:.+", "the ARN of an ACM certificate"),
}


def _quoted(value: str) -> str:
    """Quote a parameter's value as SAM reads it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _toml(value: str) -> str:
    """Write a basic string of TOML, whose escapes are JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig")  # without the byte order mark of Windows, which TOML does not know


def _read(file: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(_text(file))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise CliError(f"{file} can't be read: {fault}. Correct it, or move it away and run the same again.") from None


def _other_lines(file: Path, env: str) -> str:
    """Keep the lines of other environments as they are, comments too."""
    if not _read(file):
        return "# Made by `ninjaone-connect init`. Git ignores it: it holds your addresses.\nversion = 0.1\n"
    kept, mine = list[str](), False
    for line in _text(file).split("\n"):  # TOML's line ends: U+2028 may stand inside a value
        if line.startswith("["):
            mine = line.startswith((f"[{env}.", f"[{env}]"))
        if not mine:
            kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"


def _account(region: str) -> str:
    """Return which account it will be deployed to, or what to do to log in."""
    try:
        return f"You are logged in to {identity(region)}."
    except CliError as why:
        return f"Before you deploy: {why}"


COMMANDS = (init,)
