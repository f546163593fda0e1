"""The local world as most tests want it: worked by hand, on a clock that stands still."""

from typing import Any

from local.clock import StillClock
from local.world import World


def still_world(**options: Any) -> World:
    """Make a world in which queues, stream and schedule work when `pump` is called, and time passes when it is moved.

    options   further arguments of `local.world.World`
    """
    return World(background=False, clock=StillClock(), **options)
