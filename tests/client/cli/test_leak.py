"""After a leak: tokens stop within seconds, for one tenant or all, and a reference is explained out of the logs."""

import json
import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

import click
import httpx
import pytest

from local.cloudformation.template import Template
from local.iam import Allowed, Condition, Statement, decide
from local.world import World
from ninjaone_connect_cli import deployment, issuance
from ninjaone_connect_cli.app import cli as command
from ninjaone_connect_cli.context import CliContext
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.screen import Screen
from tests.support.cli import Cli

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/connections"
ALLOWED = Statement("ReadAccessToken", "Allow", ("dynamodb:GetItem",), (TABLE,))


class Iam:
    """A role's inline policies, as IAM keeps them."""

    def __init__(self) -> None:
        self.policies: dict[tuple[str, str], Any] = {}

    def put_role_policy(self, **given: str) -> None:
        self.policies[given["RoleName"], given["PolicyName"]] = json.loads(given["PolicyDocument"])

    def get_role_policy(self, **given: str) -> Any:
        return {"PolicyDocument": self.policies[self._key(given)]}

    def delete_role_policy(self, **given: str) -> None:
        del self.policies[self._key(given)]

    def _key(self, given: Mapping[str, str]) -> tuple[str, str]:
        from botocore.exceptions import ClientError

        key = given["RoleName"], given["PolicyName"]
        if key not in self.policies:
            raise ClientError({"Error": {"Code": "NoSuchEntity"}}, "GetRolePolicy")
        return key


class Logs:
    """A log group."""

    def __init__(self, *lines: object) -> None:
        self.lines, self.asked = lines, dict[str, Any]()

    def get_paginator(self, _name: str) -> "Logs":
        return self

    def paginate(self, **given: Any) -> list[dict[str, Any]]:
        self.asked = given
        texts = [each if isinstance(each, str) else json.dumps(each) for each in self.lines]
        return [{"events": [{"timestamp": 1_800_000_000_000, "message": text} for text in texts]}]


TOKEN = {"TokenFunctionRole": "mine-TokenFunctionRole-X"}
BOTH = {**TOKEN, "ProxyFunctionRole": "mine-ProxyFunctionRole-Y"}


def run(
    clients: Mapping[str, Any],
    *arguments: str,
    stack: str | None = "mine",
    roles: Mapping[str, str] = TOKEN,
    as_json: bool = True,
) -> None:
    """Run a command on a stack whose AWS answers so."""
    cli = CliContext(Screen(as_json=as_json), None)
    cli.deployment = deployment.Deployment(
        stack, "eu-west-1", None, {}, clients.__getitem__, None, None,  # type: ignore[arg-type]  # not asked for
        {**roles, "FunctionLog": "mine-log"},
    )  # fmt: skip
    (first, *rest) = arguments
    command.commands[first].main(rest, standalone_mode=False, obj=cli)


def may_read(iam: Iam, tenant: str, role: str = "mine-TokenFunctionRole-X") -> bool:
    """Judge as IAM does whether the function of a role may read a tenant's token."""
    denied = [
        Statement(
            each["Sid"], each["Effect"], (each["Action"],), (each["Resource"],),
            tuple(Condition(operator, key, tuple(values)) for operator, keys in each.get("Condition", {}).items()
                  for key, values in keys.items()),
        )
        for (holder, _), document in iam.policies.items() if holder == role for each in document["Statement"]
    ]  # fmt: skip
    context = {"dynamodb:leadingkeys": (tenant,)}
    return isinstance(decide([ALLOWED, *denied], "dynamodb:GetItem", TABLE, context), Allowed)


@pytest.mark.parametrize(("whom", "named"), [("northwind", "northwind"), ("--all", "any tenant")])
def test_nothing_is_stopped_without_a_yes(
    whom: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    iam = Iam()
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))

    with pytest.raises(CliError, match=r"^Nothing was changed\.$"):
        run({"iam": iam}, "issuance", "stop", whom)

    assert iam.policies == {}
    assert capsys.readouterr().err.startswith(f"No token of {named} will be given out until `issuance resume`.")


def test_tokens_of_one_tenant_stop_and_are_given_again() -> None:
    iam = Iam()

    run({"iam": iam}, "issuance", "stop", "northwind", "--yes")
    run({"iam": iam}, "issuance", "stop", "contoso", "--yes")
    first = [may_read(iam, each) for each in ("northwind", "contoso", "other", "northwind2")]
    run({"iam": iam}, "issuance", "resume", "northwind")
    second = [may_read(iam, each) for each in ("northwind", "contoso")]
    run({"iam": iam}, "issuance", "resume", "contoso")

    assert first == [False, False, True, True]
    assert second == [True, False]
    assert iam.policies == {}


