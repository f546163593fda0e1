"""The operator's settings: read whole, refused whole, and the same ones that template.yaml gives."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

import pytest

from broker.config import _NAME, Config
from broker.errors import Misconfigured
from broker.text import is_unsafe
from local.cloudformation.template import Template

ABSENT = None

OPTIONAL = {
    "CONNECT_URL",
    "APPROVAL_LINK_LIFE",
    "PROXY_POLICY",
    "PROXY_POLICY_PARAMETER",
    "POWERTOOLS_SERVICE_NAME",
    "AWS_LAMBDA_LOG_LEVEL",
}
"""What only some functions are told, or Lambda itself says."""


def read(environment: Mapping[str, str], **changes: str | None) -> Config:
    changed = {**environment, **changes}
    return Config.from_env({name: value for name, value in changed.items() if value is not None})


def fault(environment: Mapping[str, str], **changes: str | None) -> str:
    with pytest.raises(Misconfigured) as refused:
        read(environment, **changes)
    return refused.value.detail


class Recorded(Mapping[str, str]):
    """An environment that remembers what was asked of it."""

    def __init__(self, held: Mapping[str, str]) -> None:
        self.held, self.names = held, set[str]()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return self.held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def test_the_template_gives_exactly_what_is_read(template: Template, environment: dict[str, str]) -> None:
    asked = Recorded(environment)
    Config.from_env(asked)

    for function in template.functions.values():
        given = {name for name in function.environment if name not in OPTIONAL}
        assert given <= asked.names, function.folder
        assert asked.names - given <= OPTIONAL, function.folder


def test_only_the_function_that_opens_sessions_is_told_where_the_connect_page_is(template: Template) -> None:
    told = {name for name, function in template.functions.items() if "CONNECT_URL" in function.environment}

    assert told == {"session"}


def test_every_function_has_the_same_settings(template: Template) -> None:
    found = {
        tuple(sorted((name, value) for name, value in each.environment.items() if name not in OPTIONAL))
        for each in template.functions.values()
    }

    assert len(found) == 1


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(Misconfigured) as refused:
        Config.from_env(
            {"CONNECT_URL": "ftp://x", "ACCENT": "red", "REFRESH_TIMEOUT": "1", "RETURN_URLS": "", "PROXY_POLICY": "x"}
            | {"PROXY_POLICY_PARAMETER": "no slash", "APPROVAL_LINK_LIFE": "8"}
        )

    named = {part.split()[0] for part in refused.value.detail.removeprefix("Settings to correct: ").split("; ")}
    otherwise = {"SERVICE", "VERBOSE", "ADAPTIVE", "APPROVAL_LINK_DAYS"}
    assert named == {each.name.upper() for each in fields(Config)} - otherwise | {
        "REFRESH_POLICY",
        "APPROVAL_LINK_LIFE",
    }


def test_settings_become_values(environment: dict[str, str]) -> None:
    config = read(
        environment,
        CLIENT_IDS="eu=a-1 , app=b",
        RETURN_URLS="main=https://app.example/return",
        SCOPES="monitoring control",
        BRANDED_SUFFIXES="rmmservice.eu, rmm.example.co.uk",
        APPROVAL_BINDING="refused",
        REFRESH_POLICY="adaptive",
        REFRESH_TIMEOUT="150",
        TOKEN_WAIT="20",
    )

    assert config.client_ids == {"eu": "a-1", "app": "b"}
    assert config.return_urls == {"main": "https://app.example/return"}
    assert config.scopes == {"monitoring", "control"}
    assert config.branded_suffixes == ("rmmservice.eu", "rmm.example.co.uk")
    assert config.approval_binding is False
    assert config.adaptive is True
    assert config.refresh_timeout == 150
    assert config.token_wait == 20


@pytest.mark.parametrize(("level", "verbose"), [("INFO", False), ("ERROR", False), ("DEBUG", True), ("TRACE", True)])
def test_on_lambda_the_functions_log_level_says_whether_what_went_well_is_told(
    environment: dict[str, str], level: str, verbose: bool
) -> None:
    assert read(environment, AWS_LAMBDA_LOG_LEVEL=level).verbose is verbose


def test_what_may_be_empty_may_be_empty(environment: dict[str, str]) -> None:
    config = read(environment, CLIENT_IDS="", BRANDED_SUFFIXES="", SUPPORT="", LOGO="", CONNECT_URL=ABSENT)

    assert (config.client_ids, config.branded_suffixes) == ({}, ())
    assert (config.support, config.logo, config.connect_url) == ("", "", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECT_URL", "https://connect.example"),
        ("CONNECT_URL", "http://127.0.0.1:8000"),
        ("CONNECT_URL", "https://connect.example:8443/base"),
        ("RETURN_URLS", "a=https://app.example/x,b=http://127.0.0.1:9/y"),
        ("SUPPORT", "help@example.com"),
        ("SUPPORT", "https://example.com/help?x=1"),
        ("LOGO", "data:image/png;base64,AAAA"),
        ("LOGO", "data:image/svg+xml;base64,AA=="),
        ("ACCENT", "#0B5fff"),
        ("PRODUCT_NAME", "Ä" * 80),
        ("PRODUCT_NAME", "株式会社\u3000サンプル 👩\u200d💻"),
        ("CLIENT_IDS", "fed=x"),
        ("REFRESH_TIMEOUT", "900"),
        ("TOKEN_WAIT", "1"),
    ],
)
def test_a_good_value_is_taken(environment: dict[str, str], name: str, value: str) -> None:
    assert isinstance(read(environment, **{name: value}), Config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, "") for name in ("CONNECTIONS_TABLE", "DUE_INDEX", "SEAL_KEY", "EVENT_BUS", "PRODUCT_NAME")],
        *[
            ("CONNECT_URL", value)
            for value in (
                "",
                "connect.example",
                "http://connect.example",
                "http://localhost:8000",
                "http://127.0.0.1.evil.example",
                "https://connect.example/",
                "https://connect.example?x",
                "https://connect.example#x",
                "https://user@connect.example",
                "https://user:pw@connect.example",
                "https://connect.example/a b",
                "https://connect.example\r\nset-cookie: a",
                "https://connect.example/\n",
                "https://connect.example; script-src *",
                "https://[",
                "https://ä.example",
                "javascript:alert(1)",
            )
        ],
        ("RETURN_URLS", ""),
        ("RETURN_URLS", "https://app.example/return"),
        ("RETURN_URLS", "main=http://app.example"),
        ("RETURN_URLS", "main=https://a.example,main=https://b.example"),
        ("RETURN_URLS", "main="),
        ("RETURN_URLS", "=https://a.example"),
        ("CLIENT_IDS", "eu"),
        ("CLIENT_IDS", "mars=x"),
        ("CLIENT_IDS", "branded=x"),
        ("CLIENT_IDS", "eu=a b"),
        ("CLIENT_IDS", "eu=" + "x" * 129),
        ("CLIENT_IDS", "eu=a,eu=b"),
        ("SCOPES", ""),
        ("SCOPES", "everything"),
        ("SCOPES", "monitoring offline_access"),
        ("BRANDED_SUFFIXES", "com"),
        ("BRANDED_SUFFIXES", "rmmservice.eu:443"),
        ("BRANDED_SUFFIXES", "RMMSERVICE.eu"),
        ("BRANDED_SUFFIXES", "https://rmmservice.eu"),
        ("BRANDED_SUFFIXES", "*.rmmservice.eu"),
        ("PRODUCT_NAME", "x" * 81),
        ("PRODUCT_NAME", "two\nlines"),
        ("PRODUCT_NAME", "a\u202eb"),
        ("PRODUCT_NAME", "a\u2066b"),
        ("SUPPORT", "not an address"),
        ("SUPPORT", "http://example.com"),
        ("SUPPORT", "javascript:alert(1)"),
        ("SUPPORT", 'https://example.com/"onclick='),
        ("ACCENT", "0b5fff"),
        ("ACCENT", "#0b5ff"),
        ("ACCENT", "#0b5fff;}"),
        ("LOGO", "https://example.com/logo.png"),
        ("LOGO", "data:text/html;base64,AAAA"),
        *[("TOKEN_WAIT", value) for value in ("0", "21", "", "8.0", "²")],
        *[("REFRESH_TIMEOUT", value) for value in ("149", "901", "", "-180", "180.0", "1e2", "²²²", "99999")],
    ],
)
def test_a_bad_value_is_refused_by_name(environment: dict[str, str], name: str, value: str) -> None:
    assert fault(environment, **{name: value}).startswith(f"Settings to correct: {name} must be ")


def test_a_choice_names_what_may_be_chosen(environment: dict[str, str]) -> None:
    detail = fault(environment, APPROVAL_BINDING="yes", REFRESH_POLICY="")

    assert detail == (
        "Settings to correct: APPROVAL_BINDING must be allowed or refused; REFRESH_POLICY must be always or adaptive."
    )


@pytest.mark.parametrize("name", ["SEAL_KEY", "RETURN_URLS", "ACCENT", "REFRESH_TIMEOUT"])
def test_a_missing_setting_is_named(environment: dict[str, str], name: str) -> None:
    assert fault(environment, **{name: ABSENT}) == f"Settings to correct: {name} is missing."


def test_settings_can_not_change_after_they_were_read(config: Config) -> None:
    with pytest.raises(AttributeError):
        config.connect_url = "https://evil.example"  # type: ignore[misc]  # frozen: mypy says so too


def test_the_product_s_name_may_hold_what_any_name_may() -> None:
    assert all(bool(_NAME.fullmatch(chr(code))) is not is_unsafe(chr(code)) for code in range(0xD800))
    assert all(bool(_NAME.fullmatch(chr(code))) is not is_unsafe(chr(code)) for code in range(0xE000, 0x11000))
