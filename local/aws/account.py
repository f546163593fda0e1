"""AWS in memory, in this process: moto with the resources that the template names.

Where moto differs from AWS and it matters here, it is corrected: one lock makes its calls atomic, queues use the
world's clock, keys and secrets have the ARNs that the template resolves to.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from threading import RLock
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import boto3
import moto.core.models
import moto.dynamodb.models.table
import moto.kms.models
import moto.sqs.models
from botocore.config import Config
from moto import mock_aws
from moto.backends import get_backend

from local.aws.roles import Role
from local.cloudformation.arns import ACCOUNT, REGION
from local.cloudformation.resources import Bucket, Key, Queue, Secret, Table
from local.cloudformation.template import Template

Record = dict[str, Any]
"""One change of a table, as a stream delivers it to a function."""


class AwsAccount:
    """The account; it exists inside its `with` block, one at a time in a process."""

    def __init__(self, template: Template, now: Callable[[], float]) -> None:
        """Store what to create.

        Args:
            now: the clock by which messages are delayed, hidden and kept
        """
        self._template, self.now = template, now
        self._opened = ExitStack()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = RLock()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # moto would compile 1,300 patterns for the library `requests`, which nothing here uses
            opening.enter_context(patch.object(moto.core.models, "RESPONSES_METHODS", ()))
            opening.enter_context(mock_aws())
            opening.enter_context(_one_call_at_a_time(self._lock))
            opening.enter_context(_queues_by(self.now))
            opening.enter_context(_one_record_for_one_write(self.now))
            opening.enter_context(patch.object(moto.kms.models, "generate_private_key", _no_private_key))
            self._make()
            self._opened = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def client(self, service: str, role: Role | None = None) -> Any:
        """Return the client of a service: under a role, or able to do everything."""
        name = (service, role.function.folder if role else "")
        with self._lock:
            if name not in self._clients:
                # botocore would otherwise describe this machine anew for every call
                settings = Config(retries={"mode": "standard", "max_attempts": 2}, user_agent="local")
                client = _session().client(service, config=settings)
                client.meta.events.register_last("before-send", _never_leave)
                self._clients[name] = role.enforce_on(client) if role else client
            return self._clients[name]

    @property
    def lock(self) -> RLock:
        """Held while AWS does anything."""
        return self._lock

    def visible(self, queue: Queue) -> int:
        """Count the messages that could be received now."""
        with self._lock:
            return len(self._backend("sqs").queues[queue.name].messages)

    def changes(self, table: Table, start: int) -> list[Record]:
        """List a stream's records from the `start`th on, passing over writes that changed nothing."""
        with self._lock:
            shard = self._backend("dynamodb").tables[table.name].stream_shard
            return [_record(item.to_json(), table) for item in shard.items[start:]]

    def expire(self, now: float) -> int:
        """Delete what has outlived its time to live, as DynamoDB does within some days; return how much."""
        dynamodb, gone = self.client("dynamodb"), 0
        for table in (table for table in self._template.tables if table.ttl):
            pages = dynamodb.get_paginator("scan").paginate(TableName=table.name)
            for item in (item for page in pages for item in page["Items"]):
                if float(item.get(table.ttl, {}).get("N", "inf")) < now:
                    keys = [name for name in (table.hash_key, table.range_key) if name]
                    dynamodb.delete_item(TableName=table.name, Key={name: item[name] for name in keys})
                    gone += 1
        return gone

    def put_secret(self, arn: str, value: str) -> None:
        """Set a secret's value."""
        self.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=value)

    def _make(self) -> None:
        for table in self._template.tables:
            self._make_table(table)
        for queue in sorted(self._template.queues, key=lambda queue: bool(queue.dead_letters)):
            self._make_queue(queue)
        for bucket in self._template.buckets:
            self._make_bucket(bucket)
        for key in self._template.keys:
            self._make_key(key)
        for secret in self._template.secrets:
            self._make_secret(secret)
        for parameter in self._template.parameters:
            self.client("ssm").put_parameter(Name=parameter.name, Value=parameter.value, Type="String")

    def _make_table(self, table: Table) -> None:
        dynamodb = self.client("dynamodb")
        more: dict[str, Any] = {}
        if table.indexes:
            more["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index.name,
                    "KeySchema": _key_schema(index.hash_key, index.range_key),
                    "Projection": {"ProjectionType": index.projection},
                }
                for index in table.indexes
            ]
        if table.stream:
            more["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream}
        dynamodb.create_table(
            TableName=table.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in table.types.items()],
            KeySchema=_key_schema(table.hash_key, table.range_key),
            SSESpecification={"Enabled": table.encrypted},
            **more,
        )
        if table.ttl:
            lives = {"AttributeName": table.ttl, "Enabled": True}
            dynamodb.update_time_to_live(TableName=table.name, TimeToLiveSpecification=lives)

    def _make_queue(self, queue: Queue) -> None:
        attributes = {
            "VisibilityTimeout": str(queue.visibility),
            "MessageRetentionPeriod": str(queue.retention),
            "DelaySeconds": str(queue.delay),
        }
        if queue.dead_letters:
            redrive = f'{{"deadLetterTargetArn":"{queue.dead_letters}","maxReceiveCount":{queue.max_receives}}}'
            attributes["RedrivePolicy"] = redrive
        made = self.client("sqs").create_queue(QueueName=queue.name, Attributes=attributes)
        assert made["QueueUrl"] == queue.url

    def _make_bucket(self, bucket: Bucket) -> None:
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if bucket.versioned:
            s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})

    def _make_key(self, key: Key) -> None:
        """Make a key and give it the id that the template's names say."""
        drawn = self.client("kms").create_key()["KeyMetadata"]["KeyId"]
        keys = self._backend("kms").keys
        made = keys.pop(drawn)
        made.id, made.arn = key.id, key.arn
        keys[key.id] = made

    def _make_secret(self, secret: Secret) -> None:
        value = {"SecretString": secret.value} if secret.value else {}
        self.client("secretsmanager").create_secret(Name=secret.name, **value)
        self._backend("secretsmanager").secrets[secret.name].arn = secret.arn

    @staticmethod
    def _backend(service: Any) -> Any:
        return get_backend(service)[ACCOUNT][REGION]


