"""The body that opens a session: what is taken, and every fault of it named at once."""

import json
from typing import Any

import pytest

from broker.config import Config
from broker.edge.fields import Fields
from broker.edge.http import BODY_LIMIT
from broker.edge.session import session_request
from broker.errors import InvalidRequest
from broker.flows.session import SessionRequest
from broker.model import Binding, Client, Host
from broker.secret import Secret
from tests.support.events import request
from tests.support.journey import TENANT
from tools.requirements import req

LEAST: dict[str, Any] = {
    "end_user_id": "user-17",
    "binding_challenge": "c" * 43,
    "return_to": "main",
    "tenant_name": "Acme MSP",
}
CREDENTIALS = {"client_id": "app-1", "client_secret": "s-1"}
CONNECTION = "con_" + "a" * 26


def read(config: Config, **changes: object) -> SessionRequest:
    body = {name: held for name, held in (LEAST | changes).items() if held is not None}
    return session_request(config, TENANT, request(body))


def faults(config: Config, **changes: object) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        read(config, **changes)
    assert all(fault.message.endswith(".") for fault in refused.value.faults)
    return [fault.field for fault in refused.value.faults]


@pytest.fixture
def bare(environment: dict[str, str]) -> Config:
    """An operator without client apps, who allows no approval."""
    return Config.from_env({**environment, "CLIENT_IDS": "", "APPROVAL_BINDING": "refused"})


def test_the_least_that_is_asked_for(config: Config) -> None:
    assert read(config) == SessionRequest(
        tenant=TENANT,
        tenant_name="Acme MSP",
        end_user_id="user-17",
        binding=Binding.SESSION,
        binding_challenge="c" * 43,
        return_to="main",
        scopes=config.scopes,
        host=None,
        customer_app=False,
        client=None,
        label="",
        metadata={},
        connection=None,
    )


def test_everything_that_can_be_asked_for(config: Config) -> None:
    asked = read(
        config,
        binding="session",
        host="acme.rmmservice.eu",
        scopes=["monitoring", "offline_access"],
        label="Head office",
        metadata={"crm": "42", "note": ""},
        connection_id=CONNECTION,
        client="customer",
        client_credentials=CREDENTIALS,
    )

    assert (asked.host, asked.customer_app) == (Host("branded", "acme.rmmservice.eu"), True)
    assert asked.client == Client("app-1", Secret("s-1"), customer_app=True)
    assert asked.scopes == {"monitoring"}
    assert (asked.label, asked.metadata) == ("Head office", {"crm": "42", "note": ""})
    assert asked.connection == CONNECTION


def test_approval_takes_no_challenge(config: Config) -> None:
    asked = read(config, binding="approval", binding_challenge=None)

    assert (asked.binding, asked.binding_challenge) == (Binding.APPROVAL, "")


def test_null_counts_as_left_out(config: Config) -> None:
    body = LEAST | dict.fromkeys(
        ("region", "host", "scopes", "metadata", "connection_id", "client_credentials", "label")
    )

    assert session_request(config, TENANT, request(body)) == read(config)


# Whose app ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "customer_app"),
    [
        ({}, False),
        ({"region": "eu"}, False),
        ({"region": "fed"}, True),
        ({"host": "acme.rmmservice.eu"}, True),
        ({"host": "eu.ninjarmm.com"}, False),
        ({"client": "operator", "region": "us2"}, False),
        ({"client": "customer", "region": "eu"}, True),
        ({"region": "eu", "client_credentials": CREDENTIALS}, True),
    ],
)
def test_the_operators_app_is_meant_where_there_is_one_unless_the_body_says_otherwise(
    config: Config, changes: dict[str, object], *, customer_app: bool
) -> None:
    assert read(config, **changes).customer_app is customer_app


@pytest.mark.parametrize(
    "pasted",
    [
        "https://acme.rmmservice.eu/#/home",
        " ACME.rmmservice.eu\n",
        "acme.rmmservice.eu:443",
        "\u200eacme.rmmservice.eu\u200f",
    ],
)
def test_a_host_is_taken_as_it_is_pasted(config: Config, pasted: str) -> None:
    assert read(config, host=pasted).host == Host("branded", "acme.rmmservice.eu")


