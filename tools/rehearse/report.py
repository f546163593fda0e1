"""What a rehearsal prints: one line for each step, and at the end what it could not show, by name."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import getdoc

from tools.rehearse.adjustments import ADJUSTMENTS

NOT_SHOWN = (
    ("AWS's own limits", "quotas, throttling of an account and of a stage, cold starts on Lambda's processors"),
    ("alarms on expressions", "made and never evaluated; tests of the template evaluate them"),
    ("CodeDeploy", "a gradual change and its roll-back are shown by the template's expansion"),
    ("domains and CloudFront", "certificates, DNS and the firewall need a real account"),
    ("deletion by time to live", "the setting is applied; rows stay"),
    ("restoring a table", "point-in-time recovery is switched on, and restores nothing here"),
)
"""What only an account of AWS shows: name and why."""


class Missed(Exception):
    """A step did not show what it must."""


@dataclass
class Report:
    """Counts steps and prints each. What steps return is printed, so it must hold no secret."""

    shown: int = 0
    begun: float = field(default_factory=time.monotonic)

    def step(self, claim: str, show: Callable[[], str]) -> None:
        """Run one step; print the claim and what was seen. Raises   what the step raises, after a line of its own"""
        started = time.monotonic()
        try:
            seen = show()
        except Exception as error:
            self._print(f"NO {self.shown + 1:2}  {claim}: {type(error).__name__}: {error}")
            raise
        self.shown += 1
        self._print(f"ok {self.shown:2}  {claim}: {seen} ({time.monotonic() - started:.1f} s)")

    def end(self, of: int, version: str) -> bool:
        """Print what could not be shown, and the verdict."""
        known = [*(("MiniStack", getdoc(each) or "") for each in ADJUSTMENTS), *NOT_SHOWN]
        if version != "3.13":
            known.append(("Python 3.13", f"functions ran on Python {version}"))
        self._print("\nWhere this is not AWS, and what was not shown:")
        for name, why in known:
            self._print(f"  {name}: {why}")
        took = time.monotonic() - self.begun
        self._print(f"rehearse: {self.shown} of {of} steps, {len(known)} known differences ({took:.0f} s)")
        return self.shown == of

    @staticmethod
    def _print(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
