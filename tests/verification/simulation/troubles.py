"""What happens to a run besides faults: operators, administrators, people in a hurry, attackers."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.verification.simulation import gateway
from tests.verification.simulation.people import RETURN_URL, Flow, Person
from tests.verification.simulation.world import SECRETS

if TYPE_CHECKING:
    from tests.verification.simulation.swarm import Run

Trouble = Callable[["Run", int], object]
TROUBLES: dict[str, Trouble] = {}


def trouble(name: str) -> Callable[[Trouble], Trouble]:
    """Register something that happens to a run."""

    def register(act: Trouble) -> Trouble:
        TROUBLES[name] = act
        return act

    return register


@trouble("secret rotated")
def rotate_secret(run: "Run", _number: int) -> None:
    """The operator makes a new client secret at NinjaOne, and stores it a while later."""
    world = run.world
    region = world.random.choice(["eu", "us2"])
    fresh = world.ninjaone.admin.rotate_secret(f"client-{region}")
    world.history.reached["secret rotated"] += 1
    world.scheduler.wait(world.plan.delay(900.0))
    held = json.loads(world.secrets.secrets[SECRETS][-1])
    world.secrets.secrets[SECRETS].append(json.dumps({**held, f"client-{region}": fresh}))


@trouble("key disabled")
def disable_key(run: "Run", _number: int) -> None:
    """Somebody disables the KMS key, and enables it again."""
    world = run.world
    world.kms.disabled.add(world.config.seal_key)
    world.history.reached["key disabled"] += 1
    world.scheduler.wait(world.plan.delay(1800.0))
    world.kms.disabled.clear()


@trouble("revoked")
def revoke_at_ninjaone(run: "Run", _number: int) -> None:
    """An administrator of the customer revokes a grant in NinjaOne."""
    world = run.world
    if run.refs:
        grant = world.history.grant_of.get(world.random.choice(run.refs), "")
        if grant:
            world.ninjaone.admin.revoke_grant(grant)
            world.history.reached["revoked at NinjaOne"] += 1


@trouble("access token refused")
def refuse_access_token(run: "Run", _number: int) -> None:
    """NinjaOne refuses an access token before its time, and a backend calls with it, through the broker."""
    world = run.world
    if not run.refs:
        return
    ref = world.random.choice(run.refs)
    for token in world.ninjaone.state.access_tokens.values():
        if token.grant.id == world.history.grant_of.get(ref):
            token.revoked = True
    for method in ("GET", "POST"):
        world.people.passed_on(ref, method)
        world.scheduler.wait(world.plan.delay(120.0))


@trouble("calls of many tenants")
def call_for_many(run: "Run", _number: int) -> None:
    """Tenants call NinjaOne one right after the other, and one of them with the id of another's connection."""
    world = run.world
    for tenant, connection in run.refs:
        world.people.passed_on((tenant, connection))
        answer = world.people.passed_on((f"{tenant}x", connection))
        world.history.reached["another tenant refused"] += gateway.status(answer) == 404


@trouble("user disabled")
def disable_user(run: "Run", _number: int) -> None:
    """The person who consented is disabled for some hours; their tokens are dead meanwhile."""
    world = run.world
    email = "p0@p0.example"
    for grant in world.history.ref_of:  # what is dead for a while is not called dead by mistake as well
        world.lagging[grant] = 0.0
    world.ninjaone.admin.enable_user(email, enabled=False)
    world.scheduler.wait(world.plan.delay(7200.0))
    if world.now() < run.quiet:
        world.ninjaone.admin.enable_user(email, enabled=True)


