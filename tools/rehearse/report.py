"""What a rehearsal prints: one line for each step, and at the end what it could not show, by name."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import getdoc

from tools.rehearse import gateways
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

TESTS_THAT_DIFFER = {
    "test_every_address_and_method_is_answered_by_a_page_of_ours[OPTIONS": "an HTTP API answers OPTIONS by itself",
    "test_without_a_signature_aws_itself_refuses": "any Authorization header reaches an HTTP API's function",
    "test_a_signature_of_another_secret_is_worth_nothing": "signatures for an HTTP API are not verified",
    "test_too_much_is_refused_without_a_function": "headers of any size are taken",
    "test_a_stage_is_throttled_and_its_log_holds_no_address": "a stage's settings are not given back",
    "test_a_role_opens_what_it_is_for_and_nothing_else": "the simulator of policies takes no context",
    "test_who_gives_or_lists_reads_no_other_sealed_attribute": "the simulator of policies takes no context",
    "test_the_connections_can_be_brought_back_and_not_deleted_by_mistake": "a table's encryption is not given back",
    "test_without_a_purpose_the_key_is_of_no_use_to_anybody": "a key's policy does not bind the account's root",
    "test_rescued_tokens_are_shut_away_and_go_after_35_days": "a bucket's lifecycle is not applied",
}
"""How tests of `make deployed` that fail here begin → why. One that passes after all must go from this list."""

CHECKS_THAT_DIFFER = {"schedule": "figures that functions log become no metrics of CloudWatch"}
"""Checks of `ninjaone-connect doctor` that find something here → why."""


class Missed(Exception):
    """A step did not show what it must."""


@dataclass
class Report:
    """Counts steps and prints each. What steps return is printed, so it must hold no secret.

    Attributes:
        of: how many steps there are
    """

    of: int
    shown: int = 0
    begun: float = field(default_factory=time.monotonic)

    def step(self, claim: str, show: Callable[[], str]) -> None:
        """Run one step; print the claim and what was seen. Raises what the step raises, after a line of its own."""
        started = time.monotonic()
        try:
            seen = show()
        except Exception as error:
            self.say(f"NO {self.shown + 1:2}  {claim}: {type(error).__name__}: {error}")
            raise
        self.shown += 1
        self.say(f"ok {self.shown:2}  {claim}: {seen} ({time.monotonic() - started:.1f} s)")

    def end(self, version: str) -> bool:
        """Print what could not be shown, and the verdict."""
        adjusted = [(each.__name__, getdoc(each) or "") for each in ADJUSTMENTS]
        known = [
            *adjusted,
            *TESTS_THAT_DIFFER.items(),
            *CHECKS_THAT_DIFFER.items(),
            *gateways.KNOWN.items(),
            *NOT_SHOWN,
        ]
        if version != "3.13":
            known.append(("Python 3.13", f"functions ran on Python {version}"))
        self.say("\nWhere this is not AWS, and what was not shown:")
        for name, why in known:
            self.say(f"  {name}: {why}")
        took = time.monotonic() - self.begun
        self.say(f"rehearse: {self.shown} of {self.of} steps, {len(known)} known differences ({took:.0f} s)")
        return self.shown == self.of

    @staticmethod
    def say(line: str) -> None:
        """Print a line now."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
