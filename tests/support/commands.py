"""The commands that pages tell people to type: taken out of the pages, and judged without running them."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from ninjaone_connect_cli.app import cli, in_front

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = frozenset(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
OPERATORS = frozenset({"&&", "|", ";", "&"})

EVERYWHERE = frozenset({"region", "profile", "output", "query"})
"""Options that every command of the AWS CLI takes."""
RENAMED = {("sns", "subscribe", "endpoint"): "notification-endpoint"}
"""Parameters that the AWS CLI calls otherwise than the API does."""
OF_THE_CLI_ALONE: Mapping[tuple[str, str], frozenset[str]] = {
    ("cloudformation", "deploy"): frozenset({"template-file", "stack-name", "capabilities", "parameter-overrides"}),
    ("logs", "tail"): frozenset({"since", "filter-pattern", "follow"}),
    ("s3", "rm"): frozenset({"recursive"}),
    ("configure", "sso"): frozenset(),
}
"""Commands of the AWS CLI that are no operation of an API → those of their options that our pages use."""


class Wrong(Exception):
    """A command that would be refused; the message says why."""


def of_blocks(page: str) -> Iterator[str]:
    """Give what stands behind each ``$`` of a page's code blocks, continued lines put together."""
    lines = iter(page.splitlines())
    for line in lines:
        if found := re.match(r" *\$ (.+)", line):
            command = found[1]
            while command.endswith("\\") or not _is_whole(command):
                command = command.removesuffix("\\") + next(lines).strip()
            yield command


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def of_sentences(page: str, programs: Sequence[str]) -> Iterator[str]:
    """Give the commands in a page's sentences: code that begins with a program's name and a space."""
    without_blocks = re.sub(r"^ *```.*?^ *```", "", page, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", without_blocks):
        if re.match(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(programs)}) [a-z-]", code):
            yield " ".join(code.split())


def words(line: str) -> Iterator[list[str]]:
    """Take a line of the shell apart into its commands; variables set in front of one are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split, lexer.commenters = True, "#"
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            command += [word] if command or not re.match(r"[A-Z_]+=", word) else []
        elif command:
            yield command
            command = []


# What each program would say ------------------------------------------------------------------------------------------


def judge_make(arguments: Sequence[str]) -> None:
    """Look whether the Makefile has each target and knows each variable. Raises Wrong."""
    for word in arguments:
        name, is_set, _ = word.partition("=")
        if is_set and not re.search(rf"\b{name}\b", MAKEFILE):
            raise Wrong(f"the Makefile knows no variable {name}")
        if not is_set and name not in TARGETS:
            raise Wrong(f"the Makefile has no target {name}")


def judge_ours(arguments: Sequence[str]) -> None:
    """Let click read a command of ours as far as running it. Raises Wrong."""
    try:
        _read(cli, "ninjaone-connect", in_front(arguments), None)
    except click.ClickException as misuse:
        raise Wrong(misuse.format_message()) from None
    except click.exceptions.Exit:
        return  # it asks for help


def _read(command: click.Command, name: str, arguments: Sequence[str], parent: click.Context | None) -> None:
    agreed = ["--yes"] if any(each.name == "yes" for each in command.params) and "--yes" not in arguments else []
    with command.make_context(name, [*agreed, *arguments], parent) as context:
        if isinstance(command, click.Group):
            below, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found
            _read(found, below or "", rest, context)


def judge_aws(arguments: Sequence[str], *, is_whole: bool) -> None:
    """Compare a command of the AWS CLI with AWS's own model of the service.

    Args:
        is_whole: whether it must give what the operation requires, because somebody is told to type it

    Raises:
        Wrong
    """
    service, operation, *rest = arguments
    options = {word[2:].partition("=")[0] for word in rest if word.startswith("--")} - EVERYWHERE
    if (service, operation) in OF_THE_CLI_ALONE:
        unknown = options - OF_THE_CLI_ALONE[service, operation]
    else:
        required, known = _options(service, _operation(service, operation))
        unknown = options - known
        if is_whole and required - options:
            raise Wrong(f"aws {service} {operation} requires {', '.join(sorted(required - options))}")
    if unknown:
        raise Wrong(f"aws {service} {operation} has no option {', '.join(sorted(unknown))}")


def _operation(service: str, operation: str) -> OperationModel:
    name = "s3" if service == "s3api" else service
    try:
        model = ServiceModel(Loader().load_service_model(name, "service-2"), name)
    except UnknownServiceError:
        raise Wrong(f"AWS has no service {service}") from None
    for each in model.operation_names:
        if xform_name(each, "-") == operation:
            return model.operation_model(each)
    raise Wrong(f"aws {service} has no operation {operation}")


def _options(service: str, operation: OperationModel) -> tuple[set[str], set[str]]:
    """Give the options that an operation requires, and all that it takes."""
    shape = operation.input_shape
    if shape is None:
        return set(), set()

    def option(member: str) -> str:
        name = xform_name(member, "-")
        return RENAMED.get((service, xform_name(operation.name, "-"), name), name)

    required = {option(member) for member in shape.required_members}
    known = {option(member) for member in shape.members}
    switches = {f"no-{option(name)}" for name, each in shape.members.items() if each.type_name == "boolean"}
    return required, known | switches
