"""What an operator does to a table while connections live in it: deletes a row, reseals, imports; and an ill shard."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from broker import policy
from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.clock import new_connection_id
from broker.adapters.seal import Seal
from broker.config import Config
from broker.errors import BrokerError
from broker.model import ConnectionRef, ConnectionState, Host, Instant, Profile, Purpose, Status, TenantId
from broker.secret import Secret
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.reseal import Reseal
from ninjaone_connect_cli.store import Row
from tests.verification.simulation import gateway
from tests.verification.simulation.history import Ref
from tests.verification.simulation.people import Flow, Person
from tests.verification.simulation.troubles import stranger, trouble
from tests.verification.simulation.values import Item

if TYPE_CHECKING:
    from tests.verification.simulation.swarm import Run
    from tests.verification.simulation.world import World

OTHER_KEY = "arn:aws:kms:eu-west-1:000000000000:key/other"


@trouble("row deleted")
def delete_a_row(run: "Run", _number: int) -> None:
    """Somebody deletes a row by mistake, most likely during its refresh, and puts it back from the backup later.

    The row comes back as the backup holds it, due and in doubt, as `ninjaone-connect restore copy` brings it.
    """
    world = run.world
    ref = _busy_row(run)
    if ref is None or world.rows.items[ref].get("status") != {"S": "active"}:
        return
    table, row = world.rows, world.rows.items[ref]
    world.deleted[ref] = row
    world.trace.end(ref)
    table.write(ref, None)
    world.history.reached["row deleted"] += 1
    world.scheduler.wait(60.0 + world.plan.delay(1800.0))
    del world.deleted[ref]
    if world.rows is table and ref not in table.items:
        world.trace.end(ref)
        due: Item = {"refresh_at": {"N": str(int(world.now()))}, "outcome_unknown": {"BOOL": True}}
        table.write(ref, {**row, **due})
        world.put_back[ref] = world.now()


def _busy_row(run: "Run") -> Ref | None:
    """Wait for a connection that is being refreshed, half an hour at most; give any other where there is none."""
    world = run.world
    for _ in range(360):
        busy = [ref for ref in run.refs if "lease_until" in world.rows.items.get(ref, {})]
        if busy:
            return world.random.choice(busy)
        world.scheduler.wait(5.0)
    there = [ref for ref in run.refs if ref in world.rows.items]
    return world.random.choice(there) if there else None


class _Operator:
    """The deployment as `ninjaone-connect` sees it, over stores that do not fail."""

    def __init__(self, world: "World") -> None:
        self.aws, self.config = world.services.__getitem__, world.config


@trouble("resealed")
def reseal(run: "Run", _number: int) -> None:
    """The operator deploys with another key, and reseals row after row while refreshes go on."""
    world = run.world
    world.kms.keys.add(OTHER_KEY)
    world.env = {**world.env, "SEAL_KEY": OTHER_KEY}
    world.config = Config.from_env(world.env)
    world.retire()
    resealing = Reseal(_Operator(world))  # type: ignore[arg-type]  # what it uses of a Deployment
    for key in list(world.rows.items):
        row = world.rows.items.get(key)
        if row is None or key[0].startswith("#"):
            continue
        world.scheduler.wait(world.plan.delay(2.0))  # it was read a moment ago
        try:
            world.history.reached[f"reseal {resealing.one(Row(row))}"] += 1
        except CliError:  # the key is disabled for now; the operator runs the command again another day
            world.history.reached["reseal stopped"] += 1
            return


@trouble("imported")
def import_a_token(run: "Run", number: int) -> None:
    """Another system's refresh token becomes a connection, as `ninjaone-connect import` makes it."""
    world = run.world
    person = stranger(run, number, "import")
    token, grant = _granted_elsewhere(world, person)
    if not token:
        return
    ref = ConnectionRef(TenantId(person.tenant), new_connection_id(world.random.randbytes))
    try:
        made = _imported(world, ref, Secret(token), Instant(int(world.now())))
    except BrokerError:  # the key is disabled for now; the command says so and has written nothing
        world.history.reached["import stopped"] += 1
        return
    world.people.flow_of_grant[grant] = Flow(f"import {number}", person, world.now(), grant=grant)
    for row in made:
        world.rows.write((row["tenant"]["S"], row["connection"]["S"]), row)
    run.refs.append((ref.tenant, ref.connection))
    world.history.reached["imported"] += 1
    world.scheduler.wait(600.0)
    world.people.token((ref.tenant, ref.connection), 300)


