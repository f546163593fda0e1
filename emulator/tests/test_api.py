"""The API, revocation, metadata, hosts and faults, without HTTP."""

import json
from urllib.parse import urlencode

import pytest

from ninjaone_emulator import NinjaOne, Reply
from ninjaone_emulator.faults import KINDS, Fault
from ninjaone_emulator.hosts import BRANDED, REGIONS
from ninjaone_emulator.rejected import Rejected
from ninjaone_emulator.seed import ACCOUNTS, CUSTOMER_APPS, OPERATOR_APPS, TENANTS
from ninjaone_emulator.testing import ADA, BROKER, DEAD, EU, Client, came_back, make_ninjaone

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def api(core: NinjaOne, authorization: str = "", path: str = "/v2/organizations", query: str = "") -> Reply:
    headers = {"Authorization": authorization} if authorization else {}
    return core.respond("GET", EU, path, headers=headers, query=query)


def post_refresh(client: Client, refresh_token: str) -> Reply:
    form = client.fields | {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return client.core.respond("POST", client.host, "/ws/oauth/token", headers=FORM, body=urlencode(form).encode())


def post_revoke(client: Client, token: str, method: str = "POST") -> Reply:
    body = urlencode(client.fields | {"token": token}).encode()
    return client.core.respond(method, client.host, "/ws/oauth/revoke", headers=FORM, body=body)


def test_organizations_are_a_bare_array() -> None:
    client = Client(make_ninjaone())

    reply = client.organizations(client.connect()["access_token"])

    assert reply.status == 200
    assert reply.body.decode() == (
        '[{"id":1,"name":"Bäckerei Krüger"},{"id":2,"name":"Hafen Nord"},{"id":3,"name":"Kanzlei Voß"}]'
    )
    assert reply.header("Server") == "Grizzly"
    assert len(reply.header("x-nj-request-id") or "") == 36


@pytest.mark.parametrize(
    ("query", "ids"),
    [("pageSize=1", [1]), ("pageSize=2&after=1", [2, 3]), ("after=3", []), ("of=anything", [1, 2, 3])],
)
def test_organizations_come_in_pages_after_the_last_id(query: str, ids: list[int]) -> None:
    client = Client(make_ninjaone())
    bearer = f"Bearer {client.connect()['access_token']}"

    assert [each["id"] for each in api(client.core, bearer, query=query).json()] == ids


@pytest.mark.parametrize("query", ["pageSize=many", "after=1&after=2"])
def test_an_unreadable_page_is_refused(query: str) -> None:
    client = Client(make_ninjaone())

    assert api(client.core, f"Bearer {client.connect()['access_token']}", query=query).status == 400


ORGANIZATIONS, METADATA = "/v2/organizations", "/.well-known/oauth-authorization-server"
CAPTURED = (
    '{"issuer":"https://app.ninjarmm.com/",'
    '"authorization_endpoint":"https://app.ninjarmm.com/ws/oauth/authorize",'
    '"revocation_endpoint":"https://app.ninjarmm.com/ws/oauth/revoke",'
    '"token_endpoint":"https://app.ninjarmm.com/ws/oauth/token",'
    '"response_types_supported":["code"],'
    '"grant_types_supported":["authorization_code","client_credentials","refresh_token"],'
    '"token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],'
    '"code_challenge_methods_supported":["S256"],"scopes_supported":["monitoring"]}'
)
MISSING = '{"error":"missing_header","error_description":"Missing required header","error_code":2}'
INVALID = '{"error":"invalid_header","error_description":"Invalid \'Authorization\' header","error_code":1}'
UNKNOWN = '{"error":"not_authenticated","error_description":"Invalid credentials","error_code":10}'


@pytest.mark.parametrize(
    ("host", "path", "authorization", "status", "body"),
    [
        (EU, ORGANIZATIONS, "", 400, MISSING),
        (EU, ORGANIZATIONS, "Basic abc", 400, INVALID),
        (EU, ORGANIZATIONS, "Bearer ", 400, INVALID),
        (EU, ORGANIZATIONS, "Bearer unknown", 401, UNKNOWN),
        (REGIONS["app"], METADATA, "", 200, CAPTURED),
        (REGIONS["app"], "/app-version.txt", "", 200, "13.0.20"),
        (REGIONS["ca"], "/app-version.txt", "", 200, "13.0.10"),
        (REGIONS["fed"], "/app-version.txt", "", 200, "11.0.70"),
        (EU, "/.well-known/openid-configuration", "", 404, None),
        (EU, "/ws/oauth/revoke", "", 405, None),
        ("uk.ninjarmm.com", "/", "", 404, None),
    ],
)
def test_what_is_asked_without_a_grant_is_answered_in_these_bytes(
    host: str, path: str, authorization: str, status: int, body: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    reply = make_ninjaone().respond("GET", host, path, headers=headers)

    assert reply.status == status
    assert body is None or reply.body.decode() == body
    assert path != ORGANIZATIONS or reply.header("Server") == "Grizzly"


def test_an_access_token_ends_with_its_hour_and_counts_on_its_own_host_only() -> None:
    client = Client(make_ninjaone())
    token = client.connect()["access_token"]

    assert client.organizations(token, REGIONS["app"]).status == 401
    client.core.advance(3599)
    assert client.organizations(token).status == 200
    client.core.advance(1)
    assert client.organizations(token).status == 401


def test_the_api_answers_under_both_prefixes_and_lists_devices() -> None:
    client = Client(make_ninjaone())
    bearer = f"Bearer {client.connect()['access_token']}"

    devices = api(client.core, bearer, "/api/v2/devices").json()

    assert api(client.core, bearer, "/v2/devices").json() == devices
    assert {each["organizationId"] for each in devices} == {1, 2, 3}
    assert api(client.core, bearer, "/v2/whoami").status == 404


def test_reading_needs_monitoring_and_may_need_an_administrator() -> None:
    core = make_ninjaone(organizations_need_admin=True)
    bob = Client(core, email="bob@nordlicht.example")
    tokens = [
        Client(core).connect(scope="management offline_access")["access_token"],
        bob.connect()["access_token"],
    ]

    for token in tokens:
        reply = bob.organizations(token)
        assert (reply.status, reply.json()["error"]) == (401, "insufficient_privileges")
    assert bob.organizations(Client(core).connect()["access_token"]).status == 200
    app_itself = bob.token(grant_type="client_credentials").json()["access_token"]
    assert bob.organizations(app_itself).json() == []


def test_a_ticket_needs_a_person_and_the_management_scope() -> None:
    client = Client(make_ninjaone())
    app_itself = client.token(grant_type="client_credentials").json()["access_token"]
    tokens = [
        app_itself,
        client.connect(scope="monitoring")["access_token"],
        client.connect()["access_token"],
    ]

    replies = [
        client.core.respond("POST", EU, "/v2/ticketing/ticket", headers={"Authorization": f"Bearer {token}"})
        for token in tokens
    ]

    assert [each.status for each in replies] == [403, 401, 200]
    assert replies[0].json() == {
        "error": "user_context_required",
        "error_description": "Access key does not have user context which is required for this request",
        "error_code": 5,
    }


def test_revoking_a_refresh_token_ends_its_whole_grant() -> None:
    client = Client(make_ninjaone())
    first = client.connect()

    reply = post_revoke(client, first["refresh_token"])

    assert (reply.status, reply.body) == (200, b"")
    assert client.refresh(first["refresh_token"]).body == DEAD
    assert client.organizations(first["access_token"]).status == 401


def test_revoking_an_access_token_ends_nothing_else() -> None:
    client = Client(make_ninjaone())
    first = client.connect()

    post_revoke(client, first["access_token"])

    assert client.organizations(first["access_token"]).status == 401
    assert client.refresh(first["refresh_token"]).status == 200


def test_revoking_needs_the_client_that_holds_the_token() -> None:
    core = make_ninjaone()
    first = Client(core).connect()
    name, secret = CUSTOMER_APPS["eu"]
    other = Client(core, client_id=name, client_secret=secret)

    assert post_revoke(other, first["refresh_token"]).status == 200
    assert post_revoke(other, first["access_token"]).status == 200
    assert post_revoke(other, "unknown").status == 200
    assert post_revoke(Client(core, client_secret="wrong"), first["refresh_token"]).status == 401
    assert Client(core).refresh(first["refresh_token"]).status == 200


@pytest.mark.parametrize("status", ["404", "405"])
def test_revocation_may_not_exist(status: str) -> None:
    client = Client(make_ninjaone(revoke=status))
    first = client.connect()

    assert post_revoke(client, first["refresh_token"]).status == int(status)
    assert client.refresh(first["refresh_token"]).status == 200


@pytest.mark.parametrize(("switch", "path"), [("alias_path", "/oauth/token"), ("ws_path", "/ws/oauth/token")])
def test_either_path_can_go_away_in_146_bytes_of_html(switch: str, path: str) -> None:
    core = make_ninjaone()
    assert core.respond("POST", EU, path, headers=FORM).status == 404
    assert core.respond("POST", EU, path, headers=FORM).json()["resultCode"] == "Client app not exist"

    core.switches.update({switch: False})

    reply = core.respond("POST", EU, path, headers=FORM)
    assert (reply.status, len(reply.body), reply.header("Content-Type")) == (404, 146, "text/html")


def test_the_branded_host_shares_the_apps_and_tokens_of_its_region() -> None:
    core = make_ninjaone()
    client = Client(core, host=BRANDED, email="ada@acme.example")
    first = client.connect()

    assert client.organizations(first["access_token"], EU).json()[0]["name"] == "Roadrunner Couriers"
    client.host = EU
    assert client.refresh(first["refresh_token"]).status == 200


def test_the_branded_host_can_be_a_place_of_its_own() -> None:
    core = make_ninjaone(branded_separate=True)
    name, secret = CUSTOMER_APPS["branded"]
    own = Client(core, host=BRANDED, email="ada@acme.example", client_id=name, client_secret=secret)
    own.redirect_uri = f"{BROKER}/callback/branded"
    first = own.connect()

    assert Client(core, host=BRANDED).refresh("x").status == 404
    assert Client(core, client_id=name, client_secret=secret).refresh("x").status == 404
    assert own.organizations(first["access_token"], EU).status == 401
    assert own.organizations(first["access_token"]).status == 200


def test_hosts_can_be_added() -> None:
    core = make_ninjaone()
    core.add_host("nordlicht.rmmservice.com", alias_of=EU)

    assert "code" in came_back(Client(core, host="nordlicht.rmmservice.com").consent())


def test_the_seed_gives_every_region_people_organizations_and_the_operators_app() -> None:
    core = make_ninjaone()

    for account in ACCOUNTS:
        host = REGIONS.get(account.region, BRANDED)
        credentials = OPERATOR_APPS[{"branded": "eu"}.get(account.region, account.region)]
        client = Client(core, host=host, email=f"ada@{account.domain}")
        client.fields = credentials._asdict()
        client.redirect_uri = f"{BROKER}/callback/{account.region}"
        listed = client.organizations(client.connect()["access_token"]).json()
        assert tuple(each["name"] for each in listed) == account.organizations
        assert f"bob@{account.domain}" in core.state.people


def test_the_seed_gives_three_customers_apps_of_their_own() -> None:
    core = make_ninjaone()
    domains = {account.name: account.domain for account in ACCOUNTS}

    for region, credentials in CUSTOMER_APPS.items():
        client = Client(core, host=REGIONS.get(region, BRANDED), email=f"bob@{domains[TENANTS[region]]}")
        client.fields = credentials._asdict()
        client.redirect_uri = f"{BROKER}/callback/{region}"
        assert client.connect()["refresh_token"]


def test_credentials_have_the_lengths_that_ninjaone_gives_out_and_are_all_different() -> None:
    every = [*OPERATOR_APPS.values(), *CUSTOMER_APPS.values()]

    assert {(len(each.client_id), len(each.client_secret)) for each in every} == {(27, 52)}
    assert len(set(every)) == len({each.client_id for each in every}) == 10


@pytest.mark.parametrize(
    ("kind", "status", "processed"),
    [
        ("html_404", 404, False),
        ("html_502", 502, False),
        ("html_503", 503, False),
        ("html_200_rate_limit", 200, False),
        ("429", 429, False),
        ("429_retry_after", 429, False),
        ("500", 500, False),
        ("spurious_dead_token", 400, False),
        ("reset", 0, False),
        ("slow", 200, True),
        ("lost_response", 200, True),
        ("truncated_json", 200, True),
        ("html_502_after_commit", 502, True),
    ],
)
def test_a_fault_strikes_once_before_or_after_the_rotation(kind: str, status: int, processed: bool) -> None:
    client = Client(make_ninjaone())
    first = client.connect()["refresh_token"]
    client.core.faults.plan(Fault(kind))

    reply = post_refresh(client, first)

    live = client.core.oracle.live_refresh_token(first[:36])
    assert reply.status == status
    assert (live != first) is processed
    assert client.core.oracle.presented(first) == int(processed)
    assert post_refresh(client, live or "").status == 200


def test_every_kind_of_fault_is_tested() -> None:
    tested = test_a_fault_strikes_once_before_or_after_the_rotation
    marks = [mark for mark in tested.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined] # pytest sets it

    assert {case[0] for case in marks[0].args[1]} == set(KINDS)


def test_faults_look_as_they_do_in_the_wild() -> None:
    client = Client(make_ninjaone())

    def meet(kind: str, seconds: int = 30) -> Reply:
        client.core.faults.plan(Fault(kind, seconds=seconds))
        return post_refresh(client, client.connect()["refresh_token"])

    assert meet("html_404").body.startswith(b"<html>\r\n<head><title>404 Not Found</title>")
    assert b"currently unavailable" in meet("html_503").body
    assert b"rate limit" in meet("html_200_rate_limit").body
    assert meet("429").header("Retry-After") is None
    assert meet("429_retry_after", 7).header("Retry-After") == "7"
    assert meet("spurious_dead_token").body == DEAD
    assert meet("reset").delivery == "reset"
    assert meet("lost_response").delivery == "lost"
    assert meet("slow", 65).delay == 65
    with pytest.raises(json.JSONDecodeError):
        meet("truncated_json").json()


def test_a_fault_can_be_aimed_at_an_endpoint_and_a_host_and_stay() -> None:
    client = Client(make_ninjaone())
    token = client.connect()["access_token"]
    client.core.faults.plan(Fault("html_503", on="api", host="oc.ninjarmm.com"))
    client.core.faults.plan(Fault("html_502", on="api", host=EU, times=None))

    assert [client.organizations(token).status for _ in range(3)] == [502] * 3
    client.core.faults.clear()
    assert client.organizations(token).status == 200


def test_faults_strike_in_the_order_they_were_planned() -> None:
    client = Client(make_ninjaone())
    token = client.connect()["access_token"]
    client.core.faults.plan(Fault("500", on="api", times=2))
    client.core.faults.plan(Fault("429", on="api"))

    assert [client.organizations(token).status for _ in range(4)] == [500, 500, 429, 200]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rotation": "never"}, "rotation must be one of rotate_strict, rotate_grace, static"),
        ({"iss": "maybe"}, "iss must be one of true, false"),
        ({"iss": 1}, "iss must be one of true, false"),
        ({"code_seconds": 601}, "code_seconds must be a whole number from 0 to 600"),
        ({"code_seconds": "1.5"}, "code_seconds must be a whole number"),
        ({"code_seconds": True}, "code_seconds must be a whole number"),
        ({"unheard": 1}, "unheard is not a switch"),
    ],
)
def test_a_bad_switch_changes_nothing(changes: dict[str, object], fault: str) -> None:
    core = make_ninjaone()

    with pytest.raises(Rejected) as rejected:
        core.switches.update({"deny": "no_redirect"} | changes)

    assert fault in str(rejected.value)
    assert core.switches.deny == "access_denied"


