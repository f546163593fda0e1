"""Doctor: look at everything a deployment hangs on, and say what to do about what is not in place."""

import click

from ninjaone_connect_cli import account, aws_errors, checks
from ninjaone_connect_cli.at import At, here
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.finding import Check, Finding, State

COLUMNS = {"state": "", "check": "check", "says": "what was found"}


@click.command()
@here
def doctor(at: At) -> None:
    """Say whether everything is in place, and what to do where it is not.

    Nothing is changed, and no secret is shown. Ends with 1 when something has to be put right.

    \b
    ninjaone-connect doctor
    ninjaone-connect --stack ninjaone-connect-dev --region eu-west-1 doctor
    """
    todo = (account.CHECKS if at.deployment.stack else ()) + checks.CHECKS
    findings: list[Finding] = []
    with at.screen.steps("Looking", len(todo)) as step:
        for check in todo:
            findings += _looked(at, check)
            step()
    at.screen.table([each.row() for each in findings], COLUMNS, empty="")
    todo_lines = [f"{each.check}: {each.todo}" for each in findings if each.todo]
    at.screen.lines(["", "What to do", *todo_lines] if todo_lines else [])
    bad = sum(each.state is State.FIX for each in findings)
    if bad:
        raise CliError(f"{bad} of {len(findings)} have to be put right.")
    at.screen.say("Everything is in place.")


def _looked(at: At, check: Check) -> list[Finding]:
    """Run one check; one that breaks is a finding like any other."""
    try:
        return list(check.look(at.deployment))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one thing, the others are looked at
        known = aws_errors.is_known(error)
        todo = aws_errors.said(error) if known else "See whether this identity may; docs/operate/permissions.md."
        return [Finding(State.FIX, check.name, f"could not be looked at ({type(error).__name__})", todo)]


COMMANDS = (doctor,)
