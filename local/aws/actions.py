"""What an AWS API call requires of IAM: its actions, their resources and their condition keys.

AWS does not document whether an omitted parameter appears under its default or not at all. So both must be allowed, and
a role that treats them differently is refused here rather than on AWS.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.cloudformation.arns import arn
from local.cloudformation.resources import Table
from local.cloudformation.template import Template
from local.iam import Context, UnsupportedPolicy

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One action on one resource that IAM has to allow."""

    action: str
    resource: str
    context: Context


def requests_of(service: str, operation: str, params: Params, template: Template) -> list[Request]:
    """Split a call into requests, each of which must be allowed.

    Args:
        template: says which attributes are keys, which key encrypts what, and which ARN belongs to a name

    Raises:
        UnsupportedPolicy: this call is not known here
    """
    if service == "dynamodb":
        return _dynamodb(operation, params, template)
    reader = _OTHERS.get((service, operation))
    if reader is None:
        raise UnsupportedPolicy(f"{service} {operation} is a call that cannot be judged here")
    return reader(params, template)


# DynamoDB ------------------------------------------------------------------------------------------------

_PATH = re.compile(r"(?<![\w.:#])#?[A-Za-z_]\w*\b(?!\s*\()")
_WORDS = {"and", "or", "not", "between", "in", "set", "remove", "add", "delete"}
_EXPRESSIONS = tuple(f"{kind}Expression" for kind in ("Projection", "KeyCondition", "Filter", "Condition", "Update"))
_LEGACY = ("AttributesToGet", "AttributeUpdates", "Expected", "KeyConditions", "QueryFilter", "ScanFilter")
_TRANSACTION_PARTS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "ConditionCheck": "ConditionCheckItem",
}
_READS = {"BatchGetItem", "GetItem", "Query", "Scan"}
_RETURNS_VALUES = {"PutItem", "UpdateItem", "DeleteItem"}


def _dynamodb(operation: str, params: Params, template: Template) -> list[Request]:
    if operation in {"TransactWriteItems", "TransactGetItems"}:
        parts = [part for item in params["TransactItems"] for part in item.items()]
        within = {"dynamodb:enclosingoperation": (operation,)}
        return [
            request
            for part, inner in parts
            for request in _item_call(_TRANSACTION_PARTS[part], inner, template, within)
        ]
    if operation == "BatchGetItem":
        return [
            request
            for table, wanted in params["RequestItems"].items()
            for key in wanted["Keys"]
            for request in _batch_item(table, key, wanted, template)
        ]
    if operation in _READS | _RETURNS_VALUES:
        return _item_call(operation, params, template, {})
    raise UnsupportedPolicy(f"dynamodb {operation} is a call that cannot be judged here")


def _batch_item(table: str, key: Params, wanted: Params, template: Template) -> list[Request]:
    whole = {name: value for name, value in wanted.items() if name != "Keys"}
    return _item_call("BatchGetItem", {**whole, "TableName": table, "Key": key}, template, {})


def _item_call(operation: str, params: Params, template: Template, within: Context) -> list[Request]:
    if any(name in params for name in _LEGACY):
        raise UnsupportedPolicy(f"dynamodb {operation}: only expressions can be judged here")
    table = template.table(params["TableName"])
    index = params.get("IndexName")
    context = dict(within)
    context["dynamodb:attributes"] = tuple(sorted(_attributes(params)))
    context["dynamodb:leadingkeys"] = _leading_keys(params, table, index)
    resource = f"{table.arn}/index/{index}" if index else table.arn
    return [
        Request(f"dynamodb:{operation}", resource, {**context, **asked})
        for asked in _as_omitted_and_as_default(operation, params)
    ]


def _as_omitted_and_as_default(operation: str, params: Params) -> list[Context]:
    """Return `Select` or `ReturnValues` as the call has it, or else both variants: absent, and its default."""
    if operation in _READS:
        name = "Select"
        whole = "ALL_PROJECTED_ATTRIBUTES" if "IndexName" in params else "ALL_ATTRIBUTES"
        default = "SPECIFIC_ATTRIBUTES" if "ProjectionExpression" in params else whole
    elif operation in _RETURNS_VALUES:
        name, default = "ReturnValues", "NONE"
    else:
        return [{}]
    key = f"dynamodb:{name.lower()}"
    return [{key: (params[name],)}] if name in params else [{}, {key: (default,)}]


def _attributes(params: Params) -> set[str]:
    """Name the top-level attributes that the request mentions anywhere."""
    names = params.get("ExpressionAttributeNames", {})
    found = set(params.get("Key", {})) | set(params.get("Item", {}))
    for expression in _EXPRESSIONS:
        for path in _PATH.findall(params.get(expression, "")):
            if path.lower() not in _WORDS:
                found.add(names.get(path, path))
    return found


