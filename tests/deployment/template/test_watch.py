"""What is watched: every alarm looks at figures that are written, goes somewhere, and says what to do."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from broker.adapters.log import NAMESPACE
from local.cloudformation.intrinsics import load
from tests.benchmarks.cost.counted import alarmed_metrics, written
from tests.deployment.template.alarms import Figures, fires, length, series
from tests.deployment.template.stack import ROOT, alarms, deploy

STACK = deploy()
ALARMS = alarms().of("AWS::CloudWatch::Alarm")
GUIDE = (ROOT / "docs/operate/runbooks.md").read_text(encoding="utf-8")
POINTER = "docs/operate/runbooks.md: "

UNWATCHED = {
    "requested": "how much there is to do; its silence is watched, and the dashboard shows it",
    "attempts": "what the share of unclear answers is taken of",
    "renewed": "goes well",
    "rescued": "went well in the end",
    "recovered": "goes well",
    "dead_verdict": "the connections they cost are watched, and many tenants' open a breaker",
    "lost_in_rotation": "follows from unclear answers, which are watched",
    "not_sent": "opens a breaker when several tenants meet it, and tokens that end are watched",
    "unavailable": "opens a breaker when several tenants meet it, and tokens that end are watched",
    "throttled": "opens a breaker when several tenants meet it, and tokens that end are watched",
    "config": "what is about the operator's app is watched",
    "proxied_2xx": "goes well",
    "proxied_3xx": "NinjaOne's own answers, which are the caller's to handle",
    "proxied_4xx": "NinjaOne's own answers, which are the caller's to handle",
    "proxied_5xx": "NinjaOne's own answers, which are the caller's to handle",
    "proxied_unanswered": "the caller gets a problem that says what to do; trouble of the broker's own has alarms",
    "batch_unreadable": "only another writer to the queue can cause it; the line says so",
    "accounts_not_compared": "the connection is made all the same; only the hint that it is a second one is missing",
}
"""Figures that no alarm looks at, each with its reason."""

MINUTE = 60
PAGING = {"RefreshingStopped", "TokenUnsaved", "ApisFailing"}


def looked_at(alarm: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the metrics of an alarm, simple or computed."""
    if "Metrics" in alarm:
        yield from (each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each)
    else:
        yield alarm


def test_every_figure_is_watched_or_has_a_reason_not_to_be() -> None:
    watched = {
        each["MetricName"] for alarm in ALARMS.values() for each in looked_at(alarm) if each["Namespace"] == NAMESPACE
    }

    assert watched - {"requested", "attempts"} == written() - UNWATCHED.keys()
    assert UNWATCHED.keys() <= written()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_this_stack_alone(name: str) -> None:
    for metric in looked_at(ALARMS[name]):
        _, _, dimensions = series(metric)
        ((dimension, value),) = dimensions
        assert dimension in {"service", "QueueName", "FunctionName", "ApiId"}
        assert value == "local" if dimension == "service" else value.startswith("<")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_and_its_end_go_to_the_topic_and_name_the_paragraph_to_read(name: str) -> None:
    alarm = ALARMS[name]

    topic = "<PagingTopic>" if name in PAGING else "<AlarmTopic>"
    assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
    assert alarm["AlarmName"] == f"local-{name}"
    assert alarm["AlarmDescription"].startswith(POINTER)
    assert alarm["AlarmDescription"].removeprefix(POINTER) in runbooks()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_s_name_leads_to_its_runbook(name: str) -> None:
    heading = ALARMS[name]["AlarmDescription"].removeprefix(POINTER)
    (row,) = [line for line in GUIDE.splitlines() if line.startswith("|") and f"`{name}`" in line]

    assert f"[{heading}](#" in row


def runbooks() -> list[str]:
    """List the runbook's headings."""
    return re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)


def test_no_paragraph_is_left_for_an_alarm_that_is_gone() -> None:
    described = {alarm["AlarmDescription"].removeprefix(POINTER) for alarm in ALARMS.values()}

    assert set(runbooks()) == described


def counts(alarm: Mapping[str, Any]) -> bool:
    """Tell whether an alarm adds up metrics that are only written when something happens."""
    stats = {each["MetricStat"]["Stat"] for each in alarm.get("Metrics", ()) if "MetricStat" in each}
    return stats <= {"Sum"} and alarm.get("Statistic", "Sum") == "Sum"


@pytest.mark.parametrize("name", [name for name, alarm in ALARMS.items() if counts(alarm)])
def test_an_alarm_of_counts_ends_with_the_period_after_the_last_one(name: str) -> None:
    """Without FILL it would go on judging an old count, and hide that the trouble came back."""
    alarm, figures = ALARMS[name], Figures()
    period, judged = length(alarm), int(alarm["EvaluationPeriods"])
    for back in range(judged):
        for metric in looked_at(alarm):
            figures.note(series(metric), period * (100 - back) - 1, 1000 if metric["MetricName"] != "requested" else 0)

    assert fires(alarm, figures, period * 100)
    assert not fires(alarm, figures, period * (100 + judged))


