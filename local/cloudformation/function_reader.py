"""Readers for functions: their routes, schedules and roles, and what calls them."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from local.cloudformation.ignored import PROPERTIES
from local.cloudformation.intrinsics import TemplateFault
from local.cloudformation.properties import Properties
from local.cloudformation.resources import EventSourceMapping, Function, Route, Schedule
from local.iam import Condition, Statement

AttributeOf = Callable[[str, str], str]
Source = Route | Schedule
Some = TypeVar("Some", bound=Source)

_FOLDER = re.compile(r"functions/([a-z]+)/?")
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_REPORTS = ["ReportBatchItemFailures"]


def function(logical_id: str, properties: Properties, attribute_of: AttributeOf, signs: Iterable[str]) -> Function:
    """Read one function.

    Args:
        signs: ids of the APIs whose routes want SigV4 when they say nothing
    """
    folder = _FOLDER.fullmatch(properties.text("CodeUri"))
    if folder is None:
        raise TemplateFault(f"{properties.where}: CodeUri is not functions/NAME")
    with properties.inner("Environment") as environment:
        variables = environment.take("Variables", {})
    limit = properties.number("ReservedConcurrentExecutions", -1)
    sources = [_source(properties, name, event, signs) for name, event in properties.take("Events", {}).items()]
    return Function(
        logical_id=logical_id,
        name=attribute_of(logical_id, ""),
        arn=attribute_of(logical_id, "Arn"),
        folder=folder[1],
        handler=properties.text("Handler"),
        timeout=properties.number("Timeout", 3),
        memory=properties.number("MemorySize", 128),
        concurrency=None if limit < 0 else limit,
        environment={name: str(value) for name, value in variables.items()},
        routes=_only(Route, sources),
        schedules=_only(Schedule, sources),
        statements=_policies(properties),
    )


def _only(kind: type[Some], sources: list[Source]) -> tuple[Some, ...]:
    return tuple(source for source in sources if isinstance(source, kind))


def _source(outer: Properties, name: str, event: Mapping[str, Any], signs: Iterable[str]) -> Source:
    with outer.within(name, event) as whole:
        kind = whole.text("Type")
        if kind not in {"HttpApi", "ScheduleV2"}:
            raise TemplateFault(f"{whole.where}: events of type {kind} are not known here")
        with whole.inner("Properties", PROPERTIES[kind]) as properties:
            return _route(properties, signs) if kind == "HttpApi" else _schedule(name, properties)


def _route(properties: Properties, signs: Iterable[str]) -> Route:
    api, path = properties.text("ApiId"), properties.text("Path", "$default")
    method = properties.text("Method", "ANY").upper()
    if properties.text("PayloadFormatVersion", "2.0") != "2.0":
        raise TemplateFault(f"{properties.where}: events are built in payload format 2.0 alone")
    with properties.inner("Auth") as auth:
        authorizer = auth.text("Authorizer", "AWS_IAM" if api in signs else "NONE")
    if authorizer not in {"AWS_IAM", "NONE"}:
        raise TemplateFault(f"{properties.where}: the authorizer {authorizer} cannot be run here")
    return Route(api, method, path, signed=authorizer == "AWS_IAM")


def _schedule(name: str, properties: Properties) -> Schedule:
    expression = properties.text("ScheduleExpression")
    rate = _RATE.fullmatch(expression)
    if rate is None:
        raise TemplateFault(f"{properties.where}: {expression} is no rate(…) of minutes, hours or days")
    enabled = properties.text("State", "ENABLED") == "ENABLED"
    return Schedule(name, int(rate[1]) * _SECONDS[rate[2]], enabled, properties.text("Input"))


def event_source_mapping(logical_id: str, properties: Properties, _attribute_of: AttributeOf) -> EventSourceMapping:
    """Read an AWS::Lambda::EventSourceMapping."""
    with properties.inner("ScalingConfig") as scaling:
        concurrency = scaling.number("MaximumConcurrency", 0)
    with properties.inner("DestinationConfig") as destinations, destinations.inner("OnFailure") as failure:
        failures = failure.text("Destination")
    return EventSourceMapping(
        logical_id=logical_id,
        function=properties.text("FunctionName"),
        source=properties.text("EventSourceArn"),
        batch_size=properties.number("BatchSize", 10),
        reports_failures=_reports(properties),
        concurrency=concurrency,
        retries=properties.number("MaximumRetryAttempts", -1),
        failures=failures,
    )


def _reports(properties: Properties) -> bool:
    said = properties.items("FunctionResponseTypes")
    if said not in ([], _REPORTS):
        raise TemplateFault(f"{properties.where}: FunctionResponseTypes {said} is not known here")
    return bool(said)


def _policies(properties: Properties) -> tuple[Statement, ...]:
    """Read the role's own statements; what the platform adds so that logs can be written is left out."""
    read: list[Statement] = []
    for policy in properties.items("Policies"):
        if not isinstance(policy, dict) or "Statement" not in policy:
            raise TemplateFault(f"{properties.where}: only policies written out can be judged, not {policy}")
        read += statements(properties, policy)
    sids = [statement.sid for statement in read]
    if len(set(sids)) < len(sids) or "" in sids:
        raise TemplateFault(f"{properties.where}: every statement needs a Sid of its own")
    return tuple(read)


def statements(outer: Properties, policy: Mapping[str, Any]) -> list[Statement]:
    """Read the statements of a policy document, without their principals."""
    with outer.within("policy", policy) as document:
        document.text("Version")
        return [_statement(outer, item) for item in document.items("Statement")]


def _statement(outer: Properties, item: Mapping[str, Any]) -> Statement:
    with outer.within(str(item.get("Sid", "a statement")), item) as statement:
        conditions = [
            Condition(operator, key, tuple(_word(value) for value in _as_list(values)))
            for operator, lines in statement.take("Condition", {}).items()
            for key, values in lines.items()
        ]
        return Statement(
            sid=statement.text("Sid"),
            effect=statement.text("Effect"),
            actions=_as_list(statement.need("Action")),
            resources=_as_list(statement.need("Resource")),
            conditions=tuple(conditions),
        )


def _as_list(value: Any) -> tuple[str, ...]:
    """Read what may be one value or a list of them."""
    return tuple(value) if isinstance(value, list) else (value,)


def _word(value: Any) -> str:
    """Write a condition's value as IAM compares it; YAML makes a boolean of `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
