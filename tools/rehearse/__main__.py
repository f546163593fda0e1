"""The run: ``python -m tools.rehearse``; `make rehearse` installs what it needs first."""

import os
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tools.rehearse import authority, cloud, deploy, environment, ninjaone
from tools.rehearse.report import Missed, Report
from tools.rehearse.steps import STEPS, Rehearsal

NAMES = ["localhost", "*.execute-api.localhost", "*.ninjarmm.com", "*.rmmservice.eu"]


def main() -> int:
    """Exit 0 only if every step showed what it must."""
    here = environment.prepare()
    trusted = authority.create(here.folder, NAMES)
    os.environ |= here.names  # and this process reads them as every other does
    runpy.run_path(str(environment.NAMES / "sitecustomize.py"))
    simulated, report = ninjaone.Simulated(), Report()
    with (
        ThreadPoolExecutor(1) as aside,
        ninjaone.serve(simulated, trusted, here.ninjaone),
    ):
        building = aside.submit(deploy.build, here)
        with cloud.running(here, trusted):
            rehearsal = Rehearsal(here, cloud.Account(here), simulated, building.result())
            return _walk(report, rehearsal)


def _walk(report: Report, rehearsal: Rehearsal) -> int:
    for claim, show in STEPS:
        try:
            report.step(claim, partial(show, rehearsal))
        except (Missed, Exception):  # noqa: BLE001  # whatever it was has been printed
            break
    return 0 if report.end(len(STEPS), environment.interpreter_version()) else 1


if __name__ == "__main__":
    sys.exit(main())
