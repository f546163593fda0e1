"""NinjaOne as it is: which hosts there are, and what each of its answers means."""

import json

import pytest

from broker import ninjaone
from broker.model import Host, Instant
from broker.ninjaone import Meaning, classify
from broker.oauth import BODY_LIMIT, NoReply, NotSent, Reply
from tools.requirements import req

SUFFIXES = ("rmmservice.com", "rmmservice.eu")
SENT = Instant(1_800_000_000)
GRANTED = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt", "scope": "a b"}
HTML = b"<html><body>503</body></html>"

HOST_TRICKS = [
    "",
    " ",
    ".",
    "eu",
    "ninjarmm.com",
    "www.ninjarmm.com",
    "EU.ninjarmm.com",
    "eu.NINJARMM.com",
    "eu.ninjarmm.com.",
    ".eu.ninjarmm.com",
    "eu..ninjarmm.com",
    "eu.ninjarmm.com:443",
    "eu.ninjarmm.com:8443",
    "eu.ninjarmm.com@evil.example",
    "evil.example@eu.ninjarmm.com",
    "eu.ninjarmm.com#evil.example",
    "eu.ninjarmm.com/evil",
    "eu.ninjarmm.com?x",
    "eu.ninjarmm.com\\evil.example",
    "eu.ninjarmm.com.evil.example",
    "evil-eu.ninjarmm.com",
    "https://eu.ninjarmm.com",
    "//eu.ninjarmm.com",
    "eu.ninjarmm.com\r\nHost: evil.example",
    "eu.ninjarmm.com\n",
    "eu.ninjarmm.com\x00",
    "eu.ninjarmm.com ",
    "eu%2eninjarmm.com",
    "eu\u3002ninjarmm.com",
    "eu\uff0eninjarmm\uff0ecom",
    "eu\uff61ninjarmm.com",
    "\uff45\uff55.ninjarmm.com",
    "\u0435u.ninjarmm.com",  # a Cyrillic letter that looks like e
    "127.0.0.1",
    "[::1]",
    "169.254.169.254",
    "localhost",
    "rmmservice.eu",
    ".rmmservice.eu",
    "acme.rmmservice.eu.",
    "Acme.rmmservice.eu",
    "acme.RMMSERVICE.eu",
    "acme.rmmservice.eu:443",
    "a.b.rmmservice.eu",
    "-acme.rmmservice.eu",
    "acme-.rmmservice.eu",
    "ac_me.rmmservice.eu",
    "ac me.rmmservice.eu",
    "acme\n.rmmservice.eu",
    "acme.rmmservice.eu\n",
    "evil@acme.rmmservice.eu",
    "xn--\u00e4.rmmservice.eu",
    "a" * 64 + ".rmmservice.eu",
    "acme.rmmservice.ca",
    "acme.evil.example",
    "acme.rmmservice.eu.evil.example",
]


@req("A09")
@pytest.mark.parametrize("trick", HOST_TRICKS)
def test_a_host_trick_is_no_host(trick: str) -> None:
    assert ninjaone.find_host(trick, SUFFIXES) is None


@pytest.mark.parametrize("trick", HOST_TRICKS)
def test_a_host_trick_is_no_region(trick: str) -> None:
    found = ninjaone.regional_host(trick)

    assert found is None or trick in ninjaone.REGIONS


@req("A09")
@pytest.mark.parametrize("trick", [each for each in HOST_TRICKS if each not in {"eu", "localhost"}])
def test_a_host_trick_is_no_part_of_a_branded_host(trick: str) -> None:
    assert ninjaone.branded_host(trick, "rmmservice.eu", SUFFIXES) is None
    assert ninjaone.branded_host("acme", trick, SUFFIXES) is None or trick in SUFFIXES


@pytest.mark.parametrize("key", ninjaone.REGIONS)
def test_each_region_is_found_by_its_key_and_by_its_host(key: str) -> None:
    host = Host(key, ninjaone.REGIONS[key])

    assert ninjaone.regional_host(key) == host
    assert ninjaone.find_host(ninjaone.REGIONS[key], SUFFIXES) == host
    assert key in ninjaone.REGION_NAMES


