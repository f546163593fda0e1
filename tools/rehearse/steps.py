"""What is shown against the deployed stack, one function for each step; each returns what it saw."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jsonschema
from botocore.credentials import Credentials

from local.cloudformation.intrinsics import load
from ninjaone_connect import Connect, ConnectError, Connection, new_verifier
from ninjaone_connect.errors import CallRefused
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS, seed
from tools import publish
from tools.rehearse import cloud, deploy, gateways, people, policies
from tools.rehearse.cloud import ROOT_KEY, ROOT_SECRET, Account
from tools.rehearse.deploy import Stack
from tools.rehearse.environment import REGION, ROOT, STACK, Environment
from tools.rehearse.ninjaone import Simulated
from tools.rehearse.people import TENANT
from tools.rehearse.report import CHECKS_THAT_DIFFER, TESTS_THAT_DIFFER, Missed

PARAMETERS = {
    "ProductName": "Rehearsed product",
    "ReturnUrls": f"main={people.RETURN_URL}",
    "ClientIds": f"eu={OPERATOR_APPS['eu'].client_id}",
    "ApprovalBinding": "allowed",
}
SCHEMAS, EVENTS_PAGE = ROOT / "events" / "schemas", ROOT / "docs" / "reference" / "events.md"
PROXY = {"Proxy": "on", "ReserveRefreshes": "yes"}
"""What lets a backend call NinjaOne through the stack; switched on by the update."""
LONG_SECONDS = 600
"""How long the tokens of one connection live: its schedule leaves it alone for the whole rehearsal."""
ATTEMPT_GAP = 61
"""Seconds within which the broker asks NinjaOne once for a connection, and one more."""
PUBLISHER, PUBLISHED_IN = "publisher", (REGION, "us-east-1")
KEPT = ("ConnectionsTable", "RescueBucket", "SealKey", "ClientSecrets")
"""What stays when the stack is deleted."""
REFRESHES = 3
PATIENCE = 280
"""Seconds within which that many scheduled refreshes must have been seen."""


@dataclass
class Rehearsal:
    """Everything that the steps act on.

    Attributes:
        template: what was built
        parameters: that it is deployed with
        stack: set by the deployment
        connections: by name, as the steps make them
        heard: the queue that an operator's rule brings events to, and what came out of it
    """

    environment: Environment
    account: Account
    ninjaone: Simulated
    template: Any = None
    parameters: Mapping[str, str] = field(default_factory=lambda: PARAMETERS)
    stack: Stack = field(default_factory=lambda: Stack({}, {}))
    backend: Connect = None  # type: ignore[assignment]  # set by `deploys`
    credentials: Credentials = None  # type: ignore[assignment]
    connections: dict[str, Connection] = field(default_factory=dict)
    heard: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)


def must(claim: str, *, got: object, expected: object) -> None:
    """Compare. Raises Missed."""
    if got != expected:
        raise Missed(f"{claim}: expected {expected!r}, got {got!r}")


def until(claim: str, seen: Callable[[], Any], seconds: float) -> Any:
    """Look again and again until something is seen. Raises Missed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := seen():
            return found
        time.sleep(1)
    raise Missed(f"{claim}: not within {seconds:.0f} s")


# Deploying ------------------------------------------------------------------------------------------------------------


def deploys(at: Rehearsal) -> str:
    """`sam deploy` of the real template succeeds."""
    deploy.deploy(at.environment, at.template, at.parameters)
    at.stack = deploy.read(at.account)
    at.credentials = people.hire_backend(at.account, at.stack)
    at.backend = people.backend(at.stack, at.credentials)
    with at.ninjaone.lock:
        seed(at.ninjaone.core, at.stack.connect_url)
    return f"{len(at.stack.resources)} resources, {len(at.stack.outputs)} outputs"


def takes_the_secrets(at: Rehearsal) -> str:
    """The operator stores the client secret, as the output StoreClientSecrets says."""
    secrets = {app.client_id: app.client_secret for app in OPERATOR_APPS.values()}
    at.account.client("secretsmanager").put_secret_value(
        SecretId=at.stack.resources["ClientSecrets"], SecretString=json.dumps(secrets)
    )
    return f"{len(secrets)} client secrets"


# Connecting -----------------------------------------------------------------------------------------------------------


