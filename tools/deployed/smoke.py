"""What anybody and the backend see of a deployment. The same tests are tried against the local product."""

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from botocore.credentials import Credentials

from local.browser import refresh_target
from ninjaone_connect_cli.deployment import Deployment
from tests.support.exits import header_faults
from tools.deployed.reach import OURS, TENANT, anybody, backend, query_of, slug
from tools.requirements import req

VERIFIER = "smoke-test-" + "v" * 40
UNKNOWN = "con_" + "a" * 26
REFUSALS = {"code-refused", "unknown-client", "wrong-client-secret", "grant-not-ticked"}
"""What NinjaOne may say to an invented code; which of them tells how far the client app is set up."""


def wrong(answer: httpx.Response) -> list[str]:
    return list(header_faults(answer.headers, has_body=bool(answer.content)))


# Pages ----------------------------------------------------------------------------------------------------------------


@req("F02", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F12", "F14")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("GET", "/connect", 404),
        ("GET", "/notice/used", 410),
        ("GET", f"/connect/ses_{'a' * 26}", 410),
        ("GET", "/connect/no-id-of-ours", 410),
        ("HEAD", "/callback/eu", 405),
        ("OPTIONS", "/callback/eu", 405),
        ("POST", "/callback/eu", 405),
        ("DELETE", f"/connect/ses_{'a' * 26}", 405),
        ("PUT", "/nothing", 405),
    ],
)
def test_every_address_and_method_is_answered_by_a_page_of_ours(
    deployment: Deployment, method: str, path: str, status: int
) -> None:
    answer = anybody(method, deployment.config.connect_url + path, headers={"Origin": "https://evil.example"})

    assert answer.status_code == status
    assert wrong(answer) == []
    assert "set-cookie" not in answer.headers


@req("C13", "E02", "C02")
@pytest.mark.parametrize("query", ["", "code=x&state=y", "error=x&state=y", f"code=x&state=ses_{'a' * 26}.x"])
def test_no_page_is_shown_where_a_code_would_be(deployment: Deployment, query: str) -> None:
    answer = anybody("GET", f"{deployment.config.connect_url}/callback/eu?{query}")

    assert (answer.status_code, answer.content) == (303, b"")
    assert answer.headers["location"].startswith("/notice/")
    assert wrong(answer) == []


# The backend API ------------------------------------------------------------------------------------------------------

ROUTES = [
    ("GET", f"/v1/tenants/{TENANT}/connections"),
    ("GET", f"/v1/tenants/{TENANT}/connections/{UNKNOWN}"),
    ("DELETE", f"/v1/tenants/{TENANT}/connections/{UNKNOWN}"),
    ("POST", f"/v1/tenants/{TENANT}/connections/{UNKNOWN}/token"),
    ("POST", f"/v1/tenants/{TENANT}/connections/{UNKNOWN}/approve"),
    ("POST", f"/v1/tenants/{TENANT}/connect-sessions"),
    ("POST", f"/v1/tenants/{TENANT}/connect-sessions/ses_{'a' * 26}/complete"),
]