@pytest.mark.parametrize(
    "pasted",
    [
        "acme.rmmservice.eu",
        " Acme.RMMservice.eu. ",
        "HTTPS://ACME.RMMSERVICE.EU:443/ws/#/login?x=1",
        "https://somebody:word@acme.rmmservice.eu/",
        "acme.rmmservice.eu:8443",
        "//acme.rmmservice.eu/",
        "https:/acme.rmmservice.eu",
        "http:\\\\acme.rmmservice.eu\\",
        "www.acme.rmmservice.eu",
        "<https://acme.rmmservice.eu>",
        '"acme.rmmservice.eu",',
        "acme.rmmservice.eu (login)",
        "\uff41\uff43\uff4d\uff45.rmmservice.eu",
        "acme\u3002rmmservice\uff61eu",
        "acme\uff0ermmservice.eu",
        "\u2068https://acme.rmmservice.eu/\u2069",
        "\u200e\u061cacme.rmmservice.eu\u200f",
        "ac\u00adme.rmm\u200bservice.eu",
        "\u201cacme.rmmservice.eu\u201d",
        "\u00ab https://acme.rmmservice.eu \u00bb",
        "\u300cacme.rmmservice.eu\u300d",
        "[our NinjaOne](https://acme.rmmservice.eu/)",
        "[https://acme.rmmservice.eu](https://acme.rmmservice.eu)",
        "* acme.rmmservice.eu",
        "NinjaOne: https://acme.rmmservice.eu/#/dashboard",
        "URL:https://acme.rmmservice.eu",
        "view-source:https://acme.rmmservice.eu/login",
        "https:acme.rmmservice.eu",
        "https//acme.rmmservice.eu",
        "https%3A%2F%2Facme.rmmservice.eu%2Fws%2Foauth%2Fauthorize",
        "acme.rmmservice.eu%20",
        "acme.rmmservice.eu&client_id=x",
        "https://acme.rmmservice.eu:/",
        "acme.rmmservice.eu \u2013 acme.rmmservice.eu/login",
    ],
)
def test_a_host_is_found_in_what_a_person_pastes(pasted: str) -> None:
    assert ninjaone.pasted_host(pasted, SUFFIXES) == Host("branded", "acme.rmmservice.eu")


@req("A09")
@pytest.mark.parametrize(
    "pasted",
    [
        "https://acme.rmmservice.eu@evil.example/",
        "https://evil.example/acme.rmmservice.eu",
        "https://evil.example?acme.rmmservice.eu",
        "https://evil.example#@acme.rmmservice.eu",
        "https://evil.example\\@acme.rmmservice.eu",
        "acme.rmmservice.eu.evil.example",
        "https://https://acme.rmmservice.eu",
        "a.b.rmmservice.eu",
        "acme.rmmservice.eu:https",
        "javascript:acme.rmmservice.eu",
        "\u0430cme.rmmservice.eu",  # a Cyrillic letter that looks like a
        "somebody@acme.rmmservice.eu",
        "",
        "@",
        ":443",
        "https://",
        "https://evil.example%2F@acme.rmmservice.eu/",
        "https://evil.example/?to=https://acme.rmmservice.eu",
        "mailto:somebody@acme.rmmservice.eu",
        "a\u0301cme.rmmservice.eu",
        "acme.rmmservice.eu or eu.ninjarmm.com",
        "acme.rmmservice.de",
    ],
)
def test_a_pasted_address_of_another_host_is_none(pasted: str) -> None:
    assert ninjaone.pasted_host(pasted, SUFFIXES) is None


