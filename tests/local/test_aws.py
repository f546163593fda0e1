"""AWS in memory: made from the template, atomic, by the world's clock, under roles."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.account import AwsAccount
from local.aws.roles import PolicyUsage, Role
from local.clock import StillClock
from local.cloudformation.template import Template
from local.iam import Condition, Statement, UnsupportedPolicy

HIDDEN = 1081
"""Seconds after which a message that was received can be received again."""
KEY = {"tenant": {"S": "ann"}, "connection": {"S": "1"}}


def test_a_table_is_made_with_index_lifetime_encryption_and_stream(aws: AwsAccount, stack: Template) -> None:
    dynamodb, name = aws.client("dynamodb"), stack.tables[0].name

    table = dynamodb.describe_table(TableName=name)["Table"]
    lifetime = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]

    assert table["GlobalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert lifetime == {"TimeToLiveStatus": "ENABLED", "AttributeName": "forget_at"}


def test_everything_has_the_name_that_the_template_resolves_to(aws: AwsAccount, stack: Template) -> None:
    environment = stack.functions["token"].environment

    data_key = aws.client("kms").generate_data_key(KeyId=environment["SEAL_KEY"], KeySpec="AES_256")
    message = aws.client("sqs").send_message(QueueUrl=environment["REFRESH_QUEUE"], MessageBody="x")
    parameter = aws.client("ssm").get_parameter(Name="local-Epoch")

    assert data_key["KeyId"] == environment["SEAL_KEY"]
    assert message["MessageId"]
    assert parameter["Parameter"]["Value"] == stack.parameters[0].value
    assert aws.client("s3").head_bucket(Bucket=stack.buckets[0].name)


def test_a_key_opens_only_under_the_context_it_sealed_under(aws: AwsAccount, stack: Template) -> None:
    kms, key = aws.client("kms"), stack.keys[0].arn
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"purpose": "a"})["CiphertextBlob"]

    opened = kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext={"purpose": "a"})

    assert opened["Plaintext"] == b"x"
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionContext={"purpose": "b"})


def test_a_secret_can_be_given_another_value(aws: AwsAccount, stack: Template) -> None:
    aws.put_secret(stack.secrets[0].arn, '{"id": "refresh"}')

    found = aws.client("secretsmanager").get_secret_value(SecretId=stack.secrets[0].arn)
    assert found["SecretString"] == '{"id": "refresh"}'


def test_of_many_conditional_writes_one_wins(aws: AwsAccount, stack: Template) -> None:
    """moto by itself lets several win: it reads, compares and writes in separate steps."""
    dynamodb, name = aws.client("dynamodb"), stack.tables[0].name

    def take(key: str) -> bool:
        try:
            dynamodb.put_item(
                TableName=name,
                Item={"tenant": {"S": "lease"}, "connection": {"S": key}},
                ConditionExpression="attribute_not_exists(#o)",
                ExpressionAttributeNames={"#o": "tenant"},
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(20):
            assert sum(pool.map(take, [str(round_)] * 6)) == 1


def test_a_message_is_hidden_until_the_worlds_clock_says_so(
    aws: AwsAccount, stack: Template, clock: StillClock
) -> None:
    sqs, url = aws.client("sqs"), stack.queue("local-UrgentQueue").url
    sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=10)

    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    clock.advance(11)
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    clock.advance(HIDDEN)
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_what_was_received_too_often_becomes_a_dead_letter(aws: AwsAccount, stack: Template, clock: StillClock) -> None:
    sqs, url = aws.client("sqs"), stack.queue("local-UrgentQueue").url
    sqs.send_message(QueueUrl=url, MessageBody="x")
    for _ in range(4):
        sqs.receive_message(QueueUrl=url)
        clock.advance(HIDDEN)

    dead = sqs.receive_message(QueueUrl=stack.queue("local-DeadLetterQueue").url)

    assert [message["Body"] for message in dead["Messages"]] == ["x"]


def test_what_outlived_its_time_is_deleted_only_when_asked(aws: AwsAccount, stack: Template) -> None:
    dynamodb, name = aws.client("dynamodb"), stack.tables[0].name
    for note, expires in (("old", "100"), ("new", "300"), ("kept", "")):
        life = {"forget_at": {"N": expires}} if expires else {}
        dynamodb.put_item(TableName=name, Item={"tenant": {"S": "ann"}, "connection": {"S": note}, **life})

    gone = aws.expire(200)

    left = {item["connection"]["S"] for item in dynamodb.scan(TableName=name)["Items"]}
    assert (gone, left) == (1, {"new", "kept"})


def test_a_stream_tells_each_change_in_order_with_both_images(aws: AwsAccount, stack: Template) -> None:
    dynamodb, table = aws.client("dynamodb"), stack.tables[0]
    dynamodb.put_item(TableName=table.name, Item={**KEY, "sealed": {"B": b"\xff"}})
    dynamodb.update_item(
        TableName=table.name,
        Key=KEY,
        UpdateExpression="SET label = :t",
        ExpressionAttributeValues={":t": {"S": "x"}},
    )
    dynamodb.transact_write_items(TransactItems=[{"Delete": {"TableName": table.name, "Key": KEY}}])

    made, changed, gone = aws.changes(table, 0)

    assert [each["eventName"] for each in (made, changed, gone)] == ["INSERT", "MODIFY", "REMOVE"]
    assert changed["dynamodb"]["OldImage"].get("label") is None
    assert changed["dynamodb"]["NewImage"]["label"] == {"S": "x"}
    assert made["dynamodb"]["NewImage"]["sealed"] == {"B": "/w=="}
    assert made["eventSourceARN"] == table.stream_arn
    assert aws.changes(table, 2) == [gone]


def test_an_update_that_makes_a_row_is_one_change(aws: AwsAccount, stack: Template) -> None:
    dynamodb, table = aws.client("dynamodb"), stack.tables[0]
    title = {"UpdateExpression": "SET label = :t", "ExpressionAttributeValues": {":t": {"S": "x"}}}
    dynamodb.update_item(TableName=table.name, Key=KEY, **title)

    [made] = aws.changes(table, 0)

    assert made["eventName"] == "INSERT"
    assert made["dynamodb"]["NewImage"]["label"] == {"S": "x"}


def test_the_account_is_empty_again_in_the_next_world(stack: Template, clock: StillClock) -> None:
    for _ in range(2):
        with AwsAccount(stack, clock.now) as aws:
            dynamodb = aws.client("dynamodb")
            assert dynamodb.scan(TableName=stack.tables[0].name)["Count"] == 0
            dynamodb.put_item(TableName=stack.tables[0].name, Item=KEY)


def test_a_call_that_outlives_the_world_reaches_nothing(stack: Template, clock: StillClock) -> None:
    with AwsAccount(stack, clock.now) as aws:
        dynamodb = aws.client("dynamodb")

    with pytest.raises(ConnectionError, match="no AWS here"):
        dynamodb.list_tables()


# Roles -----------------------------------------------------------------------------------------------------


@pytest.fixture
def usage() -> PolicyUsage:
    return PolicyUsage()


@pytest.fixture
def reader(stack: Template, usage: PolicyUsage) -> Role:
    return Role(stack.functions["token"], stack, usage)


def test_a_client_under_a_role_does_what_the_role_allows(aws: AwsAccount, stack: Template, reader: Role) -> None:
    name = stack.tables[0].name
    aws.client("dynamodb").put_item(TableName=name, Item={**KEY, "access": {"S": "x"}, "refresh": {"S": "y"}})

    got = aws.client("dynamodb", reader).get_item(TableName=name, Key=KEY, ProjectionExpression="access")

    assert got["Item"] == {"access": {"S": "x"}}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="whole item"),
        pytest.param({"ProjectionExpression": "refresh"}, id="secret attribute"),
        pytest.param(
            {"ProjectionExpression": "#s", "ExpressionAttributeNames": {"#s": "refresh"}},
            id="under another name",
        ),
    ],
)
def test_a_client_under_a_role_is_denied_the_rest(
    aws: AwsAccount, stack: Template, reader: Role, more: dict[str, Any]
) -> None:
    dynamodb = aws.client("dynamodb", reader)

    with pytest.raises(ClientError) as denied:
        dynamodb.get_item(TableName=stack.tables[0].name, Key=KEY, **more)

    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "local-TokenFunction is not authorized to perform: dynamodb:GetItem" in str(denied.value)


def test_a_denied_write_is_not_done(aws: AwsAccount, stack: Template, reader: Role) -> None:
    with pytest.raises(ClientError, match="no identity-based policy allows the dynamodb:PutItem action"):
        aws.client("dynamodb", reader).put_item(TableName=stack.tables[0].name, Item=KEY)

    assert aws.client("dynamodb").scan(TableName=stack.tables[0].name)["Count"] == 0


@pytest.mark.parametrize(
    ("service", "call", "params", "code"),
    [
        ("s3", "get_object", {"Bucket": "b", "Key": "k"}, "AccessDenied"),
        ("sqs", "send_message", {"QueueUrl": "https://sqs/1/q", "MessageBody": "x"}, "AccessDenied"),
        ("ssm", "get_parameter", {"Name": "local-Epoch"}, "AccessDeniedException"),
    ],
)
def test_each_service_names_a_refusal_its_own_way(
    aws: AwsAccount, reader: Role, *, service: str, call: str, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as denied:
        getattr(aws.client(service, reader), call)(**params)

    assert denied.value.response["Error"]["Code"] == code


def test_a_purpose_is_held_by_the_encryption_context(aws: AwsAccount, stack: Template, usage: PolicyUsage) -> None:
    kms = aws.client("kms", Role(stack.functions["session"], stack, usage))
    ask = {"KeyId": stack.keys[0].arn, "KeySpec": "AES_256"}

    assert kms.generate_data_key(**ask, EncryptionContext={"purpose": "client"})
    for context in ({"purpose": "body"}, {}, {"other": "client"}):
        with pytest.raises(ClientError, match="kms:GenerateDataKey"):
            kms.generate_data_key(**ask, EncryptionContext=context)


def test_the_ledger_tells_what_was_needed_and_what_was_refused(
    aws: AwsAccount, stack: Template, reader: Role, usage: PolicyUsage
) -> None:
    dynamodb, name = aws.client("dynamodb", reader), stack.tables[0].name
    dynamodb.get_item(TableName=name, Key=KEY, ProjectionExpression="access")
    with pytest.raises(ClientError):
        dynamodb.delete_item(TableName=name, Key=KEY)

    assert set(usage.used) == {("token", "ReadAccessToken", "dynamodb:GetItem")}
    assert set(usage.refused) == {("token", "dynamodb:DeleteItem", stack.tables[0].arn)}


def test_a_role_that_cannot_be_judged_is_refused_at_the_start(stack: Template, usage: PolicyUsage) -> None:
    odd = Statement("Odd", "Allow", ("s3:*",), ("*",), (Condition("IpAddress", "aws:SourceIp", ("::1",)),))

    with pytest.raises(UnsupportedPolicy, match="Odd"):
        Role(replace(stack.functions["token"], statements=(odd,)), stack, usage)