@req("H01", "H04")
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_signature_aws_itself_refuses(deployment: Deployment, method: str, path: str) -> None:
    forged = {"X-Amzn-Iam-User-Arn": "arn:aws:iam::123456789012:root", "Authorization": "Bearer x"}

    for headers in ({}, forged):
        answer = anybody(method, deployment.outputs["BackendApiUrl"] + path, headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


@req("H01")
def test_a_signature_of_another_secret_is_worth_nothing(deployment: Deployment) -> None:
    customer_app = deployment.credentials
    forged = Credentials(customer_app.access_key, "x" * 40, customer_app.token)

    answer = backend(deployment, *ROUTES[0], credentials=forged)

    assert answer.status_code == 403


@req("H01", "H06")
def test_the_backend_is_answered(deployment: Deployment) -> None:
    answer = backend(deployment, *ROUTES[0])

    assert (answer.status_code, answer.json()["connections"]) == (200, [])
    assert wrong(answer) == []
    assert "etag" not in answer.headers


@req("H02", "H08")
@pytest.mark.parametrize(("method", "path"), ROUTES[1:5])
def test_what_is_not_there_is_not_found(deployment: Deployment, method: str, path: str) -> None:
    answer = backend(deployment, method, path, None if method in {"GET", "DELETE"} else {})

    assert (answer.status_code, slug(answer)) == (404, "unknown-connection")
    assert wrong(answer) == []


# What API Gateway answers by itself ----------------------------------------------------------------------------------


@req("P01")
def test_too_much_is_refused_without_a_function(deployment: Deployment) -> None:
    """These answers are API Gateway's own and bare, as SECURITY.md says; they show no page and set no cookie."""
    url = f"{deployment.config.connect_url}/connect/ses_{'a' * 26}"

    head = anybody("GET", url, headers={"X-Filling": "x" * 10_300})
    body = anybody("POST", f"{url}/authorize", content=b"x" * (10 * 1024 * 1024 + 1))

    assert (head.status_code, body.status_code) in {(431, 413), (400, 413)}
    for answer in (head, body):
        assert "<form" not in answer.text
        assert "set-cookie" not in answer.headers


# One way, as far as it goes without a person -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(deployment: Deployment) -> dict[str, Any]:
    """A connect session of this deployment; it expires by itself."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    region = next(iter(deployment.config.client_ids), None)
    customer_app = {"region": "eu", "client_credentials": {"client_id": "smoke-test", "client_secret": "smoke-test"}}
    session_request = {
        "end_user_id": "smoke-test",
        "tenant_name": "Smoke test",
        "return_to": next(iter(deployment.config.return_urls)),
        "binding_challenge": challenge,
        **({"region": region} if region else customer_app),
    }
    answer = backend(deployment, "POST", f"/v1/tenants/{TENANT}/connect-sessions", session_request)
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "region": region or "eu"}


@req("A10", "F01", "F13")
def test_the_connect_page_is_the_same_however_often_it_is_opened(
    deployment: Deployment, opened: dict[str, Any]
) -> None:
    first, second = (anybody("GET", opened["connect_url"]) for _ in range(2))

    assert opened["connect_url"].startswith(deployment.config.connect_url + "/connect/ses_")
    assert (first.status_code, first.content) == (200, second.content)
    assert "Smoke test" in first.text
    assert wrong(first) == []


@req("A11")
def test_a_form_from_elsewhere_is_ignored(opened: dict[str, Any]) -> None:
    answer = anybody(
        "POST", f"{opened['connect_url']}/authorize", data={"region": opened["region"]},
        headers={"Sec-Fetch-Site": "cross-site"},
    )  # fmt: skip

    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)


@req("A04", "A06", "B01", "D02", "C12", "M01")
def test_a_way_with_an_invented_code_ends_where_ninjaone_refuses_it(
    deployment: Deployment, opened: dict[str, Any]
) -> None:
    """Each function of the way does its work under its role: sealing, redeeming, opening, asking NinjaOne."""
    form = {"region": opened["region"], "go_anyway": "yes"}
    left = anybody("POST", f"{opened['connect_url']}/authorize", data=form, headers=OURS)
    asked = query_of(refresh_target(left.text))
    cookie = left.headers["set-cookie"].partition(";")[0]
    query = urlencode({"code": "an-invented-code", "state": asked["state"]})
    callback = f"{deployment.config.connect_url}/callback/{opened['region']}?{query}"
    without, home = anybody("GET", callback), anybody("GET", callback, headers={"Cookie": cookie})
    ticket = query_of(home.headers["location"])["ticket"]
    proof = {"end_user_id": "smoke-test", "binding_verifier": VERIFIER, "ticket": ticket}
    path = f"/v1/tenants/{TENANT}/connect-sessions/{opened['session_id']}/complete"
    unproved = backend(deployment, "POST", path, proof | {"end_user_id": "somebody else"})
    refused = backend(deployment, "POST", path, proof)
    again = backend(deployment, "POST", path, proof)

    assert (left.status_code, cookie.startswith("__Host-flow_")) == (200, True)
    assert asked["redirect_uri"] == f"{deployment.config.connect_url}/callback/{opened['region']}"
    assert asked["code_challenge_method"] == "S256"
    assert without.headers["location"].partition("?")[0] == "/notice/refused-callback"
    assert home.headers["location"].startswith(next(iter(deployment.config.return_urls.values())) + "?")
    assert (unproved.status_code, slug(unproved)) == (403, "binding-mismatch")
    assert slug(refused) in REFUSALS, refused.text
    assert (again.status_code, slug(again)) == (refused.status_code, slug(refused))