@trouble("disconnect")
def disconnect(run: "Run", _number: int) -> None:
    """A backend ends a connection, perhaps while it is being refreshed; it tries until it is told so."""
    world = run.world
    if not run.refs:
        return
    ref = world.random.choice(run.refs)
    if world.random.random() < 0.5:
        batch = {"trigger": "urgent", "min_ttl": 3600, "connections": [list(ref)]}
        world.history.wanted[ref] = 3600
        world.sqs.send_message(QueueUrl=world.config.urgent_queue, MessageBody=json.dumps(batch))
        world.scheduler.wait(world.plan.delay(1.5))
    if any(each.function == "refresh" for each in world.running):
        world.history.reached["disconnect during a refresh"] += 1
    for _ in range(5):
        if gateway.status(world.people.disconnect(ref)) in {200, 409}:
            world.history.reached["disconnected"] += 1
            return
        world.scheduler.wait(20.0)


@trouble("reconnect")
def reconnect(run: "Run", _number: int) -> None:
    """A person connects again what is connected."""
    world = run.world
    if run.refs:
        ref = world.random.choice(run.refs)
        person = world.history.consented.get(world.history.grant_of.get(ref, ""))
        if isinstance(person, Person) and world.people.connect(person, region(person), connection=ref[1]):
            world.history.reached["reconnected"] += 1


@trouble("restore")
def restore(run: "Run", _number: int) -> None:
    """The operator puts a backup in the table's place, and activates it only a while later."""
    world = run.world
    backup = world.rows.snapshot()
    world.scheduler.wait(world.plan.delay(3600.0))
    if backup and world.now() < run.quiet - 900:
        world.restore(backup)
        world.history.reached["restored"] += 1
        world.scheduler.wait(300.0 + world.plan.delay(1800.0))
        run.activate()


@trouble("bad batches")
def order_nonsense(run: "Run", _number: int) -> None:
    """Somebody puts on the queue what is no batch, or requests what is not there."""
    world = run.world
    ref = list(run.refs[0]) if run.refs else ["t0", "con_" + "a" * 26]
    bodies = [
        "", "[]", "{", '{"trigger": "due"}', json.dumps({"trigger": "due", "connections": [ref, ref, ref]}),
        json.dumps({
            "trigger": "urgent", "min_ttl": 9, "connections": [["t9", ref[1]], ["#breakers", "fleet"], 7, ref],
        }),
        json.dumps({"trigger": "rescue", "connections": [ref, ["t0", "con_" + "z" * 26]]}),
    ]  # fmt: skip
    for body in bodies:
        world.sqs.send_message(QueueUrl=world.config.refresh_queue, MessageBody=body)
    world.history.reached["bad batches"] += 1


# People


def stranger(run: "Run", number: int, role: str, *, signed_in: bool = True) -> Person:
    """Make somebody who has nothing to do with the others."""
    return run.world.people.meet(f"{role}{number}", f"t-{role}" if signed_in else "")


def started(run: "Run", owner: Person, browser: Person) -> tuple[Flow, str] | None:
    """Open a session for one person and start it in a browser, up to NinjaOne's redirect back."""
    people = run.world.people
    flow = people.open(owner)
    address = people.start(browser, flow.session) if flow else ""
    back = people.agree(browser, address) if address else ""
    return (flow, back) if flow and back else None


def refused(run: "Run", what: str, *answers: gateway.Answer | None) -> None:
    """Note that none of these answers was a success."""
    if any(gateway.status(answer) == 200 for answer in answers):
        run.world.violate(f"{what} succeeded")
    run.world.history.reached[f"{what} refused"] += 1


@trouble("fixation")
def fix_a_session(run: "Run", number: int) -> None:
    """An attacker sends the link of their own session to a victim, who walks the whole way."""
    people = run.world.people
    attacker, victim = stranger(run, number, "mallory"), stranger(run, number, "victim")
    begun = started(run, attacker, victim)
    if begun is None:
        return
    flow, back = begun
    people.come_back(victim, back)
    thief = Person(attacker.name, victim.tenant, "", verifiers=attacker.verifiers)
    refused(
        run,
        "fixation",
        people.complete(victim, flow.session, flow.ticket or "t" * 43),
        people.complete(attacker, flow.session, "t" * 43),
        people.complete(thief, flow.session, flow.ticket or "t" * 43),
    )


