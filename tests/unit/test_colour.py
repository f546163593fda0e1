"""The accent colour: readable on light and on dark, its hue kept."""

import colorsys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.edge.colour import DARK, LIGHT, accent

COLOURS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio, written here a second time."""

    def luminance(colour: str) -> float:
        total = 0.0
        for start, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
            value = int(colour[start : start + 2], 16) / 255
            total += weight * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
        return total

    first, second = luminance(one) + 0.05, luminance(other) + 0.05
    return max(first, second) / min(first, second)


def hue(colour: str) -> float:
    return 360 * colorsys.rgb_to_hls(*(channel / 255 for channel in bytes.fromhex(colour[1:])))[0]


def test_the_measure_agrees_with_the_known_ratios() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@settings(deadline=None)
@given(COLOURS)
def test_every_accent_is_readable_on_its_page_and_behind_its_button_text(colour: str) -> None:
    light, dark = accent(colour)

    assert contrast(light, LIGHT) >= 4.5
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, DARK) >= 4.5
    assert contrast(dark, "#101318") >= 4.5


def test_a_readable_colour_is_left_alone() -> None:
    assert accent("#0B5FFF")[0] == "#0b5fff"
    assert accent("#ffd400")[1] == "#ffd400"


def test_only_the_lightness_gives_way() -> None:
    light, _ = accent("#ffd400")
    _, dark = accent("#00008b")

    assert hue(light) == pytest.approx(hue("#ffd400"), abs=1)
    assert hue(dark) == pytest.approx(hue("#00008b"), abs=1)


def test_black_and_white_become_readable_greys() -> None:
    assert accent("#000000")[0] == "#000000"
    assert accent("#ffffff")[1] == "#ffffff"
    assert hue(accent("#ffffff")[0]) == hue(accent("#000000")[1]) == 0


@pytest.mark.parametrize("text", ["", "blue", "#fff", "0b5fff", "#0b5fff;}", "#0b5fff\n", "#0b5ffg", "#０b5fff"])
def test_what_is_no_colour_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="six hexadecimal digits"):
        accent(text)
