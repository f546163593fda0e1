"""template.yaml as CloudFormation gets it: expanded by SAM's own translator, conditions decided, parameters put in.

What would only be known in an account stands in angle brackets: ``<RefreshQueue.Arn>``, ``<SealKey>``.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from local.cloudformation.arns import PSEUDO
from local.cloudformation.intrinsics import Scope, TemplateFault, load
from local.cloudformation.parameters import given
from tools.expand import NEEDED, expanded

ROOT = Path(__file__).parents[3]
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Stack:
    """One deployment.

    Attributes:
        resources: by logical id, everything resolved
    """

    resources: Mapping[str, Resource]
    outputs: Mapping[str, str]

    def of(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Give the properties of every resource of one type, by logical id."""
        return {name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] == kind}

    def the(self, logical_id: str) -> Mapping[str, Any]:
        """Give one resource's properties."""
        properties: Mapping[str, Any] = self.resources[logical_id]["Properties"]
        return properties


def deploy(**parameters: str) -> Stack:
    """Expand and resolve template.yaml under some parameters, the others at their defaults; but ``Proxy`` is on.

    Raises:
        TemplateFault: something refers to what is not there
    """
    return _deployed(tuple(sorted(({"Proxy": "on"} | parameters).items())))


def alarms(**parameters: str) -> Stack:
    """Resolve stacks/alarms.yaml as template.yaml nests it."""
    (nested,) = deploy(**parameters).of("AWS::CloudFormation::Stack").values()
    return resolved(source("stacks/alarms.yaml"), nested["Parameters"])


@cache
def _deployed(parameters: tuple[tuple[str, str], ...]) -> Stack:
    return resolved(expanded(source(), dict(parameters)), dict(parameters))


def source(name: str = "template.yaml") -> dict[str, Any]:
    """Read a template as it is written."""
    return deepcopy(_written(name))


@cache
def _written(name: str) -> dict[str, Any]:
    return load((ROOT / name).read_text(encoding="utf-8"))


def resolved(document: Mapping[str, Any], parameters: Mapping[str, str]) -> Stack:
    """Decide the conditions and evaluate every function."""
    needed = {name: value for name, value in NEEDED.items() if name in document["Parameters"]}
    known = PSEUDO | given(document["Parameters"], {**needed, **parameters})
    there: dict[str, Resource] = {}

    def named(logical_id: str, attribute: str) -> str:
        if logical_id not in there:
            raise TemplateFault(f"{logical_id} is referred to, and not there")
        return f"<{logical_id}.{attribute}>" if attribute else f"<{logical_id}>"

    scope = Scope(document, known, named)

    def exists(thing: Resource) -> bool:
        return "Condition" not in thing or scope.holds(thing["Condition"])

    there.update({name: each for name, each in document["Resources"].items() if exists(each)})
    resources = {
        name: {part: scope.resolve(said) if part == "Properties" else said for part, said in each.items()}
        for name, each in there.items()
    }
    outputs = {name: scope.resolve(each["Value"]) for name, each in document.get("Outputs", {}).items() if exists(each)}
    return Stack(resources, outputs)
