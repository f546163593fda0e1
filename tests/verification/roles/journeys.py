"""What each function must be able to do: one chapter for each, through its own handler, looked at from outside."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.verification.roles.stage import Answer, Chapter, Stage, status
from tests.verification.simulation import gateway

ADA = "ada@nordlicht.example"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
OWN = dict(zip(("client_id", "client_secret"), CUSTOMER_APPS["eu"], strict=True))
OWN_APP = {"client": "customer", "region": "eu", "client_credentials": OWN}
APPROVAL = {"binding": "approval", "binding_challenge": None}
TOKEN = "POST /v1/tenants/{tenant}/connections/{connection}/token"
PROXY = "ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}"
ONE = "{method} /v1/tenants/{{tenant}}/connections/{{connection}}"


@dataclass
class Way:
    """One person's way, step by step; each step goes through the function that does it."""

    stage: Stage
    tenant: str
    session: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def open(self, **changes: Any) -> "Way":
        session_request = {
            "end_user_id": "u-1", "tenant_name": "Acme", "return_to": "main", "binding_challenge": CHALLENGE,
            "scopes": ["monitoring"],
        } | changes  # fmt: skip
        body = {name: held for name, held in session_request.items() if held is not None}
        route = "POST /v1/tenants/{tenant}/connect-sessions"
        answer = self.stage.call("session", gateway.call(route, {"tenant": self.tenant}, body))
        assert status(answer) == 201, answer
        self.session = gateway.json_body(answer)["session_id"]
        return self

    def leave(self, **form: str) -> str:
        event = gateway.form(
            "POST /connect/{session}/authorize", {"session": self.session}, {"region": "eu", **form}, self.cookies
        )
        answer = self.stage.call("authorize", event)
        assert gateway.location(answer), answer
        self._keep(answer)
        return gateway.location(answer)

    def enter(self, made: Mapping[str, Any]) -> str:
        """Open a link for the new secret of a connection's own app, enter it, and give the ticket."""
        self.open(purpose="client_secret", connection_id=made["connection_id"], scopes=None)
        form = {"client_secret": OWN["client_secret"]}
        event = gateway.form("POST /connect/{session}/secret", {"session": self.session}, form, self.cookies)
        answer = self.stage.call("authorize", event)
        assert gateway.location(answer), answer
        self._keep(answer)
        return parse_qs(urlsplit(gateway.location(answer)).query)["ticket"][0]

    def agree(self, location: str, decision: str = "authorize") -> str:
        there = urlsplit(location)
        reply = self.stage.ninjaone.consent(there.hostname or "", ADA, there.query, decision=decision)
        return urlsplit(reply.header("Location") or "").query

    def back(self, query: str) -> Mapping[str, str]:
        event = gateway.event("GET /callback/{region}", {"region": "eu"}, query=query, cookies=self.cookies)
        answer = self.stage.call("callback", event)
        assert status(answer) == 303, answer
        home = urlsplit(gateway.location(answer))
        return {"path": home.path} | {name: values[0] for name, values in parse_qs(home.query).items()}

    def home(self, **form: str) -> str:
        ticket = self.back(self.agree(self.leave(**form)))["ticket"]
        assert ticket
        return ticket

    def complete(self, ticket: str) -> dict[str, Any]:
        answer = self._asked(ticket)
        assert status(answer) == 200, answer
        return gateway.json_body(answer)

    def completed(self, ticket: str) -> int:
        return status(self._asked(ticket))

    def _asked(self, ticket: str) -> Answer:
        route = "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete"
        proof = {"end_user_id": "u-1", "ticket": ticket, "binding_verifier": VERIFIER}
        path = {"tenant": self.tenant, "session": self.session}
        answer: Answer = self.stage.call("complete", gateway.call(route, path, proof))
        return answer

    def connect(self, **opening: Any) -> dict[str, Any]:
        return self.open(**opening).complete(self.home())

    def _keep(self, answer: Answer) -> None:
        for line in answer["cookies"]:
            name, _, held = line.partition(";")[0].partition("=")
            self.cookies[name] = held


def way(stage: Stage) -> Way:
    return Way(stage, stage.tenant())


def ask(
    stage: Stage, folder: str, route: str, made: Mapping[str, Any], body: Mapping[str, Any] | None = None
) -> Answer:
    """Ask something of one connection."""
    path = {"tenant": made["tenant_id"], "connection": made["connection_id"]}
    answer: Answer = stage.call(folder, gateway.call(route, path, body))
    return answer


