"""The browser's side: sign in, consent, deny, and the ways of never coming back."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from ninjaone_emulator import NinjaOne, Reply
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from ninjaone_emulator.testing import ADA, BROKER, CHALLENGE, EU, SCOPE, Client, came_back, make_ninjaone

NOT_FOUND = re.compile(
    rb'\{ "resultCode": "FAILURE", "errorMessage": "HTTP 404 Not Found", '
    rb'"incidentId": "WEB_MGMT_SERVICE-[0-9a-f]{32}-1700000000-[A-Z]{8}" \}'
)
AUTHORIZE = "/ws/oauth/authorize"


def visit(core: NinjaOne, query: str, cookie: str = "", host: str = EU) -> Reply:
    return core.respond("GET", host, AUTHORIZE, headers={"Cookie": cookie}, query=query)


def ends_on_error_page(reply: Reply, error: str, description: str) -> bool:
    """Follow to NinjaOne's own error page, as a browser would."""
    location = urlsplit(reply.header("Location") or "")
    shown = make_ninjaone().respond("GET", EU, location.path, query=location.query)
    assert (location.scheme, location.netloc, location.path) == ("https", EU, "/ws/oauth/error")
    assert shown.status == 404
    assert NOT_FOUND.fullmatch(shown.body)
    return parse_qs(location.query) == {"error": [error], "error_description": [description]}


def test_a_known_client_without_a_session_is_sent_to_sign_in_and_comes_back() -> None:
    client = Client(make_ninjaone())

    reply = visit(client.core, client.query())

    location = urlsplit(reply.header("Location") or "")
    assert reply.status == 302
    assert location.path == "/"
    assert parse_qs(location.query) == {"return_to": [f"{AUTHORIZE}?{client.query()}"]}


@pytest.mark.parametrize("client_id", ["nobody", OPERATOR_APPS["ca"].client_id, None])
def test_a_client_unknown_on_this_host_is_a_404_before_any_sign_in(client_id: str | None) -> None:
    client = Client(make_ninjaone())

    reply = visit(client.core, client.query(client_id=client_id))

    assert reply.status == 404
    assert NOT_FOUND.fullmatch(reply.body)


def test_a_machine_to_machine_app_and_a_deleted_one_are_a_404_too() -> None:
    core = make_ninjaone()
    machine = core.admin.register("Worker", "Nordlicht Systemhaus", platform="m2m")
    core.admin.delete_app(OPERATOR_APPS["eu"].client_id)

    for client_id in (machine.client_id, OPERATOR_APPS["eu"].client_id):
        assert visit(core, Client(core).query(client_id=client_id)).status == 404


def test_only_its_own_tenant_can_consent_to_an_ordinary_app() -> None:
    core = make_ninjaone()
    own = Client(core, client_id=CUSTOMER_APPS["eu"].client_id)

    assert "code" in came_back(own.consent())
    assert Client(core, client_id=own.fields["client_id"], email="ada@rhone.example").consent().status == 404
    assert "code" in came_back(Client(core, email="ada@rhone.example").consent())


@pytest.mark.parametrize(
    "redirect_uri",
    [f"{BROKER}/callback/eu/", f"{BROKER}/callback/EU", "http://localhost:8000/callback/eu", None],
)
def test_a_redirect_uri_must_match_exactly_or_the_person_never_comes_back(redirect_uri: str | None) -> None:
    client = Client(make_ninjaone())

    reply = client.consent(redirect_uri=redirect_uri)

    assert reply.header("Location") == (
        f"https://{EU}/ws/oauth/error?error=unauthorized_client&error_description=Invalid+redirect_uri"
    )
    assert ends_on_error_page(reply, "unauthorized_client", "Invalid redirect_uri")


def test_the_redirect_uri_is_looked_at_only_after_sign_in() -> None:
    client = Client(make_ninjaone())

    reply = visit(client.core, client.query(redirect_uri="https://elsewhere.example/"))

    assert "return_to=" in (reply.header("Location") or "")


def test_a_new_redirect_uri_may_need_its_time() -> None:
    client = Client(make_ninjaone(redirect_delay_seconds=3600))
    client.redirect_uri = f"{BROKER}/callback/new"
    client.core.admin.add_redirect(client.fields["client_id"], client.redirect_uri)

    assert ends_on_error_page(client.consent(), "unauthorized_client", "Invalid redirect_uri")
    client.core.advance(3600)
    assert "code" in came_back(client.consent())


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"response_type": "token"}, "unsupported_response_type", "Invalid response type"),
        ({"response_type": None}, "unsupported_response_type", "Invalid response type"),
        ({"state": "s" * 2049}, "invalid_request", "Invalid state"),
        ({"code_challenge": CHALLENGE}, "invalid_request", "Invalid code challenge"),
        (
            {"code_challenge": CHALLENGE, "code_challenge_method": "plain"},
            "invalid_request",
            "Invalid code challenge",
        ),
        ({"scope": None}, "invalid_scope", "Invalid scope"),
        ({"scope": "monitoring everything"}, "invalid_scope", "Invalid scope everything for client"),
    ],
)
def test_other_faults_end_on_ninjaones_error_page(changes: dict[str, str | None], error: str, description: str) -> None:
    assert ends_on_error_page(Client(make_ninjaone()).consent(**changes), error, description)


