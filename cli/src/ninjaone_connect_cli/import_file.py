"""The records of an import, all read and validated before anything is stored."""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from broker import ninjaone
from broker.adapters.clock import new_connection_id
from broker.config import Config
from broker.model import ConnectionRef, Host, Instant, tenant_id
from broker.secret import Secret
from broker.text import escaped, first_unsafe, trimmed, without_unsafe
from ninjaone_connect_cli.import_table import NO_HEADING, Record, UnreadableFile, records, squashed
from ninjaone_connect_cli.names import odd_character

NEEDED = ("tenant_id", "refresh_token")
FIELDS = (
    "tenant_id",
    "refresh_token",
    "region",
    "host",
    "key",
    "client_id",
    "client_secret",
    "scopes",
    "label",
    "consented_at",
)
LONGEST_TOKEN, LONGEST_LABEL = 8192, 80
EARLIEST, LATEST = 10**9, 10**10
"""Unix seconds that a consent can have; what is a thousand times as much, or a million, is of a smaller unit."""

EMPTY = frozenset({
    "null", r"\n", r"\.", "none", "nil", "undefined", "nan", "n/a", "#n/a", "<na>", "blank", "#nv", "#n/d", "#div/0!",
})  # fmt: skip
"""What databases, spreadsheets and scripts write for no value, in lower case and without brackets or quotes."""
EMPTY_UNLESS_NAME = frozenset({
    "na", "n.a", "n.a.", "nat", "-nan", "1.#qnan", "1.#ind", "-1.#ind", "n/d", "n/v", "n.v.", "dbnull", "false",
    "system.dbnull", "nullptr", "void", "unset", "not set", "missing", "empty", "not available", "not applicable",
    "nothing", "pd.na", "tbd", "todo", "unknown",
})  # fmt: skip
NAMES = ("tenant_id", "key", "label")
"""Fields in which ``NA`` or ``Void`` may well be a name."""
LINE_BREAKS = "\n\r\x85\u2028\u2029"

_KNOWN = {squashed(name): name for name in FIELDS}
_BETWEEN = re.compile(r"[\s,;+|/\[\]{}()\"']+")
_AROUND = " <>()[]{}'\"`%$"
_NO_MORE_THAN_MARKS = re.compile(r"[-+=|\u2010-\u2015\u2212.?_]*")
_NO_WORD = re.compile(r"[\W_0]*")
"""Marks alone, such as ``****``; and zeros, which spreadsheets, databases and .NET write for nothing."""
_SPREADSHEET_FAULT = re.compile(r"#\u00bf?[^\W\d]{2,8}[!?]")
_NUMBER_OF_A_SPREADSHEET = re.compile(r"[0-9](?:[.,]?[0-9]*e\+|[.,][0-9]+e-?)[0-9]{1,3}", re.IGNORECASE)
_WITH_FRACTION = re.compile(r"[1-9][0-9]*[.,]0+")
"""How pandas and R write the whole numbers of a column with gaps."""
IDS = ("tenant_id", "key", "client_id")
"""Fields whose text must be the very same as in the other system."""
EXACT = 2**53
"""Whole numbers up to here are exact in a float."""
_VISIBLE = re.compile(r"[!-~]{1,8192}")
_UTC = re.compile(r"(?:\s*(?:UTC|GMT)|Z)$", re.IGNORECASE)
_NO_INSTANT = "consented_at must be Unix seconds, such as 1790000000, or a date like 2026-11-23T14:00:00Z"
_NUMBER = re.compile(r"[0-9]{1,19}(?:\.[0-9]*)?")


@dataclass(frozen=True)
class Entry:
    """One connection to be made.

    Attributes:
        line: where it stands in the file
    """

    line: int
    ref: ConnectionRef
    refresh_token: Secret
    host: Host
    client_id: str
    client_secret: Secret | None
    scopes: frozenset[str]
    label: str
    consented_at: Instant | None