def row(stage: Stage, made: Mapping[str, Any], more: str = "") -> dict[str, Any]:
    """Read a connection's row, able to do everything."""
    key = {"tenant": {"S": made["tenant_id"]}, "connection": {"S": made["connection_id"] + more}}
    found: dict[str, Any] = stage.aws.client("dynamodb").get_item(TableName=stage.table("tenant"), Key=key)["Item"]
    return found


def version(stage: Stage, made: Mapping[str, Any]) -> int:
    return int(row(stage, made)["version"]["N"])


def batch(*made: Mapping[str, Any], trigger: str = "due", min_ttl: int = 0) -> str:
    """Write a refresh batch."""
    listed = [[each["tenant_id"], each["connection_id"]] for each in made]
    return json.dumps({"trigger": trigger, "min_ttl": min_ttl, "connections": listed})


# Chapters -------------------------------------------------------------------------------------------------------------


def session(stage: Stage) -> None:
    """Open sessions, one with a client secret to seal, one of a reconnect, and one for a new client secret."""
    made = way(stage).connect(**OWN_APP)
    Way(stage, made["tenant_id"]).open(purpose="client_secret", connection_id=made["connection_id"], scopes=None)
    way(stage).open()
    Way(stage, made["tenant_id"]).open(connection_id=made["connection_id"])
    way(stage).open(**OWN_APP)


def connect(stage: Stage) -> None:
    """Show the page."""
    opened = way(stage).open()
    answer = stage.call("connect", gateway.event("GET /connect/{session}", {"session": opened.session}))
    assert status(answer) == 200, answer


def authorize(stage: Stage) -> None:
    """Send people to NinjaOne, also with a client app that they entered; count a faulty form; take a new secret."""
    made = way(stage).connect(**OWN_APP)
    Way(stage, made["tenant_id"]).enter(made)
    way(stage).open().leave()
    way(stage).open(client="customer").leave(**OWN)
    faulty = way(stage).open()
    event = gateway.form("POST /connect/{session}/authorize", {"session": faulty.session}, {"region": "x"}, {})
    assert status(stage.call("authorize", event)) == 400


def callback(stage: Stage) -> None:
    """Park a code; order a completion; take a denial."""
    way(stage).open().home()
    denied = way(stage).open()
    assert denied.back(denied.agree(denied.leave(), "deny"))["error"] == "access_denied"
    stage.take("CompletionQueue")
    unproved = way(stage).open(**APPROVAL)
    assert unproved.back(unproved.agree(unproved.leave()))["path"] == "/notice/awaiting-approval"
    assert [json.loads(body) for body in stage.take("CompletionQueue")] == [{"session": unproved.session}]


def complete(stage: Stage) -> None:
    """Make connections with the operator's app and with the customer's; again; twice; with a new client secret; with
    writes refused; unattended, then approved; unattended and too late."""
    first = way(stage)
    made = first.connect()
    again = Way(stage, first.tenant).connect(connection_id=made["connection_id"], region="eu")
    assert again["connection_id"] == made["connection_id"]
    twice = Way(stage, first.tenant).connect()
    assert twice["probably_same_as"] == made["connection_id"]
    secret_entered(stage)
    consent_rescued(stage)
    consent_lost(stage)
    stage.poll("complete")
    stage.take("CompletionQueue")
    unproved = way(stage).open(**APPROVAL)
    unproved.back(unproved.agree(unproved.leave()))
    stage.work("complete", *stage.take("CompletionQueue"))
    rows = stage.aws.client("dynamodb").query(
        TableName=stage.table("tenant"),
        KeyConditionExpression="tenant = :tenant",
        ExpressionAttributeValues={":tenant": {"S": unproved.tenant}},
    )["Items"]
    waiting = {"tenant_id": unproved.tenant, "connection_id": rows[0]["connection"]["S"]}
    answer = ask(stage, "complete", ONE.format(method="POST") + "/approve", waiting)
    assert gateway.json_body(answer)["status"] == "active", answer
    completion_too_late(stage)


def completion_too_late(stage: Stage) -> None:
    """Publish that nothing came of a link that was to be approved."""
    person = way(stage).open(**APPROVAL)
    person.back(person.agree(person.leave()))
    stage.clock.advance(60)
    stage.work("complete", *stage.take("CompletionQueue"))


def secret_entered(stage: Stage) -> None:
    """Store the new secret of the customer's own app, and have it tried."""
    made = way(stage).connect(**OWN_APP)
    stage.take("UrgentQueue")
    person = Way(stage, made["tenant_id"])
    assert person.complete(person.enter(made))["connection_id"] == made["connection_id"]
    [asked] = [body for body in stage.take("UrgentQueue") if made["connection_id"] in body]  # others may be back by now
    assert json.loads(asked)["connections"] == [[made["tenant_id"], made["connection_id"]]]


