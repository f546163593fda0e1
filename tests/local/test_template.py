"""template.yaml read whole: what it says becomes values, what cannot be read stops the start."""

from pathlib import Path
from typing import Any

import pytest

from local.cloudformation.template import Template, TemplateFault, parse, read
from local.iam import Condition

STACK = Path(__file__).parent / "stack.yaml"


@pytest.fixture
def stack() -> Template:
    return read(STACK, {})


def changed(old: str, new: str, **overrides: str) -> Template:
    text = STACK.read_text(encoding="utf-8")
    assert old in text
    return parse(text.replace(old, new, 1), overrides)


def test_functions_are_found_by_the_folder_of_their_code(stack: Template) -> None:
    assert set(stack.functions) == {"read", "write", "work", "hear"}


def test_globals_hold_unless_a_function_says_otherwise(stack: Template) -> None:
    read_, write = stack.functions["read"], stack.functions["write"]

    assert (read_.timeout, read_.memory, read_.concurrency) == (10, 256, None)
    assert (write.timeout, write.memory, write.concurrency) == (20, 128, 5)
    assert write.handler == "app.handler"


def test_the_environment_is_merged_and_resolved(stack: Template) -> None:
    environment = stack.functions["write"].environment

    assert environment == {
        "TABLE": stack.tables[0].name,
        "QUEUE": stack.queue("local-Orders").url,
        "KEY": stack.keys[0].arn,
        "SITE": stack.apis[0].endpoint,
        "GREETING": "good morning",
    }


def test_a_condition_follows_the_parameters() -> None:
    stack = read(STACK, {"Domain": "notes.example"})

    assert stack.functions["read"].environment["SITE"] == "https://notes.example"
    assert stack.functions["read"].environment["MISSING"] == "notes.example"
    assert stack.outputs["Custom"] == "notes.example"


def test_routes_name_their_api_method_and_path(stack: Template) -> None:
    public, private = (api.id for api in stack.apis)
    routes = {(route.api, route.key, route.signed) for f in stack.functions.values() for route in f.routes}

    assert routes == {
        (private, "GET /notes/{note}", True),
        (private, "GET /notes", True),
        (public, "POST /notes/{note}", False),
        (public, "$default", False),
    }


def test_a_queue_that_calls_a_function_is_read(stack: Template) -> None:
    mapping = next(mapping for mapping in stack.event_source_mappings if mapping.logical_id == "WorkMapping")
    queue = stack.queue(mapping.source)

    assert stack.function(mapping.function).folder == "work"
    assert (mapping.batch_size, mapping.reports_failures, mapping.concurrency) == (2, True, 2)
    assert (queue.visibility, queue.max_receives) == (60, 2)
    assert stack.queue(queue.dead_letters).retention == 1_209_600


def test_a_schedule_is_read_in_seconds(stack: Template) -> None:
    (schedule,) = stack.functions["work"].schedules

    assert (schedule.seconds, schedule.enabled) == (60, True)


def test_a_stream_that_calls_a_function_is_read(stack: Template) -> None:
    mapping = next(mapping for mapping in stack.event_source_mappings if mapping.logical_id == "HearMapping")

    assert stack.function(mapping.function).folder == "hear"
    assert stack.table(mapping.source) == stack.tables[0]
    assert (mapping.batch_size, mapping.retries, mapping.failures) == (3, 2, stack.queue("local-Failed").arn)


def test_what_a_key_denies_to_all_is_read(stack: Template) -> None:
    (denial,) = stack.keys[0].denials

    assert (denial.sid, denial.effect, denial.actions) == ("NotWithoutPurpose", "Deny", ("kms:GenerateDataKey",))


def test_a_role_is_read_with_physical_resources(stack: Template) -> None:
    (statement,) = stack.functions["read"].statements

    assert statement.actions == ("dynamodb:GetItem", "dynamodb:Query")
    assert statement.resources == (stack.tables[0].arn,)
    assert Condition("StringEqualsIfExists", "dynamodb:Select", ("SPECIFIC_ATTRIBUTES",)) in statement.conditions


def test_a_boolean_in_a_condition_is_written_as_iam_compares_it(stack: Template) -> None:
    keep = stack.functions["write"].statements[0]

    assert keep.conditions == (Condition("Null", "dynamodb:LeadingKeys", ("false",)),)


def test_a_table_is_read_with_keys_index_lifetime_and_stream(stack: Template) -> None:
    (table,) = stack.tables

    assert (table.hash_key, table.range_key) == ("owner", "note")
    assert (table.index("due").hash_key, table.index("due").projection) == ("shard", "KEYS_ONLY")
    assert (table.ttl, table.stream, table.encrypted) == ("expires_at", "NEW_AND_OLD_IMAGES", True)


