"""template.yaml and config.py judge the operator's settings alike: what a stack accepts, its functions start with."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker import ninjaone
from broker.config import Config
from broker.errors import Misconfigured
from local.cloudformation.intrinsics import TemplateFault
from local.cloudformation.parameters import given as judged
from tests.deployment.template.stack import source

PARAMETERS = source()["Parameters"]
READ = {
    "ProductName": "PRODUCT_NAME",
    "ReturnUrls": "RETURN_URLS",
    "ClientIds": "CLIENT_IDS",
    "Scopes": "SCOPES",
    "BrandedSuffixes": "BRANDED_SUFFIXES",
    "Support": "SUPPORT",
    "Accent": "ACCENT",
    "Logo": "LOGO",
    "OriginVerify": "ORIGIN_VERIFY",
    "ApprovalBinding": "APPROVAL_BINDING",
    "RefreshPolicy": "REFRESH_POLICY",
}
"""Each parameter that is handed to the functions as it is, and the setting that it becomes."""

PIECES = st.sampled_from(
    [
        *("main=https://app.example/return", "https://a.example", "http://127.0.0.1:8001/x", "http://a.example"),
        *("/", "?x=1", "#f", ":443", "key", "=", ",", ", ", " ", "  ", "@", "'", '"', "<", "..", "*."),
        *("eu=AbC", "app=X=Y", "us3=Z", "eu", "monitoring", "control", "rmmservice.eu", "RMM.eu", "help@example.com"),
        *("data:image/png;base64,", "iVBORw0KGgo=", "data:image/gif;base64,", "#0b5fff", "always", "allowed", "0" * 64),
        *("\u202e", "\u00a0", "\n", "\t", "é", "人", "x" * 70),
    ]
)
VALUES = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=5).map("".join)


def stack_accepts(parameter: str, value: str) -> bool:
    try:
        judged({parameter: PARAMETERS[parameter]}, {parameter: value})
    except TemplateFault:
        return False
    return True


def functions_accept(environment: dict[str, str], parameter: str, value: str) -> bool:
    try:
        Config.from_env({**environment, READ[parameter]: value})
    except Misconfigured:
        return False
    return True


def long_enough(declared: Any, value: str) -> bool:
    return int(declared.get("MinLength", 0)) <= len(value) <= int(declared.get("MaxLength", 10_000))


@pytest.mark.parametrize("parameter", READ)
@given(value=VALUES)
@example(value="")
@example(value="main=https://app.example/return/")
@example(value="main=https://app.example/?x=1")
@example(value="https://app.example/return")
@example(value="main=https://a.example,main=https://b.example")
@example(value="main=https://a.example, other=http://127.0.0.1:8000/back")
@example(value="eu=A,eu=B")
@example(value="eu=eu=A , app=B")
@example(value="*.rmmservice.eu")
@example(value="rmmservice.eu, rmmservice.ca")
@example(value="https://help.example/a?b#c")
def test_a_stack_accepts_what_its_functions_accept(environment: dict[str, str], parameter: str, value: str) -> None:
    fits = long_enough(PARAMETERS[parameter], value)

    assert stack_accepts(parameter, value) == (fits and functions_accept(environment, parameter, value))


def test_every_setting_that_is_a_parameter_is_compared_here() -> None:
    """The others are names of AWS's, which no pattern of ours restricts."""
    said = source()["Globals"]["Function"]["Environment"]["Variables"]
    handed = {value["Ref"]: name for name, value in said.items() if isinstance(value, dict) and "Ref" in value}

    assert {name: handed[name] for name in PARAMETERS.keys() & handed.keys()} == READ | {"EventBusName": "EVENT_BUS"}


@pytest.mark.parametrize("name", ninjaone.REGIONS)
def test_a_stack_accepts_a_client_app_of_every_region(name: str) -> None:
    assert stack_accepts("ClientIds", f"{name}=AbC")


@pytest.mark.parametrize("name", ninjaone.SCOPES)
def test_a_stack_accepts_every_scope(name: str) -> None:
    assert stack_accepts("Scopes", name)
