"""The functions: what they are told, what calls them, and that their times fit together.

The values themselves are in approved/functions.txt.
"""

from collections.abc import Mapping

import pytest

from broker import policy
from broker.flows.refresh.timing import Timing
from tests.deployment.template.stack import ROOT, deploy, source
from tools.requirements import req

STACK = deploy()
FUNCTIONS = STACK.of("AWS::Lambda::Function")
GATEWAY = 30
"""Seconds after which API Gateway gives up, whatever a function says."""

API_FUNCTIONS = sorted(
    name
    for name, each in source()["Resources"].items()
    if any(event["Type"] == "HttpApi" for event in each.get("Properties", {}).get("Events", {}).values())
)


def variables(name: str) -> Mapping[str, str]:
    found: Mapping[str, str] = FUNCTIONS[name]["Environment"]["Variables"]
    return found


def test_every_folder_is_one_function() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}

    assert {name.removesuffix("Function").lower() for name in FUNCTIONS} == folders


@req("N05")
def test_no_layer_of_another_account_runs_beside_ours() -> None:
    ours = {f"<{name}>" for name in STACK.of("AWS::Lambda::LayerVersion")}

    assert {layer for each in FUNCTIONS.values() for layer in each["Layers"]} == ours


@req("G05")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_setting_makes_a_library_log_events_or_answers(name: str) -> None:
    telling = {each for each in variables(name) if each.startswith(("POWERTOOLS_", "AWS_"))}

    assert telling == {"POWERTOOLS_SERVICE_NAME"}


# What a function may be told -----------------------------------------------------------------------------------------

LONGEST = "x" * 40
"""A stack's name; physical names carry it."""


def longest(name: str) -> str:
    """Write the longest value that a parameter allows."""
    declared = source()["Parameters"][name]
    if "AllowedValues" in declared:
        return max(map(str, declared["AllowedValues"]), key=len)
    if "MaxLength" not in declared:
        return str(declared["Default"])
    size = int(declared["MaxLength"])
    return ("ö" * size) if name == "ProductName" else "x" * size


def physical(value: str) -> str:
    """Put in what AWS would make of a reference: never longer than this."""
    if not value.startswith("<"):
        return value
    length = {"Queue": 70 + 80, "Bucket": 63, "Secrets": 140, "Key": 80, "Table": 80}
    extra = next((size for word, size in length.items() if word in value), 60)
    return "x" * (extra + len(LONGEST) // 4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_variables_fit_into_4_kb_when_every_parameter_is_as_long_as_it_may_be(name: str) -> None:
    written = source()["Globals"]["Function"]["Environment"]["Variables"]
    total = 0
    for key, value in variables(name).items():
        said = written.get(key)
        parameter = str(said["Ref"]) if isinstance(said, dict) and "Ref" in said else ""
        text = longest(parameter) if parameter in source()["Parameters"] else physical(str(value))
        total += len(key) + len(text.encode())

    assert total <= 4096


@req("K01", "M02")
def test_no_secret_is_a_parameter_or_a_variable() -> None:
    """Nothing may be hidden, for nothing secret is passed: secrets are read from where they are kept."""
    parameters = source()["Parameters"]

    assert not [name for name, each in parameters.items() if "NoEcho" in each]
    assert not [name for name in parameters if any(word in name for word in ("Secret", "Password", "Token"))]
    assert {key: value for key, value in variables("RefreshFunction").items() if "SECRET" in key} == {
        "CLIENT_SECRETS": "<ClientSecrets>"
    }


# Times ---------------------------------------------------------------------------------------------------------------


def test_the_refresh_is_told_how_long_it_may_run() -> None:
    assert variables("RefreshFunction")["REFRESH_TIMEOUT"] == str(FUNCTIONS["RefreshFunction"]["Timeout"])


def test_an_expired_lease_proves_its_holder_dead() -> None:
    timing = Timing(FUNCTIONS["RefreshFunction"]["Timeout"])

    assert timing.lease >= timing.function + timing.quarantine + timing.skew
    assert timing.min_to_start <= timing.function


@pytest.mark.parametrize("name", API_FUNCTIONS)
def test_a_function_behind_an_api_ends_before_the_api_gives_up(name: str) -> None:
    """All but the one that may hold the only copy of a consent; whoever waits for that is answered in time."""
    longest = policy.COMPLETE_WAIT if name == "CompleteFunction" else FUNCTIONS[name]["Timeout"]

    assert longest < GATEWAY


def test_what_a_function_waits_for_fits_into_its_time() -> None:
    connecting = 5
    completing = connecting + policy.EXCHANGE_TIMEOUT + policy.ORGANIZATIONS_TIMEOUT

    assert completing < FUNCTIONS["CompleteFunction"]["Timeout"]
    assert FUNCTIONS["TokenFunction"]["Timeout"] - 5 > int(variables("TokenFunction")["TOKEN_WAIT"])
    assert connecting + policy.HOST_CHECK_TIMEOUT < FUNCTIONS["AuthorizeFunction"]["Timeout"]


def test_a_sweep_ends_before_the_next() -> None:
    (schedule,) = STACK.of("AWS::Scheduler::Schedule").values()

    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert FUNCTIONS["SweepFunction"]["Timeout"] < 60


def test_what_stays_undelivered_is_kept_before_the_stream_forgets_it() -> None:
    assert STACK.the("NotifyFeed")["MaximumRecordAgeInSeconds"] < 86_400


# What calls a function -----------------------------------------------------------------------------------------------


@req("M02")
def test_a_function_is_called_by_its_own_trigger_alone() -> None:
    permissions = STACK.of("AWS::Lambda::Permission").values()

    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com"}
    assert all(":<ConnectApi>/" in each["SourceArn"] or ":<BackendApi>/" in each["SourceArn"] for each in permissions)
    assert not STACK.of("AWS::Lambda::Url")
    called = {each["FunctionName"].strip("<>") for each in permissions}
    assert called == set(API_FUNCTIONS)
