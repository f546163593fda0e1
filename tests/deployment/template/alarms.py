"""CloudWatch's alarms, judged here: the figures that functions wrote against what template.yaml calls too much."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_STATISTICS: Mapping[str, Callable[[list[float]], float]] = {
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": float.__gt__,
    "LessThanThreshold": float.__lt__,
}

LOOKS_FURTHER = 2
"""Periods that the evaluation range has more than are judged, as in the tables of AWS's documentation."""

Series = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, metric, dimensions."""


def series(metric: Mapping[str, Any]) -> Series:
    """Name what an alarm looks at."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in metric.get("Dimensions", ()))
    return metric["Namespace"], metric["MetricName"], dimensions


@dataclass
class Figures:
    """What CloudWatch has been told: by series, the instants and the values."""

    held: dict[Series, list[tuple[float, float]]] = field(default_factory=dict)

    def read(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take the figures out of log lines in the embedded metric format."""
        for line in lines:
            for group in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                (names,) = group["Dimensions"]
                dimensions = frozenset((name, line[name]) for name in names)
                for metric in group["Metrics"]:
                    told = line[metric["Name"]]
                    at = line["_aws"]["Timestamp"] / 1000
                    for figure in told if isinstance(told, list) else [told]:
                        self.note((group["Namespace"], metric["Name"], dimensions), at, figure)

    def note(self, which: Series, at: float, figure: float) -> None:
        """Take one figure that AWS itself measures."""
        self.held.setdefault(which, []).append((at, figure))

    def within(self, which: Series, start: float, end: float) -> list[float]:
        """Give the figures of one period."""
        return [figure for at, figure in self.held.get(which, ()) if start <= at < end]


def fires(alarm: Mapping[str, Any], figures: Figures, now: float) -> bool:
    """Say whether the alarm is in ALARM, as CloudWatch's "Alarm evaluation" describes it.

    CloudWatch reads more periods than it judges. Where enough of these have data, it judges the latest of them and
    ignores the gaps; only where too few have data does `TreatMissingData` decide about the missing ones.

    Args:
        now: the end of the last period
    """
    judged = int(alarm["EvaluationPeriods"])
    found = [_period(alarm, figures, now - back * length(alarm)) for back in range(judged + LOOKS_FURTHER)]
    existing = [figure for figure in found if figure is not None][:judged]
    too_much = _COMPARISONS[alarm["ComparisonOperator"]]
    breaching = sum(too_much(float(figure), float(alarm["Threshold"])) for figure in existing)
    missing = judged - len(existing) if alarm["TreatMissingData"] == "breaching" else 0
    return bool(breaching + missing >= alarm.get("DatapointsToAlarm", judged))


def length(alarm: Mapping[str, Any]) -> int:
    """Give an alarm's period in seconds."""
    lengths = {each["MetricStat"]["Period"] for each in alarm.get("Metrics", ()) if "MetricStat" in each}
    return int(alarm["Period"] if "Period" in alarm else lengths.pop())


def _period(alarm: Mapping[str, Any], figures: Figures, end: float) -> float | None:
    start = end - length(alarm)
    if "Metrics" not in alarm:
        return _statistic(alarm["Statistic"], figures.within(series(alarm), start, end))
    known: dict[str, Any] = {
        each["Id"]: _statistic(
            each["MetricStat"]["Stat"], figures.within(series(each["MetricStat"]["Metric"]), start, end)
        )
        for each in alarm["Metrics"]
        if "MetricStat" in each
    }
    (answer,) = [each["Expression"] for each in alarm["Metrics"] if each.get("ReturnData", True)]
    known |= {
        "FILL": lambda held, other: other if held is None else held,
        "IF": lambda test, yes, no: yes if test else no,
    }
    return float(
        eval(answer, {"__builtins__": {}}, known)
    )  # CloudWatch's expressions are Python's, as far as used here


def _statistic(name: str, figures: list[float]) -> float | None:
    return _STATISTICS[name](figures) if figures else None
