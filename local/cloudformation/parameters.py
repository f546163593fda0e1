"""The template's parameters: defaults, what overrides them, and the limits CloudFormation checks."""

import re
from collections.abc import Mapping
from typing import Any

from local.cloudformation.intrinsics import TemplateFault

_ATTRIBUTES = {
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
}
_TYPES = {"String", "Number", "CommaDelimitedList"}


def given(declared: Mapping[str, Mapping[str, Any]], overrides: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of every parameter.

    Raises:
        TemplateFault: an override of something else, no value, or one outside the limits
    """
    for name in overrides.keys() - declared.keys():
        raise TemplateFault(f"there is no parameter {name!r} to override")
    return {name: _value(name, what, overrides.get(name)) for name, what in declared.items()}


def _value(name: str, declared: Mapping[str, Any], override: str | None) -> Any:
    for attribute in declared.keys() - _ATTRIBUTES:
        raise TemplateFault(f"Parameters.{name}: {attribute} is not known here")
    if declared.get("Type") not in _TYPES:
        raise TemplateFault(f"Parameters.{name}: the type {declared.get('Type')} is not known here")
    value = declared.get("Default") if override is None else override
    if value is None:
        raise TemplateFault(f"Parameters.{name} has no default and was given no value")
    _check(name, declared, str(value))
    return [item.strip() for item in str(value).split(",")] if declared["Type"] == "CommaDelimitedList" else value


def _check(name: str, declared: Mapping[str, Any], value: str) -> None:
    allowed = declared.get("AllowedValues")
    if allowed is not None and value not in {str(item) for item in allowed}:
        raise TemplateFault(f"Parameters.{name}: {value!r} is not among the allowed values")
    if not re.fullmatch(declared.get("AllowedPattern", ".*"), value, re.DOTALL):
        raise TemplateFault(f"Parameters.{name}: {value!r} does not match {declared['AllowedPattern']}")
    if not int(declared.get("MinLength", 0)) <= len(value) <= int(declared.get("MaxLength", 1_000_000)):
        raise TemplateFault(f"Parameters.{name}: {value!r} is too short or too long")
    if declared["Type"] == "Number":
        low, high = float(declared.get("MinValue", "-inf")), float(declared.get("MaxValue", "inf"))
        if not low <= float(value) <= high:
            raise TemplateFault(f"Parameters.{name}: {value} is outside {low} to {high}")