class EntryError(Exception):
    """The file has faults; each names its line and never shows a token."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__()


def read(file: Path, config: Config) -> list[Entry]:
    """Read a file of entries. Raises EntryError with everything that is wrong."""
    faults: list[str] = []
    entries: list[Entry] = []
    try:
        for record in records(file, [squashed(name) for name in NEEDED]):
            try:
                values = _values(record)
                if any(values.values()):
                    entries.append(_entry(record.line, values, config))
            except ValueError as fault:
                faults.append(f"line {record.line}: {fault}")
    except UnreadableFile as unreadable:
        names = f"; name the fields, with commas: {', '.join(FIELDS)}" if unreadable.fault == NO_HEADING else ""
        faults.append(f"line {unreadable.line}: {unreadable.fault}{names}")
    faults += _repeated(entries)
    if faults:
        raise EntryError(faults)
    return entries


def _entry(line: int, values: Mapping[str, str], config: Config) -> Entry:
    """Make an entry of one record's values. Raises ValueError with what to correct."""
    missing = [name for name in NEEDED if not values[name]]
    if missing:
        raise ValueError(f"{' and '.join(missing)} must be given: there is nothing, or what stands for nothing")
    host = _host(values, config)
    if values["client_secret"] and not values["client_id"]:
        raise ValueError("client_secret is there and client_id is not: both are the customer's own app's, or neither")
    client_id = values["client_id"] or config.client_ids.get(host.region, "")
    if not client_id:
        raise ValueError(f"client_id is missing, and this deployment has no client app in {host.region}")
    _check_different(values)
    return Entry(
        line=line,
        ref=_ref(values, host, client_id),
        refresh_token=Secret(_credential("refresh_token", values)),
        host=host,
        client_id=_credential("client_id", {"client_id": client_id}),
        client_secret=Secret(_credential("client_secret", values)) if values["client_secret"] else None,
        scopes=_scopes(values["scopes"]),
        label=_label(values["label"]),
        consented_at=_instant(values["consented_at"]),
    )


def _check_different(values: Mapping[str, str]) -> None:
    """Check that no two credentials are equal, as with an unknown mark for a missing value. Raises ValueError."""
    first: dict[str, str] = {}
    for name in ("refresh_token", "client_id", "client_secret"):
        if values[name] and (same := first.setdefault(values[name], name)) != name:
            raise ValueError(f"{name} is the same text as {same}: one of them is wrong, or stands for nothing")


def _values(record: Record) -> Mapping[str, str]:
    """Return the text of every field. Raises ValueError with what to correct."""
    if record.fault:
        raise ValueError(record.fault)
    if None in record.values:
        raise ValueError("there are more values than the heading has names")
    unknown = sorted(str(name) for name in record.values if squashed(str(name)) not in _KNOWN)
    if unknown:
        raise ValueError(f"{escaped(', '.join(unknown))}: there is no such field; the fields are {', '.join(FIELDS)}")
    values = dict.fromkeys(FIELDS, "")
    for name, value in record.values.items():
        field = _KNOWN[squashed(str(name))]
        values[field] = _text(field, value)
    return values


def _text(name: str, value: Any) -> str:
    """Read one value; what other programs write for a missing value counts as missing. Raises ValueError."""
    text = trimmed(_written(name, value))
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} holds half a character (a lone surrogate)")
    if _is_none(name, text.lower()):
        return ""
    unsafe = first_unsafe(text, allowed=LINE_BREAKS if name == "label" else "")
    if unsafe:
        raise ValueError(
            f"column {name} holds U+{ord(unsafe):04X}, which acts on the text around it and does not show; take it out"
        )
    if name != "consented_at" and _NUMBER_OF_A_SPREADSHEET.fullmatch(text):
        raise ValueError(f"{name} is a number from which a spreadsheet took digits; write the column as text")
    if name in IDS and _WITH_FRACTION.fullmatch(text):
        raise ValueError(f"{name} is a number to which a program added a fraction; write the column as text")
    return text


def _written(name: str, value: Any) -> str:
    """Write a value of JSON as text. Raises ValueError."""
    if name == "scopes" and isinstance(value, list):
        return " ".join(map(str, value))
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and (abs(value) < EXACT or name == "consented_at"):
        return str(int(value))  # as pandas writes the whole numbers of a column with gaps
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"{name} is a number without an end; write it as text")
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{name} must be text")  # noqa: TRY004  # a fault of the file, like the others
    return str(value)


