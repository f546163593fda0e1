"""The two APIs: which routes there are, who may call them, what is logged of a call."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployment.template.stack import deploy, source
from tools.requirements import req

STACK = deploy()

PUBLIC = {
    "GET /connect/{session}": "ConnectFunction",
    "ANY $default": "ConnectFunction",
    "POST /connect/{session}/authorize": "AuthorizeFunction",
    "POST /connect/{session}/secret": "AuthorizeFunction",
    "GET /callback/{region}": "CallbackFunction",
}
SIGNED = {
    "POST /v1/tenants/{tenant}/connect-sessions": "SessionFunction",
    "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete": "CompleteFunction",
    "POST /v1/tenants/{tenant}/connections/{connection}/approve": "CompleteFunction",
    "POST /v1/tenants/{tenant}/connections/{connection}/token": "TokenFunction",
    "ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}": "ProxyFunction",
    "GET /v1/tenants/{tenant}/connections": "ConnectionsFunction",
    "GET /v1/tenants/{tenant}/connections/{connection}": "ConnectionsFunction",
    "DELETE /v1/tenants/{tenant}/connections/{connection}": "DisconnectFunction",
}


def operations(api: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each route with what API Gateway does about it."""
    for path, methods in STACK.the(api)["Body"]["paths"].items():
        for method, operation in methods.items():
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            yield f"{verb} {path}", operation


def target(operation: dict[str, Any]) -> str:
    uri: str = operation["x-amazon-apigateway-integration"]["uri"]
    return uri.partition("functions/<")[2].partition(".")[0]


@pytest.mark.parametrize(("api", "routes"), [("ConnectApi", PUBLIC), ("BackendApi", SIGNED)])
def test_the_routes_are_these_and_no_other(api: str, routes: dict[str, str]) -> None:
    assert {route: target(operation) for route, operation in operations(api)} == routes


@pytest.mark.parametrize("api", ["ConnectApi", "BackendApi"])
def test_events_have_the_payload_format_that_is_read(api: str) -> None:
    for route, operation in operations(api):
        integration = operation["x-amazon-apigateway-integration"]
        assert (integration["payloadFormatVersion"], integration["type"]) == ("2.0", "aws_proxy"), route


@req("H01")
def test_every_route_of_the_private_api_asks_for_a_signature() -> None:
    for route, operation in operations("BackendApi"):
        assert operation["security"] == [{"AWS_IAM": []}], route

    scheme = STACK.the("BackendApi")["Body"]["components"]["securitySchemes"]["AWS_IAM"]
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_no_route_of_the_public_api_asks_for_one() -> None:
    assert not [route for route, operation in operations("ConnectApi") if operation.get("security")]
    assert "securitySchemes" not in STACK.the("ConnectApi")["Body"].get("components", {})


@pytest.mark.parametrize("api", ["ConnectApi", "BackendApi"])
def test_a_guided_deployment_does_not_ask_whether_a_route_may_be_open(api: str) -> None:
    """SAM asks for each function where the template is silent about its API, and takes Enter for no."""
    assert source()["Resources"][api]["Properties"]["Auth"]


@req("F12")
@pytest.mark.parametrize("api", ["ConnectApi", "BackendApi"])
def test_no_other_site_s_script_may_read_an_answer(api: str) -> None:
    assert "x-amazon-apigateway-cors" not in STACK.the(api)["Body"]
    assert "CorsConfiguration" not in STACK.the(api)


TOLD = {
    "time": "$context.requestTime",
    "request_id": "$context.requestId",
    "route": "$context.routeKey",
    "status": "$context.status",
    "latency": "$context.responseLatency",
}


@req("G02")
@pytest.mark.parametrize(
    ("api", "more"),
    [("ConnectApi", {"ip": "$context.identity.sourceIp"}), ("BackendApi", {"caller": "$context.identity.userArn"})],
)
def test_the_access_log_tells_the_route_and_never_the_path(api: str, more: dict[str, str]) -> None:
    settings = STACK.the(f"{api}ApiGatewayDefaultStage")["AccessLogSettings"]

    assert json.loads(settings["Format"]) == TOLD | more
    assert settings["DestinationArn"] == "<AccessLog.Arn>"
    assert STACK.the("AccessLog") == {"LogGroupName": "/aws/vendedlogs/local", "RetentionInDays": 90}, (
        "each other name adds to the account's one policy for logs, until that is too long and no stage can be made"
    )


@req("O01")
@pytest.mark.parametrize("api", ["ConnectApi", "BackendApi"])
def test_every_route_is_throttled(api: str) -> None:
    settings = STACK.the(f"{api}ApiGatewayDefaultStage")["DefaultRouteSettings"]

    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"] <= 500


@req("O01")
def test_calls_to_ninjaone_have_a_throttle_of_their_own() -> None:
    settings = STACK.the("BackendApiApiGatewayDefaultStage")["RouteSettings"]

    assert settings.keys() == {"ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}"}
    (limits,) = settings.values()
    whole = STACK.the("BackendApiApiGatewayDefaultStage")["DefaultRouteSettings"]
    assert limits["ThrottlingRateLimit"] < whole["ThrottlingRateLimit"]
    assert "RouteSettings" not in deploy(Proxy="off").the("BackendApiApiGatewayDefaultStage")