def test_a_repeated_parameter_ends_there_too() -> None:
    client = Client(make_ninjaone())

    reply = visit(client.core, client.query() + "&state=again")

    assert ends_on_error_page(reply, "invalid_request", "A parameter was repeated")


def test_an_app_without_the_code_box_ends_there_too() -> None:
    client = Client(make_ninjaone())
    client.core.admin.tick_grant_type(client.fields["client_id"], "authorization_code", ticked=False)

    assert ends_on_error_page(client.consent(), "unauthorized_client", "Invalid grant type")


def test_a_scope_the_app_lacks_may_return_to_the_product_instead() -> None:
    client = Client(make_ninjaone(invalid_scope_at_authorize="redirect"))
    client.core.admin.tick_scope(client.fields["client_id"], "control", ticked=False)

    assert came_back(client.consent(scope="control monitoring")) == {
        "error": "invalid_scope",
        "error_description": "Invalid scope control for client",
        "state": "st-1",
    }


@pytest.mark.parametrize(("pkce", "accepted"), [("enforce", True), ("ignore", True), ("reject", False)])
def test_a_host_may_refuse_challenges(pkce: str, accepted: bool) -> None:
    client = Client(make_ninjaone(pkce=pkce))

    reply = client.consent(code_challenge=CHALLENGE, code_challenge_method="S256")

    assert (reply.header("Location") or "").startswith(BROKER) is accepted


def test_a_public_app_must_send_a_challenge() -> None:
    core = make_ninjaone(pkce="reject")
    app = core.admin.register("Page", "Nordlicht Systemhaus", platform="spa", redirects=[f"{BROKER}/callback/spa"])
    client = Client(core, client_id=app.client_id)
    client.redirect_uri = f"{BROKER}/callback/spa"

    assert ends_on_error_page(client.consent(), "invalid_request", "Invalid code challenge")
    assert "code" in came_back(client.consent(code_challenge=CHALLENGE, code_challenge_method="S256"))


def test_consent_may_be_for_administrators_only() -> None:
    core = make_ninjaone(consent_needs_admin=True)

    refused = Client(core, email="bob@nordlicht.example").consent()

    assert ends_on_error_page(refused, "access_denied", "Administrator required")
    assert "code" in came_back(Client(core).consent())


def test_consent_comes_back_with_the_code_and_the_state_alone() -> None:
    returned = came_back(Client(make_ninjaone()).consent(state="a.b-c_d~e"))

    assert returned.keys() == {"code", "state"}
    assert returned["state"] == "a.b-c_d~e"


def test_a_state_is_optional_and_may_be_2_kb() -> None:
    assert came_back(Client(make_ninjaone()).consent(state=None)).keys() == {"code"}
    assert came_back(Client(make_ninjaone()).consent(state="s" * 2048))["state"] == "s" * 2048


def test_the_answer_is_added_to_a_redirect_uri_that_has_a_query() -> None:
    client = Client(make_ninjaone())
    client.redirect_uri = f"{BROKER}/callback/eu?kept=1"
    client.core.admin.add_redirect(client.fields["client_id"], client.redirect_uri)

    assert came_back(client.consent()).keys() == {"kept", "code", "state"}


def test_the_issuer_is_named_when_the_switch_says_so() -> None:
    client = Client(make_ninjaone(iss=True))

    assert came_back(client.consent())["iss"] == f"https://{EU}/"
    assert came_back(client.consent("deny"))["iss"] == f"https://{EU}/"


def test_deny_comes_back_with_access_denied_and_the_state() -> None:
    client = Client(make_ninjaone())

    assert came_back(client.consent("deny")) == {"error": "access_denied", "state": "st-1"}
    assert client.core.oracle.grants() == []


def test_deny_may_never_come_back() -> None:
    reply = Client(make_ninjaone(deny="no_redirect")).consent("deny")

    assert reply.status == 200
    assert reply.header("Location") is None
    assert b"Access denied" in reply.body


def test_the_consent_page_names_the_app_the_person_and_every_permission() -> None:
    client = Client(make_ninjaone())

    page = visit(client.core, client.query(scope=f"{SCOPE} control"), client.core.sign_in(ADA)).body.decode()

    for text in (
        "Tidewater is requesting the following permission(s)",
        f"<strong>{ADA}</strong>",
        "PERMISSIONS",
        "<strong>Management</strong>",
        "<strong>Monitoring</strong>",
        "<strong>Control</strong>",
        "<strong>Offline Access</strong>",
        "Remember my decision",
        ">Authorize</button>",
        ">Deny access</button>",
    ):
        assert text in page
    assert client.core.oracle.grants() == []


