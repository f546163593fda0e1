"""The restore epoch: which rows of which table may be presented to NinjaOne.

An SSM parameter outside the table holds {"epoch": n, "table": name}. Rows carry the epoch they were written under.
A restored table has another name and older rows: no token in it is presented until the operator activates it.
"""

import json

from broker.adapters.aws import AwsClient
from broker.adapters.clock import Clock
from broker.errors import Misconfigured

CACHED_SECONDS = 60.0
"""Seconds that the epoch is cached before it is read again."""


class Epoch:
    """The active epoch of one table."""

    def __init__(self, ssm: AwsClient, parameter: str, table: str, clock: Clock) -> None:
        self._ssm, self._parameter, self._table, self._clock = ssm, parameter, table, clock
        self._active: int | None = None
        self._until = 0.0

    def active(self) -> int | None:
        """Return the epoch whose rows may be presented, or None while this table is not activated.

        Raises:
            AwsError: the parameter could not be read
            Misconfigured: the parameter is malformed
        """
        if self._until <= self._clock.now():
            self._active = self._read()
            self._until = self._clock.now() + CACHED_SECONDS
        return self._active

    def _read(self) -> int | None:
        text = self._ssm.call("get_parameter", Name=self._parameter)["Parameter"]["Value"]
        try:
            stored = json.loads(text)
            epoch, table = int(stored["epoch"]), str(stored["table"])
        except (ValueError, KeyError, TypeError):
            raise Misconfigured('The epoch parameter must hold {"epoch": <number>, "table": "<table name>"}.') from None
        return epoch if table == self._table else None