def consent_rescued(stage: Stage) -> None:
    """Keep a consent in S3 while DynamoDB refuses it, and go on from there."""
    person = way(stage).open(**OWN_APP)
    ticket = person.home()
    with refusing_from_the_answer_on(stage, "complete"):
        assert person.completed(ticket) == 503
    assert person.completed(ticket) == 200


def consent_lost(stage: Stage) -> None:
    """Find that nothing was kept anywhere, and say so when nobody can have it any more."""
    person = way(stage).open()
    ticket = person.home()
    with refusing_from_the_answer_on(stage, "complete"), stage.refusing("complete", "s3", "PutObject"):
        assert person.completed(ticket) == 503
    stage.clock.advance(140)
    assert person.completed(ticket) == 409


def token(stage: Stage) -> None:
    """Give a fresh token; order a refresh of one that ends soon, and give it all the same."""
    made = way(stage).connect()
    assert status(ask(stage, "token", TOKEN, made)) == 200
    stage.take("UrgentQueue")
    stage.clock.advance(1800)
    assert status(ask(stage, "token", TOKEN, made, {"min_ttl": 3000})) == 200
    [asked] = [body for body in stage.take("UrgentQueue") if made["connection_id"] in body]  # others may be back by now
    assert json.loads(asked)["trigger"] == "urgent"
    stage.clock.advance(3600)
    open_breaker(stage, f"host {made['host']}")
    held = gateway.json_body(ask(stage, "token", TOKEN, made))
    close_breaker(stage, f"host {made['host']}")
    assert held.get("held_by") == "host", held


def open_breaker(stage: Stage, name: str) -> None:
    """Open a circuit breaker, as the refresh function would."""
    key = {"tenant": {"S": "#breakers"}, "connection": {"S": name}}
    breaker = {"opened_at": {"N": str(int(stage.clock.now()))}, "cause": {"S": "invalid_client"}}
    stage.aws.client("dynamodb").put_item(TableName=stage.table("tenant"), Item=key | breaker)


def close_breaker(stage: Stage, name: str) -> None:
    """Forget it, so that it holds nobody after this chapter."""
    key = {"tenant": {"S": "#breakers"}, "connection": {"S": name}}
    stage.aws.client("dynamodb").delete_item(TableName=stage.table("tenant"), Key=key)


def proxy(stage: Stage) -> None:
    """Call NinjaOne; order a refresh of a token that NinjaOne refuses."""
    made = way(stage).connect()
    path = {"tenant": made["tenant_id"], "connection": made["connection_id"], "path": "v2/organizations"}
    assert status(stage.call("proxy", gateway.event(PROXY, path, method="GET"))) == 200
    stage.take("UrgentQueue")
    stage.clock.advance(3540)
    assert status(stage.call("proxy", gateway.event(PROXY, path, method="GET"))) == 200
    stage.clock.advance(40)
    assert status(stage.call("proxy", gateway.event(PROXY, path, method="GET"))) == 200
    [asked] = [body for body in stage.take("UrgentQueue") if made["connection_id"] in body]  # others may be back by now
    assert json.loads(asked)["trigger"] == "urgent"
    stage.clock.advance(3600)
    open_breaker(stage, f"host {made['host']}")
    held = gateway.json_body(stage.call("proxy", gateway.event(PROXY, path, method="GET")))
    close_breaker(stage, f"host {made['host']}")
    assert held.get("held_by") == "host", held


def connections(stage: Stage) -> None:
    """Show one connection, whole, and list them; see that the breaker of an app is open."""
    made = way(stage).connect(label="Main", metadata={"a": "b"})
    one = ask(stage, "connections", ONE.format(method="GET"), made)
    assert gateway.json_body(one) == made, one
    listed = stage.call(
        "connections",
        gateway.call("GET /v1/tenants/{tenant}/connections", {"tenant": made["tenant_id"]}, query="limit=5"),
    )
    assert gateway.json_body(listed)["connections"] == [made], listed
    held = way(stage).connect(**OWN_APP)
    assert gateway.json_body(ask(stage, "connections", ONE.format(method="GET"), held))["client"] == "customer"
    app = f"app {made['host']} {made['client_id']}"
    open_breaker(stage, app)
    paused = gateway.json_body(ask(stage, "connections", ONE.format(method="GET"), made))
    close_breaker(stage, app)
    assert paused["status"] == "paused"


