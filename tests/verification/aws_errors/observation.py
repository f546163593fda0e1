"""What one call of a function came to: its answer, its log, its counts, and the alarms when it goes on."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from broker.errors import BrokerError
from tests.deployment.template.alarms import Figures, Series, fires, series
from tests.deployment.template.stack import alarms
from tests.verification.aws_errors.injection import THROTTLED, failing, hearing
from tests.verification.aws_errors.scenes import Call, Scene
from tests.verification.roles.stage import Stage
from tests.verification.simulation import gateway

HOUR, EVERY = 3600, 30
"""Seconds for which a call goes wrong again and again, and between two such calls, as far as alarms are concerned."""
LOUD = {"WARNING", "ERROR", "CRITICAL"}
HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


@dataclass(frozen=True)
class Observed:
    """What was seen.

    Attributes:
        answer: what whoever called got
        said: the log's lines that say of it, each once, in order
        counts: the figures that only this wrote
        alarms: those that fire when it goes on for an hour
    """

    answer: str
    said: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """An observation with what it was made from.

    Attributes:
        lines: all that the function wrote
    """

    observed: Observed
    lines: list[dict[str, Any]]


def calls_of(scene: Scene, stage: Stage) -> list[str]:
    """List the calls of AWS that a scene makes, each once, in order."""
    call, heard = scene.prepare(stage), {}
    with _surroundings(scene, stage), hearing(stage, scene.function, lambda name: heard.update({name: True})):
        call()
    return [name for name in heard if not scene.only or name in scene.only]


def play(scene: Scene, stage: Stage, *failures: tuple[str, str]) -> Seen:
    """Play a scene in which calls of AWS fail; each failure is the name of a call and the kind of its error."""
    call = scene.prepare(stage)
    stage.lines.clear()
    with _surroundings(scene, stage), failing(stage, scene.function, *failures):
        answer = _answer(call, scene.function)
    lines = list(stage.lines)
    return Seen(Observed(answer, _said(lines), _counts(lines), _alarms(scene, answer, lines)), lines)


def _surroundings(scene: Scene, stage: Stage) -> Any:
    refused = ((call, THROTTLED) for call in scene.before)
    return failing(stage, scene.function, *refused, once_answered=True)


def _answer(call: Call, function: str) -> str:
    try:
        answer = call()
    except BrokerError as error:
        return f"the invocation fails with `{type(error).__name__}`; the next minute makes up for it"
    if answer is None:
        return "done"
    if "statusCode" in answer:
        return _http(answer)
    if not answer["batchItemFailures"]:
        return "done"
    return "the changes come again" if function == "notify" else "the message comes again"


def _http(answer: dict[str, Any]) -> str:
    status, headers = gateway.status(answer), answer["headers"]
    if status == 303:
        return f"303 to {re.sub(r'[?].*', '', gateway.location(answer))}"
    wait = f", Retry-After {headers['retry-after']}" if "retry-after" in headers else ""
    return f"{status}{_named(answer)}{wait}"


def _named(answer: dict[str, Any]) -> str:
    """Name a problem by its slug, and a page by its heading."""
    content = answer["headers"]["content-type"]
    if content.startswith("text/html"):
        heading = HEADING.search(answer["body"])
        return f" “{heading[1].strip()}”" if heading else ""
    if not content.startswith("application/problem+json"):
        return ""
    slug = str(gateway.json_body(answer).get("type", "")).rpartition("/")[2].rpartition(":")[2]
    return f" `{slug}`"


def _said(lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line["message"] for line in lines if line.get("level") in LOUD))


def _counts(lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({name for _, name, _ in _figures(lines).held}))


def _figures(lines: Iterable[Mapping[str, Any]]) -> Figures:
    figures = Figures()
    figures.read(lines)
    return figures


@cache
def _watching() -> Mapping[str, Mapping[str, Any]]:
    return alarms().of("AWS::CloudWatch::Alarm")


def _alarms(scene: Scene, answer: str, lines: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Say which alarms fire when the same goes on; meanwhile a sweep requests something each minute."""
    once = [(which, figure) for which, told in _figures(lines).held.items() for _, figure in told]
    once += [(which, 1.0) for which in _platform(scene, answer)]
    figures = Figures()
    for at in range(0, HOUR, EVERY):
        for which, figure in once:
            figures.note(which, at, figure)
        if scene.function != "sweep":
            figures.note(_ordered(), at, 1)
    return tuple(sorted(name for name, alarm in _watching().items() if fires(alarm, figures, HOUR)))


def _platform(scene: Scene, answer: str) -> Iterable[Series]:
    """Name what Lambda and API Gateway themselves count."""
    if answer.startswith("the invocation fails"):
        name = f"<{scene.function.capitalize()}Function>"
        yield "AWS/Lambda", "Errors", frozenset({("FunctionName", name)})
    if answer.startswith("5"):
        yield "AWS/ApiGateway", "5xx", frozenset({("ApiId", "<BackendApi>")})


def _ordered() -> Series:
    (which,) = (each for each in _watching()["RefreshingStopped"]["Metrics"] if "MetricStat" in each)
    return series(which["MetricStat"]["Metric"])