def _granted_elsewhere(world: "World", person: Person) -> tuple[str, str]:
    """Let a person agree to the operator's app and another system redeem the code; give the token and its grant."""
    host, client = "eu.ninjarmm.com", "client-eu"
    secret = world.ninjaone.state.apps[client].secret
    redirect = f"{world.env['CONNECT_URL']}/callback/eu"
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": redirect,
        "scope": "monitoring management offline_access",
        "state": "elsewhere",
    }
    back = world.ninjaone.consent(host, person.email, urlencode(asked), decision="authorize").header("location") or ""
    code = parse_qs(urlsplit(back).query).get("code", [""])[0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
    body = urlencode({**form, "client_id": client, "client_secret": secret}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    reply = world.ninjaone.respond("POST", host, "/ws/oauth/token", headers=headers, query="", body=body)
    token = reply.json().get("refresh_token", "") if reply.status == 200 else ""
    if token:
        world.history.secret(token)
        world.history.consented[world.oracle.grant(token)] = person
    return token, world.oracle.grant(token)


def _imported(world: "World", ref: ConnectionRef, token: Secret, now: Instant) -> list[rows.Item]:
    """Make the two rows of an imported connection: no access token yet, and due at once."""
    seal = Seal(AwsClient("kms", world.kms), world.config.seal_key, _Now(world), world.random.randbytes)
    state = ConnectionState(
        tenant=ref.tenant,
        connection=ref.connection,
        status=Status.ACTIVE,
        host=Host("eu", "eu.ninjarmm.com"),
        client_id="client-eu",
        customer_app=False,
        version=1,
        fence=0,
        epoch=world.epoch,
        token_expires_at=now,
        sent_at=Instant(0),
        consented_at=now,
        scopes=frozenset(),
        refresh=seal.seal(seal.data_key(Purpose.REFRESH), token, ref.aad(1)),
        refresh_at=now,
        due_shard=policy.shard(ref.connection),
    )
    profile = Profile(ref.tenant, ref.connection, "imported", (), {}, now, now, None)
    return [rows.connection_state_item(state), rows.profile_item(profile)]


class _Now:
    """The true time; an operator's command waits for nothing."""

    def __init__(self, world: "World") -> None:
        self.now = world.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@trouble("approval")
def approve(run: "Run", number: int) -> None:
    """Somebody else connects by a link that the product approves afterwards, perhaps twice, perhaps never."""
    world, people = run.world, run.world.people
    person = stranger(run, number, "approve")
    flow = people.open(person, binding="approval")
    address = people.start(person, flow.session) if flow else ""
    back = people.agree(person, address) if address else ""
    if not flow or not back:
        return
    people.come_back(person, back)
    world.scheduler.wait(60.0)
    waiting = [ref for ref, row in world.rows.items.items() if _waits_for_approval(ref, row, person.tenant)]
    for ref in waiting:
        world.history.reached["waiting for approval"] += 1
        if gateway.status(people.token(ref, 0)) == 200:
            world.violate("a token was given before the approval")
        for _ in range(world.random.choice([0, 1, 2])):
            if gateway.status(people.approve(ref)) == 200 and ref not in run.refs:
                run.refs.append(ref)
                world.history.reached["approved"] += 1


def _waits_for_approval(ref: Ref, row: rows.Item, tenant: str) -> bool:
    return ref[0] == tenant and row.get("status") == {"S": Status.PENDING_APPROVAL.value}


@trouble("ill shard")
def lose_a_shard(run: "Run", _number: int) -> None:
    """One partition of the due index is throttled for a while."""
    world = run.world
    world.ill_shard = str(world.random.randrange(policy.SHARDS))
    world.history.reached["a shard throttled"] += 1
    world.scheduler.wait(world.plan.delay(1800.0))
    world.ill_shard = ""
