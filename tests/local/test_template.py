"""template.yaml read whole: what it says becomes values, what cannot be read stops the start."""

import json
from typing import Any

import pytest

from local.cloudformation.template import Template, TemplateFault, parse, read
from local.iam import Condition
from tests.deployment.template.stack import ROOT
from tools.expand import NEEDED


def deployed(**parameters: str) -> Template:
    return read(ROOT / "template.yaml", NEEDED | parameters)


def test_globals_hold_unless_a_function_says_otherwise(stack: Template) -> None:
    refresh, token = stack.functions["refresh"], stack.functions["token"]

    assert (token.timeout, token.memory, token.handler) == (29, 512, "app.handler")
    assert (refresh.timeout, refresh.memory, refresh.handler) == (180, 1769, "app.handler")
    assert token.environment.items() <= stack.functions["session"].environment.items()
    assert stack.functions["session"].environment["CONNECT_URL"] == stack.apis[0].endpoint


def test_conditions_follow_the_parameters() -> None:
    stack = deployed(ConnectDomain="connect.example", CertificateArn="arn:aws:acm:x", ReserveRefreshes="yes")

    assert stack.functions["session"].environment["CONNECT_URL"] == "https://connect.example"
    assert stack.outputs["ConnectDomainTarget"]
    assert (stack.functions["refresh"].concurrency, stack.functions["token"].concurrency) == (7, None)
    assert "proxy" in stack.left_out
    assert "proxy" in deployed(Proxy="on").functions


def test_routes_name_their_api_and_whether_they_are_signed(stack: Template) -> None:
    connect, backend = (api.id for api in stack.apis)
    routes = {(route.api, route.key, route.signed) for each in stack.functions.values() for route in each.routes}

    assert (connect, "$default", False) in routes
    assert (connect, "POST /connect/{session}/authorize", False) in routes
    assert (backend, "POST /v1/tenants/{tenant}/connect-sessions", True) in routes


def test_what_calls_a_function_is_read(stack: Template) -> None:
    mappings = {mapping.logical_id: mapping for mapping in stack.event_source_mappings}
    urgent, notify = mappings["UrgentFeed"], mappings["NotifyFeed"]
    queue = stack.queue(urgent.source)

    assert (stack.function(urgent.function).folder, urgent.batch_size, urgent.concurrency) == ("refresh", 1, 2)
    assert urgent.reports_failures
    assert (queue.visibility, queue.max_receives, queue.retention) == (1080, 3, 3600)
    assert stack.function(notify.function).folder == "notify"
    assert stack.table(notify.source).logical_id == "ConnectionsTable"
    assert notify.failures == queue.dead_letters == stack.queue("local-DeadLetterQueue").arn
    assert [(each.seconds, each.enabled) for each in stack.functions["sweep"].schedules] == [(60, True)]


def test_a_role_is_read_with_physical_resources_and_what_a_key_denies_to_all(stack: Template) -> None:
    read_token = stack.functions["token"].statements[0]
    [denial] = stack.keys[0].denials

    assert (read_token.actions, read_token.resources) == (("dynamodb:GetItem",), (stack.tables[0].arn,))
    assert Condition("StringEqualsIfExists", "dynamodb:Select", ("SPECIFIC_ATTRIBUTES",)) in read_token.conditions
    assert (denial.effect, denial.actions) == ("Deny", ("kms:Decrypt", "kms:GenerateDataKey"))
    assert denial.conditions == (Condition("Null", "kms:EncryptionContext:purpose", ("true",)),)


def test_what_is_stored_is_read(stack: Template) -> None:
    table = stack.table("local-ConnectionsTable")

    assert (table.hash_key, table.range_key) == ("tenant", "connection")
    assert (table.index("due").hash_key, table.index("due").projection) == ("due_shard", "KEYS_ONLY")
    assert (table.ttl, table.stream, table.encrypted) == ("forget_at", "NEW_AND_OLD_IMAGES", True)
    assert stack.parameters[0].value == f'{{"epoch": 1, "table": "{table.name}"}}'


def test_a_boolean_in_a_condition_is_written_as_iam_compares_it() -> None:
    statement = {"Sid": "A", "Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": {"Bool": {"k": True}}}
    made = parse(json.dumps({"Resources": {"F": function(Policies=[{"Statement": [statement]}])}}), {})

    assert made.functions["read"].statements[0].conditions == (Condition("Bool", "k", ("true",)),)


# What cannot be read --------------------------------------------------------------------------------------------------

Resource = dict[str, Any]


def a(kind: str, **properties: Any) -> Resource:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def function(**properties: Any) -> Resource:
    return a("Serverless::Function", **{"CodeUri": "functions/read", "Handler": "app.handler"} | properties)


def called_by(kind: str, **properties: Any) -> Resource:
    return function(Events={"Event": {"Type": kind, "Properties": properties}})


def told(value: Any) -> Resource:
    return function(Environment={"Variables": {"NAME": value}})


def may(**changes: Any) -> Resource:
    statement = {"Sid": "A", "Effect": "Allow", "Action": "a:B", "Resource": "*"}
    return function(Policies=[{"Statement": [statement, statement | changes]}])


