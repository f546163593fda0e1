"""Readers: one resource of the template in, one value out, with every property accounted for."""

from collections.abc import Callable, Mapping
from typing import Any

from local.cloudformation.arns import ACCOUNT
from local.cloudformation.function_reader import event_source_mapping, statements
from local.cloudformation.intrinsics import TemplateFault
from local.cloudformation.properties import Properties
from local.cloudformation.resources import Api, Bucket, Index, Key, Parameter, Queue, Secret, Table

AttributeOf = Callable[[str, str], str]
"""A resource's attribute by logical id and name; the empty name is `Ref`."""


def table(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Table:
    """Read an AWS::DynamoDB::Table."""
    hash_key, range_key = _keys(properties.items("KeySchema"))
    with properties.inner("TimeToLiveSpecification") as ttl:
        attribute = ttl.text("AttributeName") if ttl.flag("Enabled", default=False) else ""
    with properties.inner("StreamSpecification") as stream:
        view = stream.text("StreamViewType")
    with properties.inner("SSESpecification", {"SSEType": "KMS is the only one"}) as sse:
        encrypted = sse.flag("SSEEnabled", default=False)
    return Table(
        logical_id=logical_id,
        name=attribute_of(logical_id, ""),
        arn=attribute_of(logical_id, "Arn"),
        hash_key=hash_key,
        range_key=range_key,
        types={item["AttributeName"]: item["AttributeType"] for item in properties.items("AttributeDefinitions")},
        indexes=tuple(_index(properties, item) for item in properties.items("GlobalSecondaryIndexes")),
        ttl=attribute,
        stream=view,
        stream_arn=attribute_of(logical_id, "StreamArn"),
        encrypted=encrypted,
    )


def _keys(schema: list[Any]) -> tuple[str, str]:
    by_type = {item["KeyType"]: item["AttributeName"] for item in schema}
    return by_type["HASH"], by_type.get("RANGE", "")


def _index(properties: Properties, item: Mapping[str, Any]) -> Index:
    with properties.within(f"index {item.get('IndexName')}", item) as index:
        hash_key, range_key = _keys(index.items("KeySchema"))
        with index.inner("Projection") as projection:
            return Index(index.text("IndexName"), hash_key, range_key, projection.text("ProjectionType"))


def queue(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Queue:
    """Read an AWS::SQS::Queue."""
    with properties.inner("RedrivePolicy") as redrive:
        dead_letters = redrive.text("deadLetterTargetArn")
        max_receives = redrive.number("maxReceiveCount", 0)
    return Queue(
        logical_id=logical_id,
        name=attribute_of(logical_id, "QueueName"),
        url=attribute_of(logical_id, ""),
        arn=attribute_of(logical_id, "Arn"),
        visibility=properties.number("VisibilityTimeout", 30),
        retention=properties.number("MessageRetentionPeriod", 345_600),
        delay=properties.number("DelaySeconds", 0),
        dead_letters=dead_letters,
        max_receives=max_receives,
    )


_BY_S3 = {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}


def bucket(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Bucket:
    """Read an AWS::S3::Bucket."""
    with properties.inner("VersioningConfiguration") as versioning:
        versioned = versioning.text("Status") == "Enabled"
    if properties.take("BucketEncryption", _BY_S3) != _BY_S3:
        raise TemplateFault(f"{properties.where}: only encryption by S3's own keys asks nothing of a role")
    return Bucket(logical_id, attribute_of(logical_id, ""), attribute_of(logical_id, "Arn"), versioned)


def key(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Key:
    """Read an AWS::KMS::Key; its policy leaves the decision to the roles, but may deny to all."""
    policy = properties.take("KeyPolicy", {"Statement": []})
    others = [statement for statement in policy["Statement"] if not _leaves_it_to_iam(statement)]
    for statement in others:
        if (statement.get("Effect"), statement.pop("Principal", None)) != ("Deny", {"AWS": "*"}):
            raise TemplateFault(f"{properties.where}: a KeyPolicy may let IAM decide or deny to all, no more")
    denials = tuple(statements(properties, {"Statement": others}))
    return Key(logical_id, attribute_of(logical_id, ""), attribute_of(logical_id, "Arn"), denials)


def _leaves_it_to_iam(statement: Mapping[str, Any]) -> bool:
    """Recognize the statement without which no role counts."""
    return {name: said for name, said in statement.items() if name != "Sid"} == {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }


def secret(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Secret:
    """Read an AWS::SecretsManager::Secret."""
    arn = attribute_of(logical_id, "")
    name = arn.rpartition(":")[2][: -len("-123456")]
    return Secret(logical_id, name, arn, properties.text("SecretString"))


def parameter(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Parameter:
    """Read an AWS::SSM::Parameter of plain text."""
    if properties.text("Type") != "String":
        raise TemplateFault(f"{properties.where}: only parameters of type String can be read here")
    return Parameter(logical_id, attribute_of(logical_id, ""), properties.text("Value"))


def api(logical_id: str, properties: Properties, attribute_of: AttributeOf) -> Api:
    """Read an AWS::Serverless::HttpApi."""
    with properties.inner("Auth") as auth:
        enabled = auth.flag("EnableIamAuthorizer", default=False)
        default = auth.text("DefaultAuthorizer", "NONE")
    if default not in {"NONE", "AWS_IAM"} or (default == "AWS_IAM" and not enabled):
        raise TemplateFault(f"{properties.where}: the authorizer {default} cannot be run here")
    if properties.text("StageName", "$default") != "$default":
        raise TemplateFault(f"{properties.where}: only the stage $default is served here")
    return Api(logical_id, attribute_of(logical_id, ""), attribute_of(logical_id, "ApiEndpoint"), default == "AWS_IAM")


READERS: Mapping[str, Callable[[str, Properties, AttributeOf], object]] = {
    "AWS::DynamoDB::Table": table,
    "AWS::Lambda::EventSourceMapping": event_source_mapping,
    "AWS::KMS::Key": key,
    "AWS::S3::Bucket": bucket,
    "AWS::SQS::Queue": queue,
    "AWS::SSM::Parameter": parameter,
    "AWS::SecretsManager::Secret": secret,
    "AWS::Serverless::HttpApi": api,
}
