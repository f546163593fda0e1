"""The stores in memory answer, refuse and hold what moto answers, refuses and holds."""

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.verification.simulation.buckets import S3
from tests.verification.simulation.dynamo import DynamoDB
from tests.verification.simulation.keys import KMS
from tests.verification.simulation.operations import KEYS, Call, reads, transactions, writes
from tests.verification.simulation.queues import SQS
from tests.verification.simulation.tables import Index, Table

pytestmark = pytest.mark.slow
EXAMPLES = 25
STEPS = 100  # operations in each sequence
UNCOMPARED = {"ResponseMetadata", "ConsumedCapacity", "ItemCollectionMetrics"}
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # the failing operation is named: shrinking a hundred against moto takes minutes
    suppress_health_check=[*HealthCheck],
)


@pytest.fixture(scope="module")
def region() -> Iterator[dict[str, Any]]:
    with mock_aws():
        config = Config(retries={"max_attempts": 0}, parameter_validation=False)
        make: Any = boto3.client
        yield {
            name: make(
                name,
                region_name="eu-west-1",
                config=config,
                aws_access_key_id="none",
                aws_secret_access_key="none",
            )
            for name in ("dynamodb", "kms", "s3", "sqs")
        }


def outcome(client: Any, call: Call) -> Any:
    """Return what a caller can see of one operation: its answer, or the code and members of its refusal."""
    operation, parameters = call
    try:
        answer = getattr(client, operation)(**parameters)
    except ClientError as refusal:
        response: dict[str, Any] = {**refusal.response}
        reasons = [(reason["Code"], reason.get("Item")) for reason in response.get("CancellationReasons", [])]
        return response["Error"]["Code"], response.get("Item"), reasons
    return {name: value for name, value in answer.items() if name not in UNCOMPARED}


# DynamoDB


def walked(client: Any, call: Call) -> Any:
    """Perform an operation; a query is followed to its last page, and its rows are compared as a set."""
    operation, parameters = call
    if operation != "query":
        answer = outcome(client, call)
        if operation == "batch_get_item" and isinstance(answer, dict):
            return {name: sorted(map(_frozen, rows)) for name, rows in answer["Responses"].items()}
        return answer
    rows: list[Any] = []
    start: dict[str, Any] = {}
    for _ in range(len(KEYS) + 2):
        answer = outcome(client, (operation, {**parameters, **start}))
        if isinstance(answer, tuple):
            return answer
        rows += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    ordered = [row.get("refresh_at") if "IndexName" in parameters else row["connection"] for row in rows]
    return ordered, sorted(map(_frozen, rows))


def _frozen(row: dict[str, Any]) -> str:
    return repr(
        sorted((name, {k: sorted(v) if k == "SS" else v for k, v in value.items()}) for name, value in row.items())
    )


def settled(answer: Any) -> Any:
    """Forget the order in which a set's members are listed."""
    if isinstance(answer, dict):
        return {k: sorted(v) if k == "SS" else settled(v) for k, v in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [settled(each) for each in answer]
    return answer


made = iter(range(10**9))


def both_tables(region: dict[str, Any], name: str) -> DynamoDB:
    """Make the same empty table in moto and in memory."""
    region["dynamodb"].create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": t}
            for n, t in (("tenant", "S"), ("connection", "S"), ("due_shard", "N"), ("refresh_at", "N"))
        ],
        KeySchema=[
            {"AttributeName": "tenant", "KeyType": "HASH"},
            {"AttributeName": "connection", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_shard", "KeyType": "HASH"},
                    {"AttributeName": "refresh_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    index = Index(("due_shard", "refresh_at"))
    table = Table(name, ("tenant", "connection"), lambda: 0.0, {"due": index})
    return DynamoDB([table], lambda: 0.0)


@SETTINGS
@given(data=st.data())
def test_dynamodb_in_memory_is_held_to_moto(region: dict[str, Any], data: st.DataObject) -> None:
    name = f"connections-{next(made)}"
    ours = both_tables(region, name)
    any_call = st.one_of(writes(name), writes(name), reads(name), transactions(name))
    for _ in range(STEPS):
        call = data.draw(any_call)
        assert settled(walked(ours, call)) == settled(walked(region["dynamodb"], call)), call
    for key in KEYS:
        call = ("get_item", {"TableName": name, "Key": key, "ConsistentRead": True})
        assert settled(outcome(ours, call)) == settled(outcome(region["dynamodb"], call))
    region["dynamodb"].delete_table(TableName=name)


@pytest.mark.parametrize(("size", "fits"), [(400_000, True), (420_000, False)])
def test_an_item_of_400_kb_is_the_largest(region: dict[str, Any], size: int, fits: bool) -> None:
    name = f"connections-{next(made)}"
    ours = both_tables(region, name)
    call = ("put_item", {"TableName": name, "Item": {**KEYS[0], "refresh": {"S": "x" * size}}})

    answers = [outcome(client, call) for client in (ours, region["dynamodb"])]

    assert answers == ([{}, {}] if fits else [("ValidationException", None, [])] * 2)


# KMS, S3 and SQS: what one operation returned names what the next one asks for, so each side keeps its
# own handles.

few = st.integers(0, 4)
SMALL = settings(SETTINGS, max_examples=max(1, EXAMPLES // 4))


def codes(act: Any) -> Any:
    """Return what an act returns, or the code of its refusal."""
    try:
        return act()
    except ClientError as refusal:
        return refusal.response["Error"]["Code"]


class Keeper:
    """KMS as a caller sees it: makes data keys and opens the n-th again."""

    def __init__(self, client: Any, key: str) -> None:
        self.client, self.key = client, key
        self.made: list[tuple[bytes, bytes]] = []

    def do(self, verb: str, number: int, context: dict[str, str]) -> Any:
        if verb == "make":
            made = self.client.generate_data_key(KeyId=self.key, KeySpec="AES_256", EncryptionContext=context)
            self.made.append((made["CiphertextBlob"], made["Plaintext"]))
            return len(made["Plaintext"])
        if number >= len(self.made):
            return None
        wrapped, plaintext = self.made[number]
        opened = self.client.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)
        return opened["Plaintext"] == plaintext


@SMALL
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["make", "open", "open"]),
            few,
            st.sampled_from([{}, {"purpose": "refresh"}, {"purpose": "access"}, {"purpose": "refresh", "app": "x"}]),
        ),
        min_size=30,
        max_size=30,
    )
)
def test_kms_in_memory_is_held_to_moto(region: dict[str, Any], steps: list[Any]) -> None:
    theirs = Keeper(region["kms"], region["kms"].create_key()["KeyMetadata"]["Arn"])
    ours = Keeper(KMS({"key"}, os.urandom), "key")
    for step in steps:
        assert codes(lambda: ours.do(*step)) == codes(lambda: theirs.do(*step)), step  # noqa: B023 (called at once)


