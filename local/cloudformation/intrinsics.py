"""The CloudFormation language: YAML tags, parameters, conditions, and the values they stand for."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

NO_VALUE = object()
"""What `AWS::NoValue` resolves to: the property, or the list's element, is not there."""

Named = Callable[[str, str], Any]
"""Returns a resource's attribute by logical id and attribute name; the empty name is `Ref`."""


class TemplateFault(Exception):
    """The template says something that CloudFormation, or this reader of it, does not accept."""


class _Loader(yaml.CSafeLoader):
    """The safe loader on libyaml with the short tags, refusing repeated keys and leaving dates as text.

    libyaml reads a template in a tenth of the time; every wheel of PyYAML brings it.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in {key for key in keys if keys.count(key) > 1}:
        raise TemplateFault(f"line {node.start_mark.line + 1}: {key!r} is given twice")
    return {str(key): value for key, value in loader.construct_mapping(node, deep=True).items()}


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    """Turn `!Name value` into the long form, `{"Fn::Name": value}`."""
    value: Any = None
    if isinstance(node, yaml.MappingNode):
        value = _mapping(loader, node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_multi_constructor("!", _tag)


def load(text: str) -> dict[str, Any]:
    """Read a template's text; functions are left in their long form, not evaluated."""
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise TemplateFault(f"not YAML: {error}") from error
    if not isinstance(document, dict):
        raise TemplateFault("the template is not a mapping")
    return document


class Scope:
    """Everything that a `Ref`, a `Sub` or a condition may name."""

    def __init__(self, document: Mapping[str, Any], known: Mapping[str, Any], resource: Named) -> None:
        """Take the document's own names.

        Args:
            known: parameters and pseudo parameters by name
            resource: physical names, asked for everything else
        """
        self._conditions: Mapping[str, Any] = document.get("Conditions", {})
        self._known, self._resource = {**known, "AWS::NoValue": NO_VALUE}, resource

    def resolve(self, value: Any) -> Any:
        """Evaluate every function in `value`."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def holds(self, condition: str) -> bool:
        """Return whether a named condition is true."""
        if condition not in self._conditions:
            raise TemplateFault(f"there is no condition {condition!r}")
        return self._judge(self._conditions[condition])

    def _call(self, name: str, argument: Any) -> Any:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise TemplateFault(f"{name} is not known here")
        return function(self, argument)

    def _judge(self, test: Any) -> bool:
        """Evaluate a condition's body."""
        name, argument = next(iter(test.items()))
        if name == "Condition":
            return self.holds(argument)
        if name == "Fn::Equals":
            left, right = (self.resolve(side) for side in argument)
            return bool(str(left) == str(right))
        if name == "Fn::Not":
            return not self._judge(argument[0])
        if name in {"Fn::And", "Fn::Or"}:
            return (all if name == "Fn::And" else any)([self._judge(part) for part in argument])
        raise TemplateFault(f"{name} is no condition")

    def _ref(self, name: str) -> Any:
        """Return a parameter or a resource."""
        return self._known[name] if name in self._known else self._resource(name, "")

    def _get_att(self, argument: list[str]) -> Any:
        return self._resource(argument[0], ".".join(argument[1:]))

    def _if(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self.holds(condition) else otherwise)

    def _sub(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})
        values = self.resolve(variables)

        def put_in(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            logical_id, _, attribute = name.partition(".")
            return str(self._resource(logical_id, attribute) if attribute else self._ref(name))

        return re.sub(r"\$\{([^}]*)\}", put_in, text)

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(str(item) for item in self.resolve(argument[1]))


_FUNCTIONS: Mapping[str, Callable[[Scope, Any], Any]] = {
    "Ref": Scope._ref,
    "Fn::GetAtt": Scope._get_att,
    "Fn::If": Scope._if,
    "Fn::Sub": Scope._sub,
    "Fn::Join": Scope._join,
}
