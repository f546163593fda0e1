"""The operator's client secrets, from Secrets Manager: {"<client id>": "<client secret>"}.

Kept in memory for minutes, so that a new secret needs no deploy; that one is missing is remembered for a minute.
"""

import json
from collections.abc import Mapping

from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.clock import Clock
from broker.errors import Misconfigured
from broker.model import Client
from broker.secret import Secret

CACHED = 300.0
"""Seconds that the secrets are trusted before they are read again."""

ABSENT = 60.0
"""Seconds for which a secret that is missing or malformed is not asked for again."""

_MISSING = ("ResourceNotFoundException",)


class ClientSecrets:
    """The operator's client apps."""

    def __init__(self, secretsmanager: AwsClient, secret_id: str, clock: Clock) -> None:
        self._secretsmanager, self._secret_id, self._clock = secretsmanager, secret_id, clock
        self._secrets: Mapping[str, Secret] = {}
        self._until = 0.0
        self._absent: dict[str, tuple[float, str]] = {}

    def client(self, client_id: str) -> Client:
        """Give a client app with its secret.

        Raises   Misconfigured: no secret is stored for it; Busy, AwsRefused
        """
        until, text = self._absent.get(client_id, (0.0, ""))
        if self._clock.now() < until:
            raise Misconfigured(text)
        try:
            return Client(client_id, self._secret(client_id))
        except Misconfigured as error:
            self._absent[client_id] = (self._clock.now() + ABSENT, str(error))
            raise

    def _secret(self, client_id: str) -> Secret:
        if self._until <= self._clock.now() or client_id not in self._secrets:
            self._read()
        secret = self._secrets.get(client_id)
        if secret is None:
            raise Misconfigured("No client secret is stored for this client id; see README, Store the client secret.")
        return secret

    def newer(self, client: Client) -> Client | None:
        """Read the secret past the cache; give the client when it changed, else None."""
        self._until = 0.0
        fresh = self.client(client.id)
        return fresh if fresh.secret != client.secret else None

    def _read(self) -> None:
        try:
            answer = self._secretsmanager.call("get_secret_value", expected=_MISSING, SecretId=self._secret_id)
        except ExpectedError:
            raise Misconfigured("The client secrets are not stored yet; see README, Store the client secret.") from None
        self._secrets = _parse(answer.get("SecretString", ""))
        self._until = self._clock.now() + CACHED


def _parse(text: str) -> Mapping[str, Secret]:
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if not isinstance(held, dict) or not all(isinstance(secret, str) and secret for secret in held.values()):
        raise Misconfigured('The client secrets must be stored as JSON: {"<client id>": "<client secret>"}.')
    return {client_id: Secret(secret) for client_id, secret in held.items()}
