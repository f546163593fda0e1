"""Every single fault at every call of every scenario, and every pair of faults.

After the faults the schedule runs on until all is quiet again; then every invariant is checked.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from ninjaone_emulator import Switches
from tests.verification.simulation import invariants
from tests.verification.simulation.faults import AWS_FAULTS, DENIED, HTTP_FAULTS, Point, Script
from tests.verification.simulation.history import Ref
from tests.verification.simulation.people import Person
from tests.verification.simulation.triggers import Triggers
from tests.verification.simulation.world import SECRETS, START, World

HEALED = 2.5 * 3600  # seconds within which everything must have healed
TICK = 180.0  # seconds between two ticks of the schedule: two of three are missed, which must not matter
LOOK = 300.0  # seconds between two looks at whether it has
FIRST = 60.0  # seconds after the start when the connection is made and the scenario begins
SKEWED = ("ahead", "behind")
PAIRED_AWS = ("refused", "killed_after", "lost_ack")
PAIRED_HTTP = (
    "unreachable", "late", "lost_response", "429_retry_after", "spurious_dead_token", "killed_during", "killed_after",
)  # fmt: skip
"""For pairs, one of each kind that a handler can tell apart. A throttle looks like any other refusal; to be killed
before a call is to be killed after the one before. A read whose answer is lost is a read that was refused."""
WRITES = frozenset(
    {
        "put_item",
        "update_item",
        "delete_item",
        "transact_write_items",
        "put_object",
        "delete_object",
        "send_message",
        "send_message_batch",
    }
)
REACH = 30  # numbered calls among which the second fault of a pair is placed
ROTATIONS = ("rotate_strict", "rotate_grace", "static_same_token", "static_omit_field", "reuse_kills_family")


@dataclass
class Stage:
    """One world with one fresh connection of one person."""

    world: World
    script: Script
    person: Person
    ref: Ref


@dataclass(frozen=True)
class Scenario:
    """Something that is done, and whose calls may fail while it is.

    Attributes:
        functions: whose calls are numbered
        act: what somebody does, as an actor; calls are numbered when it begins
    """

    functions: frozenset[str]
    act: Callable[[Stage], object]
    sinking: bool = False


Faults = dict[int, str]


@cache
def template(rotation: str) -> Stage:
    """Walk the connect journey once; every stage of this rotation is a copy of what it left."""
    switches = Switches()
    switches.update({"rotation": rotation, "grace_seconds": 600})
    script = Script({}, frozenset())
    world = World(Random(7), lambda _: script, switches=switches, recycle=0.0)
    person = world.people.meet("ada", "t0")
    done: list[Ref | None] = []
    world.act("ada", lambda: done.append(world.people.connect(person)))
    world.scheduler.run(START + FIRST)
    assert done[0] is not None
    return Stage(world, script, person, done[0])


@cache
def memory(rotation: str) -> bytes:
    """Write down what NinjaOne remembers of the journey; its clock and its randomness are each world's own."""
    held = vars(template(rotation).world.ninjaone.state)
    return pickle.dumps({name: part for name, part in held.items() if name not in {"_clock", "_entropy"}})


def stage(scenario: Scenario, rotation: str, faults: Faults) -> Stage:
    """Make a world as the template left it."""
    old = template(rotation)
    script = Script(faults, scenario.functions, sinking=scenario.sinking)
    world = World(Random(7), lambda _: script, recycle=0.0)
    person = old.person
    world.random.setstate(old.world.random.getstate())
    world.scheduler.run(old.world.now())
    world.kms.made.update(old.world.kms.made)
    world.secrets.secrets.update({name: list(held) for name, held in old.world.secrets.secrets.items()})
    vars(world.ninjaone.state).update(pickle.loads(memory(rotation)))
    world.people.flow_of_grant.update(old.world.people.flow_of_grant)
    for grant in world.people.flow_of_grant:
        world.history.consented[grant] = person
    world.rows.restore(old.world.rows.snapshot())
    return Stage(world, script, person, old.ref)


