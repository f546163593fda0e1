"""The physical names, addresses and ARNs that the template's logical ids stand for; always the same ones."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from local.cloudformation.intrinsics import TemplateFault

ACCOUNT = "123456789012"
REGION = "eu-west-1"
STACK = "local"

PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/00000000",
    "AWS::URLSuffix": "amazonaws.com",
}

STREAM_LABEL = "2026-01-01T00:00:00.000"

_NAME_PROPERTY = {
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Serverless::LayerVersion": "LayerName",
}


def arn(service: str, rest: str) -> str:
    """Put together the ARN of something in this account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def key_id(name: str) -> str:
    """Return the id of a KMS key: always the same for the same logical id."""
    return str(uuid5(NAMESPACE_URL, name))


def _queue(name: str) -> dict[str, str]:
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
    return {"": url, "QueueUrl": url, "QueueName": name, "Arn": arn("sqs", name)}


def _table(name: str) -> dict[str, str]:
    table = arn("dynamodb", f"table/{name}")
    return {"": name, "Arn": table, "StreamArn": f"{table}/stream/{STREAM_LABEL}"}


def _key(name: str) -> dict[str, str]:
    key = key_id(name)
    return {"": key, "KeyId": key, "Arn": arn("kms", f"key/{key}")}


def _secret(name: str) -> dict[str, str]:
    secret = arn("secretsmanager", f"secret:{name}-{key_id(name)[:6]}")
    return {"": secret, "Id": secret}


def _api(name: str) -> dict[str, str]:
    api = name.lower()
    return {"": api, "ApiId": api, "ApiEndpoint": f"https://{api}.execute-api.{REGION}.amazonaws.com"}


def _function(name: str) -> dict[str, str]:
    return {"": name, "Arn": arn("lambda", f"function:{name}")}


_ATTRIBUTES: Mapping[str, Callable[[str], Mapping[str, str]]] = {
    "AWS::ApiGatewayV2::DomainName": lambda name: {"": name, "RegionalDomainName": f"d-local.{name}"},
    "AWS::DynamoDB::Table": _table,
    "AWS::IAM::Role": lambda name: {"": name, "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"},
    "AWS::KMS::Alias": lambda name: {"": name},
    "AWS::KMS::Key": _key,
    "AWS::Logs::LogGroup": lambda name: {"": name, "Arn": arn("logs", f"log-group:{name}:*")},
    "AWS::S3::Bucket": lambda name: {"": name, "Arn": f"arn:aws:s3:::{name}"},
    "AWS::SNS::Topic": lambda name: {"": arn("sns", name), "TopicName": name, "TopicArn": arn("sns", name)},
    "AWS::SQS::Queue": _queue,
    "AWS::SSM::Parameter": lambda name: {"": name},
    "AWS::SecretsManager::Secret": _secret,
    "AWS::Serverless::Function": _function,
    "AWS::Serverless::HttpApi": _api,
    "AWS::Serverless::LayerVersion": lambda name: {"": arn("lambda", f"layer:{name}:1")},
}


def physical_name(logical_id: str, resource: Mapping[str, Any], resolve: Callable[[Any], Any]) -> str:
    """Return what the resource is called: by its own property, or after its logical id."""
    kind = resource["Type"]
    given = resource.get("Properties", {}).get(_NAME_PROPERTY.get(kind, ""))
    if given is not None:
        return str(resolve(given))
    name = f"{STACK}-{logical_id}"
    return f"{name}-{ACCOUNT}".lower() if kind == "AWS::S3::Bucket" else name


def attribute(kind: str, name: str, wanted: str) -> str:
    """Return what `Ref` (the empty attribute) or `GetAtt` means for a resource of this type."""
    known = _ATTRIBUTES.get(kind)
    if known is None or wanted not in known(name):
        raise TemplateFault(f"{'GetAtt ' + wanted if wanted else 'Ref'} of an {kind} is not known here")
    return known(name)[wanted]
