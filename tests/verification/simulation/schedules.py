"""What NinjaOne does to a fleet; run as a module it prints the tables of docs/understand/refresh.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from broker.model import Status
from tests.verification.simulation.fleet import DEAD, Answer, ManyConnections, Member, answers, hangs

HOUR = 60
ILL: Mapping[str, tuple[int, Answer]] = {
    "one: 429, Retry-After 3600": (1, answers(429, retry_after="3600")),
    "two: 429, Retry-After 1800": (2, answers(429, retry_after="1800")),
    "three: 429, Retry-After 900": (3, answers(429, retry_after="900")),
    "two: invalid_scope": (2, answers(400, "invalid_scope")),
    "three: invalid_scope": (3, answers(400, "invalid_scope")),
    "three: 403 with HTML": (3, answers(403)),
    "six: 403 with HTML": (6, answers(403)),
    "six: 502": (6, answers(502)),
    "ten: invalid_token": (10, DEAD),
    "ten: invalid_client": (10, answers(401, "invalid_client")),
    "100: no answer in time": (100, hangs),
}
HEALTHY = (1, 5, 20, 200)
WRONG = (5, 30, 90, 6 * HOUR)


def healthy(count: int) -> dict[str, int]:
    """Name so many tenants with one connection each."""
    return {f"ok-{number}": 1 for number in range(count)}


def neighbours(many: int, answer: Answer, beside: int, *, tenants: int = 1, minutes: int = 4 * HOUR) -> int:
    """Let some tenants' connections be answered so; count the other tenants whose token ended."""
    ill = {f"ill-{number}": many for number in range(tenants)}
    fleet = ManyConnections(
        {**ill, **healthy(beside)}, lambda asking, _: answer if asking.tenant.startswith("ill") else None
    )
    return len([tenant for tenant in fleet.run(minutes).ended if tenant.startswith("ok")])


@dataclass(frozen=True)
class Verdicts:
    """What came of wrong verdicts.

    Attributes:
        left: connections in `needs_reauth` although NinjaOne takes their token, at twice the incident's length
        told: connections that were ever told to connect again
        back: minutes after the incident until all were active again
    """

    left: int
    told: int
    back: int

    @property
    def cell(self) -> str:
        """Write it as a cell of a table: how many were told, and what came of them."""
        back = f", {self.back} min" if self.back else ""
        return f"{self.told}{back}" + (f", {self.left} left" if self.left else "")


def wrong_verdicts(minutes: int, tenants: Mapping[str, int], beside: int, *, elsewhere: int = 0) -> Verdicts:
    """Let NinjaOne call good tokens dead for some time.

    Args:
        beside: healthy tenants on the same host
        elsewhere: healthy tenants on another host
    """

    def fate(asking: Member, since: float) -> Answer | None:
        return DEAD if asking.tenant in tenants and 3600 <= since < 3600 + 60 * minutes else None

    fleet = ManyConnections({**tenants, **healthy(beside)}, fate, us2=healthy(elsewhere))
    fleet.run(HOUR + minutes)
    back, left = 0, 0
    for after in range(1, max(minutes, 20) + 1):
        fleet.run(1)
        if dead := fleet.count(Status.NEEDS_REAUTH):
            back = after
        if after == minutes:
            left = dead
    return Verdicts(left, len(fleet.outcome.told), back)


@dataclass(frozen=True)
class Outage:
    """What came of an outage.

    Attributes:
        opened: minutes until the breaker was open
        most: requests in the busiest minute while it was
        renewed: minutes after its end until every token was valid again
    """

    opened: int
    most: int
    renewed: int


def outage(minutes: int, tenants: Mapping[str, int], answer: Answer) -> Outage:
    """Let NinjaOne serve nobody for some time."""

    def fate(_: Member, since: float) -> Answer | None:
        return answer if 3600 <= since < 3600 + 60 * minutes else None

    fleet, most, opened = ManyConnections(tenants, fate), 0, 0
    fleet.run(HOUR)
    for minute in range(HOUR, HOUR + minutes):
        was_open = fleet.is_open("eu")
        fleet.run(1)
        if was_open and fleet.is_open("eu"):
            most = max(most, fleet.outcome.requests["eu", minute + 1])
        opened += not fleet.is_open("eu")
    renewed = 0
    for after in range(1, 30):
        fleet.run(1)
        now = fleet.now()
        if any(state.token_expires_at <= now for _, state in fleet.states()):
            renewed = after
    return Outage(opened + 1, most, renewed + 1)


def _neighbours() -> Iterator[str]:
    yield "| one tenant's connections are answered | " + " | ".join(f"{beside} healthy" for beside in HEALTHY) + " |"
    yield "|---" * (len(HEALTHY) + 1) + "|"
    for name, (many, answer) in ILL.items():
        yield f"| {name} | " + " | ".join(str(neighbours(many, answer, beside)) for beside in HEALTHY) + " |"


def _verdicts() -> Iterator[str]:
    yield "| wrong verdicts for | on | of one tenant | of as many | of one, beside 20 healthy | of as many, beside 20 |"
    yield "|---|---|---|---|---|---|"
    for minutes in WRONG:
        for many in (1, 3, 8, 30):
            kinds = ({"ill": many}, {f"ill-{number}": 1 for number in range(many)})
            cells = [wrong_verdicts(minutes, tenants, beside).cell for beside in (0, 20) for tenants in kinds]
            yield f"| {minutes} min | {many} | " + " | ".join(cells) + " |"
    yield ""
    yield "| wrong verdicts for | on | beside 4,000 healthy on another host |"
    yield "|---|---|---|"
    as_many = {f"ill-{number}": 1 for number in range(8)}
    for minutes, kind, tenants in ((30, "8 of as many tenants", as_many), (90, "3 of one tenant", {"ill": 3})):
        yield f"| {minutes} min | {kind} | {wrong_verdicts(minutes, tenants, 0, elsewhere=4_000).cell} |"


def _outages() -> Iterator[str]:
    yield "| outage of an hour | answers | breaker open after | requests in the busiest minute then | renewed after |"
    yield "|---|---|---|---|---|"
    for count, each in ((5, 1), (20, 1), (400, 10)):
        for kind, answer in (("502", answers(502)), ("429", answers(429)), ("no answer", hangs)):
            found = outage(HOUR, {f"t-{number}": each for number in range(count)}, answer)
            cells = f"{found.opened} min | {found.most} | {found.renewed} min"
            yield f"| {count} tenants of {each} | {kind} | {cells} |"


def main() -> None:
    """Print the tables, each row as soon as it is known."""
    for table in (_neighbours, _verdicts, _outages):
        for line in table():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
