"""The search for secrets finds them: it would prove nothing if it found none."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from tests.security.traces import betrayed
from tools.requirements import req

SECRET = 'Geheim/+"ü=7890-abcdefghijklmnop'

ENCODED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "its beginning": lambda text: text[:12] + "…",
    "in an address": lambda text: quote(text, safe=""),
    "in a form": lambda text: urlencode({"x": text}),
    "in JSON": lambda text: json.dumps({"x": text}),
    "in hexadecimal": lambda text: text.encode().hex(),
    "in capitals": lambda text: text.encode().hex().upper(),
    **{
        f"in base64 after {number} bytes": lambda text, number=number: base64.b64encode(
            b"x" * number + text.encode()
        ).decode()  # type: ignore[misc]  # the number of each
        for number in range(6)
    },
    "in base64url": lambda text: base64.urlsafe_b64encode(f"user:{text}".encode()).decode(),
}


@req("G01")
@pytest.mark.parametrize("how", ENCODED)
def test_a_secret_is_found_however_it_is_written(how: str) -> None:
    assert betrayed([SECRET, "something else entirely"], f"a line with {ENCODED[how](SECRET)} in it") == [SECRET]


@req("G01")
def test_what_is_no_secret_is_not_found() -> None:
    assert betrayed([SECRET], "a line with Geheim, Secret(…) and 7890-abcdefgh in it") == []
