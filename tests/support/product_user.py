"""Ana, a user of the demo product, who connects it to her NinjaOne account."""

from local.browser import Browser
from local.tour import shown
from local.world import World
from tests.support.person import decide


def connected(world: World) -> str:
    """Connect as Ana does and give the connection's id."""
    with Browser() as ana:
        ana.open(world.product_url)
        ana.submit("Ana")
        ana.arrive()
        ana.submit("Connect NinjaOne", label="Main account")
        ana.arrive()
        decide(ana)
        ana.arrive()
        return shown(ana)
