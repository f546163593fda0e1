"""What the code may not contain, read from its syntax tree."""

import ast
import logging
import re
import re._constants as sre  # type: ignore[import-not-found]  # the standard library's own, without types
import re._parser as parser  # type: ignore[import-not-found]  # the same
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.adapters.clock import entropy, random_secret
from broker.edge import wiring
from tools.requirements import req

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "layers/broker/python/broker"
SOURCES = sorted([*BROKER.rglob("*.py"), *(ROOT / "functions").glob("*/app.py")])

REVEALS = {
    "broker/oauth.py": "writes the forms that go to NinjaOne",
    "broker/adapters/seal.py": "seals",
    "broker/edge/http.py": "writes the cookie",
    "broker/edge/browser.py": "looks whether the cookie has the form of one",
    "broker/flows/binding.py": "makes state, verifier and ticket of the cookie",
    "broker/flows/callback.py": "compares digests; puts the ticket into the return address",
    "broker/flows/complete.py": "compares digests",
    "broker/flows/authorize.py": "takes digests; puts the state into the address of NinjaOne",
    "broker/flows/redeem.py": "seals the tokens that a code brought",
    "broker/flows/exchange.py": "looks at the organizations with the access token",
    "broker/flows/proxy.py": "calls NinjaOne with the access token",
    "functions/token/app.py": "gives the access token",
}
"""Who may look at a secret, and what for."""


def name_of(source: Path) -> str:
    inside = source.is_relative_to(BROKER)
    return str(source.relative_to(BROKER.parent if inside else ROOT))


def nodes(source: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source.read_text(), str(source)))


def strings(source: Path) -> set[str]:
    """Give every string constant that is no docstring."""
    found = list(nodes(source))
    said = {id(node.value) for node in found if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    return {
        node.value
        for node in found
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
    }


def imports(source: Path) -> set[str]:
    """Give every module and name that is imported."""
    found: set[str] = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@req("G07")
def test_secrets_are_revealed_in_these_modules_alone() -> None:
    found = {
        name_of(source)
        for source in SOURCES
        for node in nodes(source)
        if isinstance(node, ast.Attribute)
        and node.attr in {"reveal", "_value"}
        and not name_of(source).endswith("secret.py")
    }

    assert found == REVEALS.keys()


@req("A01")
def test_no_grant_exists_but_code_and_refresh() -> None:
    said = {text for source in SOURCES for text in strings(source)}

    assert {"authorization_code", "refresh_token", "code"} <= said
    assert not said & {"password", "implicit", "token id_token", "id_token", "none", "plain"}
    assert not [text for text in said if re.search(r"response_type=(?!code)", text)]


@req("G05", "G06")
def test_nothing_traces_logs_events_or_repeats_answers() -> None:
    used = {name for source in SOURCES for name in imports(source) if name.startswith("aws_lambda_powertools")}
    called = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for source in SOURCES
        for node in nodes(source)
        if isinstance(node, ast.Attribute | ast.Name)
    }

    assert {name.split(".")[1] for name in used if "." in name} == {"logging", "metrics"}
    assert not {name for name in used if "logger" in name.lower() and "format" not in name.lower()}
    assert not called & {"set_stream_logger", "log_event", "capture_lambda_handler", "idempotent", "print_exc"}


@req("G06")
def test_the_libraries_stay_quiet_when_the_functions_log_is_set_to_debug() -> None:
    root = logging.getLogger()
    level = root.level
    wiring._silence_libraries()  # what a start does
    root.setLevel(logging.DEBUG)
    try:
        levels = {
            name: logging.getLogger(name).getEffectiveLevel() for name in ("botocore.endpoint", "httpcore", "httpx")
        }
    finally:
        root.setLevel(level)

    assert set(levels.values()) == {logging.WARNING}


@req("G07", "P01")
def test_no_exception_is_logged_whole() -> None:
    """A foreign text may quote a token. Only its class, its code and its place are used."""
    for source in SOURCES:
        for node in nodes(source):
            if isinstance(node, ast.keyword):
                assert node.arg not in {"exc_info", "stack_info"}, name_of(source)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"exception", "format_exc", "format_exception"}, name_of(source)


