"""The watch over every answer sees what it is for; and every function answers so, whatever befalls it."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest

from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import BrokerError, InternalError
from tests.support.exits import HEADERS, faults
from tests.verification.roles.stage import Stage, stage
from tests.verification.simulation import gateway
from tools.requirements import req

CLOSED_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
GOOD = {
    "statusCode": 303,
    "headers": {
        **HEADERS,
        "content-security-policy": CLOSED_POLICY,
        "location": "https://eu.ninjarmm.com/ws/oauth/authorize?x=1",
    },
    "cookies": ["__Host-flow_01234567=abc; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"],
    "body": "",
}


def but(**changes: str) -> dict[str, Any]:
    """Write the good answer with some headers changed; an empty one is left out."""
    named = {name.replace("_", "-"): held for name, held in changes.items()}
    return GOOD | {"headers": {name: held for name, held in (GOOD["headers"] | named).items() if held}}  # type: ignore[operator]  # of one shape


def test_a_good_answer_is_good(config: Config) -> None:
    assert faults(GOOD, config) == []


PLANTED = [
    *(but(**{name.replace("-", "_"): ""}) for name in HEADERS),
    but(content_security_policy="default-src 'self'"),
    but(content_security_policy=CLOSED_POLICY + "; style-src 'unsafe-inline'"),
    but(content_security_policy=CLOSED_POLICY + "; script-src 'self'"),
    but(content_security_policy=CLOSED_POLICY + "; form-action *"),
    but(access_control_allow_origin="*"),
    but(referrer_policy="same-origin"),
    but(etag="1"),
    GOOD | {"statusCode": 302},
    GOOD | {"statusCode": 307},
    but(location=""),
    GOOD | {"body": "x"},
    GOOD | {"cookies": ["__Host-flow_01234567=abc; Max-Age=600; Path=/; Secure; SameSite=Lax"]},
    GOOD | {"cookies": ["__Host-flow_01234567=abc; Max-Age=6000; Path=/; Secure; HttpOnly; SameSite=Lax"]},
    GOOD | {"cookies": ["flow=abc; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"]},
    *(
        but(location=location)
        for location in (
            "https://evil.example/",
            "https://eu.ninjarmm.com.evil.example/ws/oauth/authorize",
            "https://eu.ninjarmm.com@evil.example/ws/oauth/authorize",
            "https://evil.example/ws/oauth/authorize?https://eu.ninjarmm.com",
            "https://eu.ninjarmm.com:8443/ws/oauth/authorize",
            "https://eu.ninjarmm.com/ws/oauth/authorize#x",
            "https://eu.ninjarmm.com/elsewhere",
            "http://eu.ninjarmm.com/ws/oauth/authorize",
            "https://a.b.rmmservice.eu/ws/oauth/authorize",
            "https://app.example/return/../evil",
            "https://app.example/return2",
            "//evil.example",
            "/notice/../x",
            "/connect/../x",
            "/connect/ses_x",
            f"/connect/ses_{'a' * 26}?next=https://evil.example",
            "/notice/used?reference=words",
            "/notice/used?x=1",
            "/notice/x\r\nset-cookie: a=b",
            "javascript:alert(1)",
        )
    ),
]


@req("E02", "A15", "F01", "B01")
@pytest.mark.parametrize("answer", PLANTED, ids=range(len(PLANTED)))
def test_a_planted_fault_is_seen(config: Config, answer: dict[str, Any]) -> None:
    assert faults(answer, config) != []


@req("E01", "E02")
@pytest.mark.parametrize(
    "location",
    [
        "https://app.example/return?a=1",
        "https://second.example/back",
        "/notice/used",
        "/notice/used?reference=K7QF-2M6P",
        "https://acme.rmmservice.eu/ws/oauth/authorize",
    ],
)
def test_the_three_places_are_allowed(config: Config, location: str) -> None:
    assert faults(but(location=location), config) == []


# Every function, whatever befalls it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with stage() as made:
        yield made


ROUTES = {
    "session": "POST /v1/tenants/{tenant}/connect-sessions",
    "complete": "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete",
    "token": "POST /v1/tenants/{tenant}/connections/{connection}/token",
    "proxy": "ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}",
    "connections": "GET /v1/tenants/{tenant}/connections/{connection}",
    "disconnect": "DELETE /v1/tenants/{tenant}/connections/{connection}",
    "connect": "GET /connect/{session}",
    "authorize": "POST /connect/{session}/authorize",
    "callback": "GET /callback/{region}",
}
PATH = {
    "tenant": "acme",
    "session": "ses_" + "a" * 26,
    "connection": "con_" + "a" * 26,
    "region": "eu",
    "path": "v2/devices",
}


def event(folder: str) -> dict[str, Any]:
    """Write a request that gets as far as it can without anything being there."""
    route = ROUTES[folder]
    if folder == "authorize":
        return gateway.form(route, PATH, {"region": "eu"}, {})
    if folder == "callback":
        query = f"code=x&state={PATH['session']}.x"
        return gateway.event(route, PATH, query=query, cookies={"__Host-flow_" + "0" * 8: "x"})
    if folder == "connect":
        return gateway.event(route, PATH)
    body = {"end_user_id": "u", "ticket": "t" * 43, "binding_verifier": "v" * 43} if folder == "complete" else {}
    if folder == "session":
        body = {"end_user_id": "u", "tenant_name": "A", "return_to": "main", "binding_challenge": "c" * 43}
    return gateway.call(route, PATH, body)


TROUBLES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "nothing": lambda held: held,
    "no path": lambda held: held | {"pathParameters": None},
    "no headers": lambda held: held | {"headers": None},
    "no body": lambda held: held | {"body": None},
    "a body that is no base64": lambda held: held | {"body": "é!", "isBase64Encoded": True},
    "cookies without a value": lambda held: held | {"cookies": ["", "=", "a", "__Host-flow_00000000"]},
    "a query that is none": lambda held: held | {"rawQueryString": "%ff&&&=%zz"},
    "an event of another kind": lambda held: {"routeKey": held["routeKey"]},
}


@req("F02", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F12", "P01", "H06")
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("folder", ROUTES)
def test_every_function_answers_with_all_headers(shared: Stage, folder: str, trouble: str) -> None:
    answer = shared.call(folder, TROUBLES[trouble](event(folder)))

    assert answer["statusCode"] in {200, 201, 303, *range(400, 600)}
    assert faults(answer, shared.config) == []


@req("P01", "G07", "F10")
@pytest.mark.parametrize("folder", ROUTES)
def test_a_bug_is_answered_in_general_words_and_never_as_a_success(shared: Stage, folder: str) -> None:
    before = len(shared.lines)

    def broken(_broker: Broker) -> Any:
        raise RuntimeError("a text that quotes a token: canary-0123456789")

    asked = {
        "session": "open_session",
        "connect": "find_session",
        "authorize": "start_authorization",
        "callback": "handle_callback",
        "complete": "complete",
        "token": "get_token",
        "proxy": "proxy",
        "connections": "list_connections",
        "disconnect": "disconnect",
    }[folder]
    with patch.object(Broker, asked, property(broken)):
        answer = shared.call(folder, event(folder))

    lines = shared.lines[before:]
    assert "canary" not in json.dumps([answer, lines])
    assert answer["statusCode"] == (303 if folder == "callback" else 500)
    assert answer["headers"].get("location", "/notice/broken").startswith("/notice/broken")
    broke = [line["error"] for line in lines if line.get("message", "").endswith(".crashed")]
    assert broke == ["RuntimeError"]
    assert faults(answer, shared.config) == []


@req("P01")
@pytest.mark.parametrize("folder", ["sweep", "refresh", "notify"])
def test_a_bug_where_nobody_waits_goes_back_to_where_the_work_came_from(shared: Stage, folder: str) -> None:
    def broken(_broker: Broker) -> Any:
        raise RuntimeError("a text that quotes a token: canary-0123456789")

    before = len(shared.lines)
    records = {"refresh": [{"messageId": "1", "body": json.dumps({"trigger": "due", "connections": []})}]}
    with patch.object(Broker, folder, property(broken)):
        try:
            answer = shared.call(folder, {"Records": records.get(folder, [])})
        except BrokerError as error:
            answer = f"{type(error).__name__}: {error}"

    assert answer in ({"batchItemFailures": [{"itemIdentifier": "1"}]}, f"InternalError: {InternalError.detail}")
    assert "canary" not in json.dumps(shared.lines[before:])


@req("F11", "F14")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/notice/nothing", 404), ("GET", "/", 404), ("GET", "/notice/used", 410)]
    + [
        (method, "/connect/x", 405) for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
    ],
)
def test_every_other_address_and_method_is_ours(shared: Stage, method: str, path: str, status: int) -> None:
    asked = gateway.event("GET /connect/{session}", PATH)
    asked |= {"routeKey": "$default", "rawPath": path, "pathParameters": None}
    asked["requestContext"] = asked["requestContext"] | {
        "routeKey": "$default",
        "http": {"method": method, "path": path},
    }

    answer = shared.call("connect", asked)

    assert answer["statusCode"] == status
    assert (answer["headers"].get("allow") == "GET") is (status == 405)
    assert faults(answer, shared.config) == []
