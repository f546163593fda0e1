"""Ana, a user of the demo product, who connects it to her NinjaOne account."""

from local.browser import Browser
from local.tour import shown
from local.world import World


def connected(world: World) -> str:
    """Connect as Ana does and give the connection's id."""
    with Browser() as ana:
        ana.open(world.product_url)
        ana.submit("Ana")
        ana.arrive()
        ana.submit("Connect NinjaOne", label="Main account")
        ana.arrive()
        ana.submit("Continue to NinjaOne", region="eu")
        ana.arrive()
        ana.submit("Sign in", email="ada@nordlicht.example", password="any")
        ana.arrive()
        ana.submit("Authorize")
        ana.arrive()
        return shown(ana)