@req("P01")
def test_everything_is_caught_in_few_places_only() -> None:
    """At the entries; around a worker, and one connection's refresh; and where httpx and IDNA raise what they like."""
    broad = {
        name_of(source)
        for source in SOURCES
        for node in nodes(source)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
    }

    assert broad <= {
        "broker/edge/handler.py",
        "broker/edge/worker.py",
        "broker/adapters/workers.py",
        "broker/adapters/http.py",
        "broker/flows/refresh/connection.py",
    }


@req("A02", "B03", "D04", "H08")
def test_two_hundred_thousand_draws_are_all_different_and_256_bits_each() -> None:
    drawn = {random_secret(entropy).reveal() for _ in range(200_000)}

    assert len(drawn) == 200_000
    assert {len(each) for each in drawn} == {43}


@req("A02")
def test_randomness_comes_from_one_place() -> None:
    sources = {name_of(source) for source in SOURCES if imports(source) & {"secrets", "random", "os.urandom", "uuid"}}

    assert sources == {"broker/adapters/clock.py"}


@req("B03", "D02")
def test_what_is_secret_is_compared_in_constant_time() -> None:
    """No digest, cookie, state or ticket stands beside ``==`` in the flows that check people."""
    for name in ("callback", "complete"):
        for node in nodes(BROKER / f"flows/{name}.py"):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                said = ast.unparse(node)
                assert not re.search(
                    r"\b(\w+_)?(cookie|state(?!\.)|ticket|challenge|end_user|verifier)(_hash)?\b", said
                ), said


@req("L05")
def test_nothing_is_sent_twice_by_a_library() -> None:
    text = "".join((BROKER / f"adapters/{name}.py").read_text() for name in ("http", "transport"))

    assert "retries=0" in text
    assert "follow_redirects=False" in text
    assert "urllib3" not in text


@req("F15", "F01")
@pytest.mark.parametrize("template", sorted((BROKER / "edge/templates").iterdir()), ids=lambda path: path.name)
def test_a_template_holds_no_script_and_no_foreign_address(template: Path) -> None:
    text = template.read_text()

    handlers = r"\bon(?:click|load|error|submit|change|focus|key\w*|mouse\w*)\s*="
    assert not re.search(rf"<script|javascript:|{handlers}|@import|url\(|https?://|\|\s*safe|autoescape false", text)


# Patterns -------------------------------------------------------------------------------------------------------------


def patterns() -> Iterator[tuple[str, str]]:
    """Give every regular expression that is compiled, with its module."""
    for source in SOURCES:
        for node in nodes(source):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
                yield from (
                    (name_of(source), str(each.value)) for each in node.args[:1] if isinstance(each, ast.Constant)
                )


def endless(tree: Any, *, inside: bool = False) -> Iterator[str]:
    """Name each repetition without an end that stands in another: what makes matching take ages."""
    for kind, held in tree:
        if kind in {sre.MAX_REPEAT, sre.MIN_REPEAT}:
            _, most, inner = held
            if inside and most is sre.MAXREPEAT:
                yield str(inner)
            yield from endless(inner, inside=inside or most > 8)
        elif kind is sre.SUBPATTERN:
            yield from endless(held[3], inside=inside)
        elif kind is sre.BRANCH:
            for branch in held[1]:
                yield from endless(branch, inside=inside)


@req("P01")
def test_no_pattern_can_be_made_to_take_ages() -> None:
    found = list(patterns())

    assert len(found) > 20
    assert [each for each in found if list(endless(parser.parse(each[1])))] == []


@pytest.mark.parametrize("text", ["(a+)+b", "(?:a*)*", "(a|b+)*c", "(?:x[a-z]*){2,}"])
def test_a_pattern_that_can_is_noticed(text: str) -> None:
    assert list(endless(parser.parse(text)))
