"""The fault panel of the showroom: one fault at a time, made through the emulator's control page.

What is on is read from the emulator, because its own control page can switch everything on and off as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from ninjaone_emulator import NinjaOne
from ninjaone_emulator import faults as emulated
from ninjaone_emulator.seed import OPERATOR_APPS
from ninjaone_emulator.unusual import changed_switches, done_by_administrators, in_words, unticked

WELL = "well"
SECRET = "secret"
SHORT, USUAL = 60, 3600
"""Seconds that an access token lives."""


@dataclass(frozen=True)
class Fault:
    """One fault that can be switched on.

    Attributes:
        kind: the emulator's name of it; empty if the emulator has no part in it
        seconds: how late it answers, or for how long it says to wait
    """

    title: str
    says: str
    kind: str = ""
    seconds: int = 0


def _every_token_request(kind: str, seconds: int = 0) -> Fault:
    """Name a fault as the emulator's control page does."""
    found = emulated.KINDS[kind]
    here = f" Here: {seconds} seconds." if seconds else ""
    return Fault(found.title, f"{found.says}{here} Only the token endpoint does this.", kind, seconds)


FAULTS = {
    WELL: Fault("All is well", "NinjaOne answers as it should."),
    "down": _every_token_request("reset"),
    "500": _every_token_request("500"),
    "html": _every_token_request("html_503"),
    "slow": _every_token_request("slow", 5),
    "lost": _every_token_request("lost_response"),
    "dead": _every_token_request("spurious_dead_token"),
    "throttled": _every_token_request("429_retry_after", 120),
    SECRET: Fault("The secret is wrong", "An administrator made a new client secret and told nobody."),
}
"""All but the first and the last are planned for every token request, until another is chosen."""

LIFETIME = "access_token_seconds"
OPERATORS = [app.client_id for app in OPERATOR_APPS.values()]


class Emulated(Protocol):
    """What the panel uses of the world."""

    ninjaone_url: str
    ninjaone: NinjaOne

    def store_client_secrets(self, secrets: Mapping[str, str]) -> None:
        """Store the secrets of the operator's client apps, as the operator does."""

    def client_secrets(self) -> Mapping[str, str]:
        """Return the secrets that are stored."""


class FaultPanel:
    """What is switched on now, by whomever, and the buttons."""

    def __init__(self, world: Emulated) -> None:
        self._world = world

    @property
    def on(self) -> str:
        """Return the fault of the panel that is on; empty if something else is on, or more than one thing."""
        found = self.what()
        named = (name for name, fault in FAULTS.items() if found == [fault.title])
        return next(named, "" if found else WELL)

    @property
    def is_short(self) -> bool:
        """Return whether the next access tokens are short-lived."""
        return self._world.ninjaone.switches.access_token_seconds == SHORT

    def what(self) -> list[str]:
        """Return in words everything that is not as it was at the start; short-lived tokens are no fault."""
        core = self._world.ninjaone
        found = [_title(fault) for fault in list(core.faults.planned)]
        found += [FAULTS[SECRET].title] if self._untold() else []
        switches = (said for name, said in changed_switches(core).items() if not (name == LIFETIME and self.is_short))
        return list(dict.fromkeys([*found, *switches, *done_by_administrators(core)]))

    def turn(self, name: str) -> None:
        """Switch off what can be switched off, and switch on this one. Raises KeyError if it does not exist."""
        fault = FAULTS[name]
        self._ask("DELETE", "faults")
        if untold := self._untold():
            self._world.store_client_secrets({**self._world.client_secrets(), **untold})
        if name == WELL:
            self._restore()
        if fault.kind:
            plan = {"fault": fault.kind, "on": "token", "times": None, "seconds": fault.seconds}
            self._ask("POST", "faults", plan)
        if name == SECRET:
            for app in OPERATORS:
                self._ask("POST", "admin", {"action": "rotate_secret", "named": app})

    def shorten(self, *, short: bool) -> None:
        """Choose how long the next access tokens live."""
        self._ask("PATCH", "switches", {LIFETIME: SHORT if short else USUAL})

    def _untold(self) -> dict[str, str]:
        """Return the operator's client secrets that NinjaOne has and the broker lacks; a deleted app needs none."""
        apps, stored = self._world.ninjaone.state.apps, self._world.client_secrets()
        found = {app: apps[app].secret for app in OPERATORS if app in apps and not apps[app].deleted}
        return {app: secret for app, secret in found.items() if stored.get(app) != secret}

    def _restore(self) -> None:
        """Undo what was changed on the control page: switches, people, boxes."""
        usual = {each["name"]: each["default"] for each in self._world.ninjaone.switches.describe()}
        self._ask("PATCH", "switches", {name: value for name, value in usual.items() if name != LIFETIME})
        for email, person in self._world.ninjaone.state.people.items():
            if not person.enabled:
                self._ask("POST", "admin", {"action": "enable_user", "named": email})
        for app, box, action in unticked(self._world.ninjaone):
            self._ask("POST", "admin", {"action": action, "named": app, "box": box})

    def _ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{self._world.ninjaone_url}/control/api/{name}"
        return httpx.request(method, url, json=body, timeout=30, trust_env=False).raise_for_status().json()


def _title(planned: emulated.Fault) -> str:
    """Return the panel's name of a fault if it is one of the panel's, or else the control page's."""
    for fault in FAULTS.values():
        seconds = fault.seconds or planned.seconds  # most kinds have no use for them
        if planned == emulated.Fault(fault.kind, times=None, seconds=seconds):
            return fault.title
    return in_words(planned)
