"""The operator's client secrets, from Secrets Manager: {"<client id>": "<client secret>"}.

They are cached for minutes, so that a new secret needs no deploy; that one is missing is remembered for a minute.
People write the stored secret by hand. So an invalid entry affects its own app only, and if the whole secret becomes
unreadable, the last readable one stays in use.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.clock import Clock
from broker.errors import Misconfigured
from broker.model import Client
from broker.oauth import PADDING, json_text
from broker.secret import Secret
from broker.text import credential

CACHED_SECONDS = 300.0
"""Seconds that the secrets are trusted before they are read again."""

ABSENT_SECONDS = 60.0
"""Seconds before a secret that is missing or malformed is read again."""

_MISSING = ("ResourceNotFoundException",)


class ClientSecrets:
    """The operator's client apps."""

    def __init__(self, secretsmanager: AwsClient, secret_id: str, clock: Clock) -> None:
        self._secretsmanager, self._secret_id, self._clock = secretsmanager, secret_id, clock
        self._secrets: Mapping[str, Secret | None] = {}
        self._until = 0.0
        self._absent: dict[str, tuple[float, str]] = {}

    def client(self, client_id: str) -> Client:
        """Return a client app with its secret.

        Raises:
            Misconfigured: no usable secret is stored for it
            AwsError: Secrets Manager could not be read
        """
        until, text = self._absent.get(client_id, (0.0, ""))
        if self._clock.now() < until:
            raise Misconfigured(text)
        try:
            return Client(client_id, self._secret(client_id))
        except Misconfigured as error:
            self._absent[client_id] = (self._clock.now() + ABSENT_SECONDS, str(error))
            raise

    def _secret(self, client_id: str) -> Secret:
        if self._until <= self._clock.now() or client_id not in self._secrets:
            self._read()
        if client_id not in self._secrets:
            raise Misconfigured("No client secret is stored for this client id: docs/operate/your-app.md, step 4.")
        secret = self._secrets[client_id]
        if secret is None:
            raise Misconfigured(
                f"What is stored for the client id {client_id} is no client secret. It must be one word of visible "
                "ASCII characters."
            )
        return secret

    def reload_if_changed(self, client: Client) -> Client | None:
        """Read the secret past the cache; return the client if its secret changed, else None."""
        self._until = 0.0
        fresh = self.client(client.id)
        return fresh if fresh.secret != client.secret else None

    def _read(self) -> None:
        try:
            answer = self._secretsmanager.call("get_secret_value", expected=_MISSING, SecretId=self._secret_id)
        except ExpectedError:
            raise Misconfigured("The client secrets are not stored yet: docs/operate/your-app.md, step 4.") from None
        self._keep(entries(stored_bytes(answer)))

    def _keep(self, written: Sequence[tuple[str, object]] | None) -> None:
        """Cache what was read; if it is unreadable, log that and go on with the last readable one."""
        if written is None:
            self._secretsmanager.log_error("get_secret_value", "MalformedClientSecrets", refused=True)
            if not self._secrets:
                raise Misconfigured('The client secrets must be stored as JSON: {"<client id>": "<client secret>"}.')
            self._until = self._clock.now() + ABSENT_SECONDS
            return
        self._secrets = {name: None if text is None else Secret(text) for name, text in secrets_of(written).items()}
        self._until = self._clock.now() + CACHED_SECONDS


def stored_bytes(answer: Mapping[str, Any]) -> bytes:
    """Return what Secrets Manager holds: a text, or a file that was stored as bytes."""
    text = answer.get("SecretString")
    return bytes(answer.get("SecretBinary", b"")) if text is None else str(text).encode("utf-8", "replace")


def entries(content: bytes) -> Sequence[tuple[str, object]] | None:
    """Return each entry as it was written, in any encoding of Unicode; None if the whole is not a JSON object.

    A raw line break or a number of any length makes only its own entry invalid.
    """
    try:
        found = json.loads(json_text(content).strip(PADDING), strict=False, parse_int=float, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, tuple) else None


def secrets_of(written: Sequence[tuple[str, object]]) -> Mapping[str, str | None]:
    """Read client ids and their secrets from ``entries``, without whitespace or quotation marks from copying.

    Returns:
        client id → secret, None for an invalid entry. If a client id is repeated, its last valid secret counts.
    """
    secrets: dict[str, str | None] = {}
    for name, value in written:
        secrets[bare(name)] = _secret(value) or secrets.get(bare(name))
    return secrets


def _secret(value: object) -> str:
    """Return a secret, or an empty text if it can be none; a lone surrogate shows that a part was lost."""
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        return ""
    return credential(value)


def bare(name: str) -> str:
    """Return a client id without whitespace or quotation marks from copying; what can be none is left as it is."""
    return credential(name) or name
