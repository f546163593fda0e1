"""The sample events, for `sam local invoke` and for reading: each runs through the function it is named for."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from local.aws.lambda_runtime import Context
from local.world import World
from tests.support.invoke import invoke
from tests.support.local_world import still_world
from tests.support.sample_events import ANSWERS

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "events").glob("*.json"))
FUNCTIONS = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with still_world() as world:
        yield world


def run(world: World, sample: Path) -> Any:
    """Give the status of an answer, or the items that are to come again."""
    folder = sample.stem.partition("-")[0]
    entry = import_module(f"functions.{folder}.app").handler.bind(world.broker_for(folder))
    answer = invoke(entry, json.loads(sample.read_text()), Context(world.template.functions[folder]))
    if answer is None or "statusCode" in answer:
        return answer and answer["statusCode"]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_event_gets_the_answer_it_shows(world: World, sample: Path) -> None:
    assert run(world, sample) == ANSWERS[sample.stem]


def test_every_function_has_a_sample_event() -> None:
    assert {sample.stem for sample in SAMPLES} >= FUNCTIONS
    assert {sample.stem.partition("-")[0] for sample in SAMPLES} == FUNCTIONS