def _is_none(name: str, text: str) -> bool:
    """Return whether a text in lower case stands for no value."""
    bare = without_unsafe(text).strip(_AROUND)
    if _NO_MORE_THAN_MARKS.fullmatch(bare) or _SPREADSHEET_FAULT.fullmatch(bare) or {text, bare} & EMPTY:
        return True
    return name not in NAMES and bool(bare in EMPTY_UNLESS_NAME or _NO_WORD.fullmatch(bare))


def _host(values: Mapping[str, str], config: Config) -> Host:
    if bool(values["region"]) == bool(values["host"]):
        raise ValueError("give region or host, one of them")
    named = values["region"] or values["host"]
    host = values["region"] and ninjaone.regional_host(named.lower())
    host = host or ninjaone.pasted_host(named, config.branded_suffixes)
    if host is None:
        raise ValueError(
            f"{'region' if values['region'] else 'host'} is none of NinjaOne's; "
            f"the regions are {', '.join(ninjaone.REGIONS)}"
        )
    return host


def _ref(values: Mapping[str, str], host: Host, client_id: str) -> ConnectionRef:
    """Name the connection: always the same for the same tenant and key."""
    tenant = tenant_id(values["tenant_id"])
    if tenant is None:
        odd = odd_character(values["tenant_id"])
        raise ValueError(f"tenant_id must be 1 to 64 letters, digits, dots, hyphens or underscores{odd}")
    key = unicodedata.normalize("NFC", without_unsafe(values["key"]))  # programs write é as one character or as two
    named = "\n".join(("import", tenant, key or f"{host.name} {client_id}"))
    return ConnectionRef(tenant, new_connection_id(lambda size: sha256(named.encode()).digest()[:size]))


def _credential(name: str, values: Mapping[str, str]) -> str:
    """Read a credential. Raises ValueError without the text, which is a secret."""
    text = values[name]
    if not _VISIBLE.fullmatch(text):
        raise ValueError(f"{name} must be 1 to {LONGEST_TOKEN} visible ASCII characters")
    if text[0] in "'\"`" or text[-1] in "'\"`":
        raise ValueError(f"{name} begins or ends with a quotation mark, which is no part of it; take it out")
    if text.endswith("..."):
        raise ValueError(f"{name} ends in dots, as where a program shows the beginning only; copy all of it")
    return text


def _label(text: str) -> str:
    """Check a label: nobody would notice what was cut off. Raises ValueError."""
    if len(text) > LONGEST_LABEL:
        raise ValueError(f"label has {len(text)} characters, and {LONGEST_LABEL} fit; shorten it")
    return text


def _scopes(text: str) -> frozenset[str]:
    """Read scopes. If none are named, the row takes them from NinjaOne's first grant."""
    scopes = frozenset(filter(None, _BETWEEN.split(text.lower())))
    if not scopes <= {*ninjaone.SCOPES, ninjaone.OFFLINE_ACCESS}:
        raise ValueError(f"scopes must be out of {', '.join(ninjaone.SCOPES)}")
    return scopes | {ninjaone.OFFLINE_ACCESS}


def _instant(text: str) -> Instant | None:
    """Read Unix seconds or milliseconds, or a date with its time zone."""
    if not text:
        return None
    seconds = float(text) if _NUMBER.fullmatch(text) else _date(text)
    while seconds >= EARLIEST * 1000:  # milliseconds, microseconds, nanoseconds
        seconds /= 1000
    if not EARLIEST <= seconds < LATEST:
        raise ValueError(_NO_INSTANT)
    return Instant(int(seconds))


def _date(text: str) -> float:
    try:
        moment = datetime.fromisoformat(_UTC.sub("+00:00", text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(_NO_INSTANT)
    return moment.timestamp()


def _repeated(entries: Iterable[Entry]) -> Iterator[str]:
    """Find lines that would make one connection twice."""
    first: dict[ConnectionRef, int] = {}
    tokens: dict[str, int] = {}
    for entry in entries:
        same = tokens.setdefault(entry.refresh_token.reveal(), entry.line)
        if same != entry.line:
            yield f"line {entry.line}: the same refresh token as line {same}; two would take it from each other"
        before = first.setdefault(entry.ref, entry.line)
        if before != entry.line:
            yield f"line {entry.line}: the same tenant and key as line {before}; give each a key of its own"
