"""Fleets drawn from seeds: NinjaOne fails one connection, some, a tenant, several, or a host, for minutes to hours.

What `world` can't show, because it plays few connections for a short time: whether one tenant's trouble stays its own,
whether wrong verdicts are taken back, whether an open breaker keeps to its one request a minute, and whether a caller
is ever refused a token that is valid.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from broker.errors import BrokerError
from broker.flows.token import EXPIRY_MARGIN
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Seconds, Status, TenantId
from tests.verification.simulation.fleet import (
    DEAD,
    LIFE,
    MINUTE,
    Answer,
    ManyConnections,
    Member,
    answers,
    hangs,
)
from tests.verification.simulation.world import START

AFTERMATH = 20 * MINUTE
"""Seconds after a failure in which its own consequences are left alone: the longest wait of a row, and a little."""
RECOVERY = 10 * MINUTE
"""Seconds after which a condemned connection is active again, besides as long as NinjaOne had not taken its token."""

ANSWERS: dict[str, Answer] = {
    "429": answers(429),
    "429, Retry-After 3600": answers(429, retry_after="3600"),
    "502": answers(502),
    "403": answers(403),
    "invalid_scope": answers(400, "invalid_scope"),
    "invalid_client": answers(401, "invalid_client"),
    "invalid_token": DEAD,
    "no answer": hangs,
}


@dataclass(frozen=True)
class Incident:
    """NinjaOne answers some connections wrongly for a while.

    Attributes:
        start, end: seconds since the fleet began
        hits: whom it answers so
    """

    answer: Answer
    start: int
    end: int
    hits: Callable[[Member], bool]


def draw(seed: int) -> "DrawnFleet":
    """Draw a deployment and what happens to it: two small ones for a large one."""
    random = Random(f"fleet {seed}")
    size = random.choice([1, 2, 3, 5, 8, 20, 60])
    tenants = {f"t{number}": random.choice([1, 1, 2, 4]) for number in range(size)}
    elsewhere = {f"e{number}": 1 for number in range(random.choice([0, 0, 5]))}
    hours = random.choice([3, 5, 9])
    incidents = [_incident(random, list(tenants), hours * 3600) for _ in range(random.choice([1, 1, 2, 4]))]
    return DrawnFleet(seed, tenants, elsewhere, incidents, hours * 60)


def _incident(random: Random, tenants: list[str], seconds: int) -> Incident:
    start = random.randrange(20 * MINUTE, seconds // 2)
    length = random.choice([2, 5, 12, 30, 90, 360]) * MINUTE
    answer = ANSWERS[random.choice(list(ANSWERS))]
    return Incident(answer, start, min(start + length, seconds), _whom(random, tenants))


def _whom(random: Random, tenants: list[str]) -> Callable[[Member], bool]:
    """Choose a connection, a tenant (most often: that must stay its own trouble), several tenants, or the host."""
    one, some = random.choice(tenants), set(random.sample(tenants, (len(tenants) + 1) // 2))
    return random.choice(
        [
            lambda member: (member.tenant, member.number) == (one, 0),
            lambda member: member.tenant == one,
            lambda member: member.tenant == one,
            lambda member: member.tenant in some,
            lambda member: member.region == "eu",
        ]
    )


class DrawnFleet:
    """One seed: runs minute by minute, and notes what must not happen.

    Attributes:
        violations: sentences, empty when all is well
        reached: what happened at least once
    """

    def __init__(
        self, seed: int, tenants: dict[str, int], us2: dict[str, int], incidents: list[Incident], minutes: int
    ) -> None:
        self._random, self._incidents, self._minutes = Random(seed), incidents, minutes
        self._many = ManyConnections(tenants, self._fate, us2=us2, seed=seed)
        self._refs = [(TenantId(tenant), ConnectionId(connection)) for tenant, connection in self._many.members]
        self._failed_at: dict[Member, float] = {}
        self._condemned_at: dict[Member, float] = {}
        self.violations: list[str] = []
        self.reached: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()

    def run(self) -> "DrawnFleet":
        """Let it all happen, and then as long again without incidents, up to six hours more."""
        for _ in range(self._minutes + min(self._minutes, 360)):
            open_before = self._many.is_open("eu")
            self._many.run(1)
            self._note_failures()
            self._check_breaker(open_before)
            for member, state in self._many.states():
                self._check(member, state)
            self._read_a_token()
            if self.violations:
                break
        return self

    def _fate(self, member: Member, since: float) -> Answer | None:
        return next(
            (each.answer for each in self._incidents if each.start <= since < each.end and each.hits(member)), None
        )

    def _since(self) -> float:
        return self._many.now() - START

    def _note_failures(self) -> None:
        since = self._since()
        for member in self._many.members.values():
            answer = self._fate(member, since)
            if answer is not None:
                self._failed_at[member] = since

    def _check(self, member: Member, state: ConnectionState) -> None:
        self._neighbour(member, state)
        self._healed(member, state)

    def _neighbour(self, member: Member, state: ConnectionState) -> None:
        """A tenant's token ends only when its own requests fail, or those of several others on its host do."""
        self.checks["F1"] += 1
        if state.status is not Status.ACTIVE or state.token_expires_at > self._many.now():
            return
        others = self._failing(lambda each: each.region == member.region and each.tenant != member.tenant)
        mine = self._failing(lambda each: (each.region, each.tenant) == (member.region, member.tenant))
        if not mine and len(others) < 2:
            self.violations.append(f"F1: {member.token} has no valid token beside {sorted(others)}")

    def _failing(self, of: Callable[[Member], bool]) -> set[str]:
        recent = self._since() - AFTERMATH
        return {member.tenant for member, at in self._failed_at.items() if at >= recent and of(member)}

    def _healed(self, member: Member, state: ConnectionState) -> None:
        """What was condemned and is taken again is active again within ten minutes plus as long as it was not taken."""
        self.checks["F2"] += 1
        if state.status is not Status.NEEDS_REAUTH:
            self._condemned_at.pop(member, None)
            return
        self.reached["condemned by mistake"] += 1
        condemned = self._condemned_at.setdefault(member, self._since())
        if self._failing(lambda each: each.region == member.region and each != member):
            return  # a breaker may be open, or its pass be needed by others
        refused = max(condemned, self._failed_at.get(member, 0.0))
        taken = self._since() - refused
        if taken > refused - condemned + RECOVERY:
            self.violations.append(f"F2: {member.token} is taken since {taken // MINUTE:.0f} min, and condemned")

    def _check_breaker(self, open_before: bool) -> None:
        """While a breaker is open, NinjaOne gets at most one request a minute for that host and app."""
        self.checks["F3"] += 1
        minute = int(self._since() // MINUTE)
        requests = self._many.outcome.requests["eu", minute]
        if open_before:
            self.reached["a breaker open"] += 1
        if open_before and self._many.is_open("eu") and requests > 1:
            self.violations.append(f"F3: {requests} requests in minute {minute} with an open breaker")

    def _read_a_token(self) -> None:
        """A call for a token that is valid never fails, whatever life it asks for."""
        self.checks["F4"] += 1
        ref = ConnectionRef(*self._random.choice(self._refs))
        state, min_ttl = self._many.state(ref), Seconds(self._random.choice([0, 300, LIFE - 60]))
        valid = state.status is Status.ACTIVE and state.token_expires_at - self._many.now() > EXPIRY_MARGIN
        try:
            self._many.token(ref, min_ttl)
        except BrokerError as failure:
            if valid:
                left = state.token_expires_at - self._many.now()
                self.violations.append(f"F4: {type(failure).__name__} for a token with {left:.0f} s left")
