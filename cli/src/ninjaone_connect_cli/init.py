"""Ask what a deployment needs, in words, and write the configuration that `make deploy` uses.

Every answer is checked as it is given, by the same rules as the functions check their settings at their start.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import click
import tomlkit

from broker import ninjaone
from broker.config import ASKED
from broker.text import first_unsafe, trimmed
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.identity import identity
from ninjaone_connect_cli.question import before_anything

FILE = Path("samconfig.toml")
VERSION = "version = 0.1\n"
"""Without it SAM refuses the file."""
HEADER = f"# Made by `ninjaone-connect init`. Git ignores it: it holds your addresses.\n{VERSION}"
STACKS = {"dev": "ninjaone-connect-dev", "prod": "ninjaone-connect"}
COSTS = {50: 20, 500: 22, 5_000: 38}
"""Dollars a month for so many connections, as README.md says: list prices without free tiers."""

MAX_LENGTH = 400
"""Characters that the template takes of ReturnUrls and of ClientIds, because a function's variables share 4 KB."""
NONE = "-"
"""What is typed where an earlier answer is to be left out, since Enter keeps it."""

Check = Callable[[str], object]


@click.command()
@click.option("--env", default="dev", show_default=True, help="The environment: `make deploy ENV=…` names it.")
@click.option("--keep", is_flag=True, help="Ask nothing where the file has this environment already.")
@pass_cli
def init(cli: CliContext, env: str, *, keep: bool) -> None:
    """Ask what a deployment needs, and write it to samconfig.toml, which git ignores.

    \b
    ninjaone-connect init              # then: make deploy
    ninjaone-connect init --env prod   # then: make deploy ENV=prod
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", env):
        raise CliError("An environment's name has lower-case letters, digits and hyphens, and begins with a letter.")
    if keep and env in _read(FILE):
        return
    ask = Ask(*_earlier(FILE, env))
    _rewritten(FILE, env, {}, "")  # a file that can't be changed is told before the first question
    with before_anything():
        answers, region = ask.answers()
        ask.cost()
    made, text = _rewritten(FILE, env, answers, region)
    _replace(FILE.resolve(), text)
    name = "" if env == "dev" else f" ENV={env}"
    cli.screen.say(f"{FILE} is written. `make deploy{name}` deploys {made.stack} to {made.region}.")
    cli.screen.say(_account(made.region))


@dataclass(frozen=True)
class Environment:
    """One environment of the configuration file.

    Attributes:
        answers: parameter of the template → value
        region: of AWS
        earlier: what the file says of it; settings that are not asked for stay as they are
    """

    name: str
    answers: Mapping[str, str]
    region: str
    earlier: Mapping[str, object] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The stack's name."""
        named = self._deploy.get("stack_name", self._global["stack_name"])
        return str(named)

    @property
    def settings(self) -> Mapping[str, Mapping[str, object]]:
        """All its settings: by command, as SAM reads them."""
        commands = {name: table for name, table in self.earlier.items() if isinstance(table, dict)}
        return commands | {name: {**commands.get(name, {}), "parameters": new} for name, new in self.written.items()}

    @property
    def written(self) -> Mapping[str, Mapping[str, object]]:
        """The parameters of the commands that the answers are for."""
        return {"global": self._global, "deploy": self._deploy}

    @property
    def _default_stack(self) -> str:
        return STACKS.get(self.name, f"ninjaone-connect-{self.name}")

    @property
    def _global(self) -> Mapping[str, object]:
        return {"stack_name": self._default_stack, **_parameters(self.earlier, "global"), "region": self.region}

    @property
    def _deploy(self) -> Mapping[str, object]:
        earlier = {name: value for name, value in _parameters(self.earlier, "deploy").items() if name != "region"}
        overrides = " ".join(f"{name}={_quoted(answer)}" for name, answer in self.answers.items())
        return {
            "capabilities": "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND",
            "confirm_changeset": self.name == "prod",
            **({} if "s3_bucket" in earlier else {"resolve_s3": True}),
            "s3_prefix": self._default_stack,
            "tags": f"service={self._default_stack}",
            **earlier,
            "parameter_overrides": overrides,
        }