def played(scenario: Scenario, rotation: str, faults: Faults) -> Stage:
    """Play a scenario with some faults, let the schedule heal what it can, check everything."""
    on = stage(scenario, rotation, faults)
    world = on.world
    Triggers(world, duplicates=0.0, concurrency=2, until=world.now() + HEALED, tick=TICK)
    on.script.armed = True
    world.act("somebody", lambda: scenario.act(on))
    end = world.now() + HEALED
    while world.now() < end and not world.scheduler.stop:
        world.scheduler.run(min(world.now() + LOOK, end))
        if world.now() > START + 3000 and _is_quiet(on):
            break
    if not world.scheduler.stop:
        invariants.check(world, "final")
    world.scheduler.close()
    return on


def _is_quiet(on: Stage) -> bool:
    """Say whether nothing is left to heal."""
    world = on.world
    row = world.rows.items.get(on.ref, {})
    leased = "lease_until" in row or "lease_id" in row
    struck = "struck_at" in row and row["status"] == {"S": "active"}  # the verdict is still to come
    waiting = any(world.sqs.queues.values()) or bool(world.bucket) or bool(world.running)
    due = int(row.get("refresh_at", {"N": "0"})["N"]) <= world.now() + LOOK and "refresh_at" in row
    return not (leased or struck or waiting or due)


def kinds(point: Point, *, paired: bool) -> tuple[str, ...]:
    """List what a call may meet."""
    if point.service == "ninjaone":
        return PAIRED_HTTP if paired else (*HTTP_FAULTS, *SKEWED)
    if not paired:
        return (*AWS_FAULTS, DENIED, *SKEWED)
    return PAIRED_AWS if point.operation in WRITES else PAIRED_AWS[:2]


def singles(scenario: Scenario, rotation: str) -> Iterator[Faults]:
    """Yield each fault at each call that the scenario makes undisturbed."""
    for number, point in enumerate(played(scenario, rotation, {}).script.points[:REACH]):
        for kind in kinds(point, paired=False):
            yield {number: kind}


def pairs(scenario: Scenario, rotation: str) -> Iterator[Faults]:
    """Yield each fault, and with it each fault at each later call, also of the attempts that follow."""
    for number, point in enumerate(played(scenario, rotation, {}).script.points[:REACH]):
        for kind in kinds(point, paired=True):
            for later, other in enumerate(played(scenario, rotation, {number: kind}).script.points[:REACH]):
                if later > number:
                    yield from ({number: kind, later: second} for second in kinds(other, paired=True))


# What is done


def _wait_for_the_schedule(on: Stage) -> None:
    """Nobody does anything: the connection falls due."""
    on.world.scheduler.wait(2300.0)


def _get_token(on: Stage) -> None:
    on.world.people.token(on.ref, 300)


def _get_stale_token(on: Stage) -> None:
    on.world.scheduler.wait(1200.0)
    on.world.people.token(on.ref, 3000)


def _disconnect(on: Stage) -> None:
    on.world.people.disconnect(on.ref)


def _disconnect_while_refreshing(on: Stage) -> None:
    world = on.world
    world.scheduler.wait(1200.0)
    _request(on)
    world.scheduler.wait(0.45)
    world.people.disconnect(on.ref)


def _connect(on: Stage) -> None:
    on.world.people.connect(on.person)


def _reconnect(on: Stage) -> None:
    on.world.people.connect(on.person, connection=on.ref[1])


def _adopt(on: Stage) -> None:
    """The table refuses the new tokens until they are spilled; the calls are numbered from then on."""
    world = on.world
    on.script.armed = False
    while not world.bucket and world.now() < START + HEALED / 2:
        world.scheduler.wait(5.0)
    on.script.sinking, on.script.down, on.script.armed = False, frozenset(), True


