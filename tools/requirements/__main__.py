"""Run the tests that are marked with requirements and print: id, result, tests. Fails on an id without one."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tools.requirements import Requirement, checklist, shown

ON_A_STACK = ("tools/deployed/smoke.py", "tools/deployed/way.py", "tools/deployed/account.py")
"""What a deployed stack shows besides; such a test counts for nothing here."""


@dataclass
class Record:
    """Which test shows what, and how each ended."""

    shows: dict[str, set[str]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the marks."""
        for item in items:
            marked = [shown(mark.args) for mark in item.iter_markers("req")]
            self.shows[item.nodeid] = set[str]().union(*marked)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of a test's three phases; what was skipped shows nothing."""
        if report.outcome != "passed" or (report.when == "call" and report.nodeid not in self.ended):
            self.ended[report.nodeid] = report.outcome

    def tests_of(self, name: str) -> list[str]:
        """List the tests of one id."""
        return sorted(test for test, ids in self.shows.items() if name in ids)


def collect(*paths: str) -> Record:
    """Find what is marked, running nothing."""
    record = Record()
    pytest.main(["--collect-only", "-m", "req", "-p", "no:terminal", *paths], plugins=[record])
    return record


def run(record: Record) -> None:
    """Run what is marked, on all processors."""
    pytest.main(["-q", "-m", "req", "-n", "2", "-p", "no:cacheprovider"], plugins=[record])


def result(tests: Iterable[str], ended: dict[str, str]) -> str:
    """Judge one id: one failure fails it, and a skipped test is no test."""
    ends = {ended.get(test, "not run") for test in tests}
    return next((end for end in ("failed", "passed") if end in ends), "UNTESTED")


def line(name: str, verdict: str, tests: list[str]) -> str:
    """Write one line of the table: what is no test of ours has its tests or its reason behind it."""
    functions = sorted({test.partition("[")[0] for test in tests})
    more = f" (+{len(functions) - 1})" if len(functions) > 1 else ""
    return f"{name:12} {verdict:9} {functions[0] if functions else '-'}{more}"


def rows(requirements: Iterable[Requirement]) -> list[str]:
    """List the ids that apply: of the checklist, then of ASVS."""
    here = [each for each in requirements if not each.not_here]
    asvs = sorted({f"ASVS-{each}" for held in here for each in held.asvs}, key=_numbers)
    return [each.id for each in here] + asvs


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.removeprefix("ASVS-").split(".")]


def report(requirements: Iterable[Requirement], record: Record, on_a_stack: Record) -> int:
    """Print the table, and give 0 only if every id that applies has a test, and every such test passed."""
    listed = list(requirements)
    wanted, verdicts = rows(listed), defaultdict[str, list[str]](list)
    for name in wanted:
        tests = record.tests_of(name)
        verdict = result(tests, record.ended)
        verdicts[verdict].append(name)
        print(line(name, verdict, tests))
    for held in (each for each in listed if each.not_here):
        print(f"{held.id:12} {'not here':9} {held.not_here}")
    for name in wanted:
        if tests := on_a_stack.tests_of(name):
            print(line(name, "on stack", tests))
    for verdict in verdicts.keys() - {"passed"}:
        print(f"{verdict}: {' '.join(verdicts[verdict])}")
    print(f"requirements: {len(verdicts['passed'])} of {len(wanted)} tested")
    return 0 if len(verdicts["passed"]) == len(wanted) else 1


def main() -> int:
    """Run what is marked and print what it shows."""
    record, on_a_stack = collect(), collect(*ON_A_STACK)
    run(record)
    return report(checklist().values(), record, on_a_stack)


if __name__ == "__main__":
    sys.exit(main())
