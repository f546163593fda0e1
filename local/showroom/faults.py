"""The fault panel of the showroom: one fault at a time, made through the emulator's control page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

WELL = "well"
SECRET = "secret"
SHORT, USUAL = 60, 3600
"""Seconds that an access token lives."""


@dataclass(frozen=True)
class Fault:
    """One fault that can be switched on.

    Attributes:
        kind: the emulator's name of it; empty if the emulator has no part in it
    """

    title: str
    says: str
    kind: str = ""
    seconds: int = 0


FAULTS = {
    WELL: Fault("All is well", "NinjaOne answers as it should."),
    "down": Fault("NinjaOne is down", "Every connection is reset before anything was done.", "reset"),
    "500": Fault("It fails inside", "Every token request is answered 500.", "500"),
    "html": Fault("An HTML page", "Where JSON should be, nginx says that it is unavailable: 503.", "html_503"),
    "slow": Fault("It is slow", "It does its work at once, and answers five seconds later.", "slow", 5),
    "lost": Fault("Answers get lost", "It gives a new token and ends the old, and nobody hears it.", "lost_response"),
    "dead": Fault("It calls good tokens dead", "A replica that lags: 400 invalid_token.", "spurious_dead_token"),
    "throttled": Fault("It throttles", "429, to come back after two minutes.", "429_retry_after", 120),
    SECRET: Fault("The secret is wrong", "An administrator made a new client secret and told nobody."),
}


class FaultPanel:
    """The fault that is switched on now."""

    def __init__(self, ninjaone_url: str, apps: list[str], store: Callable[[Mapping[str, str]], None]) -> None:
        """Store what the faults act on.

        Args:
            apps: ids of the operator's client apps
            store: stores their secrets, as the operator does
        """
        self._url, self._apps, self._store = f"{ninjaone_url}/control/api/", apps, store
        self._untold: dict[str, str] = {}
        self.on = WELL
        self.lifetime = USUAL

    def turn(self, name: str) -> None:
        """Switch off the current fault, and switch on this one. Raises KeyError if there is none of that name."""
        fault = FAULTS[name]
        self._ask("DELETE", "faults")
        if self._untold:
            self._store(self._untold)
            self._untold = {}
        if fault.kind:
            plan = {"fault": fault.kind, "on": "token", "times": None, "seconds": fault.seconds}
            self._ask("POST", "faults", plan)
        if name == SECRET:
            self._untold = {app: self._ask("POST", "admin", _renewing(app))["client_secret"] for app in self._apps}
        self.on = name

    def shorten(self, *, short: bool) -> None:
        """Choose how long the next access tokens live."""
        self.lifetime = SHORT if short else USUAL
        self._ask("PATCH", "switches", {"access_token_seconds": self.lifetime})

    def _ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = httpx.request(method, self._url + name, json=body, timeout=30, trust_env=False)
        return answer.raise_for_status().json()


def _renewing(app: str) -> dict[str, str]:
    return {"action": "rotate_secret", "named": app}
