"""The local world as most tests want it: worked by hand, on a clock that stands still."""

from typing import Any

from local.clock import StillClock
from local.world import World
from tests.support.broker_world import QuickAws


def still_world(**options: Any) -> World:
    """Make a world in which queues, stream and schedule work when they are run, and time passes when it is moved.

    Its DynamoDB is that of the simulation, which takes a tenth of the processor time of moto's.

    Args:
        options: further arguments of `local.world.World`
    """
    options.setdefault("account", QuickAws)
    return World(background=False, clock=StillClock(), **options)
