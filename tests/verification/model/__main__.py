"""Explore the refresh protocol and the connect flow, whole and weakened: `python -m tests.verification.model`.

One line for each variant and provider: states visited and properties broken. Under a weakened variant the
shortest run that breaks it. The last line counts; the exit status is 1 unless all is as it must be.
"""

import os
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.verification.model.findings import TASKS, Finding, find, summary


def main() -> int:
    """Explore everything, on as many processors as there are, and print it in the same order every time."""
    findings = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for finding in pool.map(find, TASKS):
            findings.append(finding)
            print(line(finding), flush=True)
            if finding.story:
                print(textwrap.fill(finding.story, 110, initial_indent="    ", subsequent_indent="    "))
    last, good = summary(findings)
    print(last)
    return 0 if good else 1


def line(finding: Finding) -> str:
    """Say what one exploration found."""
    broken = " ".join(sorted(finding.broken)) or "ok"
    expected = " ".join(sorted(finding.expected)) or "ok"
    outcome_unknown = "" if finding.is_expected else f"   expected {expected}"
    return (
        f"{finding.kind:9} {finding.name:50} {finding.against:12} {finding.states:7} states  {broken}{outcome_unknown}"
    )


if __name__ == "__main__":
    sys.exit(main())