def test_who_is_stopped_while_somebody_else_is_asked_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    iam = Iam()

    class Answering:
        def readline(self, *_: Any) -> str:
            run({"iam": iam}, "issuance", "stop", "contoso", "--yes")
            return "y\n"

    monkeypatch.setattr("sys.stdin", Answering())
    run({"iam": iam}, "issuance", "stop", "northwind")

    assert [may_read(iam, each) for each in ("northwind", "contoso", "other")] == [False, False, True]


def test_tokens_of_all_stop_and_are_given_again(capsys: pytest.CaptureFixture[str]) -> None:
    iam = Iam()

    run({"iam": iam}, "issuance", "stop", "--all", "--yes")
    stopped = may_read(iam, "northwind")
    run({"iam": iam}, "issuance", "resume", "--all")
    run({"iam": iam}, "issuance", "resume", "--all")
    capsys.readouterr()
    run({"iam": iam}, "issuance", "show")

    assert (stopped, may_read(iam, "northwind")) == (False, True)
    assert json.loads(capsys.readouterr().out) == []


def test_one_tenant_can_t_be_let_go_on_while_all_are_stopped() -> None:
    iam = Iam()
    run({"iam": iam}, "issuance", "stop", "--all", "--yes")

    with pytest.raises(CliError, match="resume --all"):
        run({"iam": iam}, "issuance", "resume", "northwind")

    assert not may_read(iam, "northwind")


