"""S3 in memory: whole objects, strongly consistent."""

# ruff: noqa: N803
# The parameters bear the API's own names.

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from tests.verification.simulation.aws import Answer, Exceptions, error, ok


@dataclass
class Stored:
    """One object: its bytes and what was said about them."""

    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass
class S3:
    """An S3 client."""

    buckets: dict[str, dict[str, Stored]]
    exceptions = Exceptions()

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes | str,
        IfNoneMatch: str | None = None,
        ContentType: str = "binary/octet-stream",
        Metadata: dict[str, str] | None = None,
    ) -> Answer:
        bucket = self._bucket(Bucket, "PutObject")
        if IfNoneMatch == "*" and Key in bucket:
            raise error("PreconditionFailed", "PutObject", status=412)
        body = Body.encode() if isinstance(Body, str) else bytes(Body)
        bucket[Key] = Stored(body, {"ContentType": ContentType, "Metadata": Metadata or {}})
        return ok(ETag=bucket[Key].etag)

    def get_object(self, *, Bucket: str, Key: str) -> Answer:
        found = self._bucket(Bucket, "GetObject").get(Key)
        if found is None:
            raise error("NoSuchKey", "GetObject", "The specified key does not exist.", status=404)
        return ok(Body=io.BytesIO(found.body), ETag=found.etag, ContentLength=len(found.body), **found.headers)

    def head_object(self, *, Bucket: str, Key: str) -> Answer:
        found = self._bucket(Bucket, "HeadObject").get(Key)
        if found is None:
            raise error("404", "HeadObject", "Not Found", status=404)
        return ok(ETag=found.etag, ContentLength=len(found.body), **found.headers)

    def delete_object(self, *, Bucket: str, Key: str) -> Answer:
        self._bucket(Bucket, "DeleteObject").pop(Key, None)
        return ok()

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        MaxKeys: int = 1000,
        ContinuationToken: str | None = None,
        StartAfter: str = "",
    ) -> Answer:
        bucket = self._bucket(Bucket, "ListObjectsV2")
        start = ContinuationToken or StartAfter
        found = sorted(key for key in bucket if key.startswith(Prefix) and key > start)
        page = found[:MaxKeys]
        listed = [{"Key": key, "Size": len(bucket[key].body), "ETag": bucket[key].etag} for key in page]
        answer: Answer = {"KeyCount": len(page), "IsTruncated": len(found) > len(page), "Name": Bucket}
        if listed:
            answer["Contents"] = listed
        if answer["IsTruncated"]:
            answer["NextContinuationToken"] = page[-1]
        return ok(**answer)

    def _bucket(self, name: str, operation: str) -> dict[str, Stored]:
        if name not in self.buckets:
            raise error("NoSuchBucket", operation, "The specified bucket does not exist", status=404)
        return self.buckets[name]
