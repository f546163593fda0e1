"""The simulation's KMS for tests that use one account: a call takes a fifth of what it takes moto."""

# ruff: noqa: N803
# The parameters bear the API's own names.

import os
from collections.abc import Sequence

from local.cloudformation.resources import Key
from tests.verification.simulation.aws import Answer, ok
from tests.verification.simulation.keys import KMS


class KeysInMemory(KMS):
    """The keys of a template."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__({each.arn for each in keys}, os.urandom)

    def rotate_key_on_demand(self, *, KeyId: str) -> Answer:
        """What was made before opens as it did, which is all that shows of a rotation."""
        self._usable(KeyId, "RotateKeyOnDemand")
        return ok(KeyId=KeyId)
