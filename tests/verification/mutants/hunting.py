"""Where a missing safeguard is looked for, and how it was noticed."""

import warnings
from collections.abc import Iterator

from tests.verification.mutants.safeguards import MUTANTS, Hunt
from tests.verification.simulation.anomalies import SCENARIOS, Faults, played, singles, template
from tests.verification.simulation.swarm import Run, drawn

SEEDS = 3000  # looked at for one that holds the trouble
TRIED = 60  # seeds run before a mutant counts as missed


def hunted(hunt: Hunt) -> Iterator[tuple[str, list[str]]]:
    """Play a scenario undisturbed and then with each fault of some kinds; yield what was violated."""
    scenario = SCENARIOS[hunt.scenario]
    yield f"in '{hunt.scenario}'", played(scenario, hunt.rotation, {}).world.history.violations
    for faults in singles(scenario, hunt.rotation):
        if set(faults.values()) <= set(hunt.kinds):
            yield _said(hunt, faults), played(scenario, hunt.rotation, faults).world.history.violations


def _said(hunt: Hunt, faults: Faults) -> str:
    return f"in '{hunt.scenario}' with " + ", ".join(f"call {number} {kind}" for number, kind in faults.items())


def swarmed(trouble: str) -> Iterator[tuple[str, list[str]]]:
    """Run seeds that hold a trouble, or any; yield what was violated."""
    fitting = [seed for seed in range(SEEDS) if not trouble or trouble in drawn(seed).trouble]
    for seed in fitting[:TRIED]:
        yield f"by seed {seed}", Run(seed).run().world.history.violations


def caught(number: int) -> str:
    """Say how a mutant was noticed; empty when it was not."""
    mutant = MUTANTS[number]  # mutants hold functions, which do not travel between processes
    warnings.simplefilter("ignore")
    template.cache_clear()  # what another mutant left is no ground to start from
    with mutant.loose():
        looks = hunted(mutant.hunt) if mutant.hunt else swarmed(mutant.trouble)
        for where, violations in looks:
            if violations:
                return f"{where}: {violations[0]}"
    return ""
