"""The operator's client secrets, from Secrets Manager: {"<client id>": "<client secret>"}.

Kept in memory for minutes, so that a new secret needs no deploy; that one is missing is remembered for a minute.
What is stored is written by hand, so one entry that is no secret fails its own app and no other, and a whole that
can't be read any more leaves in force what was read before.
"""

import json
from collections.abc import Mapping
from typing import Any

from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.clock import Clock
from broker.errors import Misconfigured
from broker.model import Client
from broker.oauth import json_text
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
        self._secrets: Mapping[str, Secret | None] = {}
        self._until = 0.0
        self._absent: dict[str, tuple[float, str]] = {}

    def client(self, client_id: str) -> Client:
        """Give a client app with its secret.

        Raises:
            Misconfigured: no secret is stored for it
            Busy, AwsRefused
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
        if client_id not in self._secrets:
            raise Misconfigured("No client secret is stored for this client id: docs/operate/your-app.md, step 4.")
        secret = self._secrets[client_id]
        if secret is None:
            raise Misconfigured(
                f"What is stored for the client id {client_id} is no client secret. It must be a non-empty text."
            )
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
            raise Misconfigured("The client secrets are not stored yet: docs/operate/your-app.md, step 4.") from None
        self._keep(parsed(stored_text(answer)))

    def _keep(self, fresh: Mapping[str, str | None] | None) -> None:
        """Take what was read; what can't be read is the operator's to correct, and meanwhile the last one counts."""
        if fresh is None:
            self._secretsmanager.note("get_secret_value", "MalformedClientSecrets", refused=True)
            if not self._secrets:
                raise Misconfigured('The client secrets must be stored as JSON: {"<client id>": "<client secret>"}.')
            self._until = self._clock.now() + ABSENT
            return
        self._secrets = {name: None if text is None else Secret(text) for name, text in fresh.items()}
        self._until = self._clock.now() + CACHED


def stored_text(answer: Mapping[str, Any]) -> str:
    """Give what Secrets Manager holds: a text, or a file that was stored as bytes; a byte order mark goes."""
    text = answer.get("SecretString")
    if text is None:
        text = json_text(bytes(answer.get("SecretBinary", b"")))
    return str(text).removeprefix("\ufeff")


def parsed(text: str) -> Mapping[str, str | None] | None:
    """Read client ids and their secrets, without the whitespace that copying brings along.

    Returns:
        None for an entry that is no secret, and for a whole that is no JSON object
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(stored, dict):
        return None
    return {name.strip(): _secret(value) for name, value in stored.items()}


def _secret(value: object) -> str | None:
    """Take a text that a form can carry; half a character (a lone surrogate) can't be written in UTF-8."""
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        return None
    return value.strip() or None