def test_a_client_app_is_taken_as_its_customer_pasted_it(config: Config) -> None:
    pasted = {"client_id": "\u2068app-1\u2069\n", "client_secret": "\u00abs-1\u00bb"}

    assert read(config, region="eu", client_credentials=pasted).client == Client(
        "app-1", Secret("s-1"), customer_app=True
    )


@pytest.mark.parametrize(("days", "life"), [(None, 1800), (1, 86_400), (7, 604_800), (2.0, 172_800)])
def test_a_link_for_somebody_else_may_wait_for_days(environment: dict[str, str], days: float | None, life: int) -> None:
    config = Config.from_env({**environment, "APPROVAL_LINK_LIFE": "7"})

    assert read(config, binding="approval", binding_challenge=None, link_days=days).life == life


@pytest.mark.parametrize("days", [0, 3, -1, 1.5, True, "2"])
def test_it_waits_no_longer_than_the_operator_allows(environment: dict[str, str], days: object) -> None:
    config = Config.from_env({**environment, "APPROVAL_LINK_LIFE": "2"})

    assert faults(config, binding="approval", binding_challenge=None, link_days=days) == ["link_days"]


def test_without_apps_of_the_operators_the_customers_is_meant(bare: Config) -> None:
    assert read(bare).customer_app
    assert faults(bare, client="operator") == ["client"]


