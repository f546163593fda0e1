"""template.yaml as typed values: what the local world makes and runs, and nothing else.

Every resource type and every property is read, or stands in `local.cloudformation.ignored` with the reason why it means
nothing on one machine. Anything else is a TemplateFault: nothing is passed over in silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from local.cloudformation import arns, function_reader, ignored, readers
from local.cloudformation.intrinsics import Scope, TemplateFault, load
from local.cloudformation.parameters import given
from local.cloudformation.properties import Properties, merged
from local.cloudformation.resources import (
    Api,
    Bucket,
    EventSourceMapping,
    Function,
    Key,
    Parameter,
    Queue,
    Secret,
    Table,
)
from local.iam import Statement

__all__ = ["Template", "TemplateFault", "parse", "read"]

FUNCTION = "AWS::Serverless::Function"
_SECTIONS = {"Conditions", "Globals", "Outputs", "Parameters", "Resources"}
_GLOBALS = {"Function": FUNCTION, "HttpApi": "AWS::Serverless::HttpApi"}

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Template:
    """One template under one set of parameters; `functions` is by folder, `outputs` by name.

    Attributes:
        left_out: folders of functions that a condition leaves out
    """

    functions: Mapping[str, Function]
    left_out: frozenset[str]
    event_source_mappings: tuple[EventSourceMapping, ...]
    apis: tuple[Api, ...]
    tables: tuple[Table, ...]
    queues: tuple[Queue, ...]
    buckets: tuple[Bucket, ...]
    keys: tuple[Key, ...]
    secrets: tuple[Secret, ...]
    parameters: tuple[Parameter, ...]
    outputs: Mapping[str, Any]

    def function(self, name: str) -> Function:
        """Find a function by its name or its ARN; `functions` has them by folder."""
        return _the(self.functions.values(), name, lambda function: (function.name, function.arn))

    def table(self, name: str) -> Table:
        """Find a table by its name, its ARN or its stream's."""
        return _the(self.tables, name, lambda table: (table.name, table.arn, table.stream_arn))

    def queue(self, name: str) -> Queue:
        """Find a queue by its name, URL or ARN."""
        return _the(self.queues, name, lambda queue: (queue.name, queue.url, queue.arn))

    def key(self, name: str) -> Key:
        """Find a KMS key by its id or ARN."""
        return _the(self.keys, name, lambda key: (key.id, key.arn))

    def denials(self, resource: str) -> tuple[Statement, ...]:
        """Return what a resource's own policy refuses, whatever a role allows."""
        return next((key.denials for key in self.keys if key.arn == resource), ())

    def secret(self, name: str) -> Secret:
        """Find a secret by its name or ARN."""
        return _the(self.secrets, name, lambda secret: (secret.name, secret.arn))


def _the(things: Iterable[Thing], name: str, called: Callable[[Thing], tuple[str, ...]]) -> Thing:
    for thing in things:
        if name in called(thing):
            return thing
    raise LookupError(f"the template has nothing called {name}")


def read(path: Path, overrides: Mapping[str, str]) -> Template:
    """Read a template file under some parameters; the rest keep their defaults.

    Raises:
        TemplateFault
    """
    return _parsed(path.read_text(encoding="utf-8"), tuple(sorted(overrides.items())))


@lru_cache(maxsize=16)
def _parsed(text: str, overrides: tuple[tuple[str, str], ...]) -> Template:
    """Parse once for each text and its parameters: a template is frozen, and reading one takes .1 s."""
    return parse(text, dict(overrides))


@lru_cache(maxsize=4)
def _document(text: str) -> dict[str, Any]:
    """Read the YAML once for all parameters: most of the time goes into it, and nobody changes what was read."""
    return load(text)


def parse(text: str, overrides: Mapping[str, str]) -> Template:
    """Read a template's text."""
    document = _document(text)
    for section in document.keys() - _SECTIONS - ignored.SECTIONS.keys():
        raise TemplateFault(f"the section {section} is not known here")
    for section in document.get("Globals", {}).keys() - _GLOBALS.keys():
        raise TemplateFault(f"Globals.{section} is not known here")
    known = arns.PSEUDO | given(document.get("Parameters", {}), overrides)
    return _Stack(document, known).template()


