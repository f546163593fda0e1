"""The rules of the proxy in an SSM parameter of the operator's: longer than a template's parameter, changed at once."""

from broker import call_policy
from broker.adapters.aws import AwsClient
from broker.adapters.clock import Clock
from broker.call_policy import CallRule
from broker.errors import Misconfigured

CACHED = 60.0
"""Seconds that the rules hold before they are read again."""


class StoredPolicy:
    """The rules, as they were read within the last minute. What can't be read allows nothing."""

    def __init__(self, ssm: AwsClient, parameter: str, clock: Clock) -> None:
        self._ssm, self._parameter, self._clock = ssm, parameter, clock
        self._rules: tuple[CallRule, ...] = ()
        self._until = 0.0

    def __call__(self) -> tuple[CallRule, ...]:
        """Give the rules.

        Raises:
            Busy
            AwsRefused: there is no such parameter
            Misconfigured: it holds no rules
        """
        if self._until <= self._clock.now():
            self._rules = self._read()
            self._until = self._clock.now() + CACHED
        return self._rules

    def _read(self) -> tuple[CallRule, ...]:
        text = self._ssm.call("get_parameter", Name=self._parameter)["Parameter"]["Value"].strip()
        if not call_policy.PATTERN.fullmatch(text):
            raise Misconfigured(f"The parameter {self._parameter} must hold {call_policy.WANTED}.")
        return call_policy.read(text)
