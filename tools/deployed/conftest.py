"""The deployment that the command was told of."""

import pytest

from ninjaone_connect_cli.deployment import Deployment
from tools.deployed.reach import GIVEN


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    (found,) = GIVEN
    return found
