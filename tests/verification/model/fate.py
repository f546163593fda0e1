"""What befalls invocations from outside: they are killed, their leases run out, their requests arrive late."""

from tests.verification.model.protocol import Move, Moves
from tests.verification.model.provider import Mode, answers
from tests.verification.model.rules import Rules
from tests.verification.model.state import Invocation, World


def crash(me: Invocation, world: World) -> Move:
    """Kill the invocation; what it holds is lost, what it has sent may still be executed."""
    late = me.token if me.at == "reply" else None
    return Move("killed", f"before {me.at}", None, world, ("crash",), excused=me.held is not None, late=late)


def arrivals(mode: Mode, token: int, world: World) -> Moves:
    """Execute a request whose sender no longer listens."""
    for granted, after, fault, breaches in answers(mode, token, world):
        faults = (fault,) if fault else ()
        outcome = "refused" if granted is None else "granted"
        yield Move("late request", outcome, None, after, faults, breaches, excused=True, late=token)


def expiry(world: World, *, early: bool) -> Move:
    """Let the lease run out; `early`: while its holder lives."""
    free = world._replace(row=world.row._replace(leased=False))
    return Move("lease", "expired early" if early else "expired", None, free, ("early",) if early else ())


def holds_lease(rules: Rules, me: Invocation, world: World) -> bool:
    """Say whether the lease in force is this invocation's."""
    return world.row.leased and me.fence == world.row.fence and not rules.precedes_lease(me.at)


def is_private(rules: Rules, me: Invocation) -> bool:
    """Say whether the step this invocation stands before may be taken at once, before anybody else's.

    A lease is won by comparing what was read: an invocation that reads and then loses has done nothing, and one
    that wins might as well have read, opened and fetched just before. A quarantine changes nothing that
    anybody can see.
    """
    if me.at == "quarantine":
        return rules.quarantine
    return rules.owns_lease and rules.precedes_lease(me.at)
