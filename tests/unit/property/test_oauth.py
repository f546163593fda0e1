"""Whatever is sent can be read back, and nothing else is accepted."""

import string
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import oauth
from broker.model import Client
from broker.oauth import Authorized, Denied, Malformed
from broker.secret import Secret
from tools.requirements import req

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
STATES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=128)
CODES = st.text(VISIBLE, min_size=1, max_size=200)
ERRORS = st.text("".join(set(VISIBLE) - set('"\\')) + " ", min_size=1, max_size=64)
ISSUERS = st.none() | st.text(max_size=80)
TEXTS = st.text(min_size=1, max_size=80)
SECRETS = TEXTS.map(Secret)


def query(**parameters: str | None) -> str:
    return urlencode({name: value for name, value in parameters.items() if value is not None})


@given(STATES, CODES, ISSUERS)
def test_every_code_that_may_be_sent_is_read_as_it_was_sent(state: str, code: str, issuer: str | None) -> None:
    assert oauth.authorization_reply(query(state=state, code=code, iss=issuer)) == Authorized(
        state, Secret(code), issuer
    )


@given(STATES, ERRORS, ISSUERS)
def test_every_error_that_may_be_sent_is_read_as_it_was_sent(state: str, error: str, issuer: str | None) -> None:
    assert oauth.authorization_reply(query(state=state, error=error, iss=issuer)) == Denied(state, error, issuer)


@req("C01", "C10")
@given(st.text(max_size=300) | st.text("codestaterr=&%+.-_,;#0aF", max_size=80))
def test_any_query_is_a_reply_or_malformed(raw: str) -> None:
    try:
        reply = oauth.authorization_reply(raw)
    except Malformed:
        return

    assert set(reply.state) <= set(string.ascii_letters + string.digits + "._-")
    if isinstance(reply, Authorized):
        assert set(reply.code.reveal()) <= set(VISIBLE)
    else:
        assert set(reply.error) <= set(VISIBLE + " ") - set('"\\')


@req("C01")
@given(STATES, st.lists(CODES, min_size=2, max_size=4))
def test_a_code_given_more_than_once_is_never_read(state: str, codes: list[str]) -> None:
    raw = urlencode([("state", state), *(("code", code) for code in codes)])

    with pytest.raises(Malformed, match="repeated"):
        oauth.authorization_reply(raw)


@req("E03")
@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_no_value_escapes_from_its_parameter_of_the_authorization_address(
    client_id: str, redirect_uri: str, scope: str, state: str, challenge: str
) -> None:
    address = oauth.authorization_url(
        "https://eu.ninjarmm.com/ws/oauth/authorize",
        client_id=client_id,
        redirect_uri=redirect_uri,
        scope=scope,
        state=state,
        code_challenge=challenge,
    )

    assert address.isascii()
    assert not {"\r", "\n", " ", "#"} & set(address)
    assert parse_qs(urlsplit(address).query, keep_blank_values=True) == {
        "response_type": ["code"],
        "client_id": [client_id],
        "redirect_uri": [redirect_uri],
        "scope": [scope],
        "state": [state],
        "code_challenge": [challenge],
        "code_challenge_method": ["S256"],
    }


@given(TEXTS, SECRETS, SECRETS, SECRETS)
def test_a_form_carries_each_value_as_it_is(client_id: str, secret: Secret, code: Secret, verifier: Secret) -> None:
    client = Client(client_id, secret)

    form = oauth.code_grant(client, code=code, redirect_uri="https://x", code_verifier=verifier)

    assert Secret(form["code"]) == code
    assert Secret(form["code_verifier"]) == verifier
    assert Secret(form["client_secret"]) == secret
    assert Secret(oauth.refresh_grant(client, code)["refresh_token"]) == code
    assert Secret(oauth.revocation(client, code)["token"]) == code


@given(st.binary(max_size=400))
def test_any_bytes_are_a_json_object_or_none(body: bytes) -> None:
    found = oauth.json_object(body)

    assert found is None or isinstance(found, dict)


@given(st.text(string.ascii_letters + string.digits + "-._~", min_size=43, max_size=128))
def test_a_challenge_is_43_characters_whatever_the_verifier(verifier: str) -> None:
    challenge = oauth.challenge(Secret(verifier))

    assert len(challenge) == 43
    assert set(challenge) <= set(string.ascii_letters + string.digits + "-_")
