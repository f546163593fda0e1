"""Log lines, one for each event, and the metrics that alarms watch: JSON on standard output.

A field is a number or one of the broker's own identifiers, never text of NinjaOne, a browser or another library.
Powertools formats the lines and the metrics; its Logger is not used, because it is shared by the whole process.
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
    """Who should read a line.

    DEBUG: on request. INFO: routine. WARNING: for investigations. ERROR: the operator should act.
    """

    DEBUG = logging.DEBUG
    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR


class Log:
    """Log lines and metrics of one function."""

    def __init__(self, write: Callable[[str], None], clock: Clock, service: str, *, least: Level) -> None:
        self._write, self._clock, self._service, self._least = write, clock, service, least
        self._formatter = LambdaPowertoolsFormatter(service=service, location=None, utc=True, use_rfc3339=True)
        self._counts: Counter[str] = Counter()
        self._observed: dict[str, int] = {}
        self._lock = threading.Lock()
        self._function = self._request_id = ""
        self._about: Mapping[str, Field] = {}

    def begin(self, function: str, request_id: str) -> None:
        """Begin an invocation: the next lines bear its request id."""
        self._function, self._request_id = function, request_id
        self._about = {}

    def about(self, **fields: Field) -> None:
        """Set the fields, such as the tenant, that every further line of this invocation has."""
        self._about = fields

    def event(self, name: str, level: Level = Level.INFO, **fields: Field) -> None:
        """Write one line, if its level is enabled. ``name`` is ``<noun>.<past tense>``."""
        if level < self._least:
            return
        record = logging.LogRecord(NAMESPACE, level, "", 0, name, None, None)
        record.created = self._clock.now()
        record.__dict__.update(self._about, **fields)
        record.__dict__.update(function=self._function, request_id=self._request_id)
        self._write(self._formatter.format(record))

    def count(self, metric: str, amount: int = 1) -> None:
        """Add to a metric of this invocation."""
        with self._lock:
            self._counts[metric] += amount

    def observe(self, metric: str, amount: int, worst: Callable[[int, int], int] = max) -> None:
        """Record a metric in seconds of which only the worst of this invocation counts: the highest, or the lowest."""
        with self._lock:
            self._observed[metric] = worst(self._observed.get(metric, amount), amount)

    def flush(self) -> None:
        """Write the metrics, if there are any, as one line in CloudWatch's embedded metric format."""
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
