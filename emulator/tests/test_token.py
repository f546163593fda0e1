"""The token endpoint: who is asking, what a code gives, and every body byte for byte."""

import re
from base64 import b64encode
from urllib.parse import urlencode

import pytest

from ninjaone_emulator import NinjaOne, Reply
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from ninjaone_emulator.testing import ADA, BROKER, CHALLENGE, DEAD, EU, SCOPE, START, VERIFIER, Client, make_ninjaone

UNKNOWN_CLIENT = re.compile(
    rb'\{"resultCode":"Client app not exist",'
    rb'"incidentId":"WEB_MGMT_SERVICE-[0-9a-f]{32}-1700000000-[A-Z]{8}"\}'
)
HEADERS = {
    "Server": "nginx",
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding",
}


def post(core: NinjaOne, body: str, **headers: str) -> Reply:
    sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    return core.respond("POST", EU, "/ws/oauth/token", headers=sent, body=body.encode())


def test_a_code_gives_an_access_token_and_a_refresh_token_in_compact_json() -> None:
    client = Client(make_ninjaone())

    reply = client.exchange(client.code())

    fields = reply.json()
    assert reply.status == 200
    assert dict(reply.headers) == HEADERS
    assert list(fields) == ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    assert (fields["expires_in"], fields["scope"], fields["token_type"]) == (3600, SCOPE, "Bearer")
    assert b" " not in reply.body.replace(SCOPE.encode(), b"")


def test_code_and_refresh_token_begin_with_the_uuid_of_their_grant() -> None:
    client = Client(make_ninjaone())
    code = client.code()

    refresh_token = client.exchange(code).json()["refresh_token"]

    assert re.fullmatch(r"[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}", refresh_token)
    assert len(refresh_token) == 80
    assert refresh_token[:36] == code[:36]


def test_a_dead_refresh_token_is_25_bytes_without_a_description() -> None:
    reply = Client(make_ninjaone()).refresh("no-such-token")

    assert (reply.status, reply.body, len(reply.body)) == (400, DEAD, 25)
    assert dict(reply.headers) == HEADERS


@pytest.mark.parametrize("name", ["invalid_token", "invalid_grant", "expired_token"])
def test_the_name_of_a_dead_token_is_a_switch(name: str) -> None:
    core = make_ninjaone(dead_refresh_error=name, dead_code_error=name)

    assert Client(core).refresh("x").body == f'{{"error":"{name}"}}'.encode()
    assert Client(core).exchange("x").body == f'{{"error":"{name}"}}'.encode()


def test_an_unknown_client_is_a_404_with_an_incident() -> None:
    reply = Client(make_ninjaone(), client_id="nobody").refresh("x")

    assert reply.status == 404
    assert UNKNOWN_CLIENT.fullmatch(reply.body)
    assert dict(reply.headers) == HEADERS


def test_a_client_of_another_region_does_not_exist_here() -> None:
    core = make_ninjaone()
    home = Client(core).connect()

    reply = Client(core, host="app.ninjarmm.com").refresh(home["refresh_token"])

    assert UNKNOWN_CLIENT.fullmatch(reply.body)
    assert core.oracle.presented(home["refresh_token"]) == 0


@pytest.mark.parametrize(("switch", "status"), [("invalid_client_401", 401), ("invalid_client_400", 400)])
def test_a_wrong_secret_spends_nothing(switch: str, status: int) -> None:
    client = Client(make_ninjaone(wrong_secret=switch))
    held = client.connect()["refresh_token"]

    reply = client.refresh(held, client_secret="wrong")

    assert (reply.status, reply.body) == (status, b'{"error":"invalid_client"}')
    assert client.core.oracle.presented(held) == 0
    assert client.refresh(held).status == 200


def test_http_basic_identifies_a_client_too() -> None:
    core = make_ninjaone()
    refresh_token = Client(core).connect()["refresh_token"]
    basic = b64encode(":".join(OPERATOR_APPS["eu"]).encode()).decode()
    form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})

    assert post(core, form, Authorization=f"Basic {basic}").status == 200
    assert post(core, form, Authorization="Basic *").body == b'{"error":"invalid_client"}'


def test_a_json_body_is_not_read() -> None:
    reply = post(make_ninjaone(), "{}", **{"Content-Type": "application/json"})

    assert reply.status == 400
    assert reply.json()["error"] == "invalid_request"


def test_a_repeated_parameter_is_refused() -> None:
    assert post(make_ninjaone(), "client_id=a&client_id=b").json()["error"] == "invalid_request"


def test_only_post_reaches_the_token_endpoint() -> None:
    reply = make_ninjaone().respond("GET", EU, "/ws/oauth/token")

    assert reply.status == 405
    assert reply.body.startswith(
        b'{ "resultCode": "FAILURE", "errorMessage": "HTTP 405 Method Not Allowed", "incidentId": "WEB_MGMT'
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [({}, "invalid_request"), ({"grant_type": "password"}, "unsupported_grant_type")],
)
def test_other_grant_types_are_refused(fields: dict[str, str], error: str) -> None:
    assert Client(make_ninjaone()).token(**fields).body == f'{{"error":"{error}"}}'.encode()


def test_a_code_works_once() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    first = client.exchange(code).json()

    assert client.exchange(code).body == DEAD
    assert client.core.oracle.live_refresh_token(code[:36]) == first["refresh_token"]


def test_a_reused_code_can_cost_the_grant() -> None:
    client = Client(make_ninjaone(reused_code_kills_grant=True))
    code = client.code()
    client.exchange(code)

    client.exchange(code)

    assert client.core.oracle.revoked(code[:36]) == "code reused"


