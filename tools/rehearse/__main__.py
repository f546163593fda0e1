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
from tools.rehearse.faults import Fault
from tools.rehearse.report import Report
from tools.rehearse.steps import STEPS, Rehearsal, logged

NAMES = ["localhost", "*.execute-api.localhost", "*.ninjarmm.com", "*.rmmservice.eu"]
LOOKED_AT = 10
"""Steps within which a planted fault must be found."""


def main() -> int:
    """Exit 0 only if every step showed what it must, or every planted fault was found."""
    here = environment.prepare()
    with environment.claim(here.folder):
        return _run(here)


def _run(here: Environment) -> int:
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


def _walk(report: Report, rehearsal: Rehearsal) -> tuple[str, str]:
    """Take the steps up to the first that shows something else; give its claim and error, empty when there is none."""
    for claim, show in STEPS[: report.of]:
        try:
            report.step(claim, partial(show, rehearsal))
        except Exception as error:  # noqa: BLE001  # whatever it was has been printed
            return claim, str(error)
    return "", ""


def _find(here: Environment, trusted: Authority, template: Path) -> int:
    """Plant one fault after the other, each in a stack of its own. Exit 0 only if each was found by its sign."""
    found, report = 0, Report(LOOKED_AT)
    for fault in faults.FAULTS:
        report.say(f"\nPlanted: {fault.plant.__doc__}")
        found += _finds(fault, here, trusted, template)
    report.say(f"rehearse: {found} of {len(faults.FAULTS)} planted faults found")
    return 0 if found == len(faults.FAULTS) else 1


def _finds(fault: Fault, here: Environment, trusted: Authority, template: Path) -> bool:
    with _world(here, trusted) as rehearsal:
        rehearsal.template = faults.plant(fault, template)
        step, error = _walk(Report(LOOKED_AT), rehearsal)
        log = "\n".join(logged(rehearsal))
    log += (here.folder / cloud.LOG).read_text(encoding="utf-8")
    if fault.is_found(step, error + log):
        return True
    (here.folder / "faulty.log").write_text(log, encoding="utf-8")
    Report.say(f"not found: {fault.sign} was to be seen at: {fault.step}. The log is {here.folder}/faulty.log")
    return False


if __name__ == "__main__":
    sys.exit(main())