def operators_app(at: Rehearsal) -> str:
    """A person connects through the operator's client app."""
    made = people.complete(at.backend, people.walk(at.backend))
    at.connections["operator"] = made
    must("status", got=made.status, expected="active")
    return f"{made.host}, {len(made.organizations)} organizations, version {made.version}"


def customers_app(at: Rehearsal) -> str:
    """A person connects through a client app of their own, whose secret they type."""
    walked = people.walk(at.backend, app=CUSTOMER_APPS["eu"])
    made = people.complete(at.backend, walked)
    at.connections["customer"] = made
    must("client app", got=(made.client, made.client_id), expected=("customer", CUSTOMER_APPS["eu"].client_id))
    return f"{made.host}, client app {made.client_id[:6]}…"


def another_account(at: Rehearsal) -> str:
    """A person of another NinjaOne account connects; its tokens live longer."""
    with at.ninjaone.token_seconds(LONG_SECONDS):
        walked = people.walk(at.backend, email=people.RHONE, label="Rhône")
        at.connections["long"] = people.complete(at.backend, walked)
    listed = {each.connection_id for each in at.backend.connections(TENANT, status="any")}
    must("connections that are listed", got=len(listed), expected=len(at.connections))
    return f"{len(listed)} connections are listed"


# Using ----------------------------------------------------------------------------------------------------------------


def gives_tokens(at: Rehearsal) -> str:
    """The backend gets an access token, and NinjaOne's API takes it."""
    token = at.backend.token(TENANT, at.connections["operator"].connection_id, min_ttl=0)
    bearer = {"Authorization": f"Bearer {token.access_token}"}
    answer = httpx.get(f"{token.api_base_url}/v2/organizations", headers=bearer, trust_env=False)
    must("status", got=answer.status_code, expected=200)
    return f"{len(answer.json())} organizations listed with it"


def asks_for_more_life(at: Rehearsal) -> str:
    """A token that must last longer is refreshed at once, through the urgent queue, a minute after the last time."""
    known = at.connections["long"]
    until("a minute", lambda: time.time() > known.connected_at + ATTEMPT_GAP, ATTEMPT_GAP + 5)

    def urgent() -> list[str]:
        return [line for line in logged(at, "batch.done") if json.loads(line)["trigger"] == "urgent"]

    with at.ninjaone.token_seconds(LONG_SECONDS):
        at.backend.token(
            TENANT, known.connection_id, min_ttl=LONG_SECONDS - 10
        )  # on a busy machine it may be the one before
        until("an urgent batch worked", urgent, 60)
    token = at.backend.token(TENANT, known.connection_id, min_ttl=0)
    must("it lasts longer", got=token.expires_at > known.token_expires_at, expected=True)
    return f"{token.expires_at - known.token_expires_at} s longer than the one before"


def reconnects(at: Rehearsal) -> str:
    """A person connects again: the connection keeps its id and gets another grant."""
    known = at.connections["customer"].connection_id
    with at.ninjaone.lock:
        grants = len(at.ninjaone.core.oracle.grants())
    walked = people.walk(at.backend, app=CUSTOMER_APPS["eu"], connection_id=known)
    made = people.complete(at.backend, walked)
    with at.ninjaone.lock:
        more = len(at.ninjaone.core.oracle.grants()) - grants
    must("id and new grants", got=(made.connection_id, more), expected=(known, 1))
    return f"version {made.version}, the same id"


def approves(at: Rehearsal) -> str:
    """A connection without proof is made from its queue, and waits until the backend approves it."""
    people.walk(at.backend, approval=True, label="approval")

    def waiting() -> Connection | None:
        found = at.backend.connections(TENANT, status="any")
        return next((each for each in found if each.status == "pending_approval"), None)

    pending = until("a connection that waits", waiting, 45)
    made = at.backend.approve(TENANT, pending.connection_id)
    must("status", got=made.status, expected="active")
    at.connections["approved"] = made
    return "pending_approval became active"


def disconnects(at: Rehearsal) -> str:
    """A connection ends: its tokens are revoked at NinjaOne, and no more are given."""
    ended = at.backend.disconnect(TENANT, at.connections["approved"].connection_id)
    must("revoked", got=ended.revoked, expected=True)
    with at.ninjaone.lock:
        core = at.ninjaone.core
        dead = [each for each in core.oracle.grants() if core.oracle.revoked(each.id)]
    must("grants revoked at NinjaOne", got=len(dead), expected=1)
    try:
        at.backend.token(TENANT, at.connections["approved"].connection_id)
    except ConnectError as error:
        return f"revoked at NinjaOne; a token is refused ({type(error).__name__})"
    raise Missed("a token was given after the end")


