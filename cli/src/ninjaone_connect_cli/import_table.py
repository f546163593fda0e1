"""Read records out of a file as the program that wrote it meant them: a spreadsheet, PowerShell, a database, a script.

That is UTF-8 and UTF-16, with or without a byte order mark; commas, semicolons, tabs and bars; a first line ``sep=;``
or ``#TYPE``; headings in capitals, with spaces or hyphens, and once more where files were joined; a first column that
numbers the rows; lines drawn between rows; JSON objects one after the other, in arrays or not.
Lines end at CR and LF only: U+2028 and what else Unicode calls a line break stays inside its value.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

DELIMITERS = (",", ";", "\t", "|")
CSV_SUFFIXES = (".csv", ".tsv", ".tab")
NO_HEADING = "this is no heading"
NO_CSV = (
    "this is no CSV; is a quotation mark missing, one too many, or a value longer than "
    f"{csv.field_size_limit()} characters?"
)
_DIRECTIVE = re.compile(r"sep=(.)[\s\",;|]*", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]+")
_AS_TEXT = re.compile(r'="(.*)"', re.DOTALL)
"""How spreadsheets write what must stay a text."""
_LINE_END = re.compile(r"\r\n?")
_BETWEEN_OBJECTS = re.compile(r"[\s,\[\]\ufeff\x1e]*")
"""Arrays only hold objects together; RFC 7464 begins each record with U+001E."""
_WORD = re.compile(r"[^\W_]")
_NOT_CLOSED = "as many arrays must end as begin; was the file cut off?"
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"(\xb5/\xfd", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")
"""How they begin: zip, gzip, the workbooks of old and encrypted ones, zstd, bzip2, xz, 7z."""
_TAIL = "\0\x1a"
"""Characters that old programs and damaged disks leave at the end of a file."""
_SYNONYMS = {
    "tenant": "tenantid", "refresh": "refreshtoken", "scope": "scopes", "hostname": "host", "secret": "clientsecret",
    "consented": "consentedat",
}  # fmt: skip


class UnreadableFile(Exception):
    """The file as a whole, or a line of it, is not what it is taken for.

    Args:
        line, fault: where, and what to do
    """

    def __init__(self, line: int, fault: str) -> None:
        self.line, self.fault = line, fault
        super().__init__(fault)


@dataclass(frozen=True)
class Record:
    """One record.

    Attributes:
        line: where it begins
        values: by the name of the column, as the file spells it; None stands for a value beyond the heading
        fault: why there are none, else empty
    """

    line: int
    values: Mapping[str | None, Any]
    fault: str = ""


def records(file: Path, needed: Sequence[str]) -> Iterator[Record]:
    """Read a file's records.

    Args:
        needed: columns without which a line is no heading, as ``squashed`` writes them

    Raises:
        UnreadableFile
    """
    text = decoded(file.read_bytes())
    if file.suffix.lower() in CSV_SUFFIXES:
        return _csv(text, needed)
    is_json = text.lstrip()[:1] in {"{", "[", ""} or file.suffix.lower().startswith(".json")
    return _json(_LINE_END.sub("\n", text)) if is_json else _csv(text, needed)


def decoded(data: bytes) -> str:
    """Decode a file. Raises UnreadableFile."""
    if data.startswith(_ARCHIVES):
        raise UnreadableFile(1, "this is a workbook or an archive; save the table in it as CSV (UTF-8)")
    encoding = json.detect_encoding(data)  # by a byte order mark, or by where the zero bytes are
    try:
        return data.decode(encoding if encoding != "utf-8-sig" else "utf-8").lstrip("\ufeff").rstrip(_TAIL)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        says = "this is not UTF-8" if encoding.startswith("utf-8") else f"this is {encoding.upper()} that is damaged"
        raise UnreadableFile(line, f"{says}; save the file as UTF-8") from None


def squashed(name: str) -> str:
    """Write a column's name so that ``Tenant ID``, ``tenant-id``, ``tenantId`` and ``Tenant`` are alike."""
    bare = _NO_WORD.sub("", name).lower()
    return _SYNONYMS.get(bare, bare)


def _csv(text: str, needed: Sequence[str]) -> Iterator[Record]:
    lines = io.StringIO(text, newline="")  # a line break inside quotes stays what it is
    delimiter, skipped, heading = _heading(lines, needed)
    alike = [squashed(name) for name in heading]
    twice = sorted(name for name, times in Counter(alike).items() if name and times > 1)
    if twice:
        raise UnreadableFile(skipped, f"{', '.join(twice)}: the heading names this twice")
    reader = _reader(lines, delimiter)
    at = skipped + 1
    try:
        for row in reader:
            if any(row) and not _is_again(row, alike):
                yield Record(at, _named(heading, row))
            at = skipped + reader.line_num + 1
    except csv.Error:
        raise UnreadableFile(at, NO_CSV) from None