@pytest.mark.parametrize(
    ("pasted", "label"),
    [
        ("acme-it", "acme-it"),
        ("ACME\u2011IT", "acme-it"),
        ("acme\u2013it", "acme-it"),
        ("acme\u2212it", "acme-it"),
        ("\u2022 acme-it", "acme-it"),
        ("\u201eacme-it\u201c", "acme-it"),
        ("(acme-it):", "acme-it"),
        ("acme-it\u200f", "acme-it"),
        ("https://", None),
        ("https//", None),
        ("http", None),
        ("Acme login", None),
        ("acme rmmservice eu", None),
        ("acme/ acme-it/", None),
    ],
)
def test_one_word_alone_is_the_label_before_the_suffix(pasted: str, label: str | None) -> None:
    host = Host("branded", f"{label}.rmmservice.eu") if label else None

    assert ninjaone.pasted_host(pasted, SUFFIXES, "rmmservice.eu") == host


@pytest.mark.parametrize("subdomain", ["acme", "a", "a-b", "1", "a" * 63])
def test_a_branded_host_is_one_label_before_an_allowed_suffix(subdomain: str) -> None:
    host = Host("branded", f"{subdomain}.rmmservice.eu")

    assert ninjaone.branded_host(subdomain, "rmmservice.eu", SUFFIXES) == host
    assert ninjaone.find_host(host.name, SUFFIXES) == host


@req("L01")
def test_every_address_is_https_on_the_host_itself() -> None:
    host = Host("eu", "eu.ninjarmm.com")

    assert ninjaone.authorize_endpoint(host) == "https://eu.ninjarmm.com/ws/oauth/authorize"
    assert ninjaone.token_endpoint(host) == "https://eu.ninjarmm.com/ws/oauth/token"
    assert ninjaone.revocation_endpoint(host) == "https://eu.ninjarmm.com/ws/oauth/revoke"
    assert ninjaone.issuer(host) == "https://eu.ninjarmm.com/"
    assert ninjaone.api_base_url(host) == "https://eu.ninjarmm.com"


def test_scopes_are_written_in_ninjaones_order_and_unknown_ones_after_them() -> None:
    asked = frozenset({"offline_access", "control", "zeta", "monitoring", "alpha"})

    assert ninjaone.scope_text(asked) == "monitoring control offline_access alpha zeta"
    assert ninjaone.scope_set("offline_access  monitoring\nmonitoring") == {"monitoring", "offline_access"}


def reply(status: int, body: object = None, **headers: str) -> Reply:
    text = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)


