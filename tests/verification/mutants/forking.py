"""Run the tests against each mutant: once to see which test runs which line, then a forked process for each mutant.

The process that is forked has imported pytest, the broker and all tests, has collected them, and runs one thread.
"""

import gc
import os
import pickle
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol

from tests.verification.mutants.explained import reasons
from tests.verification.mutants.planting import Functions, functions, plant
from tests.verification.mutants.reaching import Place, probe
from tests.verification.mutants.sites import Mutant

BUDGET = 90.0
"""Seconds of tests that one mutant gets, by how long they took without it: first those that bear the module's name."""
EXPLAINED = 10.0
"""The same for a mutant that has an explanation: it is expected to survive, so it would cost its whole budget."""
DEAR = 3.0
"""Seconds above which a test is not used: what only such a test notices deserves a test of its own."""
MEMORY = 2**30
"""Bytes that a mutant may take beyond what there was: a loop without an end may also be one that collects."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        killer: the test, the seed or the limit that noticed it first; empty for a survivor
        also: the second test of its module that noticed it, where that was asked for
        reached: how many tests run its lines
    """

    mutant: Mutant
    killer: str
    also: str
    reached: int
    seconds: float


Reach = dict[Place, set[str]]
"""Which tests run a statement."""


class Hunter:
    """A plugin of pytest that runs collected tests as often as it takes.

    Attributes:
        failed: tests that fail without any mutant, which say nothing about one
    """

    def __init__(
        self,
        hunted: Sequence[Mutant],
        *,
        seeds: Callable[[], Iterator[str]],
        jobs: int,
        tell: Callable[[Verdict], None],
        twice: bool = False,
    ) -> None:
        self._hunted, self._seeds, self._jobs, self._tell, self._twice = hunted, seeds, jobs, tell, twice
        self._explained = reasons()
        self._took: dict[str, float] = {}
        self._reach: Reach = defaultdict(set)
        self._items: dict[str, pytest.Item] = {}
        self._functions: Functions = {}
        self._kills: dict[str, Counter[str]] = defaultdict(Counter)
        self.verdicts: list[Verdict] = []
        self.failed: list[str] = []

    def pytest_configure(self) -> None:
        """Let hypothesis try the same few examples for every mutant, and remember none of them."""
        from hypothesis import settings  # pytest wants to be the first who imports it

        settings.register_profile(
            "mutants", settings.get_profile("project"), max_examples=15, derandomize=True, database=None
        )
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        if session.testsfailed:
            raise session.Interrupted("the tests can't be collected")
        self._items = {item.nodeid: item for item in session.items}
        self._warm_up(session.items)
        self._functions = functions()
        gc.freeze()  # a forked process then leaves the pages alone that it shares with this one
        self._survey(session.items)
        self._hunt()
        return True

    def _survey(self, items: Sequence[pytest.Item]) -> None:
        """Run every test once, shared among forked processes by module, and note which statements it runs."""
        modules: dict[Any, list[pytest.Item]] = defaultdict(list)
        for item in items:
            modules[item.path].append(item)
        shares: list[list[pytest.Item]] = [[] for _ in range(self._jobs)]
        for tests in sorted(modules.values(), key=len, reverse=True):
            min(shares, key=len).extend(tests)
        forks = [_Fork(partial(_surveyed, share, self._functions)) for share in shares if share]
        for fork in forks:
            took, reach, failed = fork.result()
            self.failed += failed
            self._took |= took
            for place, reaching in reach.items():
                self._reach[place] |= reaching

    def _warm_up(self, items: Sequence[pytest.Item]) -> None:
        """Run one test of each module here, so that no forked process has to import what tests import late."""
        for file in {mutant.file for mutant in self._hunted}:
            import_module(f"broker.{file.removesuffix('.py').replace('/', '.')}")
        chosen = list({item.path: item for item in reversed(items)}.values())
        first = chosen[0] if len(chosen) > 1 else None
        for item, after in zip(chosen, [*chosen[1:], first], strict=True):  # the session's own fixtures stay
            _run(item, after)
        if found := next(self._seeds(), ""):
            raise pytest.UsageError(f"without any mutant the simulation reports {found}")
        assert threading.active_count() == 1, "a process with threads can't be forked soundly"

    def _hunt(self) -> None:
        print(f"{len(self._took)} tests took {sum(self._took.values()):.0f} s", flush=True)
        waiting, running = list(reversed(self._hunted)), list[tuple[_Fork, Mutant, int, float]]()
        while waiting or running:
            while waiting and len(running) < self._jobs:
                mutant = waiting.pop()
                tests = self._tests(mutant)
                fork = _Fork(partial(self._noticed, mutant, tests))
                running.append((fork, mutant, len(tests), time.monotonic()))
            ready, _, _ = select.select([each[0].pipe for each in running], [], [])
            for each in [each for each in running if each[0].pipe in ready]:
                running.remove(each)
                fork, mutant, reached, began = each
                killer, also, *_ = [*fork.verdict(), "", ""]
                verdict = Verdict(mutant, killer, also, reached, time.monotonic() - began)
                self._kills[mutant.file][verdict.killer] += 1
                self.verdicts.append(verdict)
                self._tell(verdict)

    def _tests(self, mutant: Mutant) -> list[str]:
        """Choose tests that run a mutant's lines: those of its own module or package first, and the fastest of them."""
        first, last = mutant.lines
        found = set[str]().union(*(self._reach.get((mutant.file, line), ()) for line in range(first, last + 1)))
        usable = (each for each in found - set(self.failed) if self._took[each] < DEAR)
        ranked = sorted(usable, key=lambda each: (not self._is_own(each, mutant), self._took[each], each))
        spent = accumulate(self._took[each] for each in ranked)
        budget = EXPLAINED if mutant.key in self._explained else BUDGET
        return [each for each, so_far in zip(ranked, spent, strict=True) if so_far < budget]

    def _in_turn(self, tests: Sequence[str], mutant: Mutant) -> list[str]:
        """Begin where mutants of this file were noticed most; keep a module together, for it makes its AWS once."""
        modules: dict[Path, list[str]] = defaultdict(list)
        for test in tests:
            modules[self._items[test].path].append(test)
        kills = self._kills[mutant.file]

        def best(some: Sequence[str]) -> tuple[int, bool]:
            return sum(kills[each] for each in some), self._is_own(some[0], mutant)

        ranked = sorted(modules.values(), key=best, reverse=True)
        return [each for some in ranked for each in sorted(some, key=kills.__getitem__, reverse=True)]

    def _is_own(self, test: str, mutant: Mutant) -> bool:
        package_and_module = Path(mutant.file).with_suffix("").parts[-2:]
        return self._items[test].path.stem in {f"test_{name}" for name in package_and_module}

    def _noticed(self, mutant: Mutant, tests: Sequence[str]) -> list[str]:
        """Say what noticed a mutant, in a process of its own: the first test, or also a second one of its module."""
        plant(mutant, self._functions)
        _limit_memory()
        chosen = [self._items[name] for name in self._in_turn(tests, mutant)]
        noticed = list[str]()
        for item, after in zip(chosen, [*chosen[1:], None], strict=False):
            if noticed and not self._is_own(item.nodeid, mutant):
                continue
            _limit(10 * self._took[item.nodeid] + 5)
            if _run(item, after):
                noticed.append(item.nodeid)
                if len(noticed) > self._twice:
                    return noticed
        _limit(600)
        return noticed or list(islice(self._seeds(), 1))


