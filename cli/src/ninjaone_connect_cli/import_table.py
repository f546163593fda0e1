"""Read records out of a file as the program that wrote it meant them: a spreadsheet, PowerShell, a database, a script.

That is UTF-8 and UTF-16, with or without a byte order mark; commas, semicolons, tabs and bars; a first line ``sep=;``
or ``#TYPE``; headings in capitals, with spaces or hyphens; rows without any value; JSON lines and a JSON array.
Lines end at CR and LF only: U+2028 and what else Unicode calls a line break stays inside its value.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DELIMITERS = (",", ";", "\t", "|")
CSV_SUFFIXES = (".csv", ".tsv", ".tab")
NO_HEADING = "this is no heading"
_DIRECTIVE = re.compile(r"sep=(.)", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]+")


class UnreadableFile(Exception):
    """The file as a whole, or a line of it, is not what it is taken for.

    line, fault   where, and what to do
    """

    def __init__(self, line: int, fault: str) -> None:
        self.line, self.fault = line, fault
        super().__init__(fault)


@dataclass(frozen=True)
class Record:
    """One record.

    line     where it begins
    values   by the name of the column, as the file spells it; None stands for a value beyond the heading
    fault    why there are none, else empty
    """

    line: int
    values: Mapping[str | None, Any]
    fault: str = ""


def records(file: Path, needed: Sequence[str]) -> Iterator[Record]:
    """Read a file's records.

    needed   columns without which a line is no heading, as ``squashed`` writes them
    Raises   UnreadableFile
    """
    text = decoded(file.read_bytes())
    if file.suffix.lower() in CSV_SUFFIXES:
        return _csv(text, needed)
    start = text.lstrip()[:1]
    if start == "[":
        return _json_array(text)
    return _json_lines(text) if start in {"{", ""} or file.suffix.lower().startswith(".json") else _csv(text, needed)


def decoded(data: bytes) -> str:
    """Decode a file. Raises   UnreadableFile"""
    encoding = json.detect_encoding(data)  # by a byte order mark, or by where the zero bytes are
    try:
        return data.decode(encoding if encoding != "utf-8-sig" else "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UnreadableFile(line, "this is not UTF-8; save the file as UTF-8") from None


def squashed(name: str) -> str:
    """Write a column's name so that ``Tenant ID``, ``tenant-id`` and ``tenantId`` are alike."""
    return _NO_WORD.sub("", name).lower()


def _csv(text: str, needed: Sequence[str]) -> Iterator[Record]:
    lines = io.StringIO(text, newline="")  # a line break inside quotes stays what it is
    delimiter, skipped, heading = _heading(lines, needed)
    twice = sorted(name for name, times in Counter(map(squashed, heading)).items() if name and times > 1)
    if twice:
        raise UnreadableFile(skipped, f"{', '.join(twice)}: the heading names this twice")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    at = skipped + 1
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield Record(at, _named(heading, row))
            at = skipped + reader.line_num + 1
    except csv.Error:
        raise UnreadableFile(at, "this is no CSV; is a quotation mark missing?") from None


def _named(heading: Sequence[str], row: Sequence[str]) -> Mapping[str | None, str]:
    """Give values their names; what has none and is empty, as behind a comma at the end, is nobody's."""
    values: dict[str | None, str] = dict(zip(heading, row, strict=False))
    beyond = [value for value in (*row[len(heading) :], values.pop("", "")) if value.strip()]
    return values | ({None: beyond[0]} if beyond else {})


def _heading(lines: io.StringIO, needed: Sequence[str]) -> tuple[str, int, list[str]]:
    """Go behind the heading. Gives   the delimiter, how many lines were read, the names. Raises   UnreadableFile"""
    said = ""
    for number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.fullmatch(line.strip('\r\n \ufeff"'))
        if directive:
            said = directive[1]
        elif line.strip(" \t\r\n,;|") and not line.upper().startswith(("#TYPE", '"#TYPE')):
            for delimiter in (said, *DELIMITERS) if said else DELIMITERS:
                names = _names(line, delimiter)
                if {*needed} <= {squashed(name) for name in names}:
                    return delimiter, number, names
            raise UnreadableFile(number, NO_HEADING)
    raise UnreadableFile(1, NO_HEADING)


def _names(line: str, delimiter: str) -> list[str]:
    row = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    return [name.strip(" \t\ufeff") for name in row]


def _json_lines(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.strip(" \t\r\ufeff\x1e"):  # RFC 7464 begins each record with U+001E
            yield _object(number, _loaded(line.strip(" \t\r\ufeff\x1e")))


def _json_array(text: str) -> Iterator[Record]:
    stored = _loaded(text.strip())
    if not isinstance(stored, list):
        raise UnreadableFile(1, "this is no JSON object, and no array of them")
    yield from (_object(number, each) for number, each in enumerate(stored, 1))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(number: int, value: Any) -> Record:
    return Record(number, value) if isinstance(value, dict) else Record(number, {}, "this is no JSON object")
