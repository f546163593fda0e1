"""SECURITY.md says what is so: its inventories are held to the code."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from broker import policy
from broker.adapters import http, rows, seal
from broker.adapters.client_secrets import CACHED_SECONDS
from broker.flows import client_apps
from broker.flows.refresh.timing import Timing
from broker.model import ConnectionState, Profile, Session
from tools.requirements import req

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
BROKER = ROOT / "layers/broker/python/broker"


def table(title: str) -> list[list[str]]:
    """Read the table under a bold title, without its head."""
    section = TEXT.split(f"**{title}.**", 1)[1]
    lines = [line for line in section.split("\n\n", 2)[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def events() -> Iterator[str]:
    """Name every line that the code writes under a name of its own."""
    for source in BROKER.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "event":
                yield from names(node.args[0])


def names(argument: ast.expr) -> Iterator[str]:
    """Name what an argument can be: itself, or either of its branches."""
    if isinstance(argument, ast.IfExp):
        yield from (*names(argument.body), *names(argument.orelse))
    if isinstance(argument, ast.Constant):
        yield str(argument.value)


@req("P02", "G10")
def test_every_log_line_is_listed() -> None:
    listed = {name for _, names in table("Log lines") for name in re.findall(r"(?<![*.\w])[a-z]+\.[a-z_]+", names)}

    assert listed == set(events()), "SECURITY.md, Log lines"


@req("P02", "J04")
def test_every_attribute_of_every_row_is_in_a_class() -> None:
    listed = [name for _, names, _ in table("Data") for name in re.findall(r"[a-z_]+", names)]
    kept = {each.name for kind in (ConnectionState, Profile, Session) for each in fields(kind)}

    assert set(listed) >= (kept) | {"region"}
    assert len(listed) == len(set(listed))


@req("P02", "J04")
def test_what_is_sealed_is_what_is_kept_as_bytes() -> None:
    [sealed] = [names for kind, names, _ in table("Data") if kind == "sealed"]
    kept = {
        each.name for kind in (ConnectionState, Profile, Session) for each in fields(kind) if "bytes" in str(each.type)
    }

    assert set(re.findall(r"[a-z_]+", sealed)) == kept
    assert set(rows.SEALED) <= kept


LIMITS = {
    "NinjaOne, token (code)": f"5 s to connect, {policy.EXCHANGE_TIMEOUT} s for the answer, once",
    "NinjaOne, token (refresh)": (
        f"5 s to connect, {Timing(180).read} s for the answer, once; "
        f"again after {Timing(180).quarantine} s at the earliest"
    ),
    "NinjaOne, token (client secret)": f"{policy.SECRET_CHECK_TIMEOUT} s, once, with a refresh token that is none",
    "NinjaOne, authorize": f"{policy.HOST_CHECK_TIMEOUT} s, once",
    "NinjaOne, organizations": f"{policy.ORGANIZATIONS_TIMEOUT} s, once",
    "NinjaOne, revoke": f"{client_apps.REVOKE_TIMEOUT} s, once",
}


@req("P02")
@pytest.mark.parametrize("service", LIMITS)
def test_every_call_has_the_limits_that_are_said(service: str) -> None:
    listed = {name: limits for name, _, limits in table("Services that are called")}

    assert listed[service] == LIMITS[service]
    assert http.CONNECT_TIMEOUT == 5


@req("P02")
def test_what_is_said_of_keys_and_secrets_is_what_the_code_does() -> None:
    said = {name: (where, changes) for name, where, changes in table("Secrets")}

    assert f"for at most {int(seal.KEY_LIFE)} s" in said["data keys"][0]
    assert f"{int(seal.KEY_LIFE)} s or {seal.KEY_USES:,} values" in said["data keys"][1]
    assert f"for at most {int(CACHED_SECONDS)} s" in said["operator's client secrets"][0]
    assert (policy.RETRY_FIRST, policy.RETRY_LONGEST, policy.RETRY_AFTER_LONGEST) == (60, 600, 900)
    assert "waits a minute to ten, or up to a quarter of an hour where" in " ".join(TEXT.split())
    assert policy.DISCONNECTED_KEPT == 30 * 86_400


@req("P02")
@pytest.mark.parametrize("title", ["Secrets", "Services that are called", "Cryptography", "Data", "Log lines"])
def test_every_inventory_is_there(title: str) -> None:
    assert len(table(title)) >= 4