def test_what_is_stored_at_the_start_is_read(stack: Template) -> None:
    assert stack.secrets[0].name == "local/secrets"
    assert stack.secrets[0].value == "{}"
    assert stack.parameters[0].name == "/local/epoch"
    assert stack.parameters[0].value == f'{{"epoch": 1, "table": "{stack.tables[0].name}"}}'


def test_the_role_sam_makes_can_be_named() -> None:
    stack = changed("GREETING: good morning", "GREETING: !Ref ReadFunctionRole")

    assert stack.functions["write"].environment["GREETING"] == "local-ReadFunctionRole"


def test_the_same_template_gives_the_same_names_every_time(stack: Template) -> None:
    assert stack == read(STACK, {})


FAULTS: list[Any] = [
    pytest.param("  Alarm:\n", "  Alarm:\n    Sometimes: yes\n", "Alarm: Sometimes", id="attribute"),
    pytest.param("AWS::CloudWatch::Alarm", "AWS::EC2::Instance", "type AWS::EC2::Instance", id="type"),
    pytest.param("      BillingMode: PAY", "      Colour: PAY", "Notes: Colour", id="property"),
    pytest.param("{StreamViewType:", "{Shiny: 1, StreamViewType:", "Shiny", id="inner property"),
    pytest.param("Timeout: 10", "Timeout: ten", "Timeout is no whole number", id="number"),
    pytest.param("Enabled: true}", "Enabled: perhaps}", "neither true nor false", id="flag"),
    pytest.param("!Ref Notes\n", "!Ref Nothing\n", "nothing called 'Nothing'", id="reference"),
    pytest.param("!GetAtt Seal.Arn\n", "!GetAtt Seal.Shape\n", "GetAtt Shape", id="attribute of a resource"),
    pytest.param("!If [HasDomain, !Sub", "!If [HasSite, !Sub", "no condition 'HasSite'", id="condition"),
    pytest.param("GREETING: good morning", "GREETING: !Select [0, [x]]", "Fn::Select is not known", id="function"),
    pytest.param("Method: post", "Method: GET, Authorizer: x", "Authorizer", id="event property"),
    pytest.param("Type: ScheduleV2\n          P", "Type: SNS\n          P", "events of type SNS", id="event"),
    pytest.param("rate(1 minute)", "cron(0 1 * * ? *)", "no rate", id="cron"),
    pytest.param("Sid: SealTitle", "Sid: KeepNote", "Sid of its own", id="repeated Sid"),
    pytest.param(
        '        - Version: "2012-10-17"\n          Statement',
        "        - S3ReadPolicy",
        "only policies written out",
        id="policy template",
    ),
    pytest.param("            Action: kms:*", "            Action: kms:Decrypt", "KeyPolicy", id="key policy"),
    pytest.param('{AWS: "*"}', "{AWS: x}", "may let IAM decide or deny to all", id="key policy for one"),
    pytest.param("AutoPublishAlias: live", "AutoPublishAlias: now", "called live", id="alias"),
    pytest.param("WorkFunction.Alias", "WorkFunction.Arn", "\\.Arn", id="reference to an attribute"),
    pytest.param("AES256", "aws:kms", "S3's own keys", id="bucket key"),
    pytest.param("functions/write/", "functions/read", "code of 2 functions", id="folder used twice"),
    pytest.param("functions/write/", "src/write", "CodeUri", id="folder elsewhere"),
    pytest.param('Path: "/notes/{note}"}\n        All', "Path: /notes}\n        All", "2 functions", id="route"),
    pytest.param("{EnableIamAuthorizer: true, ", "{", "AWS_IAM cannot be run", id="authorizer not enabled"),
    pytest.param("    Default: 30", "    Default: 0", "outside 1.0 to 365.0", id="parameter limit"),
    pytest.param("    Default: 30\n", "", "no default", id="parameter without a value"),
    pytest.param("Conditions:", "Mappings: {}\nConditions:", "section Mappings", id="section"),
    pytest.param("  HttpApi:\n    Fail", "  Api:\n    Fail", "Globals.Api", id="globals"),
    pytest.param("  Alarm:\n", "  Epoch:\n", "'Epoch' is given twice", id="repeated key"),
    pytest.param(
        "      Type: String\n      Value", "      Type: StringList\n      Value", "type String", id="ssm type"
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), FAULTS)
def test_what_cannot_be_read_is_a_fault_that_says_where(old: str, new: str, sentence: str) -> None:
    with pytest.raises(TemplateFault, match=sentence):
        changed(old, new)


def test_an_override_must_name_a_parameter() -> None:
    with pytest.raises(TemplateFault, match="no parameter 'Color'"):
        read(STACK, {"Color": "red"})
