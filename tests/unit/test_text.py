"""Which characters of other people's texts are taken as they are, and which act on what stands around them."""

import pytest

from broker.text import credential, escaped, first_unsafe, without_unsafe

SOUND = [
    "株式会社\u3000サンプル",
    "Café\u00a0Noir",
    "1\u202f000 clés",
    "👩\u200d🚒 Fire",
    "נורד\u200f לנד",
    "نورد‌لند",
    "a~!",
    "",
]
UNSAFE = [
    "\x00",
    "\x1b",
    "\t",
    "\n",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\ud800",
    "\u202a",
    "\u206a",
    "\u206f",
    "\ufff9",
]


@pytest.mark.parametrize("text", SOUND)
def test_names_of_every_script_are_taken_as_they_are(text: str) -> None:
    assert first_unsafe(text) == ""
    assert without_unsafe(text) == text
    assert escaped(text) == text


@pytest.mark.parametrize("character", UNSAFE)
def test_what_acts_on_what_stands_around_it_is_found_left_out_and_escaped(character: str) -> None:
    text = f"Acme{character}Head"

    assert first_unsafe(text) == character
    assert first_unsafe(text, allowed=character) == ""
    assert without_unsafe(text) == "AcmeHead"
    assert escaped(text) == f"Acme\\u{ord(character):04x}Head"


@pytest.mark.parametrize("character", ["\u200b", "\ufeff", "\u2060", "\u00ad", "\u034f", "\u3164", "\u2800"])
def test_what_can_t_be_seen_is_left_out_of_a_name_that_somebody_is_recognized_by(character: str) -> None:
    assert without_unsafe(f"Ac{character}me") == "Acme"
    assert first_unsafe(f"Ac{character}me") == ""


@pytest.mark.parametrize(
    "pasted",
    [
        "kR4t-Wq8_Z",
        "\u200ekR4t-Wq8_Z\u200f",
        "\u2068kR4t-Wq8_Z\u2069\u2028",
        "kR4t\u200b-Wq8\u2060_Z",
        '"kR4t-Wq8_Z",',
        "'kR4t-Wq8_Z';",
        "`kR4t-Wq8_Z`",
        "<kR4t-Wq8_Z>",
        "\u201ckR4t-Wq8_Z\u201d",
        "\u201ekR4t-Wq8_Z\u201c",
        "\u00ab\u00a0kR4t-Wq8_Z\u00a0\u00bb",
        "\uff4b\uff324t-Wq8_\uff3a",
        "\x00kR4t-Wq8_Z\x1b",
    ],
)
def test_a_credential_is_read_without_what_was_copied_along(pasted: str) -> None:
    assert credential(pasted) == "kR4t-Wq8_Z"


@pytest.mark.parametrize("sound", ["a,", '"a', "a'", "(a)", "{a}", "a;b", "<>", '""', "%20a", "x" * 256])
def test_a_credential_keeps_its_own_signs(sound: str) -> None:
    assert credential(sound) == sound


@pytest.mark.parametrize("none", ["", " ", "a b", "a\tb", "a\nb", "\u00e4", "a\u2013b", "x" * 257, "\u201c\u201d"])
def test_what_can_be_no_credential_is_none(none: str) -> None:
    assert credential(none) == ""
