"""Regions, scopes and states are defined once, in the broker; every other list of them is found here and compared.

A new region or scope fails one test for each place that lacks it, and the test's name says which place that is.
docs/understand/extending.md has the steps.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader

from broker import errors, ninjaone
from broker.edge import pages
from broker.model import Reason, Status
from local.product.words import TO_DO
from ninjaone_connect import model
from ninjaone_connect_cli.import_tokens import import_tokens
from ninjaone_emulator import hosts, state
from ninjaone_emulator.seed import ACCOUNTS
from tests.contract.documents import document
from tests.deployment.template.stack import source
from tests.support.exits import REGIONAL

ROOT = Path(__file__).parents[2]
Names = Callable[[], list[str]]

REGIONS, SCOPES = list(ninjaone.REGIONS), list(ninjaone.SCOPES)


def api(schema: str, field: str) -> Any:
    return document("api").raw["components"]["schemas"][schema]["properties"][field]


def scopes_of_api() -> list[str]:
    found: list[str] = api("SessionRequest", "scopes")["items"]["enum"]
    return found


def pattern(parameter: str) -> list[str]:
    """The words of the first alternation in a parameter's pattern."""
    found = re.search(r"\(([a-z0-9]+(?:\|[a-z0-9]+)+)\)", source()["Parameters"][parameter]["AllowedPattern"])
    assert found
    return found[1].split("|")


def outputs() -> list[str]:
    values = (str(output["Value"]) for output in source()["Outputs"].values())
    return list(dict.fromkeys(key for value in values for key in re.findall(r"/callback/(\w+)", value)))


def callback() -> list[str]:
    found: list[str] = document("connect").raw["paths"]["/callback/{region}"]["parameters"][0]["schema"]["enum"]
    return found


def authorize_form() -> list[str]:
    fields = document("connect").raw["components"]["schemas"]["AuthorizeRequest"]["properties"]
    found: list[str] = fields["region"]["enum"]
    return found


def help_of_import() -> list[str]:
    found = re.search(r"^\s*region +(.*); or instead of it:", str(import_tokens.help), re.MULTILINE)
    assert found
    return re.split(", | or ", found[1])


def page_on_ninjaone() -> list[str]:
    page = (ROOT / "docs/understand/ninjaone.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\w.]+\.ninjarmm\.com) \|", page, re.MULTILINE)
    assert all(ninjaone.REGIONS.get(key, host) == host for key, host in rows)
    return [key for key, _ in rows]


def issue_template() -> list[str]:
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/ninjaone.yml").read_text(encoding="utf-8"))
    found: list[str] = form["body"][0]["attributes"]["options"]
    return found[:-1]


def product_words(name: str) -> dict[str, str]:
    templates = Environment(loader=FileSystemLoader(ROOT / "local/product/templates"), autoescape=True)
    return dict(vars(templates.get_template("status.html").module)[name])


def product(name: str) -> list[str]:
    return list(product_words(name))


LISTS_OF_REGIONS: dict[str, Names] = {
    "openapi/api.yaml, SessionRequest": lambda: api("SessionRequest", "region")["enum"],
    "openapi/api.yaml, Connection, without branded": lambda: api("Connection", "region")["enum"][:-1],
    "openapi/connect.yaml, callback, without branded": lambda: callback()[:-1],
    "openapi/connect.yaml, AuthorizeRequest, without branded": lambda: authorize_form()[:-1],
    "template.yaml, the pattern of ClientIds": lambda: pattern("ClientIds"),
    "template.yaml, the outputs RedirectUri…, without branded": lambda: outputs()[:-1],
    "clients/python, model.Region": lambda: list(get_args(model.Region)),
    "cli, the help of import": help_of_import,
    "emulator, hosts.REGIONS": lambda: list(hosts.REGIONS),
    "emulator, seed.ACCOUNTS": lambda: [each.region for each in ACCOUNTS if each.region != "branded"],
    "local/product, status.html, without branded": lambda: product("REGION")[:-1],
    "tests/support/exits.py": lambda: list(REGIONAL),
    "docs/understand/ninjaone.md, §2": page_on_ninjaone,
    ".github/ISSUE_TEMPLATE/ninjaone.yml": issue_template,
}
LISTS_OF_SCOPES: dict[str, Names] = {
    "openapi/api.yaml, SessionRequest, without offline_access": lambda: api("SessionRequest", "scopes")["items"][
        "enum"
    ][:-1],
    "template.yaml, the pattern of Scopes": lambda: pattern("Scopes"),
    "clients/python, model.Scope": lambda: list(get_args(model.Scope)),
    "the words of the connect page, without offline_access": lambda: list(pages.SCOPES)[:-1],
    "emulator, state.SCOPES": lambda: list(state.SCOPES),
    "local/product, status.html, without offline_access": lambda: product("SCOPE")[:-1],
}


@pytest.mark.parametrize("place", LISTS_OF_REGIONS)
def test_every_list_of_regions_holds_those_of_the_broker(place: str) -> None:
    assert set(LISTS_OF_REGIONS[place]()) == set(REGIONS)


@pytest.mark.parametrize("place", LISTS_OF_SCOPES)
def test_every_list_of_scopes_holds_those_of_the_broker(place: str) -> None:
    assert set(LISTS_OF_SCOPES[place]()) == set(SCOPES)


def test_the_emulator_answers_at_the_hosts_of_the_broker() -> None:
    assert hosts.REGIONS == ninjaone.REGIONS


def test_every_list_ends_with_what_is_no_region_and_no_scope_of_the_table() -> None:
    assert {api("Connection", "region")["enum"][-1], callback()[-1], authorize_form()[-1]} == {ninjaone.BRANDED}
    assert {outputs()[-1], product("REGION")[-1]} == {ninjaone.BRANDED}
    assert {scopes_of_api()[-1], product("SCOPE")[-1], list(pages.SCOPES)[-1]} == {ninjaone.OFFLINE_ACCESS}


def test_the_product_has_words_for_every_state_and_reason() -> None:
    assert set(product("STATUS")) == {each.value for each in Status} | {"paused"}
    assert set(product("REASON")) == {each.value for each in Reason}


def test_the_guide_quotes_what_the_product_s_customers_read_for_each_reason() -> None:
    guide = (ROOT / "docs/connect/calls.md").read_text()
    (table,) = re.findall(
        r"## What to tell a customer who has to reconnect\n\n.*?\n\|---.*?\n(.*?)\n\n", guide, re.DOTALL
    )
    quoted = re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", table, re.MULTILINE)

    assert dict(quoted) == product_words("REASON")


def test_the_product_says_what_to_do_about_problems_that_exist() -> None:
    documented = {slug for operation in document("api").operations() for slug in operation.problems}
    own = {"ninjaone-fails", "ninjaone-refused", "400", "404", "405", "unknown-session", "awaiting-completion"}

    assert TO_DO.keys() - own <= documented


def test_the_product_tells_customers_of_the_operator_s_app_too_what_they_can_do() -> None:
    refused = {kind.slug() for kind in errors.ClientAppError.__subclasses__()}

    assert {slug for slug, advice in TO_DO.items() if "tell Tidewater's support" in advice} == refused


def test_the_console_s_groups_name_every_parameter_once_and_the_two_needed_ones_first() -> None:
    groups = source()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    named = [name for group in groups for name in group["Parameters"]]
    rules = source()["Parameters"]

    assert sorted(named) == sorted(rules)
    assert groups[0]["Parameters"] == [name for name, rule in rules.items() if "Default" not in rule]