@trouble("reverse")
def reverse_a_session(run: "Run", number: int) -> None:
    """An attacker who saw a victim's link walks it with an account of their own."""
    people = run.world.people
    attacker, victim = stranger(run, number, "eve"), stranger(run, number, "target")
    begun = started(run, victim, attacker)
    if begun is None:
        return
    flow, back = begun
    if gateway.location(people.come_back(victim, back)).startswith(RETURN_URL):
        run.world.violate("another browser came back")
    people.come_back(attacker, back)
    refused(
        run,
        "reverse",
        people.complete(attacker, flow.session, flow.ticket or "t" * 43),
        people.complete(victim, flow.session, "t" * 43),
    )


@trouble("double callback")
def come_back_twice(run: "Run", number: int) -> None:
    """A browser sends the callback twice at once, and then again."""
    people = run.world.people
    person = stranger(run, number, "twice")
    begun = started(run, person, person)
    if begun is None:
        return
    flow, back = begun
    tab, later = (Person(person.name, person.tenant, person.email, dict(person.cookies)) for _ in range(2))
    run.world.act("tab", lambda: people.come_back(tab, back))
    people.come_back(person, back)
    run.world.scheduler.wait(35.0)
    people.come_back(later, back)
    run.world.history.reached["callback twice"] += 1
    people.complete(person, flow.session, flow.ticket or "t" * 43)


@trouble("two tabs")
def use_two_tabs(run: "Run", number: int) -> None:
    """One person has two sessions in one browser, interleaved."""
    people = run.world.people
    person = stranger(run, number, "tabs")
    begun = [started(run, person, person), started(run, person, person)]
    done = 0
    for each in begun:
        if each:
            people.come_back(person, each[1])
            answer = people.complete(person, each[0].session, each[0].ticket or "t" * 43)
            done += gateway.status(answer) == 200
    run.world.history.reached[f"two tabs, {done} done"] += 1


@trouble("mail scanner")
def scan_a_link(run: "Run", number: int) -> None:
    """A scanner opens a link again and again before the person does."""
    people = run.world.people
    person, scanner = stranger(run, number, "reader"), stranger(run, number, "scanner", signed_in=False)
    flow = people.open(person)
    if flow:
        for _ in range(5):
            people.look(scanner, flow.session)
        if people.start(person, flow.session):
            run.world.history.reached["started after a scanner"] += 1


@trouble("late")
def be_late(run: "Run", number: int) -> None:
    """A person takes too long: for the link, at NinjaOne, or on the way home."""
    world, people = run.world, run.world.people
    person = stranger(run, number, "late")
    flow = people.open(person)
    waits = world.random.choice([(1900.0, 0.0, 0.0), (0.0, 700.0, 0.0), (0.0, 0.0, 60.0)])
    if flow is None:
        return
    world.scheduler.wait(waits[0])
    address = people.start(person, flow.session)
    back = people.agree(person, address) if address else ""
    world.scheduler.wait(waits[1])
    if back:
        people.come_back(person, back)
    world.scheduler.wait(waits[2])
    refused(run, "lateness", people.complete(person, flow.session, flow.ticket or "t" * 43))


@trouble("denied")
def say_no(run: "Run", number: int) -> None:
    """A person refuses at NinjaOne, and thinks better of it."""
    people = run.world.people
    person = stranger(run, number, "no")
    flow = people.open(person)
    address = people.start(person, flow.session) if flow else ""
    if flow and address:
        people.come_back(person, people.agree(person, address, decision="deny"))
        again = people.start(person, flow.session)
        run.world.history.reached["denied, started again" if again else "denied"] += 1


def region(person: Person) -> str:
    """Say in which region a person's account is."""
    return ("eu", "us2")[int(person.name[1:]) % 2] if person.name[1:].isdigit() else "eu"
