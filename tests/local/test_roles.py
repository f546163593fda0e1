"""Policies that cannot be judged, and what each AWS call asks IAM for. Decisions are compared in `make rehearse`."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.aws.actions import Request, requests_of
from local.cloudformation.template import Template
from local.iam import Condition, Statement, UnsupportedPolicy, check, decide

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/local-ConnectionsTable"
READ = "dynamodb:GetItem"


def allow(*conditions: Condition, resource: str = TABLE, effect: str = "Allow") -> Statement:
    return Statement(f"{effect}One", effect, (READ,), (resource,), conditions)


UNJUDGED: list[Any] = [
    pytest.param(allow(Condition("DateLessThan", "dynamodb:Select", ("x",))), "DateLessThan", id="operator"),
    pytest.param(allow(Condition("ForSome:Bool", "dynamodb:Select", ("x",))), "ForSome:Bool", id="quantifier"),
    pytest.param(allow(Condition("StringEquals", "aws:SourceIp", ("x",))), "aws:SourceIp", id="key"),
    pytest.param(allow(Condition("StringEquals", "dynamodb:Attributes", ("x",))), "one value or many", id="list"),
    pytest.param(allow(Condition("ForAnyValue:Bool", "dynamodb:Select", ("x",))), "one value or many", id="no list"),
    pytest.param(allow(resource="arn:aws:s3:::${aws:userid}"), "policy variables", id="variable"),
    pytest.param(allow(effect="Permit"), "effect 'Permit'", id="effect"),
]


@pytest.mark.parametrize(("statement", "sentence"), UNJUDGED)
def test_what_cannot_be_judged_is_refused_as_a_whole(statement: Statement, sentence: str) -> None:
    with pytest.raises(UnsupportedPolicy, match=sentence):
        check([statement])
    with pytest.raises(UnsupportedPolicy, match=sentence):
        decide([statement], "s3:GetObject", "arn:aws:s3:::elsewhere", {})


# What calls ask for ---------------------------------------------------------------------------------------


@pytest.fixture
def asked(stack: Template) -> Any:
    def ask(service: str, operation: str, **params: Any) -> list[Request]:
        return requests_of(service, operation, params, stack)

    return ask


KEY: Mapping[str, Any] = {"tenant": {"S": "ann"}, "connection": {"S": "1"}}


def test_a_read_names_its_attributes_and_its_partition_key(asked: Any) -> None:
    got = asked(
        "dynamodb",
        "GetItem",
        TableName="local-ConnectionsTable",
        Key=KEY,
        ProjectionExpression="title, #b.c, d[0].e",
        ExpressionAttributeNames={"#b": "body"},
    )

    assert {(r.action, r.resource) for r in got} == {(READ, TABLE)}
    assert got[0].context["dynamodb:attributes"] == ("body", "connection", "d", "tenant", "title")
    assert got[0].context["dynamodb:leadingkeys"] == ("ann",)


def test_an_omitted_select_is_asked_for_as_absent_and_as_its_default(asked: Any) -> None:
    whole = asked("dynamodb", "GetItem", TableName="local-ConnectionsTable", Key=KEY)
    some = asked("dynamodb", "GetItem", TableName="local-ConnectionsTable", Key=KEY, ProjectionExpression="title")
    counted = asked(
        "dynamodb",
        "Query",
        TableName="local-ConnectionsTable",
        Select="COUNT",
        KeyConditionExpression="tenant = :o",
        ExpressionAttributeValues={":o": {"S": "ann"}},
    )

    assert [r.context.get("dynamodb:select") for r in whole] == [None, ("ALL_ATTRIBUTES",)]
    assert [r.context.get("dynamodb:select") for r in some] == [None, ("SPECIFIC_ATTRIBUTES",)]
    assert [r.context.get("dynamodb:select") for r in counted] == [("COUNT",)]


def test_an_index_is_a_resource_of_its_own_with_its_own_leading_key(asked: Any) -> None:
    got = asked(
        "dynamodb",
        "Query",
        TableName=TABLE,
        IndexName="due",
        KeyConditionExpression="#s = :s AND refresh_at BETWEEN :from AND :to",
        ExpressionAttributeNames={"#s": "due_shard"},
        ExpressionAttributeValues={":s": {"N": "7"}, ":from": {"N": "0"}, ":to": {"N": "9"}},
    )

    assert got[0].resource == TABLE + "/index/due"
    assert got[0].context["dynamodb:leadingkeys"] == ("7",)
    assert got[0].context["dynamodb:attributes"] == ("due_shard", "refresh_at")


def test_an_update_names_what_it_sets_removes_and_compares(asked: Any) -> None:
    got = asked(
        "dynamodb",
        "UpdateItem",
        TableName="local-ConnectionsTable",
        Key=KEY,
        ReturnValues="UPDATED_NEW",
        UpdateExpression="SET title = if_not_exists(title, :t), #l = list_append(links, :l) REMOVE old ADD n :n",
        ConditionExpression="attribute_exists(tenant) AND (version = :v OR NOT begins_with(#l, :x)) "
        "AND size(body) < :n AND kind IN (:a, :b)",
        ExpressionAttributeNames={"#l": "links2"},
    )

    expected = "body connection kind links links2 n old tenant title version"
    assert got[0].context["dynamodb:attributes"] == tuple(expected.split())
    assert [r.context["dynamodb:returnvalues"] for r in got] == [("UPDATED_NEW",)]


def test_a_put_names_every_attribute_of_the_item(asked: Any) -> None:
    got = asked("dynamodb", "PutItem", TableName="local-ConnectionsTable", Item={**KEY, "secret": {"S": "x"}})

    assert got[0].context["dynamodb:attributes"] == ("connection", "secret", "tenant")
    assert [r.context.get("dynamodb:returnvalues") for r in got] == [None, ("NONE",)]


def test_a_transaction_is_asked_for_as_its_parts(asked: Any) -> None:
    got = asked(
        "dynamodb",
        "TransactWriteItems",
        TransactItems=[
            {"Put": {"TableName": "local-ConnectionsTable", "Item": KEY}},
            {
                "ConditionCheck": {
                    "TableName": "local-ConnectionsTable",
                    "Key": KEY,
                    "ConditionExpression": "attribute_exists(x)",
                }
            },
        ],
    )

    assert [r.action for r in got] == ["dynamodb:PutItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"]
    assert {r.context["dynamodb:enclosingoperation"] for r in got} == {("TransactWriteItems",)}


def test_a_batch_of_reads_is_asked_for_key_by_key(asked: Any) -> None:
    other = {"tenant": {"S": "bob"}, "connection": {"S": "2"}}
    wanted = {"Keys": [KEY, other], "ProjectionExpression": "title"}

    got = asked("dynamodb", "BatchGetItem", RequestItems={"local-ConnectionsTable": wanted})

    assert {(r.action, r.resource) for r in got} == {("dynamodb:BatchGetItem", TABLE)}
    assert {r.context["dynamodb:leadingkeys"] for r in got} == {("ann",), ("bob",)}
    assert {r.context["dynamodb:attributes"] for r in got} == {("connection", "tenant", "title")}
    assert {r.context.get("dynamodb:select") for r in got} == {None, ("SPECIFIC_ATTRIBUTES",)}


def test_a_decryption_that_names_no_key_is_asked_for_the_one_in_the_ciphertext(asked: Any, stack: Template) -> None:
    (got,) = asked("kms", "Decrypt", CiphertextBlob=stack.keys[0].id.encode() + b"rest")

    assert got.resource == stack.keys[0].arn
    assert asked("kms", "Decrypt", CiphertextBlob=b"nothing of ours") == []


def test_a_kms_call_names_its_encryption_context(asked: Any, stack: Template) -> None:
    (got,) = asked("kms", "GenerateDataKey", KeyId=stack.keys[0].arn, EncryptionContext={"purpose": "title"})

    assert (got.action, got.resource) == ("kms:GenerateDataKey", stack.keys[0].arn)
    assert got.context == {
        "kms:encryptioncontext:purpose": ("title",),
        "kms:encryptioncontextkeys": ("purpose",),
    }


OTHERS: list[Any] = [
    ("s3", "PutObject", {"Bucket": "b", "Key": "k/1"}, "s3:PutObject", "arn:aws:s3:::b/k/1"),
    ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, "s3:GetObject", "arn:aws:s3:::b/k"),
    ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "k"}, "s3:ListBucket", "arn:aws:s3:::b"),
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": "https://sqs/1/local-RefreshQueue"},
        "sqs:SendMessage",
        "arn:aws:sqs:eu-west-1:123456789012:local-RefreshQueue",
    ),
    (
        "ssm",
        "GetParameter",
        {"Name": "local-Epoch"},
        "ssm:GetParameter",
        "arn:aws:ssm:eu-west-1:123456789012:parameter/local-Epoch",
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [{"Source": "s", "DetailType": "d", "EventBusName": "local"}]},
        "events:PutEvents",
        "arn:aws:events:eu-west-1:123456789012:event-bus/local",
    ),
]


@pytest.mark.parametrize(("service", "operation", "params", "action", "resource"), OTHERS)
def test_a_call_asks_for_its_action_on_its_resource(
    asked: Any, service: str, operation: str, params: dict[str, Any], action: str, resource: str
) -> None:
    (got,) = asked(service, operation, **params)

    assert (got.action, got.resource) == (action, resource)


def test_a_secret_is_asked_for_by_its_arn(asked: Any, stack: Template) -> None:
    (got,) = asked("secretsmanager", "GetSecretValue", SecretId="local-ClientSecrets")

    assert got.resource == stack.secrets[0].arn


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("dynamodb", "PutResourcePolicy", {}),
        ("dynamodb", "GetItem", {"TableName": "local-ConnectionsTable", "Key": KEY, "AttributesToGet": ["title"]}),
        ("iam", "CreateUser", {}),
    ],
)
def test_a_call_that_is_not_known_is_refused(asked: Any, service: str, operation: str, params: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedPolicy):
        asked(service, operation, **params)
