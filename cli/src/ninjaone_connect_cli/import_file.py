"""The lines of an import, read and checked whole before anything is done about them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from broker import ninjaone
from broker.adapters.clock import new_connection_id
from broker.config import Config
from broker.model import ConnectionRef, Host, Instant, tenant_id
from broker.secret import Secret

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


@dataclass(frozen=True)
class Entry:
    """One connection to be made.

    line   where it stands in the file
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
    """The file has faults; each names its line and never shows its token."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__()


def read(file: Path, config: Config) -> list[Entry]:
    """Read a file of entries. Raises   EntryError: with all that is wrong"""
    faults: list[str] = []
    entries: list[Entry] = []
    for line, fields in _lines(file, faults):
        try:
            entries.append(_entry(line, fields, config))
        except ValueError as fault:
            faults.append(f"line {line}: {fault}")
    faults += _repeated(entries)
    if faults:
        raise EntryError(faults)
    return entries


def _lines(file: Path, faults: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give each line's number and what it says; what can't be read at all is a fault, and is not shown."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        faults.append(f"line {before + 1}: this is not UTF-8; save the file as UTF-8")
        return
    yield from _csv(lines, faults) if file.suffix.lower() == ".csv" else _json_lines(lines, faults)


def _csv(lines: list[str], faults: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        if not {"tenant_id", "refresh_token"} <= {*(reader.fieldnames or ())}:  # not shown: a token may stand in it
            faults.append(f"line 1: this is no heading; name the fields, with commas: {', '.join(FIELDS)}")
            return
        yield from ((reader.line_num, row) for row in reader)
    except csv.Error:
        faults.append(f"line {reader.line_num}: this is no CSV")


def _json_lines(lines: list[str], faults: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                fields = None
            if isinstance(fields, dict):
                yield number, fields
            else:
                faults.append(f"line {number}: this is no JSON object")


def _entry(line: int, fields: Mapping[str, Any], config: Config) -> Entry:
    """Read one line. Raises   ValueError: what to correct"""
    if None in fields:  # what csv calls the values beyond the heading
        raise ValueError("there are more values than the heading has names")
    unknown = sorted(str(name) for name in fields if name not in FIELDS)
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: there is no such field; the fields are {', '.join(FIELDS)}")
    values = {name: _text(name, fields.get(name)) for name in FIELDS}
    host = _host(values, config)
    client_id = values["client_id"] or config.client_ids.get(host.region, "")
    if not client_id:
        raise ValueError(f"client_id is missing, and this deployment has no client app in {host.region}")
    return Entry(
        line=line,
        ref=_ref(values, host, client_id),
        refresh_token=_token(values["refresh_token"]),
        host=host,
        client_id=client_id,
        client_secret=Secret(values["client_secret"]) if values["client_secret"] else None,
        scopes=_scopes(values["scopes"], config),
        label=values["label"][:LONGEST_LABEL],
        consented_at=_instant(values["consented_at"]),
    )


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(f"{name} must be text")  # noqa: TRY004  # a fault of the file, like the others
    if any("\ud800" <= character <= "\udfff" for character in str(value)):
        raise ValueError(f"{name} holds half a character (a lone surrogate)")
    return str(value).strip()


def _host(values: Mapping[str, str], config: Config) -> Host:
    if bool(values["region"]) == bool(values["host"]):
        raise ValueError("give region or host, one of them")
    named = values["region"] or values["host"].lower()
    host = ninjaone.regional_host(named) if values["region"] else ninjaone.find_host(named, config.branded_suffixes)
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
        raise ValueError("tenant_id must be 1 to 64 letters, digits, dots, hyphens or underscores")
    named = "\n".join(("import", tenant, values["key"] or f"{host.name} {client_id}"))
    return ConnectionRef(tenant, new_connection_id(lambda size: sha256(named.encode()).digest()[:size]))


def _token(text: str) -> Secret:
    if not text or len(text) > LONGEST_TOKEN or not all("!" <= character <= "~" for character in text):
        raise ValueError("refresh_token must be 1 to 8192 visible ASCII characters")
    return Secret(text)


def _scopes(text: str, config: Config) -> frozenset[str]:
    scopes = ninjaone.scope_set(text) or config.scopes
    if not scopes <= {*ninjaone.SCOPES, ninjaone.OFFLINE_ACCESS}:
        raise ValueError(f"scopes must be out of {', '.join(ninjaone.SCOPES)}")
    return scopes | {ninjaone.OFFLINE_ACCESS}


def _instant(text: str) -> Instant | None:
    if text and not (text.isdigit() and 10**9 <= int(text) < 10**10):
        raise ValueError("consented_at must be Unix seconds, such as 1800000000")
    return Instant(int(text)) if text else None


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
