"""No two places are written alike, and no changed value opens."""

import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.adapters.seal import Seal
from broker.errors import BrokerError
from broker.model import AssociatedData, Purpose
from broker.secret import Secret
from tools.requirements import req

# Texts that try to run into each other: lengths, separators and digits as parts.
PARTS = st.text("a0:/,\0\1é1", max_size=4) | st.text(max_size=8)
SPOTS = st.builds(AssociatedData, PARTS, PARTS, PARTS, st.integers(0, 2**40))
PURPOSES = st.sampled_from(Purpose)


def read(written: bytes) -> list[str]:
    """Read a place back: what can be read in one way alone was written in one way alone."""
    parts = []
    while written:
        (length,) = struct.unpack(">H", written[:2])
        parts.append(written[2 : 2 + length].decode())
        written = written[2 + length :]
    return parts


@req("J03")
@given(SPOTS, PURPOSES)
def test_a_place_can_be_read_back_whole(spot: AssociatedData, purpose: Purpose) -> None:
    assert read(spot.bytes(purpose)) == ["1", spot.table, spot.tenant, spot.row, purpose.value, str(spot.version)]


@req("J03")
@given(SPOTS, PURPOSES, SPOTS, PURPOSES)
def test_two_places_are_written_alike_only_when_they_are_one(
    spot: AssociatedData, purpose: Purpose, other: AssociatedData, another: Purpose
) -> None:
    assert (spot.bytes(purpose) == other.bytes(another)) is ((spot, purpose) == (other, another))


@settings(max_examples=40)
@given(st.text(max_size=200), SPOTS, PURPOSES, st.data())
def test_a_sealed_value_opens_as_it_was_and_not_with_any_bit_changed(
    seal: Seal, secret: str, spot: AssociatedData, purpose: Purpose, data: st.DataObject
) -> None:
    sealed = seal.seal(seal.data_key(purpose), Secret(secret), spot)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8

    assert seal.open(sealed, purpose, spot) == Secret(secret)
    with pytest.raises(BrokerError):
        seal.open(bytes(changed), purpose, spot)


@settings(max_examples=40)
@given(blob=st.binary(max_size=300) | st.integers(0, 2**16).map(lambda seed: b"\1\0\x60" + Random(seed).randbytes(200)))
def test_any_bytes_open_to_nothing_and_break_nothing(seal: Seal, blob: bytes) -> None:
    with pytest.raises(BrokerError):
        seal.open(blob, Purpose.ACCESS, AssociatedData("connections", "acme", "con_a"))
