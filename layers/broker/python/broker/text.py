"""Which characters may stand in a text of one line, such as a name that its owner chose.

``str.isprintable`` is no measure: it refuses spaces of other scripts (U+3000, U+00A0) and joined emoji. What is refused
here acts on what stands around it: control characters, line and paragraph separators, half characters, and those that
turn the direction of text around, so that a name reads as another one.

See Unicode Standard Annex 44 (general categories); Unicode Technical Report 36, §2.11 (bidirectional text).
"""

import unicodedata

_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMATTING = frozenset("\u206a\u206b\u206c\u206d\u206e\u206f\ufff9\ufffa\ufffb")
"""Deprecated: they change how letters and digits behind them are shaped, or hide a text under another one."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0\u00ad\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff")
"""They show nothing at all: two names that differ in them alone look the same."""


def is_unsafe(character: str) -> bool:
    """Say whether a character acts on what stands around it."""
    return character in _TURNING or character in _FORMATTING or unicodedata.category(character) in _CATEGORIES


def first_unsafe(text: str, allowed: str = "") -> str:
    """Give the first character that acts on what stands around it and is not allowed; an empty text where none is."""
    return next((each for each in text if is_unsafe(each) and each not in allowed), "")


def without_unsafe(text: str) -> str:
    """Leave out what acts on its surroundings or can't be seen, for a text that somebody is recognized by."""
    return "".join(each for each in text if not is_unsafe(each) and each not in _INVISIBLE)


def escaped(text: str) -> str:
    r"""Write what acts on its surroundings as ``\u202e``, for a terminal."""
    return "".join(f"\\u{ord(each):04x}" if is_unsafe(each) else each for each in text)
