"""Take every part out of every role: ``make least-privilege``. Fails when nothing notices that one is gone."""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.verification.roles.bounds import MAY, done
from tests.verification.roles.journeys import CHAPTERS
from tests.verification.roles.removal import is_noticed, removals
from tests.verification.roles.stage import stage, template

PROCESSES = 2
Verdict = tuple[str, bool, bool]
"""What was taken out, whether that widened the role, whether it was noticed."""


def judged(folder: str) -> list[Verdict]:
    """Judge one function's role whole, then each removal."""
    with stage() as made:
        CHAPTERS[folder](made)
        if done(made, folder) != MAY[folder]:
            raise AssertionError(f"{folder}: the whole role is out of bounds: {done(made, folder) ^ MAY[folder]}")
        listed = list(removals(folder, made.roles[folder].function.statements))
        return [(str(each), each.widens, is_noticed(made, each)) for each in listed]


def report(verdicts: Sequence[Verdict]) -> bool:
    """Print the counts, and what nothing noticed."""
    for what, _, noticed in verdicts:
        if not noticed:
            print(f"nothing noticed  {what}")
    for title, widens in (("parts removed", False), ("conditions removed", True)):
        mine = [noticed for _, each, noticed in verdicts if each is widens]
        print(f"{title}: {sum(mine)} of {len(mine)} noticed")
    return all(noticed for _, _, noticed in verdicts)


def main() -> int:
    """Judge all roles, in parallel."""
    folders = sorted(template().functions)
    with ProcessPoolExecutor(PROCESSES) as pool:
        verdicts = [verdict for found in pool.map(judged, folders) for verdict in found]
    print(f"roles: {len(folders)}, statements: {sum(len(f.statements) for f in template().functions.values())}")
    return 0 if report(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