def disconnect(stage: Stage) -> None:
    """End connections here and at NinjaOne, with the operator's app and with the customer's."""
    for opening in ({}, OWN_APP):
        made = way(stage).connect(**opening)
        answer = ask(stage, "disconnect", ONE.format(method="DELETE"), made)
        assert (status(answer), gateway.json_body(answer).get("revoked")) == (200, True), answer
        assert "client" not in row(stage, made, "#profile")


def sweep(stage: Stage) -> None:
    """Order what is due, and what waits in the rescue store."""
    made = way(stage).connect()
    stage.clock.advance(2900)
    stage.clock.advance(900 - stage.clock.now() % 900)
    bucket = stage.template.buckets[0].name
    key = f"rescue/{made['tenant_id']}/{made['connection_id']}/1"
    stage.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
    stage.take("RefreshQueue")
    stage.call("sweep", {})
    stage.aws.client("s3").delete_object(Bucket=bucket, Key=key)
    batches = [json.loads(body) for body in stage.take("RefreshQueue")]
    me = [made["tenant_id"], made["connection_id"]]
    assert {each["trigger"] for each in batches if me in each["connections"]} == {"due", "rescue"}


def refresh(stage: Stage) -> None:
    """Refresh; with the customer's app; after a refusal of the app; into the rescue store and out of it."""
    stage.poll("refresh")
    operators, customers = way(stage).connect(), way(stage).connect(**OWN_APP)
    refuse_app(stage, operators)
    stage.clock.advance(2900)
    stage.work("refresh", batch(operators, customers))
    assert (version(stage, operators), version(stage, customers)) == (2, 2)
    assert not is_failing(stage, operators), "the failure was not forgotten"
    be_rescued(stage, operators)


def refuse_app(stage: Stage, made: Mapping[str, Any]) -> None:
    """Let NinjaOne refuse the app once: the function notes it in the app's breaker."""
    stage.clock.advance(2900)
    stage.network.answer(401, {"error": "invalid_client"})
    stage.network.answer(401, {"error": "invalid_client"})
    stage.work("refresh", batch(made))
    stage.network.canned.clear()
    assert is_failing(stage, made), "the failure was not noted"


def is_failing(stage: Stage, made: Mapping[str, Any]) -> bool:
    key = {"tenant": {"S": "#breakers"}, "connection": {"S": f"app {made['host']} {made['client_id']}"}}
    found = stage.aws.client("dynamodb").get_item(TableName=stage.table("tenant"), Key=key)
    return "since" in found.get("Item", {})


def be_rescued(stage: Stage, made: Mapping[str, Any]) -> None:
    """Keep tokens in S3 while DynamoDB refuses to save, take them up again, and clear away what is older."""
    before = version(stage, made)
    s3, bucket = stage.aws.client("s3"), stage.template.buckets[0].name
    prefix = f"rescue/{made['tenant_id']}/{made['connection_id']}/"

    def waiting() -> list[str]:
        return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]

    stage.clock.advance(2900)
    with refusing_from_the_answer_on(stage, "refresh"):
        stage.work("refresh", batch(made))
    assert waiting() == [f"{prefix}{before}"]
    stage.clock.advance(600)
    stage.work("refresh", batch(made, trigger="rescue"))
    assert (version(stage, made), waiting()) == (before + 1, [])
    s3.put_object(Bucket=bucket, Key=f"{prefix}{before}", Body=b"{}")
    stage.clock.advance(600)
    stage.work("refresh", batch(made, trigger="rescue"))
    assert waiting() == []


def refusing_from_the_answer_on(stage: Stage, folder: str) -> Any:
    """Let DynamoDB refuse from the answer of NinjaOne on."""
    refusal = stage.refusing(folder, "dynamodb", "UpdateItem")
    stage.network.meanwhile.append(refusal.__enter__)
    return refusal_ended(refusal)


class refusal_ended:  # noqa: N801  # a context manager, used as a verb
    """End at the end of the block what NinjaOne's answer began."""

    def __init__(self, refusal: Any) -> None:
        self._refusal = refusal

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._refusal.__exit__(None, None, None)


def notify(stage: Stage) -> None:
    """Tell the bus of a connection."""
    stage.poll("notify")
    table = next(table for table in stage.template.tables if table.stream)
    before = len(stage.aws.changes(table, 0))
    way(stage).connect()
    records = stage.aws.changes(table, before)
    assert stage.call("notify", {"Records": records}) == {"batchItemFailures": []}


CHAPTERS: Mapping[str, Chapter] = {
    "session": session,
    "connect": connect,
    "authorize": authorize,
    "callback": callback,
    "complete": complete,
    "token": token,
    "proxy": proxy,
    "connections": connections,
    "disconnect": disconnect,
    "sweep": sweep,
    "refresh": refresh,
    "notify": notify,
}