def test_switches_read_the_text_of_forms() -> None:
    core = make_ninjaone(iss="true", code_seconds="30", rotation="rotate_grace", ws_path="false")

    assert (core.switches.iss, core.switches.code_seconds, core.switches.ws_path) == (True, 30, False)
    core.switches.reset()
    assert core.switches == type(core.switches)()


def test_administrators_are_told_what_they_misspelt() -> None:
    admin = make_ninjaone().admin

    for act in (
        lambda: admin.delete_app("nobody"),
        lambda: admin.enable_user("nobody", enabled=True),
        lambda: admin.revoke_grant("none"),
        lambda: admin.tick_scope(OPERATOR_APPS["eu"].client_id, "everything", ticked=True),
        lambda: admin.register("App", "No tenant"),
        lambda: admin.register("App", "Acme MSP", scopes=["everything"]),
        lambda: admin.register("App", "Acme MSP", grant_types=["implicit"]),
    ):
        with pytest.raises(Rejected):
            act()


def test_the_administrator_role_can_change() -> None:
    core = make_ninjaone(consent_needs_admin=True)
    core.admin.make_admin(ADA, admin=False)

    assert "error_description=Administrator" in (Client(core).consent().header("Location") or "")


def test_the_event_log_keeps_order_and_time() -> None:
    client = Client(make_ninjaone())
    client.core.advance(5)
    client.connect()

    numbers = [each.number for each in client.core.events]
    assert numbers == sorted(set(numbers))
    assert [each.name for each in client.core.events][-3:] == [
        "person.signed_in", "consent.given", "code.exchanged",
    ]  # fmt: skip
    assert client.core.events[-1].at == client.core.now()
    assert client.core.app(client.fields["client_id"]).official