def tells_the_bus(at: Rehearsal) -> str:
    """What happened to connections came from the table's stream to the event bus, in the form that is documented."""
    expected = {"connection.connected", "connection.pending_approval", "connection.disconnected"}

    def heard() -> dict[str, int]:
        at.events += _received(at)
        kinds = Counter(str(each["detail-type"]) for each in at.events)
        return kinds if expected <= kinds.keys() else {}

    kinds = until("events", heard, 60)
    for event in at.events:
        schema = json.loads((SCHEMAS / f"{event['detail-type']}.json").read_text(encoding="utf-8"))
        jsonschema.validate(event, schema)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def listens(at: Rehearsal) -> str:
    """The rule that docs/reference/events.md gives to copy, and one kind of event more, brings events to a queue."""
    queues, events = at.account.client("sqs"), at.account.client("events")
    at.heard = queues.create_queue(QueueName="heard")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=at.heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    (written,) = re.findall(r"```yaml\n(.*?)```", EVENTS_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    pattern = load(written)["ConnectionEvents"]["Properties"]["EventPattern"]
    pattern["detail-type"].append("connection.pending_approval")
    events.put_rule(Name="heard", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="heard", Targets=[{"Id": "queue", "Arn": arn}])
    return f"a rule for {len(pattern['detail-type'])} kinds of event on the default bus"


def _received(at: Rehearsal) -> list[dict[str, Any]]:
    queues = at.account.client("sqs")
    got = queues.receive_message(QueueUrl=at.heard, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    for each in got:
        queues.delete_message(QueueUrl=at.heard, ReceiptHandle=each["ReceiptHandle"])
    return [json.loads(each["Body"]) for each in got]


# Operating ------------------------------------------------------------------------------------------------------------


def doctor(at: Rehearsal) -> str:
    """`ninjaone-connect doctor` finds everything in place."""
    rows = json.loads(cli(at, "doctor"))
    bad = {each["check"]: each["says"] for each in rows if each["state"] not in {"ok", "look", "warn"}}
    must("what is not in place, against what is known", got=bad.keys(), expected=CHECKS_THAT_DIFFER.keys())
    return f"{len(rows)} findings, {len(bad)} of them known to differ"


def commands(at: Rehearsal) -> str:
    """`ninjaone-connect` lists, shows a token, and looks at rescue store and epoch."""
    listed = json.loads(cli(at, "connections", "list", TENANT))
    shown = json.loads(cli(at, "token", TENANT, at.connections["operator"].connection_id, "--min-ttl", "0"))
    waiting = json.loads(cli(at, "rescue", "list"))
    must("waiting in the rescue store", got=waiting, expected=[])
    epoch = json.loads(cli(at, "epoch", "show"))
    return f"{len(listed)} connections, a token until {shown['expires_at']}, epoch {epoch['epoch']}"


def imports(at: Rehearsal) -> str:
    """`ninjaone-connect import` makes a connection of a refresh token from elsewhere."""
    file = at.environment.folder / "import.csv"
    with at.ninjaone.lock:
        token = _granted_elsewhere(at)
    file.write_text(f"tenant_id,refresh_token,region,key\n{TENANT},{token},eu,imported\n", encoding="utf-8")
    try:
        outcome = cli(at, "import", str(file))
    finally:
        file.unlink()
    made = [each for each in at.backend.connections(TENANT, status="any") if each.connection_id in outcome]
    must("connections made", got=len(made), expected=1)
    at.connections["imported"] = made[0]
    return f"one more connection, of client app {made[0].client_id[:6]}…"


def _granted_elsewhere(at: Rehearsal) -> str:
    """Let a person agree for another system of the operator's; return its refresh token."""
    core, app = at.ninjaone.core, OPERATOR_APPS["eu"]
    redirect = f"{at.stack.connect_url}/callback/eu"
    asked = {"response_type": "code", "client_id": app.client_id, "redirect_uri": redirect,
             "scope": "monitoring offline_access", "state": "elsewhere"}  # fmt: skip
    reply = core.consent("eu.ninjarmm.com", people.ADA, urlencode(asked))
    (code,) = parse_qs(urlsplit(reply.header("Location") or "").query)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    form |= {"client_id": app.client_id, "client_secret": app.client_secret}
    return str(json.loads(core.token("eu.ninjarmm.com", {}, form).body)["refresh_token"])


def reseals(at: Rehearsal) -> str:
    """`ninjaone-connect reseal` brings what the stack's own key sealed under the other, and each still opens."""
    counts = json.loads(cli(at, "reseal"))
    must("something was resealed", got=counts["resealed"] > 0, expected=True)
    at.backend.token(TENANT, at.connections["long"].connection_id, min_ttl=0)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def holds_the_epoch(at: Rehearsal) -> str:
    """`ninjaone-connect epoch hold` and `activate` change which table may be presented, and back."""
    cli(at, "epoch", "hold", "--yes")
    held = json.loads(cli(at, "epoch", "show"))
    cli(at, "epoch", "activate", "--yes")
    active = json.loads(cli(at, "epoch", "show"))
    must("the table that is active", got=active["table"], expected=at.stack.resources["ConnectionsTable"])
    return f"held {held['table'] or 'none'}, then active again"


def cli(at: Rehearsal, *arguments: str) -> str:
    """Run `ninjaone-connect` against the stack. Raises Missed, with what it said."""
    program: list[str | Path] = [
        ROOT / ".venv" / "bin" / "ninjaone-connect",
        "--stack",
        STACK,
        "--aws-region",
        REGION,
        "--json",
    ]
    return run(at, program + list(arguments), may_fail=arguments == ("doctor",))


def run(at: Rehearsal, command: Sequence[str | Path], *, may_fail: bool = False) -> str:
    """Run a program of this repository as whoever deploys; return its output. Raises Missed, with what it said."""
    ran = subprocess.run(
        command, cwd=ROOT, env=at.environment.clients(ROOT_KEY, ROOT_SECRET), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    if ran.returncode and not may_fail:
        raise Missed(f"{' '.join(map(str, command[-3:]))}: {ran.stderr.strip()[-500:]}")
    return ran.stdout


def has_memory_to_spare(at: Rehearsal) -> str:
    """No function's process ever had more than half of the memory that the template gives it."""
    if not Path("/proc").is_dir():
        return "not shown here: this system has no /proc"
    most = cloud.memory_of_functions(at.environment)
    allowed = {
        each["FunctionName"]: each["MemorySize"] for each in at.account.client("lambda").list_functions()["Functions"]
    }
    must("functions over half", got=[name for name in most if most[name] > allowed[name] / 2], expected=[])
    must("more than half of the functions were found", got=len(most) > len(allowed) / 2, expected=True)
    return f"{max(most.values())} MB at most, of {len(most)} functions"


def smoke(at: Rehearsal) -> str:
    """`make deployed` shows all but what is named as different here."""
    printed = run(
        at, [sys.executable, "-m", "tools.deployed", "--stack", STACK, "--region", REGION], may_fail=True
    )  # fmt: skip
    (at.environment.folder / "deployed.log").write_text(printed, encoding="utf-8")
    failed = re.findall(r"^(?:FAILED|ERROR) [^ ]*::(test_\S+)", printed, re.MULTILINE)
    unknown = [each for each in failed if not each.startswith(tuple(TESTS_THAT_DIFFER))]
    passed = [known for known in TESTS_THAT_DIFFER if not any(each.startswith(known) for each in failed)]
    must("tests that fail and are not known to", got=unknown, expected=[])
    must("tests that are known to fail and pass", got=passed, expected=[])
    return printed.splitlines()[-1]


# Comparing what runs on a developer's machine -------------------------------------------------------------------------


def decides_alike(_at: Rehearsal) -> str:
    """`local.iam` decides as MiniStack's evaluator of policies: real roles, and many made-up ones."""
    count, differences = policies.differences(PARAMETERS | PROXY)
    must("policies judged differently", got=differences[:3], expected=[])
    return f"{count} requests under policies"


def answers_alike(at: Rehearsal) -> str:
    """The gateway of `make run` makes the same events and answers as MiniStack's, but for what is known."""
    count, differences = gateways.differences(at.environment, at.account)
    unknown = {name: seen for name, seen in differences.items() if name not in gateways.KNOWN}
    must("requests answered differently", got=unknown, expected={})
    must("requests that are known to differ and do not", got=gateways.KNOWN.keys() - differences, expected=set())
    return f"{count} requests, {len(differences)} of them known to differ"


# Changing and deleting ------------------------------------------------------------------------------------------------


def updates(at: Rehearsal) -> str:
    """An update with another name, another KMS key and the proxy counts, and the connections live on."""
    before = at.stack.outputs["BackendApiUrl"]
    key = at.account.client("kms").create_key()["KeyMetadata"]["Arn"]
    at.parameters = PARAMETERS | {"ProductName": "Renamed product", "OtherSealKey": key} | PROXY
    deploy.deploy(at.environment, at.template, at.parameters)
    at.stack = deploy.read(at.account)
    must("the address of the API", got=at.stack.outputs["BackendApiUrl"], expected=before)
    session = at.backend.open_session(
        TENANT, end_user_id=people.USER, tenant_name="Northwind IT", return_to="main",
        binding_challenge=new_verifier().challenge,
    )  # fmt: skip
    with people.browser() as visitor:
        must("the new name on the page", got="Renamed product" in visitor.open(session.connect_url).text, expected=True)
    at.backend.token(TENANT, at.connections["long"].connection_id, min_ttl=0)
    return "the page shows the new name, and a token is still given"


def calls_through(at: Rehearsal) -> str:
    """The backend calls NinjaOne through the stack without a token in its hands, and the policy's limits hold."""
    with at.backend.ninjaone(TENANT, at.connections["long"].connection_id) as ninjaone:
        answer = ninjaone.get("/v2/organizations")
        must("status", got=answer.status_code, expected=200)
        try:
            ninjaone.delete("/v2/organizations")
        except CallRefused as error:
            return f"{len(answer.json())} organizations listed through it; DELETE is refused ({type(error).__name__})"
    raise Missed("the default ProxyPolicy let a DELETE pass")


def changes_behind_aliases(at: Rehearsal) -> str:
    """What `make deploy GRADUAL=now` deploys publishes versions, and everything calls them by their alias."""
    deploy.deploy(at.environment, deploy.behind_aliases(at.template), at.parameters)
    at.stack = deploy.read(at.account)
    name = at.stack.resources["TokenFunction"]
    version = at.account.client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    at.backend.token(TENANT, at.connections["long"].connection_id, min_ttl=0)
    return f"version {version} of the token function gives a token"


def publishes(at: Rehearsal) -> str:
    """`make publish` fills a bucket for each region, and the template at the printed address makes a stack."""
    for region in PUBLISHED_IN:
        name = publish.bucket_of(PUBLISHER, region)
        where = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
        at.account.client("s3", region).create_bucket(Bucket=name, **where)
    arguments = ["--built", str(at.template), "--bucket", PUBLISHER, "--region", *PUBLISHED_IN]
    printed = run(at, [sys.executable, "-m", "tools.publish", *arguments])
    links = dict(re.findall(r"^  (https\S+template.yaml)\n  (https\S+)$", printed, re.MULTILINE))
    must("addresses printed", got=len(links), expected=len(PUBLISHED_IN))
    (url,) = (each for each in links if f".{REGION}." in each)
    opened = parse_qs(urlsplit(links[url]).fragment.partition("?")[2])
    must("the template that the link opens", got=opened["templateURL"], expected=[url])
    made = deploy.create(
        at.account, "published", url, {name: PARAMETERS[name] for name in ("ProductName", "ReturnUrls")}
    )
    with people.browser() as visitor:
        shown = visitor.open(f"{made.connect_url}/connect/ses_{'a' * 26}")
    must("a page of the new stack", got="Rehearsed product" in shown.text, expected=True)
    deploy.delete(at.account, "published")
    return f"{len(links)} regions, and a stack of {len(made.resources)} resources from the address of one"


def ends_all(at: Rehearsal) -> str:
    """`ninjaone-connect connections disconnect-all` ends every connection, and says which NinjaOne did not confirm."""
    left = json.loads(cli(at, "connections", "disconnect-all", "--yes"))
    must("connections whose revocation is not confirmed", got=left, expected=[])
    alive = {each.status for each in at.backend.connections(TENANT, status="any")} - {"disconnected"}
    must("what connections are afterwards", got=alive, expected=set())
    with at.ninjaone.lock:
        oracle = at.ninjaone.core.oracle
        revoked = [each for each in oracle.grants() if oracle.revoked(each.id)]
    must("grants revoked", got=len(revoked) >= len(at.connections), expected=True)
    return f"{len(revoked)} grants are revoked at NinjaOne"


def deletes(at: Rehearsal) -> str:
    """Deleting the stack takes it away; what holds customers' tokens stays."""
    table, bucket, key, secret = (at.stack.resources[name] for name in KEPT)
    deploy.delete(at.account)
    at.account.client("dynamodb").describe_table(TableName=table)
    at.account.client("s3").head_bucket(Bucket=bucket)
    at.account.client("secretsmanager").describe_secret(SecretId=secret)
    state = at.account.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    must("the key", got=state, expected="Enabled")
    names = [each["FunctionName"] for each in at.account.client("lambda").list_functions()["Functions"]]
    must("functions left", got=[name for name in names if name.startswith(STACK)], expected=[])
    return "table, bucket, key and client secrets stay; functions and APIs are gone"


def removes_the_rest(at: Rehearsal) -> str:
    """What stays goes by the commands of docs/operate/remove.md."""
    table, bucket, key, secret = (at.stack.resources[name] for name in KEPT)
    dynamodb, s3 = at.account.client("dynamodb"), at.account.client("s3")
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=table)
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)
    at.account.client("secretsmanager").delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    at.account.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=30)
    state = at.account.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    must("the key", got=state, expected="PendingDeletion")
    must("tables left", got=table in dynamodb.list_tables()["TableNames"], expected=False)
    return "the table and the bucket are gone, the key waits for its deletion"


