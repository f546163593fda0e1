"""Many seeds: what they found, and whether everything that must happen did happen in some of them."""

import gc
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.verification.simulation import fleets
from tests.verification.simulation.swarm import CALLS, Run

REPLAYED = 50  # every so many seeds one is run twice, to see the same trace
FLEETS = 25  # of every so many seeds one also plays hours of a whole fleet
SWEPT = 10  # seeds after which the memory is tidied
CHUNK = 25  # seeds that a process works before it reports

KILLED = [f"refresh: {call.partition(' ')[0]} {kind}" for call in CALLS for kind in ("killed_before", "killed_after")]

MUST: dict[str, tuple[str, ...]] = {
    "a rescued token adopted": ("said refresh.rescued",),
    "a token spilled": ("said refresh.spilled",),
    "a refresh met its own write": ("refresh met its own write",),
    "the grace of an old token used": ("the grace of an old token used",),
    "a strike cleared": ("strike cleared",),
    "asked again after quarantine": ("asked again after quarantine",),
    "given up as revoked": ("needs_reauth revoked",),
    "given up as lost in rotation": ("needs_reauth lost_in_rotation",),
    "an index that lagged": ("index lagged",),
    "disconnected during a refresh": ("disconnect during a refresh",),
    "a callback sent twice": ("callback twice",),
    "something expired refused": ("lateness refused",),
    "a client secret rotated": ("secret rotated",),
    "the key disabled": ("key disabled",),
    "a restored table left alone": ("said epoch.inactive",),
    "an attacker's link refused (fixation)": ("fixation refused",),
    "an attacker's account refused (reverse)": ("reverse refused",),
    "a breaker opened": ("said breaker.opened",),
    "killed while NinjaOne was asked": ("ninjaone.token killed_during",),
    "a request carried out late": ("ninjaone.token late",),
    "an answer lost": ("ninjaone.token lost_response",),
    "a message delivered twice": ("message twice",),
    "a tick missed": ("tick missed",),
    "a malformed batch": ("said batch.unreadable",),
    "connected again": ("reconnected",),
    "a row deleted by mistake": ("row deleted",),
    "a row resealed": ("reseal resealed",),
    "a token imported": ("imported",),
    "a connection approved": ("approved",),
    "a call passed on": ("proxy GET passed 200",),
    "a 401 answered with another token": ("a 401 answered with another token",),
    "a GET passed on again": ("a GET passed on again",),
    "a write that got no answer": ("proxy POST own 504",),
    "a connection that stayed open used again": ("a kept connection used",),
    "another tenant's call refused": ("another tenant refused",),
    "a shard of the due index throttled": ("a shard throttled",),
    "a fleet with an open breaker": ("a breaker open",),
    "a fleet with connections condemned by mistake": ("condemned by mistake",),
    **{each: (each,) for each in KILLED},
}


@dataclass
class Totals:
    """What some seeds came to."""

    seeds: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)
    steps: int = 0

    def add(self, other: "Totals") -> None:
        """Add what other seeds came to."""
        self.seeds += other.seeds
        self.reached += other.reached
        self.checks += other.checks
        self.violations += other.violations
        self.steps += other.steps

    @property
    def unreached(self) -> list[str]:
        """Name what must happen and did not."""
        return [name for name, marks in MUST.items() if not self.count(marks)]

    def count(self, marks: tuple[str, ...]) -> int:
        """Say how often one of some things happened."""
        return sum(self.reached[mark] for mark in marks)


def one(seed: int) -> Totals:
    """Run one seed; a crash of the world counts as a violation."""
    try:
        run = Run(seed).run()
    except Exception as failure:  # noqa: BLE001 (whatever it is, it belongs to this seed)
        return Totals(1, violations=[(seed, f"{type(failure).__name__}: {failure}")])
    history = run.world.history
    if run.world.rows.stale_reads:
        history.reached["index lagged"] += 1
    found = [(seed, each) for each in history.violations[:1]]
    if seed % REPLAYED == 0:
        history.checks["I21"] += 1
        if Run(seed).run().world.scheduler.trace != run.world.scheduler.trace:
            found.append((seed, "I21: the same seed ran differently"))
    total = Totals(1, history.reached, history.checks, found, run.world.scheduler.steps)
    if seed % FLEETS == 1:
        total.add(fleet(seed))
    return total


def fleet(seed: int) -> Totals:
    """Play the fleet of a seed."""
    played = fleets.draw(seed).run()
    return Totals(0, played.reached, played.checks, [(seed, each) for each in played.violations])


def some(seeds: range) -> Totals:
    """Run seeds one after the other."""
    warnings.filterwarnings("ignore", message="This metric doesn't meet the requirements")
    total = Totals()
    gc.collect()
    gc.freeze()  # what is imported lives for ever
    gc.disable()
    for number, seed in enumerate(seeds):
        total.add(one(seed))
        if number % SWEPT == 0:
            gc.collect()  # a world is one big cycle
    gc.enable()
    return total


def campaign(first: int, count: int, processes: int) -> Iterator[Totals]:
    """Run seeds on several processes; yield what each chunk came to, in order."""
    chunks = [range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(some, chunks)
