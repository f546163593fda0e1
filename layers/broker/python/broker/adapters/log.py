"""One line for each thing that happened, and the figures that alarms watch: JSON on standard output.

A field is a number or an identifier of ours, never what NinjaOne, a browser or another library wrote.
Powertools formats the lines and the metrics; its Logger is not used, for it is one for the whole process.
"""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntEnum

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from broker.adapters.clock import Clock

NAMESPACE = "NinjaOneConnect"

Field = str | int | None


class Level(IntEnum):
    """Who should look: whoever asked for every detail, nobody, whoever wonders, the operator now."""

    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR


class Log:
    """Lines and figures of one function."""

    def __init__(self, write: Callable[[str], None], clock: Clock, service: str, *, least: Level) -> None:
        self._write, self._clock, self._service, self._least = write, clock, service, least
        self._formatter = LambdaPowertoolsFormatter(service=service, location=None, utc=True, use_rfc3339=True)
        self._counts: Counter[str] = Counter()
        self._observed: dict[str, int] = {}
        self._lock = threading.Lock()
        self._function = self._request_id = ""
        self._about: Mapping[str, Field] = {}

    def begin(self, function: str, request_id: str) -> None:
        """Note which invocation the next lines belong to."""
        self._function, self._request_id = function, request_id
        self._about = {}

    def about(self, **fields: Field) -> None:
        """Note whom and what this invocation is about: every line of it says so."""
        self._about = fields

    def event(self, name: str, level: Level = Level.INFO, **fields: Field) -> None:
        """Write one line, if lines of this level are wanted. ``name`` is ``<noun>.<past tense>``."""
        if level < self._least:
            return
        record = logging.LogRecord(NAMESPACE, level, "", 0, name, None, None)
        record.created = self._clock.now()
        record.__dict__.update(self._about, **fields)
        record.__dict__.update(function=self._function, request_id=self._request_id)
        self._write(self._formatter.format(record))

    def count(self, metric: str, amount: int = 1) -> None:
        """Add to a figure of this invocation."""
        with self._lock:
            self._counts[metric] += amount

    def observe(self, metric: str, amount: int, worst: Callable[[int, int], int] = max) -> None:
        """Note a figure in seconds of which the worst of this invocation counts: the highest, or the lowest."""
        with self._lock:
            self._observed[metric] = worst(self._observed.get(metric, amount), amount)

    def flush(self) -> None:
        """Write the figures as one line in the embedded metric format, when there are any."""
        if not self._counts and not self._observed:
            return
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        for name, amount in self._counts.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=amount)
        for name, amount in self._observed.items():
            metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=amount)
        self._counts.clear()
        self._observed.clear()
        line = metrics.serialize_metric_set()
        line["_aws"]["Timestamp"] = int(self._clock.now() * 1000)
        self._write(json.dumps(line, separators=(",", ":")))