@pytest.mark.parametrize(
    "name",
    [
        "株式会社\u3000サンプル",
        "Société\u00a0Générale",
        "12\u202f000 Endpoints",
        "Team 👩\u200d💻",
        "شركة\u200f المثال",
        "ТОВ «Приклад»",
        "हिन्दी कंपनी",
        "บริษัท ตัวอย่าง",
    ],
)
def test_names_of_every_script_are_taken(config: Config, name: str) -> None:
    found = read(config, tenant_name=name, label=name, end_user_id=name)

    assert (found.tenant_name, found.label, found.end_user_id) == (name, name, name)


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end_user_id": None}, "end_user_id"),
        ({"end_user_id": ""}, "end_user_id"),
        ({"end_user_id": "x" * 257}, "end_user_id"),
        ({"end_user_id": 7}, "end_user_id"),
        ({"end_user_id": "a\nb"}, "end_user_id"),
        ({"tenant_name": None}, "tenant_name"),
        ({"tenant_name": "x" * 81}, "tenant_name"),
        ({"tenant_name": "\u202egnp"}, "tenant_name"),
        ({"tenant_name": "a\u2066b"}, "tenant_name"),
        ({"tenant_name": "a\u0085b"}, "tenant_name"),
        ({"label": "a\u2028b"}, "label"),
        ({"label": "a\x7fb"}, "label"),
        ({"tenant_name": ["Acme"]}, "tenant_name"),
        ({"return_to": None}, "return_to"),
        ({"return_to": "x" * 65}, "return_to"),
        ({"label": ""}, "label"),
        ({"label": "   "}, "label"),
        ({"tenant_name": "\u3000\u00a0"}, "tenant_name"),
        ({"tenant_name": "\u200b\u2060"}, "tenant_name"),
        ({"tenant_name": "\u200d\u200e\u061c"}, "tenant_name"),
        ({"tenant_name": "\u3164"}, "tenant_name"),
        ({"end_user_id": " "}, "end_user_id"),
        ({"label": "x" * 81}, "label"),
        ({"label": {}}, "label"),
        ({"binding": "none"}, "binding"),
        ({"binding": ["session"]}, "binding"),
        ({"binding": {"a": 1}}, "binding"),
        ({"binding": 1}, "binding"),
        ({"binding_challenge": None}, "binding_challenge"),
        ({"binding_challenge": "c" * 42}, "binding_challenge"),
        ({"binding_challenge": "c" * 44}, "binding_challenge"),
        ({"binding_challenge": "c" * 42 + "="}, "binding_challenge"),
        ({"binding_challenge": 43}, "binding_challenge"),
        ({"binding": "approval"}, "binding_challenge"),
        ({"binding": "approval", "binding_challenge": None, "connection_id": CONNECTION}, "connection_id"),
        ({"region": "mars"}, "region"),
        ({"region": "EU"}, "region"),
        ({"region": "branded"}, "region"),
        ({"region": ["eu"]}, "region"),
        ({"region": "eu.ninjarmm.com@evil"}, "region"),
        ({"host": "eu.ninjarmm.com@evil.example"}, "host"),
        ({"host": "https://eu.ninjarmm.com.evil.example/"}, "host"),
        ({"host": "acme.evil.example"}, "host"),
        ({"host": 7}, "host"),
        ({"region": "eu", "host": "eu.ninjarmm.com"}, "host"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "monitoring"}, "scopes"),
        ({"scopes": ["control"]}, "scopes"),
        ({"scopes": ["monitoring", "everything"]}, "scopes"),
        ({"scopes": ["offline_access"]}, "scopes"),
        ({"scopes": [["monitoring"]]}, "scopes"),
        ({"scopes": [7]}, "scopes"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"note": "a\u202eb"}}, "metadata"),
        ({"metadata": {"note": "a\nb"}}, "metadata"),
        ({"metadata": {"no\x00te": "x"}}, "metadata"),
        ({"metadata": {"note": "\ud800"}}, "metadata"),
        ({"metadata": {"n" * 41: "x"}}, "metadata"),
        ({"metadata": {"a": "x" * 201}}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(11)}}, "metadata"),
        ({"connection_id": "con_x"}, "connection_id"),
        ({"connection_id": 7}, "connection_id"),
        ({"link_days": 1}, "link_days"),
        ({"connection_id": "con_" + "a" * 26 + "#profile"}, "connection_id"),
        ({"client": "somebody"}, "client"),
        ({"client": ["operator"]}, "client"),
        ({"client": {"x": 1}}, "client"),
        ({"client": "operator", "region": "fed"}, "client"),
        ({"client": "operator", "region": "eu", "client_credentials": CREDENTIALS}, "client_credentials"),
        ({"region": "eu", "client_credentials": {}}, "client_credentials"),
        ({"region": "eu", "client_credentials": "app:secret"}, "client_credentials"),
        ({"region": "eu", "client_credentials": {"client_id": "a"}}, "client_credentials"),
        ({"region": "eu", "client_credentials": CREDENTIALS | {"more": "x"}}, "client_credentials"),
        ({"region": "eu", "client_credentials": {"client_id": "a b", "client_secret": "s"}}, "client_credentials"),
        ({"region": "eu", "client_credentials": {"client_id": "a", "client_secret": 7}}, "client_credentials"),
        ({"region": "eu", "client_credentials": {"client_id": "a", "client_secret": "s" * 257}}, "client_credentials"),
        ({"client_credentials": CREDENTIALS}, "region"),
        ({"scope": ["monitoring"]}, "scope"),
        ({"return_url": "https://evil.example"}, "return_url"),
    ],
)
def test_a_fault_is_named_by_its_field(config: Config, changes: dict[str, object], field: str) -> None:
    assert faults(config, **changes) == [field]


def test_approval_that_is_not_allowed_is_said(bare: Config) -> None:
    assert faults(bare, binding="approval", binding_challenge=None) == ["binding"]


def test_every_fault_is_named_at_once(config: Config) -> None:
    named = faults(
        config,
        end_user_id=None,
        tenant_name=7,
        binding_challenge="x",
        return_to="",
        region="mars",
        scopes=[],
        label=[],
        metadata=7,
        connection_id="x",
        client="x",
        zeta=1,
        alpha=1,
    )

    assert sorted(named) == [
        "alpha", "binding_challenge", "client", "connection_id", "end_user_id", "label", "metadata", "region",
        "return_to", "scopes", "tenant_name", "zeta",
    ]  # fmt: skip


def test_the_name_of_a_field_that_is_not_known_is_cut(config: Config) -> None:
    assert faults(config, **{"x" * 500: 1}) == ["x" * 40]


@req("G07")
def test_no_fault_repeats_what_was_sent(config: Config) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(config, end_user_id="canary\n", client_credentials={"client_id": "canary", "client_secret": "canary "})

    assert "canary" not in repr(refused.value.faults)


