"""Every parser with its corpus, and with what hypothesis makes of it. The long campaign is ``make fuzz``."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.verification.fuzz.__main__ import CORPUS, mutated, shuffled
from tests.verification.fuzz.targets import TARGETS
from tools.requirements import req

SEEDS = sorted(CORPUS.glob("*/*"))


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()
    assert {path.parent.name for path in SEEDS} == TARGETS.keys()


@req("C01", "C07", "C10", "D06", "I05", "P01", "J03")
@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name} {path.name}")
def test_what_was_ever_found_stays_mended(seed: Path) -> None:
    TARGETS[seed.parent.name](seed.read_bytes())


@req("C01", "D06", "I05", "P01")
@pytest.mark.parametrize("name", TARGETS)
def test_no_mutation_of_the_corpus_breaks_a_parser(name: str) -> None:
    assert shuffled(name, 300) == (300, [])


@req("P01", "J03")
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_a_parser(name: str) -> None:
    @given(st.binary(max_size=400))
    @settings(max_examples=100, database=None, derandomize=True)
    @example(b"")
    @example(b"\xff" * 8)
    @example(b"[" * 20_000)
    @example(b"9" * 5_000)
    def anything(data: bytes) -> None:
        TARGETS[name](data)

    anything()


def test_a_mutation_is_another_input() -> None:
    draw = Random(1)

    assert len({mutated(bytearray(b"state=a&code=b"), draw, [b"x" * 40]) for _ in range(50)}) > 40


def test_a_parser_that_breaks_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(data: bytes) -> None:
        assert b"e" not in data, "planted"

    monkeypatch.setitem(TARGETS, "query", breaks)

    ran, broken = shuffled("query", 200)

    assert ran == 200
    assert broken
