"""Signatures as AWS checks them; and what is said when there is nothing to sign with."""

import os
import subprocess
import sys
from calendar import timegm
from pathlib import Path
from time import strptime
from typing import NoReturn

import httpx
import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError, LoginRefreshRequired, TokenRetrievalError

from local.aws.gateway.sigv4 import DEMO, Principal, Signed, Unsigned, verify
from ninjaone_connect import Connect, errors
from tests.support.client_stage import API, CON, KEYS, Api

ROOT = Path(__file__).parents[2]


def sent(credentials: Credentials = KEYS, *, tenant: str = "northwind") -> httpx.Request:
    """The request for a second page, whose cursor takes some quoting."""
    page = httpx.Response(200, json={"connections": [], "cursor": "con_x#profile +/"})
    api = Api(page, httpx.Response(404))
    connect = Connect(API, credentials=credentials, transport=httpx.MockTransport(api))
    pages = connect.connections(tenant)
    with pytest.raises(errors.NotTheBroker):
        next(pages)
    return api.asked[-1]


def proved(request: httpx.Request, principal: Principal = DEMO) -> Principal:
    """Who the request proves to come from, as API Gateway finds it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = Signed(request.method, str(request.url), headers, request.content)
    return verify(signed, [principal], timegm(strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")))


@pytest.mark.parametrize("tenant", ["northwind", "north wind/ü"])
def test_aws_finds_the_signature_good(tenant: str) -> None:
    assert proved(sent(tenant=tenant)) == DEMO


def test_the_signature_covers_the_body() -> None:
    api = Api(httpx.Response(404))
    connect = Connect(API, credentials=KEYS, transport=httpx.MockTransport(api))
    with pytest.raises(errors.NotTheBroker):
        connect.token("northwind", CON)
    [request] = api.asked
    assert proved(request) == DEMO
    forged = httpx.Request(request.method, request.url, headers=request.headers, content=b'{"min_ttl": 0}')

    with pytest.raises(Unsigned):
        proved(forged)


def test_credentials_of_a_role_bring_their_session_token_under_the_signature() -> None:
    request = sent(Credentials(DEMO.access_key, DEMO.secret_key, "session-token"))

    assert proved(request) == DEMO
    assert request.headers["x-amz-security-token"] == "session-token"
    assert "x-amz-security-token" in request.headers["authorization"]


@pytest.mark.parametrize(
    "url", ["http://api.example", "ftp://api.example", "api.example", "http://127.0.0.1.evil.example"]
)
def test_credentials_never_leave_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match="BackendApiUrl"):
        Connect(url, region="eu-west-1", credentials=KEYS)


def test_another_region_than_the_address_shows_is_told_at_once() -> None:
    with pytest.raises(errors.WrongRegion, match="is in eu-west-1"):
        Connect(API, region="us-east-1", credentials=KEYS)


def test_a_region_that_nothing_shows_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(errors.WrongRegion, match="region="):
        Connect("https://broker.example", credentials=KEYS)


def test_a_region_comes_from_the_usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-2")
    api = Api(httpx.Response(403))
    connect = Connect("https://broker.example", credentials=KEYS, transport=httpx.MockTransport(api))

    with pytest.raises(errors.Forbidden, match="not in ap-southeast-2"):
        connect.token("northwind", CON)
    assert "/ap-southeast-2/execute-api/" in api.asked[0].headers["authorization"]


class Failing:
    """Credentials that can't be had."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.fail()

    def fail(self) -> NoReturn:
        raise self.error


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret text"}}, "AssumeRole")


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (TokenRetrievalError(provider="sso", error_msg="secret text"), errors.LoginExpired, "aws sso login"),
        (LoginRefreshRequired(), errors.LoginExpired, "`aws login`"),
        (refusal("ExpiredToken"), errors.LoginExpired, "log in again"),
        (refusal("AccessDenied"), errors.NoCredentials, "AccessDenied"),
        (CredentialRetrievalError(provider="x", error_msg="secret text"), errors.NoCredentials, "profile or role"),
    ],
)
def test_credentials_that_can_t_be_had_say_what_to_do_and_nothing_else(
    error: Exception, kind: type[Exception], hint: str
) -> None:
    api = Api(httpx.Response(200))
    connect = Connect(API, credentials=Failing(error), transport=httpx.MockTransport(api))

    with pytest.raises(kind, match=hint) as caught:
        connect.token("northwind", CON)

    assert api.asked == []
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


PROGRAM = f"""
from ninjaone_connect import Connect, errors
try:
    Connect({API!r}).token("northwind", "con_x")
except errors.ConnectError as error:
    print(type(error).__name__, error)
"""
SSO = """
[profile work]
sso_start_url = https://login.example/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Developer
"""


def said(home: Path, **environment: str) -> str:
    """What a program says on a machine with this home folder and nothing else."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    clean |= {"PYTHONPATH": str(ROOT / "clients/python/src")} | environment
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout


def test_a_machine_without_credentials_says_where_they_are_looked_for(tmp_path: Path) -> None:
    assert said(tmp_path).startswith("NoCredentials No AWS credentials were found: use a role, a profile (AWS_PROFILE)")


def test_half_a_pair_of_keys_is_no_credentials(tmp_path: Path) -> None:
    assert said(tmp_path, AWS_ACCESS_KEY_ID="AKIA").startswith("NoCredentials The AWS credentials can't be used")


def test_an_unknown_profile_is_no_credentials(tmp_path: Path) -> None:
    assert said(tmp_path, AWS_PROFILE="nobody").startswith("NoCredentials The AWS credentials can't be used")


def test_an_sso_login_that_was_never_made_or_ran_out_names_the_command(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(SSO)

    answer = said(tmp_path, AWS_PROFILE="work")

    assert answer.startswith("LoginExpired The AWS login ran out, or was never made")
    assert "`aws sso login --profile work`" in answer
