"""What the template says that means nothing on one machine, each with the reason.

This is the whole list: whatever is neither read nor named here stops the local world at its start.
"""

from collections.abc import Mapping

_ALARM = "nobody watches metrics on one machine"
_LOG = "log lines go to the local world's own list"
_REST = "nothing is kept after the world ends"
_EDGE = "the local gateway listens on loopback alone"
_CLOUDFORMATION = "only CloudFormation acts on it"
_PLATFORM = "the function runs in this process"

SECTIONS: Mapping[str, str] = {
    "AWSTemplateFormatVersion": _CLOUDFORMATION,
    "Description": "words for people",
    "Metadata": "words for consoles and linters",
    "Transform": "the readers of AWS::Serverless types do its work",
    "Rules": "checked by CloudFormation when a person gives parameters",
}

ATTRIBUTES: Mapping[str, str] = {
    "DeletionPolicy": _REST,
    "UpdateReplacePolicy": _REST,
    "DependsOn": "the local world makes things in its own order",
    "Metadata": "words for build tools and linters",
}

RESOURCES: Mapping[str, str] = {
    "AWS::IAM::Role": "of another account's backend; functions' roles are made of their policies",
    "AWS::KMS::Alias": "a name for people",
    "AWS::S3::BucketPolicy": "what is asked here does not leave the process",
    "AWS::ApiGatewayV2::ApiMapping": _EDGE,
    "AWS::ApiGatewayV2::DomainName": _EDGE,
    "AWS::Serverless::Application": "the only one is stacks/alarms.yaml; nobody watches metrics on one machine",
    "AWS::CloudWatch::Alarm": _ALARM,
    "AWS::CloudWatch::CompositeAlarm": _ALARM,
    "AWS::CloudWatch::Dashboard": _ALARM,
    "AWS::Logs::LogGroup": _LOG,
    "AWS::Logs::MetricFilter": _ALARM,
    "AWS::Serverless::LayerVersion": "its packages are in the local environment",
    "AWS::SNS::Subscription": _ALARM,
    "AWS::SNS::Topic": _ALARM,
    "AWS::SNS::TopicPolicy": _ALARM,
}

PROPERTIES: Mapping[str, Mapping[str, str]] = {
    "AWS::DynamoDB::Table": {
        "TableName": "read as its physical name",
        "BillingMode": "nothing is billed",
        "DeletionProtectionEnabled": _REST,
        "PointInTimeRecoverySpecification": _REST,
        "Tags": "words for bills",
    },
    "AWS::KMS::Key": {
        "Description": "words for people",
        "EnableKeyRotation": "no year passes here",
        "PendingWindowInDays": _REST,
    },
    "AWS::Lambda::EventSourceMapping": {
        "BisectBatchOnFunctionError": "a partial failure says where to go on",
        "MaximumBatchingWindowInSeconds": "what is there is worked at once",
        "MaximumRecordAgeInSeconds": "nothing grows old here",
        "ParallelizationFactor": "one reader keeps the order",
        "StartingPosition": "a stream is read from its beginning",
    },
    "AWS::S3::Bucket": {
        "BucketName": "read as its physical name",
        "LifecycleConfiguration": _REST,
        "OwnershipControls": "there is one account",
        "PublicAccessBlockConfiguration": "nothing here is public",
    },
    "AWS::SecretsManager::Secret": {
        "Name": "read as its physical name",
        "Description": "words for people",
    },
    "AWS::SQS::Queue": {
        "QueueName": "read as its physical name",
        "SqsManagedSseEnabled": "AWS encrypts at rest by itself; no role is asked",
    },
    "AWS::SSM::Parameter": {"Name": "read as its physical name", "Description": "words for people"},
    "AWS::Serverless::Function": {
        "FunctionName": "read as its physical name",
        "Architectures": _PLATFORM,
        "Description": "words for people",
        "EventInvokeConfig": "only the schedule calls asynchronously, and its next tick is the retry",
        "Layers": "their packages are in the local environment",
        "LoggingConfig": _LOG,
        "PermissionsBoundary": "the account's own, which no template names",
        "Runtime": _PLATFORM,
        "SnapStart": "a process stays as it started here; tests/unit/test_snapshot.py restores it twice",
        "Tracing": _ALARM,
    },
    "AWS::Serverless::HttpApi": {
        "AccessLogSettings": _LOG,
        "DefaultRouteSettings": "throttles are targets per account; limits that hold are in the code",
        "RouteSettings": "throttles are targets per account; limits that hold are in the code",
        "Description": "words for people",
        "DisableExecuteApiEndpoint": _EDGE,
        "Domain": _EDGE,
        "FailOnWarnings": _CLOUDFORMATION,
    },
    "HttpApi": {
        "TimeoutInMillis": "30 s for every route, the longest there is",
    },
    "ScheduleV2": {
        "Description": "words for people",
        "OmitName": _CLOUDFORMATION,
        "PermissionsBoundary": "the account's own, which no template names",
        "FlexibleTimeWindow": "one machine does not spread its load",
        "RetryPolicy": "the next tick is the retry",
    },
}