class Ask:
    """The questions, in the order in which a team knows the answers; Enter keeps an earlier answer.

    Args:
        earlier: parameter of the template → the value that the file has
        region: of AWS, that the file has; empty if there is none
    """

    def __init__(self, earlier: Mapping[str, str], region: str) -> None:
        self._earlier, self._region = earlier, region

    def answers(self) -> tuple[Mapping[str, str], str]:
        """Ask for everything; return the template's parameters and the region.

        A parameter that is not asked for keeps what the file says, or its default.
        """
        answers = {
            "ProductName": self._text("What is your product called, for the customers who connect", "ProductName"),
            "ReturnUrls": _return_urls(
                self._text("Where do they come back to in your product (an https address)", "ReturnUrls")
            ),
            "ClientIds": self._client_ids(),
            "AlarmEmail": self._text(
                "Which mail address gets all alarms, also those that page", "AlarmEmail", empty="none yet"
            ),
        }
        region = self._aws_region()
        answers |= self._domain(region)
        kept = {key: value for key, value in self._earlier.items() if key not in answers}
        return {key: value for key, value in (answers | kept).items() if value}, region

    def cost(self) -> None:
        """Say what it will cost, for the next larger number of connections in the table."""
        check = _matching("0*[1-9][0-9]{0,8}", "a number in digits, at least 1, such as 50")
        count = int(self._asked("About how many connections do you expect", check, default="50"))
        most = next((size for size in COSTS if size >= count), None)
        said = f"about ${COSTS[most]} a month" if most else "see docs/understand/scale.md for what so many cost"
        click.echo(f"By AWS's list prices: {said}.", err=True)

    def _aws_region(self) -> str:
        session = boto3.Session()
        known = session.get_available_regions("apigatewayv2")

        def check(value: str) -> None:
            if value not in known:
                raise ValueError("an AWS region such as eu-west-1")

        return self._asked("Which AWS region", check, default=self._region or session.region_name or "eu-west-1")

    def _domain(self, region: str) -> dict[str, str]:
        """Ask for the domain and its certificate, which template.yaml wants together and in the stack's region.

        Behind the firewall's distribution, which OriginVerify tells, the domain needs no certificate here.
        """
        domain = self._text(
            "A domain of yours for the pages, best chosen now", "ConnectDomain", empty="AWS's address"
        )  # fmt: skip
        if not domain or self._earlier.get("OriginVerify"):
            kept = self._earlier.get("CertificateArn", "") if self._earlier.get("BackendDomain") else ""
            return {"ConnectDomain": domain, "CertificateArn": kept}
        certificate = self._text(
            f"The ARN of {domain}'s ACM certificate in {region}",
            "CertificateArn", check=_certificate_of(region), empty="no domain yet",
        )  # fmt: skip
        if not certificate:
            click.echo(_no_certificate(domain, region), err=True)
        return {"ConnectDomain": domain if certificate else "", "CertificateArn": certificate}

    def _client_ids(self) -> str:
        """Ask for the operator's client apps, if there are any: most teams can't have one for all accounts."""
        click.echo(
            "Each customer can register a client app of their own in NinjaOne; that works with every account.\n"
            "A client app of yours for all customers needs NinjaOne's help (docs/operate/your-app.md).",
            err=True,
        )
        earlier = _client_pairs(self._earlier.get("ClientIds", ""))
        if not self._is_yes("Do you have client apps of your own", default=bool(earlier)):
            return ""
        asked = self._client_id_of_each_host(earlier)
        while len(asked) > MAX_LENGTH:
            click.echo(
                f"Together these are {len(asked)} characters, and ClientIds takes {MAX_LENGTH}. Leave out hosts.",
                err=True,
            )
            asked = self._client_id_of_each_host(earlier)
        return asked

    def _client_id_of_each_host(self, earlier: Mapping[str, str]) -> str:
        asked = {
            region: self._optional(f"  Its client id on {host}", _client_id(region), "none", earlier.get(region, ""))
            for region, host in ninjaone.REGIONS.items()
        }
        return ",".join(_pair(region, client) for region, client in asked.items() if client)

    def _is_yes(self, question: str, *, default: bool) -> bool:
        check = _matching("(?i)y|yes|n|no", "y for yes or n for no")
        answer = self._asked(f"{question} (y or n)", check, default="y" if default else "n")
        return answer.lower().startswith("y")

    def _text(self, question: str, name: str, *, check: Check | None = None, empty: str = "") -> str:
        """Ask for a parameter of the template; it may be left out if ``empty`` says what that means."""
        check, earlier = check or CHECKS[name], self._earlier.get(name, "")
        if empty:
            return self._optional(question, check, empty, earlier)
        return self._asked(question, check, default=earlier if _passes(check, earlier) else "")

    def _optional(self, question: str, check: Check, empty: str, earlier: str) -> str:
        """Ask for what may be left out: by Enter, or by a hyphen where Enter keeps an earlier answer."""
        default = earlier if _passes(check, earlier) else ""
        hint = f"{NONE if default else 'empty'}: {empty}"
        answer = self._asked(
            f"{question} ({hint})", lambda value: check(value) if value not in {"", NONE} else None, default=default
        )
        return "" if answer == NONE else answer

    def _asked(self, question: str, check: Check, *, default: str = "") -> str:
        """Ask until the answer is valid; say each time what it must be, also where there is none."""

        def read(value: str) -> str:
            value = trimmed(value) or default
            try:
                check(value)
            except ValueError as wanted:
                raise click.BadParameter(f"It must be {wanted}.") from None
            if unsafe := first_unsafe(value):  # half a character too, as of a terminal that speaks no UTF-8
                raise click.BadParameter(f"It holds U+{ord(unsafe):04X}, which is no part of a text. Type it anew.")
            if _unquoted(_quoted(value)) != value:
                raise click.BadParameter("SAM can't read a backslash at the end or before a quotation mark.")
            return value

        answer: str = click.prompt(question, value_proc=read, default=default, show_default=bool(default), err=True)
        return answer