def refreshes(at: Rehearsal) -> str:
    """Schedule, sweep, queue and refresh renew the tokens before they end, several times, unasked."""

    def renewed() -> dict[str, int]:
        lines = (json.loads(each) for each in logged(at, "batch.done"))
        known = Counter(each for line in lines if line["trigger"] == "due" for each in line.get("renewed", "").split())
        counts = {name: known[at.connections[name].connection_id] for name in ("operator", "customer", "imported")}
        return counts if counts["operator"] >= REFRESHES and min(counts.values()) else {}

    found = until(f"{REFRESHES} refreshes", renewed, PATIENCE)
    return ", ".join(f"{name} {count} times" for name, count in found.items())


def logged(at: Rehearsal, message: str = "") -> list[str]:
    """Read the lines that functions wrote, with this message or all."""
    if "FunctionLog" not in at.stack.resources:
        return []
    chosen = {"filterPattern": f'"{message}"'} if message else {}
    pages = at.account.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=at.stack.resources["FunctionLog"], **chosen
    )  # fmt: skip
    lines = (each["message"] for page in pages for each in page["events"])
    return [line for line in lines if not message or f'"message":"{message}"' in line]


STEPS: tuple[tuple[str, Callable[[Rehearsal], str]], ...] = (
    ("sam deploy makes the stack", deploys),
    ("the client secrets are stored", takes_the_secrets),
    ("a rule of the operator's listens on the bus", listens),
    ("a person connects with the operator's app", operators_app),
    ("a person connects with a client app of their own", customers_app),
    ("a person of another NinjaOne account connects", another_account),
    ("the backend uses a token", gives_tokens),
    ("ninjaone-connect import", imports),
    ("a person reconnects", reconnects),
    ("a connection waits for its approval", approves),
    ("a connection is disconnected", disconnects),
    ("the event bus hears of it", tells_the_bus),
    ("ninjaone-connect doctor", doctor),
    ("ninjaone-connect connections, token, rescue, epoch", commands),
    ("a token that must last longer is refreshed at once", asks_for_more_life),
    ("make deployed", smoke),
    ("functions have memory to spare", has_memory_to_spare),
    ("policies are judged as make run judges them", decides_alike),
    ("requests become events as make run makes them", answers_alike),
    ("the stack is updated", updates),
    ("the backend calls NinjaOne through the stack", calls_through),
    ("ninjaone-connect reseal", reseals),
    ("the stack changes over behind aliases", changes_behind_aliases),
    ("make publish, and a stack of what it published", publishes),
    ("tokens are renewed by schedule, sweep, queue and refresh", refreshes),
    ("ninjaone-connect epoch hold and activate", holds_the_epoch),
    ("ninjaone-connect connections disconnect-all", ends_all),
    ("the stack is deleted", deletes),
    ("what was retained is removed", removes_the_rest),
)
