"""The run: ``python -m tools.rehearse``; `make rehearse` installs what it needs first.

``--faults`` plants one fault after the other instead, and ends well when a step found each of them.
"""

import os
import runpy
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tools.rehearse import authority, cloud, deploy, environment, faults, ninjaone
from tools.rehearse.authority import Authority
from tools.rehearse.environment import Environment
from tools.rehearse.report import Report
from tools.rehearse.steps import STEPS, Rehearsal

NAMES = ["localhost", "*.execute-api.localhost", "*.ninjarmm.com", "*.rmmservice.eu"]
LOOKED_AT = 10
"""Steps within which a planted fault must be found."""


def main() -> int:
    """Exit 0 only if every step showed what it must, or every planted fault was found."""
    here = environment.prepare()
    trusted = authority.create(here.folder, NAMES)
    os.environ |= here.names  # this process reads them as every other does
    runpy.run_path(str(environment.NAMES / "sitecustomize.py"))
    if sys.argv[1:] == ["--faults"]:
        return _find(here, trusted, deploy.build(here))
    report = Report(len(STEPS))
    with ThreadPoolExecutor(1) as aside:
        building = aside.submit(deploy.build, here)
        with _world(here, trusted) as rehearsal:
            rehearsal.template = building.result()
            _walk(report, rehearsal)
    return 0 if report.end(environment.interpreter_version()) else 1


@contextmanager
def _world(here: Environment, trusted: Authority) -> Iterator[Rehearsal]:
    """Start NinjaOne and MiniStack, both empty, and end them."""
    simulated = ninjaone.Simulated()
    with ninjaone.serve(simulated, trusted, here.ninjaone), cloud.running(here, trusted):
        yield Rehearsal(here, cloud.Account(here), simulated)


def _walk(report: Report, rehearsal: Rehearsal) -> str:
    """Take the steps up to the first that shows something else; give its claim, empty when there is none."""
    for claim, show in STEPS[: report.of]:
        try:
            report.step(claim, partial(show, rehearsal))
        except Exception:  # noqa: BLE001  # whatever it was has been printed
            return claim
    return ""


def _find(here: Environment, trusted: Authority, template: Path) -> int:
    found = 0
    for fault in faults.FAULTS:
        report = Report(LOOKED_AT)
        report.say(f"\nPlanted: {fault.__doc__}")
        with _world(here, trusted) as rehearsal:
            rehearsal.template = faults.plant(fault, template)
            found += bool(_walk(report, rehearsal))
    report.say(f"rehearse: {found} of {len(faults.FAULTS)} planted faults found")
    return 0 if found == len(faults.FAULTS) else 1


if __name__ == "__main__":
    sys.exit(main())
