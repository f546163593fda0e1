"""Events from the broker to a listener: through the stream, under the role, by the rule of docs/reference/events.md."""

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from local.cloudformation.intrinsics import load
from local.world import World
from ninjaone_connect import Connect, new_verifier
from tests.support.local_world import still_world
from tests.support.person import agree

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/events.md").read_text()
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "events/schemas").glob("*.json")}


def rule() -> dict[str, Any]:
    """The rule that the page gives to copy."""
    [block] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = load(block)["ConnectionEvents"]["Properties"]
    return found


def listen(world: World) -> str:
    """Put the rule on the account's default bus, with a queue as its target."""
    sqs, events = world.aws("sqs"), world.aws("events")
    queue: str = sqs.create_queue(QueueName="backend")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="connections", EventPattern=json.dumps(rule()["EventPattern"]))
    events.put_targets(Rule="connections", Targets=[{"Id": "backend", "Arn": arn}])
    return queue


def heard(world: World, queue: str) -> list[dict[str, Any]]:
    messages = world.aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"]) for message in messages]


def test_a_listener_with_the_documented_rule_hears_what_happens() -> None:
    with still_world() as world:
        queue = listen(world)
        connect = Connect(world.api_url, region="eu-west-1", credentials=world.credentials)
        mine = new_verifier()
        opened = connect.open_session(
            "northwind", end_user_id="ana", tenant_name="N", return_to="main", binding_challenge=mine.challenge
        )
        ticket = agree(opened.connect_url)["ticket"]
        made = connect.complete(
            "northwind", opened.session_id, end_user_id="ana", ticket=ticket, binding_verifier=mine.verifier
        )
        connect.disconnect("northwind", made.connection_id)
        world.run_event_sources()
        events = heard(world, queue)
        refused = [line for line in world.policy_usage.refused if line[0] == "notify"]

    assert {event["detail-type"] for event in events} == {"connection.connected", "connection.disconnected"}
    for event in events:
        Draft202012Validator(SCHEMAS[event["detail-type"]]).validate(event)
        assert (event["detail"]["tenant_id"], event["detail"]["connection_id"]) == ("northwind", made.connection_id)
    assert refused == []


def test_the_page_lists_every_event_with_its_own_fields() -> None:
    rows = re.findall(r"^\| `(connection\.\w+)` \|.*\| (.*?) ?\|$", PAGE, re.MULTILINE)
    everywhere = {"id", "sequence", "at", "tenant_id", "connection_id", "version"}

    assert {name: set(re.findall(r"`(\w+)`", more)) for name, more in rows} == {
        name: set(schema["properties"]["detail"]["properties"]) - everywhere for name, schema in SCHEMAS.items()
    }
    assert set(rule()["EventPattern"]["detail-type"]) <= SCHEMAS.keys()
