"""Doctor: check everything that a deployment depends on, and say what to do about what is not in order."""

from collections.abc import Iterable

import click

from ninjaone_connect_cli import account, aws_errors, checks
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.finding import Check, Finding, State

COLUMNS = {"state": "", "check": "check", "says": "what was found"}

ORDER = (
    "KMS key", "epoch", "table", "queues", "schedule",  # without these nothing works
    "connect page", "firewall",  # every redirect URI begins with this address
    "client apps", "stored secrets",
    "backend API",
    "alarm mail", "protection",  # before there is something to lose
    "first connection",
    "concurrency",  # last, because AWS can take a day
    "alarms", "dead letters", "rescue store", "refreshing", "connections",
)  # fmt: skip
"""The names of all checks, in the order in which findings of one state are best dealt with."""
EVERYDAY = frozenset({"queues", "schedule", "alarms", "dead letters", "rescue store", "refreshing", "connections"})
"""Checks whose warnings come and go in operation; deploying leaves nothing to do about them."""


@click.command()
@click.option("--next", "only_next", is_flag=True, help="After a deployment: only the next thing left to do.")
@pass_cli
def doctor(cli: CliContext, *, only_next: bool) -> None:
    """Check the deployment, and say what to do about what is not in order.

    Nothing is changed, and no secret is shown. Ends with 1 when something has to be put right; with --next, as long as
    something is left to do.

    \b
    ninjaone-connect doctor
    ninjaone-connect doctor --next
    ninjaone-connect --stack ninjaone-connect-dev --aws-region eu-west-1 doctor
    """
    found = _found(cli)
    if only_next:
        _show_next(cli, left_to_do(found))
    else:
        _show(cli, [finding for _, finding in found])


def _found(cli: CliContext) -> list[tuple[str, Finding]]:
    """Run every check; return each finding with the check's name."""
    todo = (account.CHECKS if cli.deployment.stack else ()) + checks.CHECKS
    found: list[tuple[str, Finding]] = []
    with cli.screen.steps("Checking", len(todo)) as step:
        for check in todo:
            found += [(check.name, finding) for finding in _run(cli, check)]
            step()
    return found


def _show(cli: CliContext, findings: list[Finding]) -> None:
    """Show all findings. Raises CliError if something has to be fixed."""
    cli.screen.table([each.row() for each in findings], COLUMNS, empty="")
    todo_lines = [f"{each.check}: {each.todo}" for each in findings if each.todo]
    cli.screen.lines(["", "What to do", *todo_lines] if todo_lines else [])
    bad = sum(each.state is State.FIX for each in findings)
    if bad:
        raise CliError(f"{bad} of {len(findings)} have to be put right.")
    cli.screen.say("Nothing has to be put right." if todo_lines else "Everything is in place.")


def left_to_do(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Return what is left to do, the next thing first.

    What does not work is before what only has to be looked at: while NinjaOne is down, many checks can only say that
    they have to be tried again.
    """
    left = [
        (name, finding)
        for name, finding in found
        if finding.state is State.FIX or (finding.state is State.LOOK and name not in EVERYDAY)
    ]
    return [
        finding for _, finding in sorted(left, key=lambda each: (each[1].state is not State.FIX, ORDER.index(each[0])))
    ]


def _show_next(cli: CliContext, left: list[Finding]) -> None:
    """Show the next thing to do, and only name those after it. Raises CliError if there is one."""
    if cli.screen.as_json:
        cli.screen.table([each.row() for each in left], COLUMNS, empty="")
    if not left:
        cli.screen.say("Nothing is left to do.")
        return
    following = ", ".join(each.check for each in left[1:])
    cli.screen.lines([f"{left[0].check}: {left[0].says}", left[0].todo, *([f"Then: {following}"] if following else [])])
    raise CliError("One thing is left to do." if len(left) == 1 else f"{len(left)} things are left to do.")


def _run(cli: CliContext, check: Check) -> list[Finding]:
    """Run one check; one that fails is a finding like any other."""
    try:
        return list(check.run(cli.deployment))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one thing, the others are looked at
        known = aws_errors.is_known(error)
        todo = (
            aws_errors.said(error)
            if known
            else "Does this identity have the permissions in docs/operate/permissions.md?"
        )
        return [Finding(State.FIX, check.name, f"could not be checked ({type(error).__name__})", todo)]


COMMANDS = (doctor,)