def test_a_posted_form_without_a_decision_asks_again() -> None:
    reply = Client(make_ninjaone()).consent("perhaps")

    assert b"Deny access" in reply.body


def test_a_remembered_decision_is_not_asked_for_again_unless_more_is_wanted() -> None:
    client = Client(make_ninjaone())
    cookie = client.core.sign_in(ADA)
    client.core.consent(EU, ADA, client.query(), remember=True)

    assert "code" in came_back(visit(client.core, client.query(scope="monitoring"), cookie))
    assert b"Deny access" in visit(client.core, client.query(scope="monitoring control"), cookie).body
    assert b"Deny access" in visit(client.core, client.query(), client.core.sign_in("bob@nordlicht.example")).body


def test_signing_in_takes_any_known_person_and_any_password() -> None:
    client = Client(make_ninjaone())
    target = f"{AUTHORIZE}?{client.query()}"
    form = f"email=%20Ada@nordlicht.example&password=x&return_to={quote(target, safe='')}".encode()

    reply = client.core.respond("POST", EU, "/", body=form)

    cookie = (reply.header("Set-Cookie") or "").split(";")
    assert reply.header("Location") == f"https://{EU}{target}"
    assert cookie[1:] == [" Path=/", " HttpOnly", " SameSite=Lax"]
    assert b"Deny access" in visit(client.core, client.query(), cookie[0]).body


@pytest.mark.parametrize("email", ["nobody@nordlicht.example", "ada@northwind.example", ""])
def test_strangers_and_people_of_other_hosts_cannot_sign_in(email: str) -> None:
    reply = make_ninjaone().respond("POST", EU, "/", body=f"email={email}".encode())

    assert reply.status == 401
    assert reply.header("Set-Cookie") is None
    assert b"Nobody here has that email." in reply.body


def test_a_disabled_person_cannot_sign_in_and_loses_the_session() -> None:
    client = Client(make_ninjaone())
    cookie = client.core.sign_in(ADA)
    client.core.admin.enable_user(ADA, enabled=False)

    assert "return_to=" in (visit(client.core, client.query(), cookie).header("Location") or "")
    assert client.core.respond("POST", EU, "/", body=f"email={ADA}".encode()).status == 401


def test_signing_in_without_a_destination_just_says_so() -> None:
    core = make_ninjaone()
    bodies = [
        b"email=ada%40nordlicht.example",
        b"email=ada%40nordlicht.example&return_to=//elsewhere.example",
    ]

    plain, foreign = (core.respond("POST", EU, "/", body=each) for each in bodies)

    assert b"You are signed in" in plain.body
    assert foreign.header("Location") == f"https://{EU}//elsewhere.example"


def test_the_sign_in_page_lists_who_can_sign_in_and_escapes_what_it_is_given() -> None:
    page = make_ninjaone().respond("GET", EU, "/", query="return_to=/%22%3E%3Cscript%3E")

    assert page.status == 200
    assert b"ada@nordlicht.example" in page.body
    assert b"ada@northwind.example" not in page.body
    assert b"<script>" not in page.body


def test_a_repeated_field_at_sign_in_is_refused() -> None:
    assert make_ninjaone().respond("GET", EU, "/", query="return_to=/a&return_to=/b").status == 400


def test_another_account_can_be_used() -> None:
    client = Client(make_ninjaone())
    cookie = client.core.sign_in(ADA)
    page = visit(client.core, client.query(), cookie).body.decode()
    leave = urlsplit(re.findall(r'<a [^>]*href="([^"]+)"', page)[0].replace("&amp;", "&"))

    reply = client.core.respond("GET", EU, leave.path, query=leave.query, headers={"Cookie": cookie})

    assert parse_qs(urlsplit(reply.header("Location") or "").query)["return_to"] == [f"{AUTHORIZE}?{client.query()}"]
    assert "return_to=" in (visit(client.core, client.query(), cookie).header("Location") or "")


def test_the_alias_carries_the_whole_journey_when_it_is_the_only_path() -> None:
    client = Client(make_ninjaone(ws_path=False))
    cookie = {"Cookie": client.core.sign_in(ADA)}

    def alias(method: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        return client.core.respond(method, EU, "/oauth/authorize", headers=headers, query=client.query(), body=body)

    to_sign_in = parse_qs(urlsplit(alias("GET", {}).header("Location") or "").query)
    assert to_sign_in == {"return_to": [f"/oauth/authorize?{client.query()}"]}
    assert f'action="https://{EU}/oauth/authorize?'.encode() in alias("GET", cookie).body
    assert "code" in came_back(alias("POST", cookie, b"decision=authorize"))
    assert client.core.respond("GET", EU, "/oauth/nothing").status == 404
