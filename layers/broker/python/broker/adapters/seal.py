"""Encryption of stored secrets: AES-256-GCM under a data key from KMS.

The data key is fetched before NinjaOne is called, so that new tokens can be sealed even if KMS fails meanwhile. Data
keys stay in memory for up to ``KEY_LIFE``, so a disabled KMS key takes effect that much later.
A sealed value opens only at the place it was sealed for; KMS lets a function use only its own purposes.

Shape of a sealed value, bytes
1        format, 0x01
2        length n of the wrapped data key, big endian
n        data key, wrapped by KMS under the encryption context {"app", "purpose"}
12       nonce, random
rest     ciphertext and tag; additional data: the place, see ``AssociatedData.bytes``

See NIST SP 800-38D §8.2.2 (random nonces); AWS KMS developer guide, encryption context.
"""

import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.adapters.aws import AwsClient, ExpectedError
from broker.adapters.clock import Clock, Entropy
from broker.errors import AwsError, SealBroken
from broker.model import SEAL_FORMAT, AssociatedData, Purpose, Session, SessionId, sha256_hex, unambiguous
from broker.secret import Secret

KEY_LIFE = 300.0
"""Seconds that a data key may stay in memory, for sealing or for opening."""
KEY_USES = 65_536
"""Values sealed under one data key: far below the 2**32 that random nonces allow."""
KEYS_KEPT = 1_024

_NONCE = 12
_BROKEN = ("InvalidCiphertextException", "IncorrectKeyException")


def session_aad(session: SessionId) -> AssociatedData:
    """Return the associated data of what a connect session holds; a session's id is unique among all tenants."""
    return AssociatedData("sessions", "", session)


def code_aad(session: Session, ticket_hash: str) -> AssociatedData:
    """Return the associated data of a stored code: its session as the person came back, and the ticket they got.

    If the row is rewritten for another tenant, person or proof, the associated data differs and the code can no longer
    be opened.

    Args:
        ticket_hash: of the ticket that the person got
    """
    host = session.host.name if session.host else ""
    bound = unambiguous(
        session.end_user_hash, session.binding_challenge, session.binding, session.connection or "", host,
        session.client_id, ticket_hash,
    )  # fmt: skip
    return AssociatedData("sessions", session.tenant, f"{session.session} {sha256_hex(bound.hex())}")


@dataclass(frozen=True)
class DataKey:
    """A data key, in plain and wrapped by KMS."""

    purpose: Purpose
    wrapped: bytes
    key: bytes = field(repr=False)
    until: float
    uses: int = 0


class Seal:
    """Seals and opens secrets, with a cache of data keys.

    Worker threads share it without a lock: they only set whole, frozen keys in its dictionaries. At worst two of them
    fetch a key twice, or one use too few is counted, far below the bound of AES-GCM.
    """

    def __init__(self, kms: AwsClient, key_id: str, clock: Clock, entropy: Entropy) -> None:
        self._kms, self._key_id, self._clock, self._entropy = kms, key_id, clock, entropy
        self._sealing: dict[Purpose, DataKey] = {}
        self._opened: dict[bytes, DataKey] = {}

    def data_key(self, purpose: Purpose) -> DataKey:
        """Return a data key to seal with; call it before anything irreversible is begun. Raises AwsError."""
        cached = self._sealing.get(purpose)
        if cached and cached.until > self._clock.now() and cached.uses < KEY_USES:
            self._sealing[purpose] = replace(cached, uses=cached.uses + 1)
            return cached
        fresh = self._generate(purpose)
        self._sealing[purpose] = replace(fresh, uses=1)
        self._remember(fresh)
        return fresh

    def seal(self, key: DataKey, secret: Secret, aad: AssociatedData) -> bytes:
        """Seal one secret for one place, in memory only, so that no remote service can make it fail."""
        nonce = self._entropy(_NONCE)
        sealed = AESGCM(key.key).encrypt(nonce, secret.reveal().encode(), aad.bytes(key.purpose))
        return struct.pack(">BH", SEAL_FORMAT, len(key.wrapped)) + key.wrapped + nonce + sealed

    def open(self, blob: bytes, purpose: Purpose, aad: AssociatedData) -> Secret:
        """Open what was sealed for this purpose and place.

        Raises:
            SealBroken: the value was moved, changed, or sealed under another key
            AwsError: KMS did not unwrap the data key
        """
        wrapped, nonce, sealed = _parts(blob)
        key = self._unwrap(wrapped, purpose)
        try:
            return Secret(AESGCM(key.key).decrypt(nonce, sealed, aad.bytes(purpose)).decode())
        except (InvalidTag, UnicodeDecodeError):
            raise SealBroken from None

    def unwrap_keys(self, blobs: Iterable[bytes], purpose: Purpose) -> None:
        """Unwrap the data keys of many blobs ahead, each key once; a failure shows when its blob is opened."""
        for wrapped in dict.fromkeys(wrapped_key(blob) for blob in blobs):
            with suppress(SealBroken, AwsError):
                self._unwrap(wrapped, purpose)

    def _generate(self, purpose: Purpose) -> DataKey:
        answer = self._call(
            "generate_data_key", KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=context(purpose)
        )
        return DataKey(purpose, answer["CiphertextBlob"], answer["Plaintext"], self._clock.now() + KEY_LIFE)

    def _unwrap(self, wrapped: bytes, purpose: Purpose) -> DataKey:
        cached = self._opened.get(wrapped)
        if cached and cached.until > self._clock.now() and cached.purpose == purpose:
            return cached
        answer = self._call("decrypt", CiphertextBlob=wrapped, EncryptionContext=context(purpose))
        key = DataKey(purpose, wrapped, answer["Plaintext"], self._clock.now() + KEY_LIFE)
        self._remember(key)
        return key

    def _remember(self, key: DataKey) -> None:
        if len(self._opened) >= KEYS_KEPT:
            self._opened.clear()
        self._opened[key.wrapped] = key

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = self._kms.call(operation, expected=_BROKEN, **parameters)
        except ExpectedError:
            raise SealBroken from None
        return answer


def context(purpose: Purpose) -> Mapping[str, str]:
    """Return the KMS encryption context: IAM roles are limited by it, and CloudTrail shows it, so it names nobody."""
    return {"app": "ninjaone-connect", "purpose": purpose.value}


def wrapped_key(blob: bytes) -> bytes:
    """Return the wrapped data key inside a sealed value."""
    return blob[3 : 3 + int.from_bytes(blob[1:3], "big")]


def _parts(blob: bytes) -> tuple[bytes, bytes, bytes]:
    start = 3 + int.from_bytes(blob[1:3], "big")
    if blob[:1] != bytes([SEAL_FORMAT]) or start == 3 or len(blob) < start + _NONCE:
        raise SealBroken
    return blob[3:start], blob[start : start + _NONCE], blob[start + _NONCE :]
