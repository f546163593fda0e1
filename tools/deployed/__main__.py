"""Smoke tests of a deployed stack: ``python -m tools.deployed --stack NAME [--region R] [--profile P]``.

``--local`` tries those that need no AWS against what ``make run`` runs. A connect session is opened and left to expire;
nothing is connected, and NinjaOne is shown one invented authorization code.
"""

import argparse
import sys
from pathlib import Path

import pytest

from ninjaone_connect_cli.deployment import on_aws, on_this_machine
from ninjaone_connect_cli.errors import CliError
from tools.deployed.reach import GIVEN

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Record:
    """How each test ended."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of a test's phases; what was skipped has shown nothing."""
        if report.outcome != "passed" or (report.when == "call" and report.nodeid not in self.ended):
            self.ended[report.nodeid] = report.outcome


def main() -> int:
    """Exit 0 only if every test passed."""
    options = _options()
    try:
        stack = (options.stack, options.region, options.profile)
        deployment = on_this_machine(Path.cwd()) if options.local else on_aws(*stack)
    except CliError as trouble:
        print(f"deployed: {trouble}", file=sys.stderr)
        return 2
    record = Record()
    GIVEN.append(deployment)
    files = ["smoke.py"] if options.local else ["smoke.py", "way.py", "account.py"]
    where = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), *(str(HERE / file) for file in files)]
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    code = pytest.main([*quiet, *where], plugins=[record])
    passed = sum(outcome == "passed" for outcome in record.ended.values())
    print(f"deployed: {passed} of {len(record.ended)} shown")
    return 0 if code == 0 and passed == len(record.ended) > 0 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.deployed", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--stack", help="the name of the CloudFormation stack")
    which.add_argument("--local", action="store_true", help="what runs on this machine; call it from inside the clone")
    parser.add_argument("--region", help="its AWS region; by default that of the profile")
    parser.add_argument("--profile", help="the AWS profile to use")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
