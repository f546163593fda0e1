"""The proxy's rules in an SSM parameter: it may be longer than a template's parameter, and a change needs no deploy."""

from broker import proxy_policy
from broker.adapters.aws import AwsClient
from broker.adapters.clock import Clock
from broker.errors import Misconfigured
from broker.proxy_policy import CallRule

CACHED_SECONDS = 60.0
"""Seconds that the rules are cached before they are read again."""


class StoredProxyPolicy:
    """The rules as read within the last minute. Rules that can't be read allow nothing."""

    def __init__(self, ssm: AwsClient, parameter: str, clock: Clock) -> None:
        self._ssm, self._parameter, self._clock = ssm, parameter, clock
        self._rules: tuple[CallRule, ...] = ()
        self._until = 0.0

    def __call__(self) -> tuple[CallRule, ...]:
        """Return the rules.

        Raises:
            AwsError: the parameter could not be read, for example because there is none
            Misconfigured: the parameter holds no valid rules
        """
        if self._until <= self._clock.now():
            self._rules = self._read()
            self._until = self._clock.now() + CACHED_SECONDS
        return self._rules

    def _read(self) -> tuple[CallRule, ...]:
        text = self._ssm.call("get_parameter", Name=self._parameter)["Parameter"]["Value"].strip()
        if not proxy_policy.PATTERN.fullmatch(text):
            raise Misconfigured(f"The parameter {self._parameter} must hold {proxy_policy.WANTED}.")
        return proxy_policy.read(text)