def _matching(pattern: str, wanted: str) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(wanted)

    return check


def _passes(check: Check, value: str) -> bool:
    try:
        check(value)
    except ValueError:
        return False
    return True


def _product_name(value: str) -> None:
    """Check the product's name: an address is none, though the parameter would take it."""
    if not value:
        raise ValueError("a name such as Example PSA: people read it on the page where they connect")
    if re.match(r"(?i)\S+://|www\.|[\w-]+(\.[\w-]+)+(:\d+)?/", value):
        raise ValueError("a name such as Example PSA, and not an address: people read it on the page")
    ASKED["ProductName"](value)


_RETURN_RULES: Mapping[str, str] = {
    r"[^\s,]*": "one address without spaces and commas; more of them go into the file afterwards",
    r"(https://|http://127\.0\.0\.1).*": "an https address such as https://app.example.com/ninjaone/return",
    r"[^?]*": "an address without a query: leave out the question mark and what follows it",
    r"[^#]*": "an address without a fragment: leave out the # and what follows it",
    r".*[^/]": "an address without a slash at its end",
}
"""What a return address has to match → what to say where it does not. All rules together are the parameter's."""


def _return_address(value: str) -> None:
    """Check one return address, or pairs as the file has them. Raises ValueError with the one rule that it breaks."""
    if len(_return_urls(value)) > MAX_LENGTH:
        raise ValueError(f"at most {MAX_LENGTH} characters, with main= before it")
    if _passes(ASKED["ReturnUrls"], value):
        return
    address = value.removeprefix("main=")
    for pattern, wanted in _RETURN_RULES.items():
        _matching(pattern, wanted)(address)
    ASKED["ReturnUrls"](_pair("main", address))


def _return_urls(value: str) -> str:
    return value if _passes(ASKED["ReturnUrls"], value) else _pair("main", value)


def _pair(key: str, value: str) -> str:
    """Write a value as a pair, unless it was given as one, as the docs and the file show it."""
    return f"{key}={value.removeprefix(f'{key}=')}"


_CLIENT_RULES: Mapping[str, str] = {
    r"(?i)(?!(y|n|yes|no|none)$).*": "a client id as NinjaOne shows it; Enter if you have none there, or - "
    "where an earlier one is shown",
    r"[^@]*": "a client id as NinjaOne shows it, and not a mail address",
    r"(?!arn:).*": "a client id as NinjaOne shows it, and not an ARN of AWS",
    r"[^=]*": "the client id on {host} alone, or {region}= before it; other regions have questions of their own",
    r"[A-Za-z0-9._~-]*": "a client id as NinjaOne shows it: letters, digits, hyphens and underscores",
}
"""What a client id has to match → what to say where it does not. The parameter itself takes more characters."""


def _client_id(region: str) -> Check:
    """Check a client id, alone or as the pair of its region."""

    def check(value: str) -> None:
        client = value.removeprefix(f"{region}=")
        for pattern, wanted in _CLIENT_RULES.items():
            _matching(pattern, wanted.format(region=region, host=ninjaone.REGIONS[region]))(client)
        if not _passes(ASKED["ClientIds"], f"{region}={client}"):
            raise ValueError("a client id of 1 to 128 characters")

    return check


def _client_pairs(value: str) -> dict[str, str]:
    """Read the parameter ClientIds; empty if it is not valid."""
    if not value or not _passes(ASKED["ClientIds"], value):
        return {}
    return dict(pair.strip().split("=", 1) for pair in value.split(","))


def _certificate_of(region: str) -> Check:
    """Check the ARN of a certificate: API Gateway's regional domains take one of their own region only."""

    def check(value: str) -> None:
        found = re.fullmatch(r"arn:aws[a-z-]*:acm:([a-z0-9-]+):[0-9]{12}:certificate/[A-Za-z0-9-]+", value)
        if not found:
            raise ValueError(f"an ARN such as arn:aws:acm:{region}:123456789012:certificate/0f0f0f0f")
        if found[1] != region:
            raise ValueError(f"a certificate of {region}, as the stack is; this one is of {found[1]}")

    return check