@pytest.mark.parametrize(
    "body",
    ["{", "[]", "null", '"text"', "7", '{"a": 1} x', "[" * 10_000, '{"a": ' + "9" * 5000 + "}"],
    ids=lambda body: f"{len(body)} {body[:8]!r}",
)
def test_what_is_no_json_object_is_said_so(config: Config, body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        session_request(config, TENANT, request(body))

    assert [fault.field for fault in refused.value.faults] == ["body"]


@pytest.mark.parametrize(
    ("body", "where"),
    [('{"label": "x",}', "line 1, column 15"), ("{\n  'label': 1}", "line 2, column 3"), ("a=b", "1")],
)
def test_where_a_body_stops_being_json_is_said(config: Config, body: str, where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        session_request(config, TENANT, request(body))

    assert where in refused.value.faults[0].message


@pytest.mark.parametrize("name", ["binding", "purpose", "client"])
@pytest.mark.parametrize("value", ["", False, 0, [], {}, ["operator"], "Session", True])
def test_a_choice_is_one_of_its_words_or_null(config: Config, name: str, value: object) -> None:
    assert faults(config, **{name: value}) == [name]


@pytest.mark.parametrize("host", [["acme.rmmservice.eu"], {"eu.ninjarmm.com": None}])
def test_a_host_in_something_else_than_a_text_is_not_taken_out_of_it(config: Config, host: object) -> None:
    assert faults(config, host=host) == ["host"]


@pytest.mark.parametrize("letter", ["ß", "я", "한", "\U0001f4bb"])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_the_longest_of_everything_fits_in_every_script_however_it_is_written(
    config: Config, letter: str, *, is_escaped: bool
) -> None:
    metadata = {f"{letter * 39}{number}": letter * 200 for number in range(10)}
    names = {"tenant_name": letter * 80, "label": letter * 80, "end_user_id": letter * 256}
    own = {"host": "eu.ninjarmm.com", "client_credentials": {"client_id": "i" * 256, "client_secret": "s" * 256}}
    body = json.dumps(
        LEAST | names | own | {"metadata": metadata, "connection_id": CONNECTION}, ensure_ascii=is_escaped
    )

    asked = session_request(config, TENANT, request(body))

    assert (asked.metadata, asked.label, asked.tenant_name) == (metadata, letter * 80, letter * 80)


def test_a_number_in_place_of_a_text_is_asked_for_as_a_text(config: Config) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(config, end_user_id=4711)

    assert "text" in refused.value.faults[0].message


def test_no_body_is_an_empty_one(config: Config) -> None:
    with pytest.raises(InvalidRequest) as refused:
        session_request(config, TENANT, request())

    assert {fault.field for fault in refused.value.faults} == set(LEAST)


def test_a_body_that_is_too_large_is_said_so(config: Config) -> None:
    with pytest.raises(InvalidRequest) as refused:
        session_request(config, TENANT, request("x" * (BODY_LIMIT + 1)))

    assert [(fault.field, "40 KB" in fault.message) for fault in refused.value.faults] == [("body", True)]


# The parts that bodies are read with ----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False])
def test_a_flag_is_true_or_false(*, held: bool) -> None:
    fields = Fields(request({"flag": held}), frozenset({"flag"}))

    assert fields.flag("flag") is held
    assert fields.flag("absent") is False
    fields.check()


@pytest.mark.parametrize("held", [0, 1, "true", None, []])
def test_anything_else_is_no_flag(held: object) -> None:
    fields = Fields(request(json.dumps({"flag": held})), frozenset({"flag"}))

    assert fields.flag("flag") is False
    with pytest.raises(InvalidRequest):
        fields.check()


@pytest.mark.parametrize("held", [-1, 11, 1.5, "5", True, None, [], 10**400])
def test_anything_else_is_no_number(held: object) -> None:
    fields = Fields(request(json.dumps({"n": held})), frozenset({"n"}))

    assert fields.number("n", default=3, most=10) == 3
    assert [fault.field for fault in fields.faults] == ["n"]


@pytest.mark.parametrize("held", [0, 5, 10, 5.0, 1e1])
def test_a_number_is_taken_within_its_bounds(held: int) -> None:
    fields = Fields(request({"n": held}), frozenset({"n"}))

    assert fields.number("n", default=3, most=10) == held
    assert fields.number("absent", default=3, most=10) == 3