def key(**statement: Any) -> Resource:
    return a("KMS::Key", KeyPolicy={"Statement": [statement]})


ROUTE = {"ApiId": "api", "Method": "GET", "Path": "/"}
SAME_ROUTE = called_by("HttpApi", **ROUTE)
SAME_ROUTE["Properties"]["CodeUri"] = "functions/write"
KMS = {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
RESOURCES: list[tuple[str, Resource]] = [
    ("X: Sometimes", {"Type": "AWS::SQS::Queue", "Sometimes": True}),
    ("type AWS::EC2::Instance", a("EC2::Instance")),
    ("X: Colour", a("SQS::Queue", Colour="red")),
    ("X.RedrivePolicy: Shiny", a("SQS::Queue", RedrivePolicy={"Shiny": 1})),
    ("X: Timeout is no whole number", function(Timeout="ten")),
    ("neither true nor false", a("Serverless::HttpApi", Auth={"EnableIamAuthorizer": "perhaps"})),
    ("there is nothing called 'Nothing'", told({"Ref": "Nothing"})),
    ("GetAtt Shape", told({"Fn::GetAtt": ["X", "Shape"]})),
    ("there is no condition 'HasSite'", told({"Fn::If": ["HasSite", 1, 2]})),
    ("Fn::Select is not known", told({"Fn::Select": [0, ["x"]]})),
    ("Colour cannot be read", called_by("HttpApi", **ROUTE, Colour="red")),
    ("the authorizer x cannot be run", called_by("HttpApi", **ROUTE, Auth={"Authorizer": "x"})),
    ("payload format 2.0 alone", called_by("HttpApi", **ROUTE, PayloadFormatVersion="1.0")),
    ("events of type SNS", called_by("SNS")),
    ("is no rate", called_by("ScheduleV2", ScheduleExpression="cron(0 1 * * ? *)")),
    ("a Sid of its own", may()),
    ("Principal cannot be read", may(Sid="B", Principal="*")),
    ("only policies written out", function(Policies=["S3ReadPolicy"])),
    ("a KeyPolicy may", key(Effect="Allow", Principal={"AWS": "*"}, Action="kms:*", Resource="*")),
    ("a KeyPolicy may", key(Effect="Deny", Principal={"AWS": "x"}, Action="kms:*", Resource="*")),
    ("S3's own keys", a("S3::Bucket", BucketEncryption=KMS)),
    ("CodeUri is not functions/NAME", function(CodeUri="src/read")),
    ("AWS_IAM cannot be run", a("Serverless::HttpApi", Auth={"DefaultAuthorizer": "AWS_IAM"})),
    ("only parameters of type String", a("SSM::Parameter", Type="StringList", Value="a")),
    ("FunctionResponseTypes", a("Lambda::EventSourceMapping", FunctionResponseTypes=["Other"])),
]


@pytest.mark.parametrize(("sentence", "resource"), RESOURCES)
def test_a_resource_that_cannot_be_read_is_a_fault_that_says_where(sentence: str, resource: Resource) -> None:
    with pytest.raises(TemplateFault, match=sentence):
        parse(json.dumps({"Resources": {"X": resource}}), {})


NUMBER = {"Type": "Number", "MinValue": 1, "MaxValue": 9}
DOCUMENTS: list[tuple[str, Resource]] = [
    ("functions/read is the code of 2 functions", {"Resources": {"A": function(), "B": function()}}),
    ("the route GET / leads to 2 functions", {"Resources": {"A": called_by("HttpApi", **ROUTE), "B": SAME_ROUTE}}),
    ("Parameters.N: 0 is outside 1.0 to 9.0", {"Parameters": {"N": NUMBER | {"Default": 0}}}),
    ("Parameters.N has no default", {"Parameters": {"N": NUMBER}}),
    ("Parameters.N: the type List is not known", {"Parameters": {"N": {"Type": "List"}}}),
    ("'b' is not among", {"Parameters": {"N": {"Type": "String", "AllowedValues": ["a"], "Default": "b"}}}),
    ("does not match", {"Parameters": {"N": {"Type": "String", "AllowedPattern": "^a$", "Default": "b"}}}),
    ("too short or too long", {"Parameters": {"N": {"Type": "String", "MinLength": 2, "Default": "b"}}}),
    ("the section Mappings", {"Mappings": {}}),
    ("Globals.Api", {"Globals": {"Api": {}}}),
]


@pytest.mark.parametrize(("sentence", "document"), DOCUMENTS)
def test_a_document_that_cannot_be_read_is_a_fault_that_says_where(sentence: str, document: Resource) -> None:
    with pytest.raises(TemplateFault, match=sentence):
        parse(json.dumps({"Resources": {}} | document), {})


@pytest.mark.parametrize(
    ("sentence", "text"),
    [("'A' is given twice", "Resources: {A: 1, A: 2}"), ("not YAML", "{"), ("not a mapping", "a")],
)
def test_a_text_that_cannot_be_read_is_a_fault(sentence: str, text: str) -> None:
    with pytest.raises(TemplateFault, match=sentence):
        parse(text, {})


def test_an_override_must_name_a_parameter() -> None:
    with pytest.raises(TemplateFault, match="no parameter 'Color'"):
        deployed(Color="red")
