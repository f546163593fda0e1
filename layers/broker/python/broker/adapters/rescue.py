"""The rescue store: sealed tokens that DynamoDB did not take, in S3, an object for each connection and version.

Shape of a connection's object, JSON
access, refresh   sealed for version + 1, base64
expires_at, scopes, sent_at

A connect session whose exchanged consent could not be saved has an object too: the sealed value of its row.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from broker.adapters.aws import AwsClient, ExpectedError
from broker.errors import AwsError, SealBroken
from broker.model import ConnectionId, ConnectionRef, Instant, SessionId, TenantId, connection_id, tenant_id

PREFIX, CONSENTS = "rescue/", "consents/"
_ABSENT = ("NoSuchKey", "404")


@dataclass(frozen=True)
class SealedTokens:
    """Sealed tokens on their way into a row."""

    access: bytes
    refresh: bytes
    expires_at: Instant
    scopes: frozenset[str]
    sent_at: Instant


class RescueStore:
    """The bucket of rescued tokens. Its methods raise ``AwsError`` when S3 does not do what it is asked."""

    def __init__(self, s3: AwsClient, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def put(self, ref: ConnectionRef, version: int, tokens: SealedTokens) -> None:
        """Store tokens that follow those of ``version``."""
        body = {
            "access": base64.b64encode(tokens.access).decode(),
            "refresh": base64.b64encode(tokens.refresh).decode(),
            "expires_at": tokens.expires_at,
            "scopes": sorted(tokens.scopes),
            "sent_at": tokens.sent_at,
        }
        self._call("put_object", Key=_name(ref, version), Body=json.dumps(body).encode())

    def get(self, ref: ConnectionRef, version: int) -> SealedTokens | None:
        """Return the tokens that follow those of ``version``, or None if there certainly are none.

        Raises:
            AwsError: S3 could not be read, so nobody can tell
            SealBroken: the object was not written by the broker
        """
        try:
            content = self._s3.get_object(expected=_ABSENT, Bucket=self._bucket, Key=_name(ref, version))
        except ExpectedError:
            return None
        return _read(content)

    def delete(self, ref: ConnectionRef, version: int) -> None:
        """Delete what the row holds by now. Best effort: a leftover does no harm."""
        try:
            self._call("delete_object", Key=_name(ref, version))
        except AwsError:
            return

    def drop_older(self, ref: ConnectionRef, version: int) -> None:
        """Delete what was rescued before ``version``, since the row has newer tokens. Best effort."""
        try:
            answer = self._call("list_objects_v2", Prefix=f"{PREFIX}{ref.tenant}/{ref.connection}/", MaxKeys=100)
        except AwsError:
            return
        found = [_parse(each["Key"]) for each in answer.get("Contents", ())]
        for older in [named[1] for named in found if named and named[1] < version]:
            self.delete(ref, older)

    def put_consent(self, session: SessionId, exchanged: bytes) -> None:
        """Store what a code was exchanged for."""
        self._call("put_object", Key=CONSENTS + session, Body=exchanged)

    def consent(self, session: SessionId) -> bytes | None:
        """Return what a code was exchanged for, or None if there certainly is nothing."""
        try:
            return self._s3.get_object(expected=_ABSENT, Bucket=self._bucket, Key=CONSENTS + session)
        except ExpectedError:
            return None

    def waiting(self, limit: int) -> Iterator[tuple[ConnectionRef, int]]:
        """Yield some of the tokens that wait to be restored into their rows."""
        answer = self._call("list_objects_v2", Prefix=PREFIX, MaxKeys=limit)
        for found in answer.get("Contents", ()):
            named = _parse(found["Key"])
            if named:
                yield named

    def _call(self, operation: str, **parameters: Any) -> Any:
        return self._s3.call(operation, Bucket=self._bucket, **parameters)


def _read(content: bytes) -> SealedTokens:
    try:
        body = json.loads(content)
        return SealedTokens(
            access=base64.b64decode(body["access"]),
            refresh=base64.b64decode(body["refresh"]),
            expires_at=Instant(int(body["expires_at"])),
            scopes=frozenset(map(str, body["scopes"])),
            sent_at=Instant(int(body["sent_at"])),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise SealBroken from None


def _name(ref: ConnectionRef, version: int) -> str:
    return f"{PREFIX}{ref.tenant}/{ref.connection}/{version}"


def _parse(name: str) -> tuple[ConnectionRef, int] | None:
    tenant, _, rest = name.removeprefix(PREFIX).partition("/")
    connection, _, version = rest.partition("/")
    known = tenant_id(tenant) and connection_id(connection) and version.isascii() and version.isdigit()
    return (ConnectionRef(TenantId(tenant), ConnectionId(connection)), int(version)) if known else None
