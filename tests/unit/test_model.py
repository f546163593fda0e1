"""The nouns: what is an identifier and what is none."""

import hashlib

import pytest

from broker.model import connection_id, session_id, sha256_hex, tenant_id
from tests.support.journey import Journey

ID = "abcdefghijklmnopqrstuvwx27"


@pytest.mark.parametrize("text", ["a", "Acme-MSP_2.eu", "x" * 64, "...", "..a", ".a"])
def test_a_tenant_is_what_the_product_calls_it(text: str) -> None:
    assert tenant_id(text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 65, "a b", "a/b", "a#b", "#breakers", "ä", "a\n", "a\x00"])
def test_other_text_is_no_tenant(text: str) -> None:
    assert tenant_id(text) is None


def test_ids_are_a_word_and_26_characters() -> None:
    assert session_id(f"ses_{ID}") == f"ses_{ID}"
    assert connection_id(f"con_{ID}") == f"con_{ID}"


@pytest.mark.parametrize(
    "rest", ["", ID[:-1], ID + "a", ID.upper(), "0" * 26, "1" * 26, "ä" * 26, ID + "\n", f"{ID}#profile", " " + ID]
)
def test_other_text_is_no_id(rest: str) -> None:
    assert session_id(f"ses_{rest}") is None
    assert connection_id(f"con_{rest}") is None


def test_one_id_is_not_the_other() -> None:
    assert session_id(f"con_{ID}") is None
    assert connection_id(f"ses_{ID}") is None


def test_a_secret_is_stored_as_its_sha_256() -> None:
    assert sha256_hex("state") == hashlib.sha256(b"state").hexdigest()


def test_each_region_has_a_redirect_uri_of_its_own(journey: Journey) -> None:
    session = journey.open()

    assert session.redirect_uri("eu") == "https://connect.example/callback/eu"
    assert session.redirect_uri("branded") == "https://connect.example/callback/branded"
