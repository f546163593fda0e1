"""What each function may do, and nothing else: every call worth making is tried under every role.

The table is written by hand from what each function is for. It is not read from the template.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.verification.roles.stage import Stage

PURPOSES = ("access", "refresh", "client", "code", "exchanged", "verifier")
POLLS = {"receive from", "delete from", "count"}

MAY: Mapping[str, set[str]] = {
    "session": {"put sessions", "get connections: status", "seal client"},
    "connect": {"get sessions"},
    "authorize": {"update sessions", "seal client", "seal verifier"},
    "callback": {"get sessions", "update sessions", "seal code", "send to CompletionQueue"},
    "complete": {
        "get sessions",
        "update sessions",
        "get connections",
        "get connections: status",
        "get connections: access",
        "get connections: refresh",
        "get connections: client",
        "query connections: status",
        "put connections",
        "update connections",
        "open code",
        "open exchanged",
        "open verifier",
        "open client",
        "seal access",
        "seal exchanged",
        "seal refresh",
        "seal client",
        "read the client secrets",
        "read the epoch",
        "put a rescued consent",
        "get a rescued consent",
        "list the rescue store",
        "list the whole bucket",
        "send to UrgentQueue",
        "publish that a session failed",
        *(f"{verb} CompletionQueue" for verb in POLLS),
    },
    "token": {"get connections: status", "get connections: access", "open access", "send to UrgentQueue"},
    "proxy": {"get connections: status", "get connections: access", "open access", "send to UrgentQueue"},
    "connections": {"get connections: status", "query connections: status"},
    "disconnect": {
        "get connections",
        "get connections: status",
        "get connections: access",
        "get connections: refresh",
        "get connections: client",
        "update connections",
        "open refresh",
        "open client",
        "read the client secrets",
    },
    "sweep": {"query the due index", "send to RefreshQueue", "count RefreshQueue", "list the rescue store"},
    "refresh": {
        "get connections",
        "get connections: status",
        "get connections: access",
        "get connections: refresh",
        "get connections: client",
        "get many connections",
        "update connections",
        "open refresh",
        "open client",
        "seal access",
        "seal refresh",
        "read the client secrets",
        "read the epoch",
        "put into the rescue store",
        "get from the rescue store",
        "delete from the rescue store",
        "list the rescue store",
        "list the whole bucket",
        *(f"{verb} RefreshQueue" for verb in POLLS),
        *(f"{verb} UrgentQueue" for verb in POLLS),
    },
    "notify": {"send to DeadLetterQueue", "publish that a session failed", "publish any event"},
}

Call = tuple[str, str, dict[str, Any]]
"""Service, operation, parameters."""


def calls(stage: Stage) -> Iterator[tuple[str, Call]]:
    """Name every call worth trying. None does harm where it is allowed: what it names is not there."""
    yield from _tables(stage)
    yield from _keys(stage)
    yield from _queues(stage)
    yield from _bucket(stage)
    secret, parameter = stage.template.secrets[0].arn, stage.template.parameters[0].name
    yield "read the client secrets", ("secretsmanager", "get_secret_value", {"SecretId": secret})
    yield "read the epoch", ("ssm", "get_parameter", {"Name": parameter})
    for name, source, kind in (
        ("publish that a session failed", "ninjaone-connect", "session.failed"),
        ("publish any event", "ninjaone-connect", "x"),
        ("publish as another", "aws.health", "session.failed"),
    ):
        entry = {"Source": source, "DetailType": kind, "Detail": "{}", "EventBusName": "default"}
        yield name, ("events", "put_events", {"Entries": [entry]})


def _tables(stage: Stage) -> Iterator[tuple[str, Call]]:
    keys = {
        "sessions": {"session": {"S": "nothing"}},
        "connections": {"tenant": {"S": "nothing"}, "connection": {"S": "nothing"}},
    }
    for table, key in keys.items():
        name = stage.table(next(iter(key)))
        whole = {"TableName": name, "Key": key}
        yield f"get {table}", ("dynamodb", "get_item", whole)
        yield f"put {table}", ("dynamodb", "put_item", {"TableName": name, "Item": key | {"is": {"S": "nothing"}}})
        yield f"update {table}", ("dynamodb", "update_item", whole | _SET)
        yield f"delete {table}", ("dynamodb", "delete_item", whole)
        yield f"scan {table}", ("dynamodb", "scan", {"TableName": name})
        yield f"query {table}", ("dynamodb", "query", {"TableName": name, **_equals(next(iter(key)), "S", "nothing")})
        yield f"get many {table}", ("dynamodb", "batch_get_item", {"RequestItems": {name: {"Keys": [key]}}})
    connections = stage.table("tenant")
    for attribute in ("status", "access", "refresh", "client"):
        only = {"ProjectionExpression": "#it", "ExpressionAttributeNames": {"#it": attribute}}
        yield f"get connections: {attribute}", ("dynamodb", "get_item", whole | only)
        asked = _equals("tenant", "S", "nothing")
        asked["ExpressionAttributeNames"] |= {"#it": attribute}
        yield (
            f"query connections: {attribute}",
            ("dynamodb", "query", {"TableName": connections, **asked, "ProjectionExpression": "#it"}),
        )
    due = {"TableName": connections, "IndexName": "due", **_equals("due_shard", "N", "0")}
    yield "query the due index", ("dynamodb", "query", due)
    breaker = {"tenant": {"S": "#breakers"}, "connection": {"S": "nothing"}}
    yield "delete a breaker", ("dynamodb", "delete_item", {"TableName": connections, "Key": breaker})


_SET = {
    "UpdateExpression": "SET #it = :it",
    "ExpressionAttributeNames": {"#it": "it"},
    "ExpressionAttributeValues": {":it": {"S": "nothing"}},
}


def _equals(attribute: str, kind: str, value: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "#key = :key",
        "ExpressionAttributeNames": {"#key": attribute},
        "ExpressionAttributeValues": {":key": {kind: value}},
    }


def _keys(stage: Stage) -> Iterator[tuple[str, Call]]:
    key = stage.template.keys[0].arn
    kms = stage.aws.client("kms")
    for purpose in (*PURPOSES, ""):
        context = {"app": "ninjaone-connect", **({"purpose": purpose} if purpose else {})}
        made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)["CiphertextBlob"]
        name = purpose or "without a purpose"
        yield (
            f"seal {name}",
            ("kms", "generate_data_key", {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context}),
        )
        yield f"open {name}", ("kms", "decrypt", {"CiphertextBlob": made, "EncryptionContext": context})


def _queues(stage: Stage) -> Iterator[tuple[str, Call]]:
    for queue in stage.template.queues:
        url = {"QueueUrl": queue.url}
        one = {"Entries": [{"Id": "1", "ReceiptHandle": "nothing"}]}
        yield f"send to {queue.logical_id}", ("sqs", "send_message", url | {"MessageBody": "{}"})
        yield f"receive from {queue.logical_id}", ("sqs", "receive_message", url)
        yield f"delete from {queue.logical_id}", ("sqs", "delete_message_batch", url | one)
        yield f"count {queue.logical_id}", ("sqs", "get_queue_attributes", url)


def _bucket(stage: Stage) -> Iterator[tuple[str, Call]]:
    bucket = {"Bucket": stage.template.buckets[0].name}
    inside, outside = bucket | {"Key": "rescue/nothing"}, bucket | {"Key": "nothing"}
    yield "put into the rescue store", ("s3", "put_object", inside | {"Body": b""})
    yield "get from the rescue store", ("s3", "get_object", inside)
    yield "delete from the rescue store", ("s3", "delete_object", inside)
    yield "list the rescue store", ("s3", "list_objects_v2", bucket | {"Prefix": "rescue/"})
    consent = bucket | {"Key": "consents/nothing"}
    yield "put a rescued consent", ("s3", "put_object", consent | {"Body": b""})
    yield "get a rescued consent", ("s3", "get_object", consent)
    yield "delete a rescued consent", ("s3", "delete_object", consent)
    yield "list the whole bucket", ("s3", "list_objects_v2", bucket)
    yield "put elsewhere", ("s3", "put_object", outside | {"Body": b""})
    yield "get elsewhere", ("s3", "get_object", outside)


def done(stage: Stage, folder: str) -> set[str]:
    """Try everything under a function's role; give what was not refused."""
    return {name for name, call in calls(stage) if _is_allowed(stage, folder, call)}


def _is_allowed(stage: Stage, folder: str, call: Call) -> bool:
    service, operation, parameters = call
    ask: Callable[..., Any] = getattr(stage.aws.client(service, stage.roles[folder]), operation)
    try:
        ask(**parameters)
    except ClientError as error:
        return "AccessDenied" not in error.response["Error"]["Code"]
    return True