class Drawer:
    """S3 as a caller sees it: objects of few names in one bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.client, self.bucket = client, bucket

    def do(self, verb: str, number: int, body: bytes) -> Any:
        key = f"rescue/con_{number % 3}/{number}"
        if verb == "put":
            return self.client.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"]
        if verb == "get":
            return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        if verb == "head":
            return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        if verb == "delete":
            self.client.delete_object(Bucket=self.bucket, Key=key)
            return None
        listed = self.client.list_objects_v2(
            Bucket=self.bucket, Prefix="rescue/", MaxKeys=1 + number, StartAfter=key if body else ""
        )
        return listed["KeyCount"], listed["IsTruncated"], [each["Key"] for each in listed.get("Contents", [])]


@SMALL
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "get", "head", "delete", "list"]), few, st.binary(max_size=3)),
        min_size=30,
        max_size=30,
    )
)
def test_s3_in_memory_is_held_to_moto(region: dict[str, Any], steps: list[Any]) -> None:
    name = f"rescue-{next(made)}"
    region["s3"].create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    ours, theirs = Drawer(S3({name: {}}), name), Drawer(region["s3"], name)
    for step in steps:
        assert codes(lambda: ours.do(*step)) == codes(lambda: theirs.do(*step)), step  # noqa: B023 (called at once)


class Post:
    """SQS as a caller sees it: sends, receives, and deletes the n-th it received."""

    def __init__(self, client: Any, url: str) -> None:
        self.client, self.url = client, url
        self.receipts: list[str] = []

    def do(self, verb: str, number: int) -> Any:
        if verb == "send":
            sent = self.client.send_message(
                QueueUrl=self.url, MessageBody=f"{number}", DelaySeconds=300 * (number == 4)
            )
            return sent["MD5OfMessageBody"]
        if verb == "batch":
            entries = [{"Id": f"{n}", "MessageBody": f"b{n}"} for n in range(number * 3)]
            return [
                each["Id"] for each in self.client.send_message_batch(QueueUrl=self.url, Entries=entries)["Successful"]
            ]
        if verb == "receive":
            answer = self.client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=number + 1, VisibilityTimeout=300
            )
            messages = answer.get("Messages", [])
            self.receipts += [each["ReceiptHandle"] for each in messages]
            return [each["Body"] for each in messages]
        if verb == "delete" and number < len(self.receipts):
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=self.receipts.pop(number))
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=wanted)["Attributes"]


@SMALL
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["send", "batch", "receive", "delete", "count"]), few),
        min_size=30,
        max_size=30,
    )
)
def test_sqs_in_memory_is_held_to_moto(region: dict[str, Any], steps: list[Any]) -> None:
    url = region["sqs"].create_queue(QueueName=f"refresh-{next(made)}")["QueueUrl"]
    ours, theirs = Post(SQS({"q": []}, lambda: 0.0), "q"), Post(region["sqs"], url)
    for step in steps:
        assert codes(lambda: ours.do(*step)) == codes(lambda: theirs.do(*step)), step  # noqa: B023 (called at once)
