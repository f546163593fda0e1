"""One seed, one world: which faults, how often, how many people, for how long; everything drawn from the seed."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any, get_args, get_type_hints

from broker import policy
from broker.model import ConnectionId
from ninjaone_emulator import Switches
from tests.verification.simulation import gateway, invariants, operators, troubles  # noqa: F401 (operators registers)
from tests.verification.simulation.faults import AWS_FAULTS, HTTP_FAULTS, Outage, Swarm
from tests.verification.simulation.history import Ref
from tests.verification.simulation.people import Person
from tests.verification.simulation.triggers import Triggers
from tests.verification.simulation.world import START, World, environment

QUIET = 2.5 * 3600.0  # seconds at the end in which nothing fails and everything must heal
USABLE = ({"S": "active"}, {"S": "needs_reauth"})
CLUMSY = frozenset({"killed_before", "killed_after", "killed_during", "hangs", "slow", "lost_request"})

CALLS = (
    "ssm.get_parameter", "dynamodb.batch_get_item", "dynamodb.get_item", "kms.decrypt", "kms.generate_data_key",
    "secretsmanager.get_secret_value", "dynamodb.update_item", "s3.get_object", "s3.put_object",
    "ninjaone.token refresh_token",
)  # fmt: skip


@dataclass(frozen=True)
class Knobs:
    """How one seed differs from another.

    Attributes:
        hours: until the quiet time
        calls: seconds between two calls of a backend, on average
    """

    people: int
    hours: float
    calls: float
    duplicates: float
    concurrency: int
    skew: float
    lag: float
    rates: dict[str, dict[str, float]]
    switches: dict[str, Any]
    outages: int
    aim: tuple[str, str]
    spoil: float
    trouble: tuple[str, ...]


ROTATIONS = get_args(get_type_hints(Switches)["rotation"])


def knobs(random: Random) -> Knobs:
    """Draw a configuration: each kind of fault is absent from about half of the seeds."""
    heavy = random.choice([0.0, 0.01, 0.03, 0.08])
    aim = random.choice([("", ""), (random.choice(CALLS), random.choice(("killed_before", "killed_after")))])
    return Knobs(
        people=random.choice([1, 1, 2, 3, 5]),
        hours=random.choice([1.5, 2.5, 4.0]),
        calls=random.choice([600.0, 1800.0, 3600.0]),
        duplicates=random.choice([0.0, 0.05, 0.3]),
        concurrency=random.choice([1, 2, 5]),
        skew=random.choice([0.0, 0.5, 2.0, 5.0]),
        lag=random.choice([0.0, 0.5, 30.0]),
        rates={
            "aws": _rates(random, AWS_FAULTS, heavy),
            "ninjaone": _rates(random, HTTP_FAULTS, 6 * heavy),
        },
        switches=_switches(random),
        outages=random.choice([0, 0, 1, 3]),
        aim=aim,
        spoil=0.7 if aim[0].startswith("s3") else random.choice([0.0, 0.0, 0.05, 0.3]),
        trouble=tuple(each for each in troubles.TROUBLES if random.random() < 0.15),
    )


def _rates(random: Random, kinds: tuple[str, ...], heavy: float) -> dict[str, float]:
    chosen = [kind for kind in kinds if random.random() < 0.5]
    return {kind: heavy * random.random() * (0.3 if kind in CLUMSY else 1.0) for kind in chosen}


def _switches(random: Random) -> dict[str, Any]:
    return {
        "rotation": random.choice(ROTATIONS),
        "grace_seconds": random.choice([30, 120, 600]),
        "access_token_seconds": random.choice([3600, 3600, 7200]),
        "expires_in": random.choice(["present", "present", "omit"]),
        "dead_refresh_error": random.choice(["invalid_token", "invalid_grant", "expired_token"]),
        "scope_echo": random.choice(["echo", "omit", "reordered"]),
        "wrong_secret": random.choice(["invalid_client_401", "invalid_client_400"]),
        "pkce": random.choice(["enforce", "ignore"]),
        "iss": random.random() < 0.3,
        "reused_code_kills_grant": random.random() < 0.5,
        "revoke": random.choice(["200", "200", "404", "405"]),
    }


def drawn(seed: int) -> Knobs:
    """Draw the configuration of a seed."""
    return knobs(Random(seed))


class Run:
    """One seed: its world, who acts in it, and how it ended."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        draw = Random(seed)
        self.knobs = knobs(draw)
        self.quiet = START + self.knobs.hours * 3600
        switches = Switches()
        switches.update(self.knobs.switches)
        if switches.expires_in == "omit":
            switches.access_token_seconds = 3600  # the life that is assumed where none is said
        self.world = World(draw, self._plan, switches=switches, env=environment(), skew=self.knobs.skew)
        self.world.rows.lag = self._lag
        self.world.rows.stale = self._lag
        self.refs: list[Ref] = []
        self.end = self.quiet + QUIET

    def _lag(self) -> float:
        return self.world.plan.delay(self.knobs.lag) if self.knobs.lag else 0.0

    def _plan(self, world: World) -> Swarm:
        outages = [self._outage(world.random) for _ in range(self.knobs.outages)]
        return Swarm(
            world.random,
            self.knobs.rates,
            outages,
            world.now,
            self.quiet,
            self.knobs.aim,
            self.knobs.spoil,
        )

    def _outage(self, random: Random) -> Outage:
        writes = frozenset({"update_item", "put_object", "delete_item"})
        service, operations, kinds = random.choice(
            [
                ("dynamodb", writes, ("refused", "throttled", "lost_ack")),
                ("dynamodb", frozenset(), ("refused", "timed_out")),
                ("s3", frozenset(), ("refused", "unreachable")),
                ("kms", frozenset(), ("refused", "timed_out")),
                ("sqs", frozenset(), ("refused",)),
                ("ninjaone", frozenset(), ("500", "html_503", "429", "unreachable", "lost_request")),
            ]
        )
        start = START + random.random() * self.knobs.hours * 3600
        return Outage(service, operations, random.choice(kinds), start, start + random.choice([60, 600, 2400]))

    def run(self) -> "Run":
        """Let it all happen, then be quiet, then look."""
        world = self.world
        Triggers(world, duplicates=self.knobs.duplicates, concurrency=self.knobs.concurrency, until=self.end)
        for number in range(self.knobs.people):
            person = world.people.meet(f"p{number}", f"t{number % 3}", ("eu", "us2")[number % 2])
            world.act(person.name, lambda person=person: self._live(person), world.plan.delay(600.0))  # type: ignore[misc]  # binds the loop's person
        for number, name in enumerate(self.knobs.trouble):
            act = troubles.TROUBLES[name]
            when = (0.2 + 0.7 * world.random.random()) * self.knobs.hours * 3600
            world.act(name, lambda act=act, number=number: act(self, number), when)  # type: ignore[misc]  # binds the loop's pair
        world.scheduler.at(self.quiet, self._calm)
        world.scheduler.run(self.end)
        if not world.history.violations:
            invariants.check(world, "final")
        world.scheduler.close()
        return self

    def _calm(self) -> None:
        """The operator repairs what is broken: keys, outages, the epoch."""
        world = self.world
        world.kms.disabled.clear()
        self.activate()

    def activate(self) -> None:
        """Let the restored table be used, as `ninjaone-connect restore activate` does: each row due, and in doubt."""
        world = self.world
        if world.inactive_since is None:
            return
        name = world.config.epoch_parameter
        epoch = json.loads(world.parameters.parameters[name])["epoch"] + 1
        world.parameters.parameters[name] = json.dumps({"epoch": epoch, "table": world.rows.name})
        world.inactive_since = None
        for key, row in list(world.rows.items.items()):
            if row.get("refresh") and row.get("status") in USABLE:
                due = {
                    "refresh_at": {"N": str(int(world.now()))},
                    "due_shard": {"N": str(policy.shard(ConnectionId(key[1])))},
                }
                world.rows.write(key, {**row, **due, "epoch": {"N": str(epoch)}, "outcome_unknown": {"BOOL": True}})

    def _live(self, person: Person) -> None:
        """Connect, and then let the backend use the connection now and then."""
        world = self.world
        ref = None
        for _ in range(6):
            ref = world.people.connect(person, troubles.region(person))
            if ref:
                break
            world.scheduler.wait(120.0)
        if ref is None:
            return
        world.history.reached["connected"] += 1
        self.refs.append(ref)
        while world.now() < self.end - 600:
            world.scheduler.wait(world.plan.delay(2 * self.knobs.calls))
            if world.random.random() < 0.4:
                self._use(ref)
                continue
            answer = world.people.token(ref, world.random.choice([0, 300, 300, 1200, 3000]))
            world.history.reached[f"token {gateway.status(answer)}"] += 1

    def _use(self, ref: Ref) -> None:
        """Call NinjaOne through the broker a few times: to read a list, and perhaps to write."""
        world = self.world
        calls = world.random.choice([("GET",), ("GET", "GET"), ("GET", "POST", "GET")])
        for method in calls:
            path = "v2/organizations" if method == "GET" else "v2/ticketing/ticket"
            answer = world.people.passed_on(ref, method, path)
            origin = "passed" if invariants.is_passed(answer) else "own"
            world.history.reached[f"proxy {method} {origin} {gateway.status(answer)}"] += 1
            world.scheduler.wait(world.plan.delay(2.0))
