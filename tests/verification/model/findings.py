"""What came of exploring: one finding for each variant and provider, and whether it is as it must be."""

import gc
from dataclasses import dataclass
from itertools import groupby

from tests.verification.model import connect
from tests.verification.model.attacks import ATTACKS, Attack
from tests.verification.model.explore import Explorer
from tests.verification.model.provider import MODES, Mode
from tests.verification.model.trace import story
from tests.verification.model.variants import VARIANTS, Variant


@dataclass(frozen=True, slots=True)
class Finding:
    """One exploration.

    Attributes:
        against: the provider's mode, or X
        story: the shortest run that breaks the property to show; empty where there is none to show
    """

    kind: str
    name: str
    against: str
    states: int
    broken: frozenset[str]
    expected: frozenset[str]
    story: str = ""

    @property
    def is_expected(self) -> bool:
        """Say whether exactly the expected properties are broken."""
        return self.broken == self.expected


def refreshed(variant: Variant, mode: Mode) -> Finding:
    """Explore the refresh protocol against one provider."""
    explorer = Explorer(variant.rules, mode, variant.budget).run()
    where, shown = variant.shows
    told = story(explorer, shown) if mode == where and shown in explorer.breaches else ""
    return Finding(
        variant.kind,
        variant.name,
        mode,
        states=len(explorer.parents),
        broken=frozenset(explorer.breaches),
        expected=variant.expected(mode),
        story=f"{shown}: {told}" if told else "",
    )


def connected(attack: Attack) -> Finding:
    """Explore the connect flow against X."""
    result = connect.explore(attack.checks)
    told = result.attacks.get(attack.shows, "")
    return Finding(
        attack.kind,
        attack.name,
        "X",
        states=result.states,
        broken=frozenset(result.attacks),
        expected=frozenset(attack.breaks.split()),
        story=f"{attack.shows}: {told}" if told else "",
    )


def find(task: tuple[Variant, Mode] | Attack) -> Finding:
    """Explore one thing, in a process of its own."""
    gc.disable()  # nothing made here is garbage before the end
    return connected(task) if isinstance(task, Attack) else refreshed(*task)


TASKS: tuple[tuple[Variant, Mode] | Attack, ...] = (
    *((variant, mode) for variant in VARIANTS for mode in MODES),
    *ATTACKS,
)


def summary(findings: list[Finding]) -> tuple[str, bool]:
    """Count states, violations and weakened variants caught; say whether all is as it must be.

    A weakened variant is caught when it breaks exactly the expected properties against every provider.
    """
    states = sum(finding.states for finding in findings)
    violations = sum(not finding.is_expected for finding in findings if finding.kind != "weakened")
    weakened = groupby((f for f in findings if f.kind == "weakened"), key=lambda finding: finding.name)
    caught = [all(finding.is_expected for finding in group) for _, group in weakened]
    line = f"model: {states} states, {violations} violations, {sum(caught)} of {len(caught)} weakened variants caught"
    return line, violations == 0 and all(caught)
