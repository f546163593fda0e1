"""Reseal: move sealed values from another KMS key to the one that the functions use now.

Only the wrapped data key inside a sealed value is replaced, by KMS itself (ReEncrypt), so that no token is opened.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping

import click
from botocore.exceptions import ClientError

from broker.adapters.rescue import PREFIX
from broker.adapters.seal import context, wrapped_key
from broker.errors import SealBroken
from broker.model import Purpose
from ninjaone_connect_cli import aws_errors
from ninjaone_connect_cli.context import CliContext, pass_cli
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.store import Row, Store

PASSES = 5
"""How often rows that a refresh was busy with are tried again."""
DAMAGED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
"""KMS's errors for a data key that was not wrapped by one of its keys for this purpose."""

_PURPOSES: Mapping[str, Purpose] = {
    "access": Purpose.ACCESS,
    "refresh": Purpose.REFRESH,
    "client": Purpose.CLIENT,
}


@click.command()
@pass_cli
def reseal(cli: CliContext) -> None:
    """Seal everything under the KMS key that the deployment uses now (parameter OtherSealKey, or its own).

    It is safe while the service runs, and safe to stop: the same command then does the rest.

    \b
    ninjaone-connect reseal
    """
    resealing, counts = Reseal(cli.deployment), Counter({"resealed": 0})
    for number in range(1, PASSES + 1):
        counts = Counter({"resealed": counts["resealed"]})
        with cli.screen.steps(f"Resealing, pass {number}", resealing.total) as step:
            for outcome in resealing.run():
                counts[outcome] += 1
                step()
        if not counts["busy"]:
            break
    cli.screen.record(counts)
    if counts["does not open"]:
        names = "\n".join(dict.fromkeys(resealing.broken))
        raise CliError(
            f"These do not open and stay as they are; docs/operate/runbooks.md, A sealed value does not open:\n{names}"
        )
    if counts["busy"]:
        raise CliError("Some rows changed each time they were looked at. Run the same command again later.")


class Reseal:
    """Exchanges data keys."""

    def __init__(self, deployment: Deployment) -> None:
        self._kms, self._target = deployment.aws("kms"), deployment.config.seal_key
        self._s3, self._bucket = deployment.aws("s3"), deployment.config.rescue_bucket
        self.store = Store(deployment.aws("dynamodb"), deployment.config.connections_table)
        self._exchanged: dict[bytes, bytes] = {}
        self.broken: list[str] = []
        """What can't be opened: rows with the names of the values, and objects."""

    @property
    def total(self) -> int:
        """About how many rows there are."""
        return self.store.count()

    def run(self) -> Iterator[str]:
        """Try everything once, and yield the outcome of each."""
        for row in self.store.items():
            yield self.one(row)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)
        for page in pages:
            for found in page.get("Contents", ()):
                yield self._rescued(found["Key"])

    def one(self, row: Row) -> str:
        """Replace a row's keys, if it is still as it was read."""
        change, broken = {}, []
        for name, blob in row.sealed.items():
            try:
                fresh = self._exchange(blob, _PURPOSES[name])
            except SealBroken:
                broken.append(name)
                continue
            if fresh != blob:
                change[name] = fresh
        fixed = tuple(name for name in ("version", "fence") if name in row.item)
        if change and not self.store.change(row, change, same=(*fixed, *change)):
            return "busy"
        if broken:
            self.broken.append(f"{row.tenant} {row.key}: {', '.join(broken)}")
            return "does not open"
        return "resealed" if change else "already"

    def _rescued(self, key: str) -> str:
        """Replace the keys of a rescued token. If it is restored meanwhile, what is written here does no harm."""
        try:
            body = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            fresh = dict(body)
            for name in ("access", "refresh"):
                blob = self._exchange(base64.b64decode(body[name]), _PURPOSES[name])
                fresh[name] = base64.b64encode(blob).decode()
        except self._s3.exceptions.NoSuchKey:
            return "busy"  # restored meanwhile: its row is tried in the next pass
        except (SealBroken, ValueError, KeyError, TypeError):
            self.broken.append(key)
            return "does not open"
        if fresh == body:
            return "already"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=json.dumps(fresh).encode())
        return "resealed"

    def _exchange(self, blob: bytes, purpose: Purpose) -> bytes:
        """Return the sealed value with its data key under the target; the same bytes when it is there already."""
        wrapped = wrapped_key(blob)
        if not wrapped:
            raise SealBroken
        if wrapped not in self._exchanged:
            self._exchanged[wrapped] = self._rewrapped(wrapped, purpose)
        fresh = self._exchanged[wrapped]
        return blob[:1] + len(fresh).to_bytes(2, "big") + fresh + blob[3 + len(wrapped) :]

    def _rewrapped(self, wrapped: bytes, purpose: Purpose) -> bytes:
        binding = context(purpose)
        try:
            answer = self._kms.re_encrypt(
                CiphertextBlob=wrapped,
                SourceEncryptionContext=binding,
                DestinationKeyId=self._target,
                DestinationEncryptionContext=binding,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in DAMAGED:
                raise SealBroken from None
            raise CliError(
                f"{aws_errors.said(error)} Nothing was half done. This identity needs kms:ReEncryptFrom on the old key "
                "and kms:ReEncryptTo on the new one."
            ) from None
        return wrapped if answer["SourceKeyId"] == answer["KeyId"] else bytes(answer["CiphertextBlob"])


COMMANDS = (reseal,)