def _request(on: Stage) -> None:
    world = on.world
    world.history.wanted[on.ref] = 3600
    batch = {"trigger": "urgent", "min_ttl": 3600, "connections": [list(on.ref)]}
    world.sqs.send_message(QueueUrl=world.config.urgent_queue, MessageBody=json.dumps(batch))


def _request_twice(on: Stage) -> None:
    on.world.scheduler.wait(1200.0)
    _request(on)
    _request(on)


def _request_again(on: Stage) -> None:
    """A second batch comes while the first one may still be waiting for its answer."""
    on.world.scheduler.wait(1200.0)
    _request(on)
    on.world.scheduler.wait(62.0)
    _request(on)


def _insist(on: Stage) -> None:
    """Callers want longer lives than the token has, again and again."""
    on.world.scheduler.wait(1200.0)
    for _ in range(3):
        on.world.people.token(on.ref, 3000)
        on.world.scheduler.wait(70.0)


def _reconnect_meanwhile(on: Stage) -> None:
    on.world.scheduler.wait(1200.0)
    _request(on)
    on.world.scheduler.wait(1.5)
    on.world.people.connect(on.person, connection=on.ref[1])


def _reconnect_late(on: Stage) -> None:
    """The customer revoked the consent; when that was seen once, the person connects again."""
    world = on.world
    world.ninjaone.admin.revoke_grant(world.history.grant_of[on.ref])
    while "struck_at" not in world.rows.items[on.ref] and world.now() < START + HEALED / 2:
        world.scheduler.wait(20.0)
    while "lease_until" not in world.rows.items[on.ref] and world.now() < START + HEALED / 2:
        world.scheduler.wait(0.5)
    world.scheduler.wait(1.0)
    world.people.connect(on.person, connection=on.ref[1])


def _crawl(on: Stage) -> None:
    on.script.crawling = True
    on.world.scheduler.wait(3000.0)
    on.script.crawling = False


def _rotate_secret(on: Stage) -> None:
    """The old secret is cached, the new one stored."""
    world = on.world
    world.scheduler.wait(1950.0)
    fresh = world.ninjaone.admin.rotate_secret("client-eu")
    held = json.loads(world.secrets.secrets[SECRETS][-1])
    world.secrets.secrets[SECRETS].append(json.dumps({**held, "client-eu": fresh}))


REFRESH = frozenset({"refresh"})
SCENARIOS: dict[str, Scenario] = {
    "refresh": Scenario(REFRESH, _wait_for_the_schedule),
    "sweep": Scenario(frozenset({"sweep"}), _wait_for_the_schedule),
    "rescue": Scenario(REFRESH, _adopt, sinking=True),
    "token fresh": Scenario(frozenset({"token"}), _get_token),
    "token stale": Scenario(frozenset({"token", "refresh"}), _get_stale_token),
    "disconnect": Scenario(frozenset({"disconnect"}), _disconnect),
    "disconnect during refresh": Scenario(frozenset({"disconnect", "refresh"}), _disconnect_while_refreshing),
    "start": Scenario(frozenset({"session", "authorize"}), _connect),
    "callback": Scenario(frozenset({"callback"}), _connect),
    "complete": Scenario(frozenset({"complete"}), _connect),
    "reconnect": Scenario(frozenset({"complete", "refresh"}), _reconnect),
    "secret rotated": Scenario(REFRESH, _rotate_secret),
    "requested twice": Scenario(REFRESH, _request_twice),
    "requested again meanwhile": Scenario(REFRESH, _request_again),
    "callers insist": Scenario(REFRESH, _insist),
    "reconnect meanwhile": Scenario(REFRESH, _reconnect_meanwhile),
    "reconnect at the last strike": Scenario(REFRESH, _reconnect_late),
    "slow day": Scenario(REFRESH, _crawl),
}
TURNING = frozenset({"refresh", "rescue"})
"""Scenarios that are played with every kind of rotation; the others with the strictest."""
