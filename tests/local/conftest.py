"""The real template, AWS in memory made from it, and the whole world, for the tests of what `make run` consists of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws.account import AwsAccount
from local.clock import StillClock
from local.cloudformation.resources import Function
from local.cloudformation.template import Template, read
from local.world import World
from tests.support.local_world import still_world
from tools.expand import NEEDED


@pytest.fixture(scope="session")
def stack() -> Template:
    return read(Path(__file__).parents[2] / "template.yaml", NEEDED)


@pytest.fixture(scope="session")
def function(stack: Template) -> Function:
    """Any function that somebody waits for."""
    return stack.functions["session"]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def aws(stack: Template, clock: StillClock) -> Iterator[AwsAccount]:
    with AwsAccount(stack, clock.now) as made:
        yield made


@pytest.fixture
def world() -> Iterator[World]:
    with still_world() as made:
        yield made
