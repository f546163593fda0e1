"""One line for each thing that happened, and figures that add up."""

import json

import pytest

from broker.adapters.log import Level, Log
from tests.support.broker_world import Clock, LogLines
from tools.requirements import req


@pytest.fixture
def log(lines: LogLines, clock: Clock) -> Log:
    log = Log(lines.write, clock, "stack-1", least=Level.DEBUG)
    log.begin("token", "request-1")
    return log


def test_a_line_below_the_least_level_is_not_written(lines: LogLines, clock: Clock) -> None:
    log = Log(lines.write, clock, "stack-1", least=Level.INFO)

    log.event("detail.seen", Level.DEBUG)
    log.event("thing.happened")

    assert lines.names == ["thing.happened"]


@req("G10")
def test_a_line_says_what_happened_where_and_when_in_utc(log: Log, lines: LogLines) -> None:
    log.event("token.issued", tenant="acme", left=42, nothing=None)

    (line,) = lines
    assert line["message"] == "token.issued"
    assert line["level"] == "INFO"
    assert (line["tenant"], line["left"]) == ("acme", 42)
    assert "nothing" not in line
    assert (line["function"], line["request_id"], line["service"]) == ("token", "request-1", "stack-1")
    assert line["timestamp"] == "2027-01-15T08:00:00.000+00:00"


@req("G10")
def test_a_line_break_in_a_field_makes_no_second_line(log: Log, lines: LogLines) -> None:
    log.event("thing.happened", tenant='a\r\n{"level": "ERROR"}\x1b[31m')

    assert len(lines.text) == 1
    assert not {"\n", "\r", "\x1b"} & set(lines.text[0])


def test_every_line_of_an_invocation_says_what_it_is_about(log: Log, lines: LogLines) -> None:
    log.about(caller="arn:x", tenant="acme")
    log.event("first.happened")
    log.event("second.happened", tenant="globex")
    log.begin("token", "request-2")
    log.event("third.happened")

    first, second, third = lines
    assert (first["caller"], first["tenant"]) == ("arn:x", "acme")
    assert second["tenant"] == "globex"
    assert "caller" not in third


def figures(lines: LogLines) -> dict[str, object]:
    """Read the figures of one line in the embedded metric format."""
    (line,) = [json.loads(text) for text in lines.text if "_aws" in text]
    (told,) = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_800_000_000_000
    return {metric["Name"]: (line[metric["Name"]], metric["Unit"]) for metric in told["Metrics"]}


def test_figures_of_an_invocation_are_one_line_that_adds_up(log: Log, lines: LogLines) -> None:
    log.count("renewed")
    log.count("renewed", 2)
    log.count("dead_verdict", 0)
    for left in (30, 10, 20):
        log.observe("token_left", left, min)
        log.observe("oldest_due", left)

    log.flush()

    assert figures(lines) == {
        "renewed": ([3.0], "Count"),
        "dead_verdict": ([0.0], "Count"),
        "token_left": ([10.0], "Seconds"),
        "oldest_due": ([30.0], "Seconds"),
    }


def test_figures_are_written_once_and_nothing_where_there_are_none(log: Log, lines: LogLines) -> None:
    log.flush()
    log.count("renewed")
    log.flush()
    log.flush()

    assert len(lines.text) == 1
