"""From units to dollars. Nothing is measured here."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES: dict[str, Any] = tomllib.loads((Path(__file__).parent / "prices.toml").read_text())
MILLION, PER_CPU = 1_000_000, 1769 / 1024  # gigabytes that bring one whole processor
MONTH, SWEEPS = 30 * 86_400, 30 * 1440


@dataclass(frozen=True)
class Units:
    """What one refresh takes.

    Attributes:
        processor: seconds of one processor; Lambda gives less than one to a function with less memory than brings one
        waits: seconds that pass besides
        memory: gigabytes that the function has
        logged: bytes
    """

    writes: float
    reads: float
    kms: float
    sqs: float
    requests: float
    processor: float
    waits: float
    memory: float
    logged: float
    scheduled: float = 0.0

    @property
    def price(self) -> float:
        """Dollars for a million refreshes."""
        each, gigabyte = PRICES["per_million"], PRICES["per_gigabyte"]
        seconds = (self.processor * max(PER_CPU / self.memory, 1) + self.waits) * self.memory
        return float(
            self.writes * each["dynamodb_write"]
            + self.reads * each["dynamodb_read"]
            + self.kms * each["kms"]
            + self.sqs * each["sqs"]
            + self.requests * each["lambda_request"]
            + self.scheduled * each["scheduler"]
            + MILLION * seconds * gigabyte["lambda_second"]
            + MILLION * self.logged / 1e9 * gigabyte["logs"]
        )


CYCLE, IDLE = 0.55 * 3600, 0.9 * 12 * 3600
"""Seconds between two refreshes of a connection that is refreshed ahead of expiry, and of an idle one (adaptive)."""
IN_USE = 0.1


def refreshes(connections: int, policy: str) -> float:
    """Count a month's refreshes; under the adaptive policy one connection in ten is in use."""
    busy = 1.0 if policy == "always" else IN_USE
    return connections * MONTH * (busy / CYCLE + (1 - busy) / IDLE)


QUEUES, POLLS = 3, 5 * 3 * 60 * 24 * 30
"""Queues that Lambda polls, and how often in a month though they are empty: five pollers that wait 20 s each."""


@dataclass(frozen=True)
class Watching:
    """What CloudWatch bills.

    Attributes:
        alarmed: metrics in all alarms
        written: custom metrics of the functions
    """

    alarmed: int
    written: int

    @property
    def price(self) -> float:
        """Dollars a month."""
        fixed = PRICES["per_month"]
        return float(self.alarmed * fixed["alarm_metric"] + self.written * fixed["custom_metric"])


def idle(watching: Watching) -> float:
    """Dollars a month of a stack that nobody uses, without its sweeps."""
    fixed, polls = PRICES["per_month"], QUEUES * POLLS * PRICES["per_million"]["sqs"] / MILLION
    return float(fixed["seal_key"] + fixed["client_secrets"] + polls + watching.price)


def month(connections: int, policy: str, units: Units, *, anyway: float) -> float:
    """Dollars a month: refreshes, sweeps, storage, and what is there anyway."""
    each, gigabyte = PRICES["per_million"], PRICES["per_gigabyte"]
    sweep = each["lambda_request"] + each["scheduler"] + 10 * each["sqs"] + 4 * each["dynamodb_read"]
    sweeps = SWEEPS * (sweep / MILLION + 0.3 * 0.5 * gigabyte["lambda_second"])
    stored = connections * 2_000 / 1e9 * gigabyte["stored"]
    return float(refreshes(connections, policy) / MILLION * units.price + sweeps + stored + anyway)