def _leading_keys(params: Params, table: Table, index: str | None) -> tuple[str, ...]:
    """Return the partition keys named by the request: of the index, when it asks one."""
    hash_key = table.index(index).hash_key if index else table.hash_key
    item = params.get("Key") or params.get("Item")
    if item is not None:
        return (_plain(item[hash_key]),)
    names = params.get("ExpressionAttributeNames", {})
    equals = re.findall(r"(#?\w+)\s*=\s*(:\w+)", params.get("KeyConditionExpression", ""))
    values = params.get("ExpressionAttributeValues", {})
    return tuple(_plain(values[value]) for path, value in equals if names.get(path, path) == hash_key)


def _plain(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


# The others ----------------------------------------------------------------------------------------------

KEY_ID = 36
"""Characters of a KMS key's id."""


def _kms(action: str) -> Callable[[Params, Template], list[Request]]:
    def read(params: Params, template: Template) -> list[Request]:
        key = params["KeyId"] if "KeyId" in params else _key_of(params["CiphertextBlob"])
        if "KeyId" not in params and key not in {known.id for known in template.keys}:
            return []  # no key, so no role: KMS itself refuses what it cannot read
        return [Request(f"kms:{action}", template.key(key).arn, _encryption(params))]

    return read


def _key_of(ciphertext: bytes) -> str:
    """Read which key wrapped it, as AWS does; moto writes the key's id first."""
    return ciphertext[:KEY_ID].decode("ascii", "replace")


def _encryption(params: Params) -> Context:
    pairs: Mapping[str, str] = params.get("EncryptionContext", {})
    context = {f"kms:encryptioncontext:{key.lower()}": (value,) for key, value in pairs.items()}
    return {**context, "kms:encryptioncontextkeys": tuple(pairs)}


def _object(action: str) -> Callable[[Params, Template], list[Request]]:
    def read(params: Params, _template: Template) -> list[Request]:
        return [Request(f"s3:{action}", f"arn:aws:s3:::{params['Bucket']}/{params['Key']}", {})]

    return read


def _list_bucket(params: Params, _template: Template) -> list[Request]:
    prefix = {"s3:prefix": (params["Prefix"],)} if "Prefix" in params else {}
    return [Request("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}", prefix)]


def _queue(action: str) -> Callable[[Params, Template], list[Request]]:
    def read(params: Params, _template: Template) -> list[Request]:
        name = str(params["QueueUrl"]).rpartition("/")[2]
        return [Request(f"sqs:{action}", arn("sqs", name), {})]

    return read


def _secret(params: Params, template: Template) -> list[Request]:
    return [Request("secretsmanager:GetSecretValue", template.secret(params["SecretId"]).arn, {})]


def _parameter(params: Params, _template: Template) -> list[Request]:
    return [Request("ssm:GetParameter", arn("ssm", "parameter/" + params["Name"].removeprefix("/")), {})]


def _put_events(params: Params, _template: Template) -> list[Request]:
    entries: Iterable[Params] = params["Entries"]
    return [
        Request(
            "events:PutEvents",
            arn("events", "event-bus/" + str(entry.get("EventBusName", "default")).rpartition("/")[2]),
            {"events:source": (entry["Source"],), "events:detail-type": (entry["DetailType"],)},
        )
        for entry in entries
    ]


_OTHERS: Mapping[tuple[str, str], Callable[[Params, Template], list[Request]]] = {
    ("kms", "Decrypt"): _kms("Decrypt"),
    ("kms", "Encrypt"): _kms("Encrypt"),
    ("kms", "GenerateDataKey"): _kms("GenerateDataKey"),
    ("s3", "PutObject"): _object("PutObject"),
    ("s3", "GetObject"): _object("GetObject"),
    ("s3", "HeadObject"): _object("GetObject"),
    ("s3", "DeleteObject"): _object("DeleteObject"),
    ("s3", "ListObjectsV2"): _list_bucket,
    ("sqs", "DeleteMessageBatch"): _queue("DeleteMessage"),
    ("sqs", "GetQueueAttributes"): _queue("GetQueueAttributes"),
    ("sqs", "ReceiveMessage"): _queue("ReceiveMessage"),
    ("sqs", "SendMessage"): _queue("SendMessage"),
    ("sqs", "SendMessageBatch"): _queue("SendMessage"),
    ("secretsmanager", "GetSecretValue"): _secret,
    ("ssm", "GetParameter"): _parameter,
    ("events", "PutEvents"): _put_events,
}