@pytest.mark.parametrize(("seconds", "status"), [(59, 200), (60, 400)])
def test_a_code_lives_60_seconds(seconds: int, status: int) -> None:
    client = Client(make_ninjaone())
    code = client.code()

    client.core.advance(seconds)

    assert client.exchange(code).status == status


def test_a_code_is_bound_to_its_redirect_uri_and_a_wrong_try_spends_it() -> None:
    client = Client(make_ninjaone())
    code = client.code()

    assert client.exchange(code, redirect_uri=f"{BROKER}/callback/eu/").body == DEAD
    assert client.exchange(code).body == DEAD


def test_a_code_is_bound_to_its_client_and_survives_the_try_of_another() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    name, secret = CUSTOMER_APPS["eu"]

    assert client.exchange(code, client_id=name, client_secret=secret).body == DEAD
    assert client.exchange(code).status == 200


def test_a_code_dies_with_its_grant() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    client.core.admin.revoke_grant(code[:36])

    assert client.exchange(code).body == DEAD


@pytest.mark.parametrize(
    ("pkce", "verifier", "status"),
    [("enforce", VERIFIER, 200), ("enforce", "wrong", 400), ("enforce", "", 400), ("ignore", "wrong", 200)],
)
def test_the_verifier_is_checked_when_a_challenge_was_sent(pkce: str, verifier: str, status: int) -> None:
    client = Client(make_ninjaone(pkce=pkce))
    code = client.code(code_challenge=CHALLENGE, code_challenge_method="S256")

    assert client.exchange(code, code_verifier=verifier).status == status


def test_public_apps_need_no_secret_but_always_the_verifier() -> None:
    core = make_ninjaone(pkce="ignore")
    app = core.admin.register("Desktop", "Nordlicht Systemhaus", platform="native", redirects=["http://127.0.0.1"])
    client = Client(core, client_id=app.client_id, client_secret="")
    client.redirect_uri = "http://127.0.0.1:49152"
    challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}

    def code() -> str:
        location = client.consent(**challenge).header("Location") or ""
        assert location.startswith("http://127.0.0.1:49152?code=")
        return location.split("code=")[1].split("&")[0]

    assert client.exchange(code(), code_verifier="wrong").body == DEAD
    first = client.exchange(code(), code_verifier=VERIFIER).json()
    assert client.refresh(first["refresh_token"]).status == 200
    assert client.token(grant_type="client_credentials").json()["error"] == "unauthorized_client"


def test_a_refresh_token_needs_offline_access() -> None:
    assert "refresh_token" not in Client(make_ninjaone()).connect(scope="monitoring")


def test_a_refresh_token_needs_the_box() -> None:
    client = Client(make_ninjaone())
    client.core.admin.tick_grant_type(client.fields["client_id"], "refresh_token", ticked=False)

    assert "refresh_token" not in client.connect()


def test_an_app_without_the_code_box_exchanges_nothing() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    client.core.admin.tick_grant_type(client.fields["client_id"], "authorization_code", ticked=False)

    reply = client.exchange(code)

    assert reply.body == b'{"error":"unauthorized_client","error_description":"Invalid grant type"}'


def test_expires_in_may_be_absent_and_may_be_short() -> None:
    assert "expires_in" not in Client(make_ninjaone(expires_in="omit")).connect()
    assert Client(make_ninjaone(access_token_seconds=60)).connect()["expires_in"] == 60


def test_client_credentials_without_scope_get_all_scopes_and_no_refresh_token() -> None:
    reply = Client(make_ninjaone()).token(grant_type="client_credentials")

    fields = reply.json()
    assert list(fields) == ["access_token", "expires_in", "scope", "token_type"]
    assert fields["scope"] == "control management monitoring"


def test_client_credentials_are_refused_a_scope_the_app_lacks() -> None:
    client = Client(make_ninjaone())
    client.core.admin.tick_scope(client.fields["client_id"], "control", ticked=False)

    reply = client.token(grant_type="client_credentials", scope="monitoring control")

    assert reply.status == 400
    assert reply.body == b'{"error":"invalid_scope","error_description":"Invalid scope control for client"}'


def test_client_credentials_need_their_box() -> None:
    client = Client(make_ninjaone())
    client.core.admin.tick_grant_type(client.fields["client_id"], "client_credentials", ticked=False)

    assert client.token(grant_type="client_credentials").json()["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("rule", "region", "status"),
    [
        ("by_region", "eu", 400),
        ("by_region", "ca", 200),
        ("tolerate", "eu", 200),
        ("reject", "ca", 400),
    ],
)
def test_offline_access_with_client_credentials_differs_by_region(rule: str, region: str, status: int) -> None:
    name, secret = OPERATOR_APPS[region]
    client = Client(
        make_ninjaone(offline_client_credentials=rule),
        host=f"{region}.ninjarmm.com",
        client_id=name,
        client_secret=secret,
    )

    reply = client.token(grant_type="client_credentials", scope="monitoring offline_access")

    assert reply.status == status
    assert "refresh_token" not in reply.json()


def test_the_answers_say_why_only_in_the_events() -> None:
    client = Client(make_ninjaone())

    client.refresh("x")

    last = client.core.events[-1]
    assert (last.name, last.at) == ("request.refused", START)
    assert last.fields == {"host": EU, "error": "invalid_token", "why": "unknown refresh token"}


def test_no_event_carries_a_token_a_code_or_a_secret() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    first = client.exchange(code).json()
    second = client.refresh(first["refresh_token"]).json()
    secrets = {code, *client.fields.values(), *first.values(), *second.values()} - {
        client.fields["client_id"], 3600, SCOPE, "Bearer",
    }  # fmt: skip

    told = repr(client.core.events)

    assert ADA in told
    assert not [each for each in secrets if str(each) in told]
