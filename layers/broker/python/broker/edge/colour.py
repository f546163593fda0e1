"""The operator's accent colour, made readable: the hue is kept and the lightness adjusted."""

import colorsys
import re
from functools import cache

LIGHT, DARK = "#f5f6f8", "#191d24"
"""The least favourable background of each scheme in templates/style.css."""

READABLE = 4.5
"""Contrast of text with its background. See WCAG 2.2 §1.4.3 (AA)."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@cache
def accent(colour: str) -> tuple[str, str]:
    """Return the colour for light and for dark pages; each is readable as text and as background. Raises ValueError."""
    if not _COLOUR.fullmatch(colour):
        raise ValueError("The accent colour must be a # and six hexadecimal digits, for example #0b5fff.")
    return _readable(colour, on=LIGHT, step=-0.01), _readable(colour, on=DARK, step=0.01)


def _readable(colour: str, *, on: str, step: float) -> str:
    """Darken or lighten just enough; a hundred steps end at black or white, which always suffice."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    shades = (_shade(hue, lightness + step * n, saturation) for n in range(1, 101))
    return next(shade for shade in (colour.lower(), *shades) if _contrast(shade, on) >= READABLE)


def _shade(hue: float, lightness: float, saturation: float) -> str:
    channels = colorsys.hls_to_rgb(hue, min(max(lightness, 0.0), 1.0), saturation)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red / 255, green / 255, blue / 255


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours. See WCAG 2.2, contrast ratio."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour. See WCAG 2.2, relative luminance."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