@pytest.mark.parametrize("name", [name for name, alarm in ALARMS.items() if length(alarm) == MINUTE])
def test_an_alarm_of_single_minutes_waits_for_figures_that_come_late(name: str) -> None:
    """AWS publishes a minute's figure after it; FILL takes its place, and one period alone would never be judged by it.

    See CloudWatch's "Using metric math", FILL, which advises M out of N.
    """
    alarm, figures = ALARMS[name], Figures()
    (metric,) = looked_at(alarm)
    figures.note(series(metric), MINUTE * 99 - 1, 1000)

    assert fires(alarm, figures, MINUTE * 100)


def test_silence_is_bad_news_only_where_something_must_be_heard() -> None:
    breaching = {name for name, alarm in ALARMS.items() if alarm["TreatMissingData"] == "breaching"}

    assert breaching == {"RefreshingStopped"}
    assert {alarm["TreatMissingData"] for alarm in ALARMS.values()} == {"breaching", "notBreaching"}


@pytest.mark.parametrize("trouble", ["Failing", "Throttled"])
def test_every_function_s_failures_and_throttles_are_watched_by_one_alarm(trouble: str) -> None:
    watched = [
        metric["Dimensions"][0]["Value"].strip("<>")
        for name in ("Functions", "Refreshers")
        for metric in looked_at(ALARMS[name + trouble])
    ]

    assert sorted(watched) == sorted(STACK.of("AWS::Lambda::Function"))
    assert all(len(list(looked_at(alarm))) <= 10 for alarm in ALARMS.values()), "CloudWatch computes from ten at most"


def test_the_price_of_watching_counts_metrics_and_not_alarms() -> None:
    """AWS bills an alarm for each metric it computes from."""
    assert alarmed_metrics() == sum(len(list(looked_at(alarm))) for alarm in ALARMS.values()) > len(ALARMS)


# The dashboard -------------------------------------------------------------------------------------------------------

DASHBOARD = load((ROOT / "stacks/dashboard.yaml").read_text(encoding="utf-8"))


def widgets() -> list[dict[str, Any]]:
    body: str = DASHBOARD["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def test_the_dashboard_shows_figures_that_are_written() -> None:
    shown = {
        metric[1]
        for widget in widgets()
        for metric in widget["properties"].get("metrics", ())
        if metric[0] == NAMESPACE
    }

    assert len(shown) > 10
    assert shown <= written()


FAULTY = ("ERROR", "timeout", "error", "failure")
"""Levels of log lines, and statuses of Lambda's own reports, which carry no level."""


def test_what_went_wrong_includes_what_lambda_itself_reports() -> None:
    """A function that ran out of time or memory writes no line of ours."""
    shown = [json.dumps(widgets()), STACK.outputs["Errors"]]

    for text in shown:
        assert all(word in text for word in (*FAULTY, "log_level", "record.status"))


def test_the_command_that_makes_the_dashboard_gives_it_every_parameter() -> None:
    command = STACK.outputs["Dashboard"].partition("--parameter-overrides ")[2]
    given = dict(pair.split("=") for pair in command.split())

    assert given.keys() == DASHBOARD["Parameters"].keys()
    assert {name: value for name, value in given.items() if name != "Service"} == {
        name: f"<{name}.QueueName>" if name.endswith("Queue") else f"<{name}>" for name in given if name != "Service"
    }
    assert given["Service"] == "local"
    assert " ProxyFunction=off " in deploy(Proxy="off").outputs["Dashboard"]


def test_the_dashboard_shows_every_class_of_answer_that_the_proxy_counts() -> None:
    shown = {metric[1] for widget in widgets() for metric in widget["properties"].get("metrics", ())}

    assert shown >= {name for name in written() if name.startswith("proxied_")} | {"Throttles", "Duration"}


def test_the_dashboard_names_nothing_that_it_was_not_given() -> None:
    body = DASHBOARD["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    named = set(re.findall(r"\$\{([^}]+)\}", body))

    assert named == DASHBOARD["Parameters"].keys() | {"AWS::Region"}


# The operator's pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", runbooks())
def test_a_runbook_begins_with_what_is_felt_and_ends_with_how_one_knows_that_it_is_over(heading: str) -> None:
    paragraph = GUIDE.partition(f"\n## {heading}\n\n")[2].partition("\n## ")[0]

    assert re.match(r"\*\*[\w ]+ fe(el|els|lt)\*\*", paragraph)
    assert "\n**It is over** when " in paragraph


def test_the_three_alarms_that_wake_somebody_are_the_ones_whose_runbooks_say_so() -> None:
    page = (ROOT / "docs/operate/watch.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    paragraphs = dict(re.findall(r"^## (.+)\n([^#]+)", GUIDE, re.MULTILINE))
    waking = {heading for heading, text in paragraphs.items() if "This wakes somebody" in " ".join(text.split())}

    assert waking == {ALARMS[name]["AlarmDescription"].removeprefix(POINTER) for name in listed}
    assert listed == PAGING
