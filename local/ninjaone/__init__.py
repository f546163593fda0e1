"""NinjaOne, pretended."""

from local.ninjaone.message import Reply
from local.ninjaone.seed import seed
from local.ninjaone.server import NinjaOne
from local.ninjaone.switches import Switches

__all__ = ["NinjaOne", "Reply", "Switches", "seed"]
