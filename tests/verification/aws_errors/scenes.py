"""What the functions are called for here, so that together they make every call of AWS that they ever make."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.verification.aws_errors.injection import THROTTLED, failing
from tests.verification.roles.journeys import (
    APPROVAL,
    CHALLENGE,
    ONE,
    OWN,
    OWN_APP,
    PROXY,
    TOKEN,
    VERIFIER,
    Way,
    batch,
    way,
)
from tests.verification.roles.stage import Stage
from tests.verification.simulation import gateway

DUE = 2900
"""Seconds after which a token is due, and some is left of its life."""

Event = dict[str, Any]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Scene:
    """One use of a function.

    Attributes:
        title: what it is called for
        function: its folder
        prepare: makes what it needs, with AWS at work, and gives the call
        only: the calls of AWS that fail here; all that are made, unless an earlier scene shows some of them
        before: calls that are refused as well, once NinjaOne has answered: what happens without them is the scene
    """

    title: str
    function: str
    prepare: Callable[[Stage], Call]
    only: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


def _calling(stage: Stage, function: str, event: Event) -> Call:
    return lambda: stage.call(function, event)


def _messages(stage: Stage, function: str, body: str) -> Call:
    return _calling(stage, function, {"Records": [{"messageId": "1", "body": body}]})


def _of_connection(stage: Stage, function: str, route: str, made: dict[str, Any], body: Any = None) -> Call:
    path = {"tenant": made["tenant_id"], "connection": made["connection_id"]}
    return _calling(stage, function, gateway.call(route, path, body))


def _open(stage: Stage) -> Call:
    body = {"end_user_id": "u-1", "tenant_name": "Acme", "return_to": "main", "binding_challenge": CHALLENGE, **OWN_APP}
    route = "POST /v1/tenants/{tenant}/connect-sessions"
    return _calling(stage, "session", gateway.call(route, {"tenant": stage.tenant()}, body))


def _open_again(stage: Stage) -> Call:
    made = way(stage).connect()
    body = {"end_user_id": "u-1", "tenant_name": "Acme", "return_to": "main", "binding_challenge": CHALLENGE}
    body |= {"connection_id": made["connection_id"]}
    route = "POST /v1/tenants/{tenant}/connect-sessions"
    return _calling(stage, "session", gateway.call(route, {"tenant": made["tenant_id"]}, body))


def _show_page(stage: Stage) -> Call:
    event = gateway.event("GET /connect/{session}", {"session": way(stage).open().session})
    return _calling(stage, "connect", event)


def _leave(stage: Stage) -> Call:
    session = way(stage).open(client="customer").session
    form = {"region": "eu", **OWN}
    return _calling(
        stage, "authorize", gateway.form("POST /connect/{session}/authorize", {"session": session}, form, {})
    )


def _come_back(stage: Stage, **opening: Any) -> Call:
    person = way(stage).open(**opening)
    query = person.agree(person.leave())
    event = gateway.event("GET /callback/{region}", {"region": "eu"}, query=query, cookies=person.cookies)
    return _calling(stage, "callback", event)


def _complete(stage: Stage) -> Call:
    person = way(stage).open()
    return _completing(person, person.home())


def _completing(person: Way, ticket: str) -> Call:
    proof = {"end_user_id": "u-1", "ticket": ticket, "binding_verifier": VERIFIER}
    path = {"tenant": person.tenant, "session": person.session}
    route = "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete"
    return _calling(person.stage, "complete", gateway.call(route, path, proof))


def _store_secret(stage: Stage) -> Call:
    """Let a person enter the new secret of their own client app, and come back."""
    made = way(stage).connect(**OWN_APP)
    person = Way(stage, made["tenant_id"])
    return _completing(person, person.enter(made))


def _unattended(stage: Stage) -> tuple[Way, str]:
    """Let a person come back whom nobody can prove; give the order to complete that."""
    person = way(stage).open(**APPROVAL)
    stage.take("CompletionQueue")
    person.back(person.agree(person.leave()))
    (body,) = stage.take("CompletionQueue")
    return person, body


def _complete_unattended(stage: Stage) -> Call:
    return _messages(stage, "complete", _unattended(stage)[1])


def _complete_too_late(stage: Stage) -> Call:
    _, body = _unattended(stage)
    stage.clock.advance(60)
    return _messages(stage, "complete", body)


def _complete_again(stage: Stage) -> Call:
    """Leave a consent in the rescue store, as a call does that the table refuses to the end."""
    person = way(stage).open()
    ticket = person.home()
    with failing(stage, "complete", ("dynamodb.UpdateItem", THROTTLED), once_answered=True):
        assert person.completed(ticket) == 503
    return _completing(person, ticket)


def _approve(stage: Stage) -> Call:
    person, body = _unattended(stage)
    stage.work("complete", body)
    (row,) = stage.aws.client("dynamodb").query(
        TableName=stage.table("tenant"),
        KeyConditionExpression="tenant = :tenant",
        ExpressionAttributeValues={":tenant": {"S": person.tenant}},
    )["Items"][:1]
    made = {"tenant_id": person.tenant, "connection_id": row["connection"]["S"]}
    return _of_connection(stage, "complete", ONE.format(method="POST") + "/approve", made)


def _token(stage: Stage, **asked: Any) -> Call:
    made = way(stage).connect()
    stage.clock.advance(1800 if asked else 0)
    return _of_connection(stage, "token", TOKEN, made, asked or None)


def _pass_on(stage: Stage, after: int = 0) -> Call:
    made = way(stage).connect()
    stage.clock.advance(after)
    path = {"tenant": made["tenant_id"], "connection": made["connection_id"], "path": "v2/organizations"}
    return _calling(stage, "proxy", gateway.event(PROXY, path, method="GET"))


def _show(stage: Stage) -> Call:
    return _of_connection(stage, "connections", ONE.format(method="GET"), way(stage).connect())


def _list(stage: Stage) -> Call:
    path = {"tenant": way(stage).connect()["tenant_id"]}
    return _calling(stage, "connections", gateway.call("GET /v1/tenants/{tenant}/connections", path))


def _disconnect(stage: Stage) -> Call:
    return _of_connection(stage, "disconnect", ONE.format(method="DELETE"), way(stage).connect())


def _sweep(stage: Stage) -> Call:
    way(stage).connect()
    stage.clock.advance(DUE)
    stage.clock.advance(900 - stage.clock.now() % 900)
    stage.take("RefreshQueue")
    return _calling(stage, "sweep", {})


def _refresh(stage: Stage) -> Call:
    made = way(stage).connect()
    stage.clock.advance(DUE)
    return _messages(stage, "refresh", batch(made))


def _take_up(stage: Stage) -> Call:
    """Leave tokens in the rescue store, as a refresh does that cannot save."""
    made = way(stage).connect()
    stage.clock.advance(DUE)
    with failing(stage, "refresh", ("dynamodb.UpdateItem", THROTTLED), once_answered=True):
        stage.work("refresh", batch(made))
    stage.clock.advance(400)
    return _messages(stage, "refresh", batch(made, trigger="rescue"))


def _notify(stage: Stage) -> Call:
    table = next(table for table in stage.template.tables if table.stream)
    before = len(stage.aws.changes(table, 0))
    way(stage).connect()
    return _calling(stage, "notify", {"Records": json.loads(json.dumps(stage.aws.changes(table, before)))})


SCENES = (
    Scene("A backend opens a session, with the customer's client app", "session", _open),
    Scene("A backend opens a session to reconnect", "session", _open_again, only=("dynamodb.GetItem",)),
    Scene("A person opens the link", "connect", _show_page),
    Scene("A person goes to NinjaOne, with a client app of their own", "authorize", _leave),
    Scene("A person comes back", "callback", _come_back),
    Scene(
        "A person comes back whose connection needs approval",
        "callback",
        lambda stage: _come_back(stage, **APPROVAL),
        only=("sqs.SendMessage",),
    ),
    Scene("A backend completes", "complete", _complete),
    Scene("A message of the completion queue is worked", "complete", _complete_unattended),
    Scene(
        "A message of the completion queue is worked too late",
        "complete",
        _complete_too_late,
        only=("events.PutEvents",),
    ),
    Scene(
        "DynamoDB takes no consent, so S3 must",
        "complete",
        _complete,
        only=("s3.PutObject",),
        before=("dynamodb.UpdateItem",),
    ),
    Scene("A consent that S3 holds is taken up", "complete", _complete_again, only=("s3.GetObject",)),
    Scene("A backend completes the entry of a new secret", "complete", _store_secret, only=("sqs.SendMessage",)),
    Scene("A backend approves", "complete", _approve),
    Scene("A backend asks for a token", "token", _token),
    Scene(
        "A backend asks for a token that lasts longer than the stored one",
        "token",
        lambda stage: _token(stage, min_ttl=3000),
        only=("sqs.SendMessage",),
    ),
    Scene("A backend calls NinjaOne through the broker", "proxy", _pass_on),
    Scene(
        "A backend calls NinjaOne through the broker, and the stored token has ended",
        "proxy",
        lambda stage: _pass_on(stage, 3580),
        only=("sqs.SendMessage",),
    ),
    Scene("A backend looks at a connection", "connections", _show),
    Scene("A backend lists connections", "connections", _list, only=("dynamodb.Query",)),
    Scene("A backend disconnects", "disconnect", _disconnect),
    Scene("The schedule ticks", "sweep", _sweep),
    Scene("A connection is due", "refresh", _refresh),
    Scene(
        "DynamoDB takes no new tokens, so S3 must",
        "refresh",
        _refresh,
        only=("s3.PutObject",),
        before=("dynamodb.UpdateItem",),
    ),
    Scene(
        "Tokens that S3 holds are put into their row",
        "refresh",
        _take_up,
        only=("s3.GetObject", "s3.DeleteObject", "s3.ListObjectsV2"),
    ),
    Scene("A connection was made", "notify", _notify),
)