class _Stack:
    """The resources that exist under the given parameters."""

    def __init__(self, document: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        self._scope = Scope(document, known, self._attribute)
        self._globals = {_GLOBALS[name]: said for name, said in document.get("Globals", {}).items()}
        self._outputs: Mapping[str, Any] = document.get("Outputs", {})
        self._resources: Mapping[str, Any] = {
            logical_id: resource for logical_id, resource in document["Resources"].items() if self._exists(resource)
        }
        self._left_out = frozenset(
            resource["Properties"]["CodeUri"].rstrip("/").rpartition("/")[2]
            for resource in document["Resources"].values()
            if resource["Type"] == FUNCTION and not self._exists(resource)
        )

    def template(self) -> Template:
        made: dict[str, dict[str, Any]] = {kind: {} for kind in (*readers.READERS, FUNCTION)}
        for logical_id, resource in self._resources.items():
            self._check(logical_id, resource)
            if resource["Type"] not in ignored.RESOURCES and resource["Type"] != FUNCTION:
                made[resource["Type"]][logical_id] = self._read(logical_id, resource)
        signed = {api.id for api in made["AWS::Serverless::HttpApi"].values() if api.signed}
        folders = [self._function(*item, signed) for item in self._resources.items() if item[1]["Type"] == FUNCTION]
        _check_functions(folders)
        return Template(
            functions={function.folder: function for function in folders},
            left_out=self._left_out,
            event_source_mappings=tuple(made["AWS::Lambda::EventSourceMapping"].values()),
            apis=tuple(made["AWS::Serverless::HttpApi"].values()),
            tables=tuple(made["AWS::DynamoDB::Table"].values()),
            queues=tuple(made["AWS::SQS::Queue"].values()),
            buckets=tuple(made["AWS::S3::Bucket"].values()),
            keys=tuple(made["AWS::KMS::Key"].values()),
            secrets=tuple(made["AWS::SecretsManager::Secret"].values()),
            parameters=tuple(made["AWS::SSM::Parameter"].values()),
            outputs=self._resolved_outputs(),
        )

    def _exists(self, thing: Mapping[str, Any]) -> bool:
        return "Condition" not in thing or self._scope.holds(thing["Condition"])

    def _check(self, logical_id: str, resource: Mapping[str, Any]) -> None:
        for attribute in resource.keys() - {"Type", "Properties", "Condition"} - ignored.ATTRIBUTES.keys():
            raise TemplateFault(f"{logical_id}: {attribute} is not known here")
        kind = resource.get("Type")
        if kind != FUNCTION and kind not in readers.READERS and kind not in ignored.RESOURCES:
            raise TemplateFault(f"{logical_id}: resources of type {kind} are not known here")

    def _properties(self, logical_id: str, resource: Mapping[str, Any]) -> Properties:
        kind = resource["Type"]
        values = merged(self._globals.get(kind, {}), resource.get("Properties", {}))
        return Properties(logical_id, values, self._scope, ignored.PROPERTIES.get(kind))

    def _read(self, logical_id: str, resource: Mapping[str, Any]) -> object:
        with self._properties(logical_id, resource) as properties:
            return readers.READERS[resource["Type"]](logical_id, properties, self._attribute)

    def _function(self, logical_id: str, resource: Mapping[str, Any], signed: set[str]) -> Function:
        with self._properties(logical_id, resource) as properties:
            return function_reader.function(logical_id, properties, self._attribute, signed)

    def _attribute(self, logical_id: str, wanted: str) -> str:
        """Return a resource's name or attribute, the role that SAM makes for each function included."""
        resource = self._resources.get(logical_id)
        owner = self._resources.get(logical_id.removesuffix("Role"), {})
        if resource is None and owner.get("Type") == FUNCTION:
            return arns.attribute("AWS::IAM::Role", f"{arns.STACK}-{logical_id}", wanted)
        if resource is None:
            raise TemplateFault(f"there is nothing called {logical_id!r}")
        name = arns.physical_name(logical_id, resource, self._scope.resolve)
        return arns.attribute(resource["Type"], name, wanted)

    def _resolved_outputs(self) -> dict[str, Any]:
        return {
            name: self._scope.resolve(output["Value"]) for name, output in self._outputs.items() if self._exists(output)
        }


def _check_functions(found: list[Function]) -> None:
    for folder, count in Counter(function.folder for function in found).items():
        if count > 1:
            raise TemplateFault(f"functions/{folder} is the code of {count} functions")
    routes = Counter((route.api, route.key) for function in found for route in function.routes)
    for (_api, key), count in routes.items():
        if count > 1:
            raise TemplateFault(f"the route {key} leads to {count} functions")