@cache
def _session() -> Any:
    """Make the one session of this process: it reads the services' models once."""
    return boto3.Session("AKIAIOSFODNN7LOCAL", "not a secret", region_name=REGION)


def _never_leave(request: Any, **_: Any) -> None:
    """Refuse calls made after the world has ended, when moto no longer answers, so that nothing is sent to AWS."""
    if not moto.core.models.botocore_stubber.enabled:
        raise ConnectionError(f"no AWS here for {request.method} {request.url}")


def _no_private_key(_spec: str) -> None:
    """Symmetric keys have none; moto draws RSA keys for them too, which takes most of a world's start."""


def _key_schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    schema = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return schema + ([{"AttributeName": range_key, "KeyType": "RANGE"}] if range_key else [])


def _record(made: Record, table: Table) -> Record:
    """Write moto's record as Lambda gets it."""
    change = {**made["dynamodb"], "StreamViewType": table.stream}
    change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    for image in change.keys() & {"Keys", "NewImage", "OldImage"}:
        change[image] = {name: as_json(value) for name, value in change[image].items()}
    return {
        **made,
        "eventVersion": "1.1",
        "awsRegion": REGION,
        "dynamodb": change,
        "eventSourceARN": table.stream_arn,
    }


def as_json(value: Any) -> Any:
    """Write binary values in base64, at any depth."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return b64encode(value).decode() if isinstance(value, bytes) else value


@contextmanager
def _one_call_at_a_time(lock: RLock) -> Iterator[None]:
    """Make every call atomic, as AWS's are; moto's own reads and writes of its memory are not."""
    stubber = moto.core.models.botocore_stubber
    original = stubber.process_request

    def locked(request: Any) -> Any:
        with lock:
            return original(request)

    with patch.object(stubber, "process_request", locked):
        yield


@contextmanager
def _queues_by(now: Callable[[], float]) -> Iterator[None]:
    """Make SQS use the world's clock, so that moving it ends delays, visibility timeouts and messages."""
    models = moto.sqs.models
    visible = vars(models.Queue)["messages"].fget

    def kept(self: Any) -> list[Any]:
        """Forget what was sent too long ago; moto forgets only when it is about to deliver."""
        oldest = (now() - int(self.message_retention_period)) * 1000
        self._messages = [each for each in self._messages if each.sent_timestamp > oldest]
        messages: list[Any] = visible(self)
        return messages

    with (
        patch.object(models.Queue, "messages", property(kept)),
        patch.object(models, "unix_time", lambda _moment=None: now()),
        patch.object(models, "unix_time_millis", lambda _moment=None: now() * 1000),
    ):
        yield


@contextmanager
def _one_record_for_one_write(now: Callable[[], float]) -> Iterator[None]:
    """Make an update that creates a row put one record on the stream; moto puts one of the bare key before it.

    Args:
        now: the clock by which records are dated
    """
    shard = moto.dynamodb.models.table.StreamShard
    original = shard.add

    def add(self: Any, old: Any, new: Any) -> None:
        if old is None and self.items and _is_bare_insert(self.items[-1].record["dynamodb"], new):
            self.items.pop()
        original(self, old, new)
        dated = datetime.fromtimestamp(now(), UTC)
        self.items[-1].record["dynamodb"]["ApproximateCreationDateTime"] = dated

    with (
        patch.object(shard, "add", add),
        # a transaction copies the whole table beforehand, and with it every change since the start
        patch.object(moto.dynamodb.models.table.StreamRecord, "__deepcopy__", lambda self, _memo: self, create=True),
    ):
        yield


def _is_bare_insert(last: Record, new: Any) -> bool:
    return "OldImage" not in last and last.get("NewImage") == last["Keys"] and _holds(new, last["Keys"])


def _holds(item: Any, keys: Record) -> bool:
    attributes: Record = item.to_json()["Attributes"]
    return keys.items() <= attributes.items()