# docs/understand/ninjaone.md §8, row by row: what came back → what it means, and the cause that is logged
OUTCOMES = [
    (NotSent("connect_error"), Meaning.NOT_SENT, "connect_error"),
    (NotSent("connect_timeout"), Meaning.NOT_SENT, "connect_timeout"),
    (NoReply("read_timeout"), Meaning.AMBIGUOUS, "read_timeout"),
    (NoReply("remote_protocol_error"), Meaning.AMBIGUOUS, "remote_protocol_error"),
    (reply(200, GRANTED), Meaning.GRANTED, "granted"),
    (reply(200, HTML), Meaning.AMBIGUOUS, "body_unreadable"),
    (reply(200), Meaning.AMBIGUOUS, "body_unreadable"),
    (reply(200, b'{"access_token": "a'), Meaning.AMBIGUOUS, "body_unreadable"),
    (reply(200, b" " * (BODY_LIMIT + 1)), Meaning.AMBIGUOUS, "body_unreadable"),
    (reply(200, []), Meaning.AMBIGUOUS, "body_unreadable"),
    (reply(200, {}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "access_token": ""}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "access_token": None}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "access_token": "a b"}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "access_token": "a\r\nb"}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "access_token": "a" * 8193}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "token_type": "mac"}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {**GRANTED, "token_type": None}), Meaning.GRANTED, "granted"),
    (reply(200, {**GRANTED, "token_type": "bearer "}), Meaning.GRANTED, "granted"),
    (reply(200, {**GRANTED, "token_type": 7}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(200, {"error": "invalid_grant"}), Meaning.AMBIGUOUS, "body_incomplete"),
    (reply(201, GRANTED), Meaning.AMBIGUOUS, "status_201"),
    (reply(204), Meaning.AMBIGUOUS, "status_204"),
    (reply(302, None, location="https://evil.example"), Meaning.AMBIGUOUS, "status_302"),
    (reply(307, GRANTED), Meaning.AMBIGUOUS, "status_307"),
    (reply(100), Meaning.AMBIGUOUS, "status_100"),
    (reply(408, HTML), Meaning.AMBIGUOUS, "status_408"),
    (reply(500, {"error": "invalid_grant"}), Meaning.AMBIGUOUS, "status_500"),
    (reply(502, HTML), Meaning.AMBIGUOUS, "status_502"),
    (reply(503, HTML), Meaning.AMBIGUOUS, "status_503"),
    (reply(504), Meaning.AMBIGUOUS, "status_504"),
    (reply(400, {"error": "invalid_token"}), Meaning.DEAD, "invalid_token"),
    (reply(400, {"error": "invalid_grant"}), Meaning.DEAD, "invalid_grant"),
    (reply(400, {"error": "expired_token"}), Meaning.DEAD, "expired_token"),
    (reply(401, {"error": "invalid_token"}), Meaning.DEAD, "invalid_token"),
    (reply(401, {"error": "invalid_grant"}), Meaning.DEAD, "invalid_grant"),
    (reply(401, {"error": "expired_token"}), Meaning.DEAD, "expired_token"),
    (reply(403, {"error": "invalid_token"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(404, {"error": "invalid_grant"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(429, {"error": "invalid_grant"}), Meaning.THROTTLED, "throttled"),
    (reply(404, {"resultCode": "Client app not exist"}), Meaning.CONFIG, "unknown_client"),
    (reply(400, {"resultCode": "Client app not exist"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(404, {"resultCode": "FAILURE"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(404, HTML), Meaning.UNAVAILABLE, "not_routed"),
    (reply(403, HTML), Meaning.UNAVAILABLE, "not_routed"),
    (reply(400, HTML), Meaning.UNAVAILABLE, "not_routed"),
    (reply(401, {"error": "invalid_client"}), Meaning.CONFIG, "invalid_client"),
    (reply(400, {"error": "invalid_client"}), Meaning.CONFIG, "invalid_client"),
    (reply(400, {"error": "unauthorized_client"}), Meaning.CONFIG, "unauthorized_client"),
    (reply(400, {"error": "invalid_request"}), Meaning.CONFIG, "invalid_request"),
    (reply(400, {"error": "invalid_scope"}), Meaning.CONFIG, "invalid_scope"),
    (reply(400, {"error": "unsupported_grant_type"}), Meaning.CONFIG, "unsupported_grant_type"),
    (reply(400, {"error": "INVALID_GRANT"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(400, {"error": "invalid_grant "}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(400, {"error": ["invalid_grant"]}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(400, {"error": None}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(400, {"error_description": "invalid_grant"}), Meaning.UNAVAILABLE, "unrecognized"),
    (reply(400, "invalid_grant"), Meaning.UNAVAILABLE, "not_routed"),
    (reply(429, HTML), Meaning.THROTTLED, "throttled"),
]


@req("I05", "D06")
@pytest.mark.parametrize(("answer", "meaning", "code"), OUTCOMES)
def test_an_answer_means_one_thing(answer: Reply | NotSent | NoReply, meaning: Meaning, code: str) -> None:
    outcome = classify(answer, SENT)

    assert (outcome.meaning, outcome.code) == (meaning, code)
    assert (outcome.tokens is not None) is (meaning is Meaning.GRANTED)


def test_tokens_are_read_with_their_lifetime_counted_from_before_the_request() -> None:
    tokens = classify(reply(200, GRANTED), SENT).tokens

    assert tokens is not None
    assert tokens.access.reveal() == "at"
    assert tokens.refresh is not None
    assert tokens.refresh.reveal() == "rt"
    assert tokens.expires_at == SENT + 3600
    assert tokens.scopes == {"a", "b"}


@req("I03")
def test_an_answer_may_leave_out_the_refresh_token_and_the_scope() -> None:
    tokens = classify(reply(200, {"access_token": "at", "token_type": "bEaReR", "scope": 7}), SENT).tokens

    assert tokens is not None
    assert tokens.refresh is None
    assert tokens.scopes == frozenset()


def test_of_the_scopes_said_those_count_that_can_be_scopes() -> None:
    """The others no table would take, and the tokens would be lost with them."""
    said = {**GRANTED, "scope": "monitoring \ud800 ä x\u0000 " + "y" * 65 + ' "z" control'}

    tokens = classify(reply(200, said), SENT).tokens

    assert tokens is not None
    assert tokens.scopes == {"monitoring", "control"}


@pytest.mark.parametrize("said", [["monitoring", "control"], "monitoring,control", "control, monitoring"])
def test_scopes_are_read_with_commas_and_as_a_list(said: object) -> None:
    """Taken for one scope of another name, they would look like rights that were taken away."""
    tokens = classify(reply(200, {**GRANTED, "scope": said}), SENT).tokens

    assert tokens is not None
    assert tokens.scopes == {"monitoring", "control"}


@pytest.mark.parametrize("refresh", ["", "a b", None, 7, "a\n", "ä"])
def test_a_refresh_token_that_is_none_counts_as_left_out(refresh: object) -> None:
    tokens = classify(reply(200, {**GRANTED, "refresh_token": refresh}), SENT).tokens

    assert tokens is not None
    assert tokens.refresh is None


@pytest.mark.parametrize(
    ("said", "life"),
    [
        (3600, 3600),
        (60, 60),
        (1, 60),
        (86_400, 86_400),
        (10**12, 86_400),
        (0, 60),
        (-5, 60),
        ("0", 60),
        ("-1", 60),
        (None, 3600),
        (True, 3600),
        ("600", 600),
        (600.0, 600),
        (599.5, 599),
        (59.5, 60),
        (" 900 ", 900),
        ("899.99", 899),
        (1e300, 86_400),
        ("9" * 20, 86_400),
        (float("inf"), 3600),
        ("6e2", 600),
        ("+600", 600),
        ("600.", 600),
        ("\u00a0600\n", 600),
        ("\u0666\u0660\u0660", 600),
        ("\uff16\uff10\uff10", 600),
        ("600s", 600),
        ("600 seconds", 600),
        ("00600", 600),
        ("599.9 s", 599),
        ("6e2s", 600),
        ("-600s", 60),
        ("10m", 60),
        ("1e999", 3600),
        ("s600", 3600),
        ({"seconds": 600}, 3600),
        ("ten", 3600),
        ("nan", 3600),
        ("", 3600),
        ([600], 3600),
    ],
)
def test_a_lifetime_is_kept_between_a_minute_and_a_day(said: object, life: int) -> None:
    tokens = classify(reply(200, {**GRANTED, "expires_in": said}), SENT).tokens

    assert tokens is not None
    assert tokens.expires_at == SENT + life


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120),
        ("Wed, 21 Oct 2026 07:20:00 GMT", 0),
        ("Thu, 22 Oct 2026 07:28:00 GMT", 3600),
        ("Wed, 21 Oct 2026 07:30:00 -0000", None),
        ("tomorrow", None),
    ],
)
def test_a_wait_that_is_a_date_is_counted_from_the_answer_s_own(said: str, wait: int | None) -> None:
    dated = Reply(429, {"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": said}, b"")

    assert classify(dated, SENT).retry_after == wait


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("30", 30),
        ("0", 0),
        ("9999", 3600),
        ("3600", 3600),
        ("10000", 3600),
        ("-1", None),
        ("1.5", 1),
        (" 30", 30),
        ("", None),
        ("²", None),
        ("\u0663", 3),
        ("1e1", 10),
        ("+5", 5),
        ("30, 30", 30),
        ("30, 40", 40),
        ("-1, 40", 40),
        ("45s", 45),
        ("7 Seconds", 7),
        ("12sec, 3 s", 12),
        ("2m", None),
        ("seconds", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_a_wait_is_believed_up_to_an_hour(said: str, wait: int | None) -> None:
    assert classify(reply(429, HTML, retry_after=said), SENT).retry_after == wait
    assert classify(reply(404, HTML, retry_after=said), SENT).retry_after == wait