def _no_certificate(domain: str, region: str) -> str:
    return (
        f"Without a certificate there is no domain yet. This asks for one:\n"
        f"  aws acm request-certificate --region {region} --domain-name {domain} --validation-method DNS\n"
        "When ACM has issued it, run this again and give its ARN (docs/operate/deploy.md)."
    )


CHECKS: Mapping[str, Check] = {
    "ProductName": _product_name,
    "ReturnUrls": _return_address,
    "AlarmEmail": _matching(
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "one mail address alone: ops@example.com"
    ),
    "ConnectDomain": _matching(
        r"[a-z0-9-]+(\.[a-z0-9-]+)+",
        "a domain such as connect.example.com, in lower case, without https:// before and a slash or dot after it",
    ),
}


def _quoted(value: str) -> str:
    r"""Quote a parameter's value as SAM reads it: a backslash counts only before a space or a quotation mark."""
    return '"' + re.sub(r"\\(?=[ '\"]|$)", r"\\\\", value).replace('"', '\\"') + '"'


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig")  # without the byte order mark of Windows, which TOML does not know


def _read(file: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(_text(file))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise CliError(f"{file} can't be read: {fault}. Correct it, or move it away and run the same again.") from None


_OVERRIDE = r"""([A-Za-z0-9]+)=("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|[^\s"'\\])(?:\\.|[^\s"\\])*)"""


def _earlier(file: Path, env: str) -> tuple[dict[str, str], str]:
    """Give an environment's parameters and its region; empty where the file has none. Raises CliError."""
    tables = _table(_read(file), env)
    settings = {**_table(_table(tables, "global"), "parameters"), **_table(_table(tables, "deploy"), "parameters")}
    written = settings.get("parameter_overrides", "")
    text = " ".join(map(str, written)) if isinstance(written, list) else str(written)
    if not re.fullmatch(rf"\s*({_OVERRIDE}(\s+|$))*", text) or "ParameterKey=" in text:
        raise CliError(f'{file}: write the parameter_overrides of {env} as Name="value", with spaces between them.')
    return {name: _unquoted(value) for name, value in re.findall(_OVERRIDE, text)}, str(settings.get("region", ""))


def _table(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = parent.get(name)
    return table if isinstance(table, dict) else {}


def _unquoted(value: str) -> str:
    """Read a parameter's value as SAM does."""
    bare = value[1:-1] if value[0] in "\"'" and value[0] == value[-1] else value
    return re.sub(r"\\([ '\"])", r"\1", bare)


def _parameters(environment: Mapping[str, object], command: str) -> Mapping[str, object]:
    return _table(_table(environment, command), "parameters")


def _rewritten(file: Path, env: str, answers: Mapping[str, str], region: str) -> tuple[Environment, str]:
    """Put an environment's answers into the file's text, where nothing else changes.

    Returns the environment with the settings that the file had for it, and the text. Raises CliError.
    """
    before = _read(file)
    text = _text(file) if file.exists() else HEADER
    if "version" not in before and text != HEADER:
        text = VERSION + text
    made = Environment(env, answers, region, _table(before, env))
    document = tomlkit.parse(text)
    for command, settings in made.written.items():
        _change(_inside(document, (env, command, "parameters")), settings)
    fresh = document.as_string()
    if _loaded(fresh) != {"version": 0.1, **before, env: made.settings}:
        raise CliError(
            f"{file} has the settings of {env} in a form that can't be changed without touching others: write them as "
            f"the tables [{env}.global.parameters] and [{env}.deploy.parameters]. Nothing was changed."
        )
    return made, fresh


def _inside(table: Any, names: Sequence[str]) -> Any:
    """Return the table of this name inside another one; what is missing on the way is made."""
    for name in names:
        table = table.setdefault(name, tomlkit.table(is_super_table=name != names[-1]))
    return table


def _change(table: Any, settings: Mapping[str, object]) -> None:
    """Give a table these settings, above the comments at its end: they belong to the table that follows."""
    lines, last = table.value.body, list[Any]()
    while lines and lines[-1][0] is None:
        last.insert(0, lines.pop())
    for name in table.keys() - settings.keys():
        del table[name]
    table.update({name: value for name, value in settings.items() if table.get(name) != value})
    lines.extend(last)


def _loaded(text: str) -> Mapping[str, object] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _replace(file: Path, text: str) -> None:
    """Write the file whole or not at all, so that a full disk costs no other environment; its mode stays."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")  # of this command alone, where two run at once
    try:
        fresh.write_text(text, encoding="utf-8")
        if file.exists():
            shutil.copymode(file, fresh)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)


def _account(region: str) -> str:
    """Return which account it will be deployed to, or what to do to log in."""
    try:
        return f"You are logged in to {identity(region)}."
    except CliError as why:
        return f"Before you deploy: {why}"


COMMANDS = (init,)
