"""Where a secret may not be, in any encoding; and what a sealed value may not do when it is moved."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from broker.model import Purpose
from tests.verification.simulation.values import Item

if TYPE_CHECKING:
    from tests.verification.simulation.world import World

SHOWN = 12  # the first characters of a secret that may not be seen either
Place = tuple[tuple[str, str], str, int]


def encodings(secret: str) -> Iterator[str]:
    """Yield what would betray a secret: its beginning as it is, escaped, in hexadecimal, in base64."""
    start = secret[:SHOWN]
    yield start
    for other in (quote(secret, safe="")[:SHOWN], json.dumps(secret)[1 : SHOWN + 1]):
        if other != start:
            yield other
    yield secret.encode().hex()[: 2 * SHOWN]
    yield base64.b64encode(secret.encode()).decode()[: SHOWN + 4]


def secrets(world: "World") -> set[str]:
    """Return every secret of a run: what NinjaOne issued, what the SaaS and the browser keep."""
    state = world.ninjaone.state
    tails = {token.rpartition(".")[2] for token in state.refresh_tokens}
    apps = {app.secret for app in state.apps.values()}
    held = {*tails, *state.access_tokens, *state.codes, *apps, *world.history.secrets}
    return {each for each in held if len(each) >= SHOWN}


def written(world: "World") -> Iterator[tuple[str, str]]:
    """Yield everything that lies open: lines, figures, messages, names, addresses, plain attributes."""
    yield from world.history.texts
    for table in (world.rows, world.sessions):
        for item in table.items.values():
            yield f"row of {table.name}", " ".join(_plain(item))
    for name in world.bucket:
        yield "object name", name


def _plain(item: Item) -> Iterator[str]:
    for name, value in item.items():
        for kind, content in value.items():
            if kind != "B":
                yield f"{name}={content}"


def leak(world: "World") -> str | None:
    """Say where a secret lies open, if one does."""
    texts: dict[str, list[str]] = {}
    for sink, text in written(world):
        texts.setdefault(sink, []).append(text)
    wholes = {sink: "\n".join(each) for sink, each in texts.items()}
    for secret in secrets(world):
        for trace in encodings(secret):
            for sink, whole in wholes.items():
                if trace in whole:
                    return f"a secret in a {sink}"
    return None


def seals(world: "World") -> Iterator[tuple[bytes, Purpose, Place]]:
    """Yield the sealed tokens of every row, and the place each was sealed for."""
    for ref, row in world.rows.items.items():
        for purpose in (Purpose.ACCESS, Purpose.REFRESH):
            if purpose.value in row and "version" in row:
                yield row[purpose.value]["B"], purpose, (ref, row["connection"]["S"], int(row["version"]["N"]))


def moved_seal(world: "World") -> str | None:
    """Try to open each sealed token in each other place, and with a bit changed."""
    found = list(seals(world))[:8]
    for blob, purpose, (ref, _, version) in found:
        if world.oracle.sealed(ref, _flipped(blob, world.random.randrange(len(blob) * 8)), version, purpose):
            return "a changed seal opened"
        for other_ref, other_purpose, other_version in _others(found, (ref, purpose, version)):
            if world.oracle.sealed(other_ref, blob, other_version, other_purpose):
                return "a moved seal opened"
    return None


def _others(
    found: list[tuple[bytes, Purpose, Place]], customer_app: tuple[tuple[str, str], Purpose, int]
) -> Iterator[tuple[tuple[str, str], Purpose, int]]:
    ref, purpose, version = customer_app
    hosts = {(each[2][0], each[1], each[2][2]) for each in found}
    hosts |= {(ref, purpose, version + 1), (ref, purpose, version - 1), (("other", ref[1]), purpose, version)}
    for host in sorted(hosts, key=str):
        if host != customer_app:
            yield host


def _flipped(blob: bytes, bit: int) -> bytes:
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