def _surveyed(items: Sequence[pytest.Item], where: Functions) -> tuple[dict[str, float], Reach, list[str]]:
    reached, reach = probe(where), Reach()
    took, failed = {}, []
    for item, after in zip(items, [*items[1:], None], strict=True):
        reached.clear()
        began = time.process_time()
        if _run(item, after):
            failed.append(item.nodeid)
        took[item.nodeid] = time.process_time() - began
        for place in reached:
            reach.setdefault(place, set()).add(item.nodeid)
    return took, reach, failed


def _run(item: pytest.Item, after: pytest.Item | None) -> bool:
    """Run one test; say whether it failed."""
    return any(report.failed for report in runtestprotocol(item, nextitem=after, log=False))


def _limit(seconds: float) -> None:
    """End this process once it has computed, or waited ten times, so long: a mutated loop may have no end."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 60 + 10 * seconds)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))


class _Fork:
    """Something done in a forked process."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.pipe, write = os.pipe()
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.pipe)
            _work(work, write)
        os.close(write)

    def result(self) -> Any:
        """Wait for what it gives. Raises EOFError: it was ended."""
        with os.fdopen(self.pipe, "rb") as pipe:
            content = pipe.read()
        os.waitpid(self._pid, 0)
        error, found = pickle.loads(content)
        if error:
            raise RuntimeError(error)
        return found

    def verdict(self) -> list[str]:
        """Wait for who noticed a mutant. A process that was ended gave nothing back: its limit did."""
        try:
            found: list[str] = self.result()
        except EOFError:
            return ["the limit of time or memory"]
        return found


def _work(work: Callable[[], Any], write: int) -> NoReturn:
    """Work, hand the result over, and end without what the parent planned for its own end."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        content = pickle.dumps(("", work()))
    except BaseException:  # noqa: BLE001  # whatever it is, the parent raises it
        content = pickle.dumps((traceback.format_exc(), None))
    with os.fdopen(write, "wb") as pipe:
        pipe.write(content)
    os._exit(0)