@pytest.mark.parametrize("arguments", [[], ["northwind", "--all"], ["*"], [".."], ["a b"]])
def test_whom_to_stop_has_to_be_plain(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        run({"iam": Iam()}, "issuance", "stop", *arguments, "--yes")


@pytest.mark.parametrize("whom", ["northwind", "--all"])
def test_the_function_that_calls_ninjaone_for_callers_is_stopped_too(whom: str) -> None:
    iam = Iam()

    run({"iam": iam}, "issuance", "stop", whom, "--yes", roles=BOTH)
    stopped = [may_read(iam, "northwind", role) for role in BOTH.values()]
    run({"iam": iam}, "issuance", "resume", whom, roles=BOTH)

    assert stopped == [False, False]
    assert [may_read(iam, "northwind", role) for role in BOTH.values()] == [True, True]
    assert iam.policies == {}


def test_a_stop_that_a_function_was_added_to_is_shown_as_such_and_made_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    iam = Iam()
    run({"iam": iam}, "issuance", "stop", "northwind", "--yes")
    capsys.readouterr()

    run({"iam": iam}, "issuance", "show", roles=BOTH)
    (shown,) = json.loads(capsys.readouterr().out)
    run({"iam": iam}, "issuance", "stop", "contoso", "--yes", roles=BOTH)

    assert shown["tokens"] == "stopped, but not for mine-ProxyFunctionRole-Y: stop again"
    assert {each["tokens"] for each in json.loads(capsys.readouterr().out)} == {"stopped"}
    assert not may_read(iam, "northwind", BOTH["ProxyFunctionRole"])


def test_the_roles_are_those_of_the_functions_that_open_access_tokens(template: Template) -> None:
    opening = {
        f"{function.logical_id}Role"
        for function in template.functions.values()
        for statement in function.statements
        if statement.sid == "OpenAccessToken"
    }

    assert opening == {*issuance.ROLES}


LINE = {
    "level": "ERROR", "message": "aws.refused", "function": "token", "request_id": "ref-12345", "tenant": "northwind",
    "code": "AccessDenied", "refresh_token": "a-secret", "note": {"deep": "a-secret"},
}  # fmt: skip


def test_a_reference_is_explained_without_what_nobody_listed(capsys: pytest.CaptureFixture[str]) -> None:
    logs = Logs(LINE, "REPORT RequestId: ref-12345 Duration: 3 ms", "[1]")

    run({"logs": logs}, "explain", "ref-12345", "--days", "2")

    first, second, _ = json.loads(capsys.readouterr().out)
    assert (first["event"], first["about"]) == ("aws.refused", "tenant northwind, code AccessDenied")
    assert "a-secret" not in json.dumps(first)
    assert second["event"] == "a line of Lambda's own"
    assert (logs.asked["logGroupName"], logs.asked["filterPattern"]) == ("mine-log", '"ref-12345"')


def lines_of(*given: Mapping[str, object]) -> Logs:
    return Logs(*({"level": "INFO", "function": "token", "connection": "con_a", **each} for each in given))


def test_repeats_of_one_event_are_one_row_for_a_person_and_all_of_them_for_a_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    issued = [{"message": "token.issued", "left": left, "version": 3} for left in range(79)]
    refused = {"message": "token.refused", "status": 503, "version": 3}
    logs = lines_of(*issued, refused, *issued[:2], issued[0] | {"version": 4})

    run({"logs": logs}, "explain", "con_abcdef")
    machine = json.loads(capsys.readouterr().out)
    run({"logs": logs}, "explain", "con_abcdef", as_json=False)
    _, *shown = capsys.readouterr().out.splitlines()

    assert [each["event"] for each in machine] == ["token.issued"] * 79 + ["token.refused"] + ["token.issued"] * 3
    assert [re.findall(r"token\.\w+(?: ×\d+)?", row)[0] for row in shown] == [
        "token.issued ×79", "token.refused", "token.issued ×2", "token.issued",
    ]  # fmt: skip
    assert re.search(r"connection con_a, version 3, until 2027-01-15 08:00Z", shown[0])
    assert "status 503" in shown[1]


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ("k7qf-2m6p", "K7QF-2M6P"),
        ("K7QF 2M6P", "K7QF-2M6P"),
        ("k7qf2m6p", "K7QF-2M6P"),
        ("K7QF-2M6P.", "K7QF-2M6P"),
        (f'"con_{"a" * 26}",', "con_" + "a" * 26),
        ("Reference for support: K7QF-2M6P", "K7QF-2M6P"),
        ("\u201cK7QF\u20112M6P\u201d", "K7QF-2M6P"),
        ("KOIF-2M6P", "KOIF-2M6P"),
        ("k01f-2m6p", "KOIF-2M6P"),
        (" <ref-12345>\u200b", "ref-12345"),
        ("Fq8hZgT5joEEJ1g=", "Fq8hZgT5joEEJ1g="),
    ],
)
def test_a_reference_is_read_as_it_was_pasted_or_heard(
    said: str, reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(LINE)

    run({"logs": logs}, "explain", said)

    assert logs.asked["filterPattern"] == f'"{reference}"'


@pytest.mark.parametrize("reference", ['a" || "b12', "short", "x" * 65, "a b c d e f", "ref\n12345"])
def test_what_is_no_reference_is_never_put_into_a_pattern(reference: str) -> None:
    logs = Logs()
    with pytest.raises(click.UsageError, match="and the = at the end of a request_id"):
        run({"logs": logs}, "explain", reference)

    assert logs.asked == {}


def test_what_only_aws_has_is_said_to_be_so() -> None:
    with pytest.raises(CliError, match="make run"):
        run({}, "issuance", "show", stack=None)


def test_on_this_machine_a_reference_of_a_page_a_problem_or_a_log_is_explained(world: World, cli: Cli) -> None:
    """Each kind of reference is one that a person is shown."""
    page = httpx.get(f"{world.connect_url}/connect/ses_{'a' * 26}", follow_redirects=True, trust_env=False).text
    refused = cli("--local", "token", "northwind", "con_" + "a" * 26).err
    shown = [*re.findall(r"<code>([A-Z2-7]{4}-[A-Z2-7]{4})</code>", page), refused.split()[-1]]

    assert len(shown) == 2, page
    for reference in shown:
        (line,) = cli.local("explain", reference).json
        assert "unknown" in line["about"].lower(), line
    nothing = cli("--local", "explain", "ZZZZ-ZZZZ")
    assert (nothing.code, nothing.out) == (1, "")
    assert "names ZZZZ-ZZZZ" in nothing.err


def test_on_this_machine_days_are_counted_by_the_clock_that_its_showroom_moves(world: World, cli: Cli) -> None:
    cli("--local", "token", "northwind", "con_" + "b" * 26)
    before = cli.local("explain", "con_" + "b" * 26).json
    world.clock.advance(3 * 86_400)
    try:
        assert len(before) == 1
        assert cli.local("explain", "con_" + "b" * 26, "--days", "2").json == []
        assert cli.local("explain", "con_" + "b" * 26).json == before
    finally:
        world.clock.advance(-3 * 86_400)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_taught_to_complete(cli: Cli, shell: str) -> None:
    ended = cli("completion", shell)

    assert ended.code == 0
    assert "_NINJAONE_CONNECT_COMPLETE" in ended.out
