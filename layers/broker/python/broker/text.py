"""Which characters a one-line text may hold, such as a name that its owner chose.

``str.isprintable`` does not serve: it rejects spaces of other scripts (U+3000, U+00A0) and joined emoji. Unsafe are
control characters, line and paragraph separators, lone surrogates, and the bidirectional-override characters, with
which one name can be made to look like another.

See Unicode Standard Annex 44 (general categories); Unicode Technical Report 36, §2.11 (bidirectional text).
"""

import re
import unicodedata

_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FORMATTING = frozenset("\u206a\u206b\u206c\u206d\u206e\u206f\ufff9\ufffa\ufffb")
"""Deprecated formatting characters: they change how the characters after them look, or hide text under other text."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0\u00ad\u180e\u200b\u2060\u2061\u2062\u2063\u2064\ufeff")
"""Invisible characters: two names that differ in nothing else look the same."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_PAIRED = frozenset({"Ps", "Pe", "Pi", "Pf"})
_CREDENTIAL = re.compile(r"[!-~]{1,256}")


def is_unsafe(character: str) -> bool:
    """Return whether it is a control or bidirectional-override character, or another of those above."""
    return character in _TURNING or character in _FORMATTING or unicodedata.category(character) in _CATEGORIES


def first_unsafe(text: str, allowed: str = "") -> str:
    """Return the first unsafe character that is not allowed; empty if there is none."""
    return next((each for each in text if is_unsafe(each) and each not in allowed), "")


def without_unsafe(text: str) -> str:
    """Return the text without unsafe and invisible characters, for a name that somebody is recognized by."""
    return "".join(each for each in text if not is_unsafe(each) and each not in _INVISIBLE)


def trimmed(text: str) -> str:
    """Strip what copying and files add at both ends: whitespace and invisible characters."""
    start, end = 0, len(text)
    while start < end and _is_nothing(text[start]):
        start += 1
    while start < end and _is_nothing(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_nothing(character: str) -> bool:
    return character.isspace() or character in _INVISIBLE


def escaped(text: str) -> str:
    r"""Return the text with its unsafe characters escaped as in ``\u202e``, for a terminal."""
    return "".join(f"\\u{ord(each):04x}" if is_unsafe(each) else each for each in text)


def words(text: str) -> list[str]:
    """Split pasted text that should be ASCII at spaces, brackets and quotation marks of every script.

    Full-width letters, as Japanese keyboards type them, count as the letters that they look like; invisible characters
    are dropped.
    """
    return "".join(" " if _is_mark(each) or each in "()[]{}|*" else each for each in _shown(text)).split()


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character, so that a page with it would name nobody."""
    return not _shown(text).strip()


def credential(text: str) -> str:
    """Read an id or a secret that a person pasted; empty if it can't be one: no text, several words, or too long.

    A pair of quotation marks or angle brackets around it is dropped, and so is a comma after them, as in JSON.
    """
    bare = _shown(text).strip()
    inner = bare.rstrip(",;")
    if len(inner) > 2 and _is_mark(inner[0]) and _is_mark(inner[-1]):
        bare = inner[1:-1].strip()
    return bare if _CREDENTIAL.fullmatch(bare) else ""


def hyphenated(text: str) -> str:
    """Replace the dashes that word processors insert by hyphens."""
    return "".join("-" if each == "\u2212" or unicodedata.category(each) == "Pd" else each for each in text)


def _shown(text: str) -> str:
    """Drop invisible characters other than spaces, and normalise compatibility forms (NFKC)."""
    return "".join(
        each
        for each in unicodedata.normalize("NFKC", text)
        if each.isspace() or not (each in _INVISIBLE or unicodedata.category(each) in _UNSEEN)
    )


def _is_mark(character: str) -> bool:
    """Return whether a character is a quotation mark or an angle bracket, or a bracket beyond ASCII."""
    is_paired = not character.isascii() and unicodedata.category(character) in _PAIRED
    return character in "\"'`<>" or is_paired
