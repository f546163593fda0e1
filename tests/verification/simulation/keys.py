"""KMS in memory: data keys that open only under the context they were made with."""

# ruff: noqa: N803
# The parameters bear the API's own names.

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.verification.simulation.aws import Answer, Exceptions, error, ok

WRAPPED = 184  # bytes of a wrapped 256-bit data key, as KMS returns them


@dataclass
class Made:
    """One data key, as only KMS knows it."""

    key: str
    context: dict[str, str]
    plaintext: bytes


@dataclass
class KMS:
    """A KMS client. `disabled` holds the keys that refuse to work at present."""

    keys: set[str]
    entropy: Callable[[int], bytes]
    disabled: set[str] = field(default_factory=set)
    made: dict[bytes, Made] = field(default_factory=dict)
    exceptions = Exceptions()

    def generate_data_key(
        self,
        *,
        KeyId: str,
        EncryptionContext: dict[str, str] | None = None,
        KeySpec: str = "AES_256",
        NumberOfBytes: int | None = None,
    ) -> Answer:
        self._usable(KeyId, "GenerateDataKey")
        size = NumberOfBytes or {"AES_256": 32, "AES_128": 16}[KeySpec]
        wrapped, plaintext = self.entropy(WRAPPED), self.entropy(size)
        self.made[wrapped] = Made(KeyId, dict(EncryptionContext or {}), plaintext)
        return ok(CiphertextBlob=wrapped, Plaintext=plaintext, KeyId=KeyId)

    def decrypt(
        self,
        *,
        CiphertextBlob: bytes,
        EncryptionContext: dict[str, str] | None = None,
        KeyId: str | None = None,
        EncryptionAlgorithm: str = "SYMMETRIC_DEFAULT",
    ) -> Answer:
        made = self.made.get(bytes(CiphertextBlob))
        if made is None:
            raise error("InvalidCiphertextException", "Decrypt")
        if KeyId is not None and KeyId != made.key:
            raise error("IncorrectKeyException", "Decrypt")
        self._usable(made.key, "Decrypt")
        if made.context != (EncryptionContext or {}):
            raise error("InvalidCiphertextException", "Decrypt")
        return ok(KeyId=made.key, Plaintext=made.plaintext, EncryptionAlgorithm=EncryptionAlgorithm)

    def re_encrypt(
        self,
        *,
        CiphertextBlob: bytes,
        DestinationKeyId: str,
        SourceEncryptionContext: dict[str, str],
        DestinationEncryptionContext: dict[str, str],
    ) -> Answer:
        made = self.made.get(bytes(CiphertextBlob))
        if made is None or made.context != SourceEncryptionContext:
            raise error("InvalidCiphertextException", "ReEncrypt")
        self._usable(made.key, "ReEncrypt")
        self._usable(DestinationKeyId, "ReEncrypt")
        wrapped = self.entropy(WRAPPED)
        self.made[wrapped] = Made(DestinationKeyId, dict(DestinationEncryptionContext), made.plaintext)
        return ok(CiphertextBlob=wrapped, SourceKeyId=made.key, KeyId=DestinationKeyId)

    def _usable(self, key: str, operation: str) -> None:
        if key not in self.keys:
            raise error("NotFoundException", operation, f"Key {key!r} does not exist")
        if key in self.disabled:
            raise error("DisabledException", operation, f"{key} is disabled.")