def _is_again(row: Sequence[str], alike: Sequence[str]) -> bool:
    """Return whether a row repeats the heading, as in files that were joined."""
    return len(row) == len(alike) and all(squashed(value) == name for value, name in zip(row, alike, strict=True))


def _reader(lines: io.StringIO, delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _named(heading: Sequence[str], row: Sequence[str]) -> Mapping[str | None, str]:
    """Map column names to a row's values; an empty value without a name, as after a final comma, is dropped.

    So is a number in a first column without a name: pandas and R number the rows there.
    """
    named = list(zip_longest(heading, (_as_text(value) for value in row), fillvalue=""))
    if not heading[0] and named[0][1].isdecimal():
        del named[0]
    beyond = [value for name, value in named if not name and _WORD.search(value)]
    return {name: value for name, value in named if name} | ({None: beyond[0]} if beyond else {})


def _as_text(value: str) -> str:
    found = _AS_TEXT.fullmatch(value.strip())
    return found[1].replace('""', '"') if found else value


def _heading(lines: io.StringIO, needed: Sequence[str]) -> tuple[str, int, list[str]]:
    """Read past the heading, whose names may hold line breaks.

    Returns the delimiter, how many lines were read, the names. Raises UnreadableFile.
    """
    said, number, start = _before(lines)
    for delimiter in (said, *DELIMITERS) if said else DELIMITERS:
        lines.seek(start)
        reader = _reader(lines, delimiter)
        with suppress(csv.Error):
            names = [name.strip(" \t\ufeff") for name in next(reader, [])]
            if {*needed} <= {squashed(name) for name in names}:
                return delimiter, number + reader.line_num, names
    raise UnreadableFile(number + 1, NO_HEADING)


def _before(lines: io.StringIO) -> tuple[str, int, int]:
    """Find the heading. Returns the delimiter that the file names, the lines before, and where they end."""
    said, number, start = "", 0, 0
    while line := lines.readline():
        directive = _DIRECTIVE.fullmatch(line.strip('\r\n \ufeff"'))
        if directive:
            said = directive[1]
        elif _WORD.search(line) and not line.upper().startswith(("#TYPE", '"#TYPE')):
            break
        number, start = number + 1, lines.tell()
    return said, number, start


def _json(text: str) -> Iterator[Record]:
    """Read objects that follow each other: one in a line, or written over several lines, in arrays or not."""
    try:
        found = list(_values(text))
    except (ValueError, RecursionError) as error:
        found = list(_of_each_line(text, error))
    yield from (_object(number, value) for number, value in _unwrapped(found))


def _of_each_line(text: str, error: Exception) -> Iterator[tuple[int, Any]]:
    """Judge each line by itself where the whole can't be read. Raises UnreadableFile: it is an array."""
    if text.lstrip()[:1] == "[" and isinstance(error, json.JSONDecodeError):
        raise UnreadableFile(error.lineno, f"here the JSON breaks ({error.msg})") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.strip(" \t\ufeff\x1e"):
            yield number, _loaded(line)


def _unwrapped(found: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Take the rows out of the one object in which database tools write them: ``{"select …": [row, …]}``."""
    held = [*found[0][1].values()] if len(found) == 1 and isinstance(found[0][1], dict) else []
    if len(held) == 1 and isinstance(held[0], list) and held[0] and all(isinstance(row, dict) for row in held[0]):
        return [*enumerate(held[0], 1)]
    return found


def _values(text: str) -> Iterator[tuple[int, Any]]:
    """Read JSON values one after the other, each with the line that it begins in. Raises ValueError."""
    at, line, depth = 0, 1, 0
    read = json.JSONDecoder(object_pairs_hook=_named_once).raw_decode
    while True:
        start = _after(text, at)
        gap = text[at:start]
        line, depth = line + gap.count("\n"), depth + gap.count("[") - gap.count("]")
        if start == len(text):
            break
        value, at = read(text, start)
        yield line, value
        line += text.count("\n", start, at)
    if depth:
        raise UnreadableFile(line, _NOT_CLOSED)


def _after(text: str, at: int) -> int:
    gap = _BETWEEN_OBJECTS.match(text, at)
    return gap.end() if gap else at


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_named_once)
    except (ValueError, RecursionError):
        return None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object. Raises ValueError if a name is repeated, because it is unclear which value counts."""
    if len({squashed(name) for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def _object(number: int, value: Any) -> Record:
    return (
        Record(number, value)
        if isinstance(value, dict)
        else Record(number, {}, "this is no JSON object, or it names a field twice")
    )
