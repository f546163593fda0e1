"""OAuth messages as values: what is sent, to the letter, and what is accepted."""

from urllib.parse import parse_qs, urlsplit

import pytest

from broker import oauth
from broker.model import Client
from broker.oauth import Authorized, Denied, Malformed
from broker.secret import Secret
from tools.requirements import req

CLIENT = Client("client-1", Secret("client secret"))


@req("A04")
def test_the_challenge_is_that_of_rfc_7636_appendix_b() -> None:
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert oauth.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_base64url_is_that_of_rfc_7636_appendix_a() -> None:
    assert oauth.b64url(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"


@req("A01", "A04", "A08")
def test_the_authorization_address_asks_for_a_code_with_s256_and_nothing_secret() -> None:
    address = oauth.authorization_url(
        "https://eu.ninjarmm.com/ws/oauth/authorize",
        client_id="client-1",
        redirect_uri="https://connect.example/callback/eu",
        scope="monitoring offline_access",
        state="ses_x.state",
        code_challenge="challenge",
    )

    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://eu.ninjarmm.com/ws/oauth/authorize"
    assert parse_qs(parts.query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["client-1"],
        "redirect_uri": ["https://connect.example/callback/eu"],
        "scope": ["monitoring offline_access"],
        "state": ["ses_x.state"],
        "code_challenge": ["challenge"],
        "code_challenge_method": ["S256"],
    }


def test_a_code_is_exchanged_with_redirect_uri_verifier_and_the_client_in_the_body() -> None:
    form = oauth.code_grant(
        CLIENT, code=Secret("code"), redirect_uri="https://x/callback/eu", code_verifier=Secret("v")
    )

    assert form == {
        "grant_type": "authorization_code",
        "code": "code",
        "redirect_uri": "https://x/callback/eu",
        "code_verifier": "v",
        "client_id": "client-1",
        "client_secret": "client secret",
    }


@req("I04")
def test_a_refresh_asks_for_no_scope() -> None:
    assert oauth.refresh_grant(CLIENT, Secret("token")) == {
        "grant_type": "refresh_token",
        "refresh_token": "token",
        "client_id": "client-1",
        "client_secret": "client secret",
    }


def test_a_revocation_hints_at_the_refresh_token() -> None:
    assert oauth.revocation(CLIENT, Secret("token")) == {
        "token": "token",
        "token_type_hint": "refresh_token",
        "client_id": "client-1",
        "client_secret": "client secret",
    }


def test_a_code_comes_back_with_its_state() -> None:
    assert oauth.authorization_reply("code=abc&state=s-1&session_state=x") == Authorized("s-1", Secret("abc"), None)


@pytest.mark.parametrize(
    "foreign",
    [
        "utm_x=%FC",
        "%FC=1",
        "error_description=Acc%E8s%20refus%E9",
        "error_uri=%00",
        "x=1&x=2&x=3",
        "&".join(f"extra{number}={number}" for number in range(200)),
        "&&",
        "=",
        "flag",
    ],
)
@pytest.mark.parametrize("own", ["code=abc&state=s-1", "error=access_denied&state=s-1"])
def test_what_is_not_ours_is_ignored_whatever_it_holds(own: str, foreign: str) -> None:
    """RFC 6749 §4.1.2: the client must ignore unrecognized response parameters."""
    assert oauth.authorization_reply(f"{foreign}&{own}") == oauth.authorization_reply(own)
    assert oauth.authorization_reply(f"{own}&{foreign}") == oauth.authorization_reply(own)


def test_a_refusal_comes_back_with_its_state() -> None:
    reply = oauth.authorization_reply("error=access_denied&error_description=No%0D%0A&state=s-1")

    assert reply == Denied("s-1", "access_denied", None)


def test_an_issuer_is_read_from_both() -> None:
    issuer = "https%3A%2F%2Feu.ninjarmm.com%2F"

    assert oauth.authorization_reply(f"code=a&state=s&iss={issuer}").issuer == "https://eu.ninjarmm.com/"
    assert oauth.authorization_reply(f"error=a&state=s&iss={issuer}").issuer == "https://eu.ninjarmm.com/"


@req("C01", "C07", "C10")
@pytest.mark.parametrize(
    ("query", "fault"),
    [
        pytest.param("", "state", id="nothing"),
        pytest.param("code=a", "state", id="no state"),
        pytest.param("code=a&state=", "state", id="empty state"),
        pytest.param("code=a&state=s%0Aset-cookie", "state", id="state with a line break"),
        pytest.param("code=a&state=" + "s" * 129, "state", id="state too long"),
        pytest.param("code=a&state=%C3%A4", "state", id="state beyond ascii"),
        pytest.param("code=a&state=s,t", "state", id="two states joined by a comma"),
        pytest.param("state=s", "exactly one", id="neither code nor error"),
        pytest.param("state=s&code=a&error=b", "exactly one", id="both code and error"),
        pytest.param("state=s&code=", "exactly one", id="empty code"),
        pytest.param("state=s&code=a+b", "code is malformed", id="code with a space"),
        pytest.param("state=s&code=%00", "code is malformed", id="code with a zero byte"),
        pytest.param("state=s&code=%E2%80%AE", "code is malformed", id="code beyond ascii"),
        pytest.param("state=s&code=" + "c" * 2049, "code is malformed", id="code too long"),
        pytest.param("state=s&error=", "exactly one", id="empty error"),
        pytest.param("state=s&code=a&code=a", "repeated", id="code twice"),
        pytest.param("state=s&state=s&code=a", "repeated", id="state twice"),
        pytest.param("state=s&error=a&error=b", "repeated", id="error twice"),
        pytest.param("state=s&code=a&iss=x&iss=x", "repeated", id="issuer twice"),
        pytest.param("state=s&code=%FF", "code is malformed", id="code that is no utf-8"),
        pytest.param("state=%FF&code=a", "state", id="state that is no utf-8"),
    ],
)
def test_a_reply_that_breaks_its_rfc_is_malformed(query: str, fault: str) -> None:
    with pytest.raises(Malformed, match=fault) as malformed:
        oauth.authorization_reply(query)

    assert malformed.value.__cause__ is None


@pytest.mark.parametrize("error", ["a%22b", "a%5Cb", "a%0D%0Ab", "Acc%E8s", "e" * 65, "refus\u00e9"])
def test_a_refusal_in_other_words_than_its_rfc_s_is_a_refusal(error: str) -> None:
    """The product has to hear of it; what it says is not passed on."""
    assert oauth.authorization_reply(f"state=s&error={error}") == Denied("s", "", None)


@pytest.mark.parametrize("empty", ["error=", "code="])
def test_a_parameter_without_a_value_counts_as_left_out(empty: str) -> None:
    """RFC 6749 §3.1."""
    assert oauth.authorization_reply(f"{empty}&state=s&code=a") == Authorized("s", Secret("a"), None)
    assert oauth.authorization_reply(f"state=s&code=a&{empty}") == Authorized("s", Secret("a"), None)


def test_a_code_with_commas_is_one_code() -> None:
    reply = oauth.authorization_reply("state=s&code=a,b")

    assert isinstance(reply, Authorized)
    assert reply.code.reveal() == "a,b"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a": 1} ',
        b'{"a": {"b": []}}',
        b'\xef\xbb\xbf{"a": 1}\x00\x00',
        b'\xc2\xa0{"a": 1}',
        b'{"a": "x\ny"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=lambda body: f"{len(body)} bytes {body[:12]!r}",
)
def test_a_json_object_is_read(body: bytes) -> None:
    assert isinstance(oauth.json_object(body), dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"<html></html>",
        b'{"access_token": "a',
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"a": 1} {"a": 2}',
        b'{"a": "' + b"x" * oauth.BODY_LIMIT + b'"}',
    ],
    ids=lambda body: f"{len(body)} bytes {body[:12]!r}",
)
def test_anything_else_is_no_json_object(body: bytes) -> None:
    assert oauth.json_object(body) is None


def test_a_body_of_exactly_the_limit_is_read() -> None:
    body = b'{"a": "' + b"x" * (oauth.BODY_LIMIT - 9) + b'"}'

    assert len(body) == oauth.BODY_LIMIT
    assert oauth.json_object(body) is not None
