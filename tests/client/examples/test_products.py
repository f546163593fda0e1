"""The example products: connect, come back, use, reconnect, disconnect, each as a person's browser meets it."""

import json
import shutil
from collections.abc import Callable

import pytest

from local.browser import Browser, Page
from local.world import World
from tests.client.examples.conftest import EXAMPLES, Shop
from tests.support.person import decide

ADA = "ada@nordlicht.example"
ORGANIZATIONS = ["Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß"]
Serve = Callable[[str], Shop]

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")
products = pytest.mark.parametrize(
    "name", ["fastapi", "flask", "django", "express", pytest.param("node", marks=needs_node)]
)


def connect(shop: Shop, person: Browser, path: str = "/ninjaone/connect", decision: str = "Authorize") -> Page:
    """Follow the product's button to NinjaOne and back, to wherever that ends."""
    person.post(shop.url + path, {})
    person.arrive()
    decide(person, decision=decision)
    return person.arrive()


def names(page: Page) -> list[str]:
    return [each["name"] for each in page.answer.json()]


def revoke(world: World) -> None:
    """End the customer's consent at NinjaOne, and let the broker find out."""
    for grant in world.ninjaone.oracle.grants():
        world.ninjaone.admin.revoke_grant(grant.id)
    world.clock.advance(3700)
    for _ in range(20):  # nobody else is granted there, so the verdict is believed after half an hour
        world.run_event_sources()
        world.clock.advance(120)


def asked(world: World) -> dict[str, set[str]]:
    """Which functions gave a token or used one, by the lines they wrote, and for which path of NinjaOne's."""
    lines = [json.loads(line) for line in world.log_lines]
    users = {line["function"] for line in lines if line.get("message") == "token.issued"}
    return {name: {line["path"] for line in lines if line.get("message") == f"{name}.called"} for name in users}


@pytest.mark.slow
@products
def test_a_product_connects_uses_reconnects_and_disconnects(serve: Serve, name: str) -> None:
    shop = serve(name)
    with Browser() as ana:
        ana.post(f"{shop.url}/sign-in/ana", {})
        made = connect(shop, ana)
        assert names(made) == ORGANIZATIONS

        revoke(shop.world)
        dead = ana.get(made.url)
        assert dead.status == 409
        assert "reconnect" in dead.answer.json()["detail"]

        again = connect(shop, ana, dead.answer.json()["reconnect"])
        assert (again.url, names(again)) == (made.url, ORGANIZATIONS)

        assert ana.post(f"{made.url}/disconnect", {}).answer.json() == {"revoked": True}
        assert ana.get(made.url).status == 409


@pytest.mark.slow
@pytest.mark.parametrize("name", ["django", pytest.param("node", marks=needs_node)])
def test_a_person_whose_answer_was_lost_loads_the_return_address_again(serve: Serve, name: str) -> None:
    """Before it, a call that failed, here for want of a ticket, must not cost the person the connection."""
    shop = serve(name)
    with Browser() as ana:
        ana.post(f"{shop.url}/sign-in/ana", {})
        ana.post(f"{shop.url}/ninjaone/connect", {})
        ana.arrive()
        decide(ana)
        home = ana.follow().location
        assert ana.get(home.partition("&ticket=")[0]).status == 400

        made = ana.get(home).location
        assert ana.get(home).location == made
        assert names(ana.open(shop.url + made.removeprefix(shop.url))) == ORGANIZATIONS


@pytest.mark.slow
@products
def test_a_product_keeps_strangers_out(serve: Serve, name: str) -> None:
    shop = serve(name)
    with Browser() as ana, Browser() as ben, Browser() as nobody:
        ana.post(f"{shop.url}/sign-in/ana", {})
        ben.post(f"{shop.url}/sign-in/ben", {})
        made = connect(shop, ana)

        assert ben.get(made.url).status == 404
        assert ben.post(f"{made.url}/disconnect", {}).status == 404
        assert nobody.get(made.url).status in {401, 403}
        assert nobody.post(f"{shop.url}/ninjaone/connect", {}).status in {401, 403}

        link = ana.post(f"{shop.url}/ninjaone/connect", {}).location
        ben.open(link)
        decide(ben)
        assert ben.arrive().status == 400

        assert connect(shop, ana, decision="Deny access").status == 400
        assert ana.get(f"{shop.url}/ninjaone/return").location in {"/", f"{shop.url}/"}


@pytest.mark.slow
def test_the_express_product_lists_all_devices_without_a_token(serve: Serve) -> None:
    shop = serve("express")
    with Browser() as ana:
        ana.post(f"{shop.url}/sign-in/ana", {})
        made = connect(shop, ana)
        devices = ana.get(f"{made.url}/devices").answer.json()

    assert len(devices) == len({each["id"] for each in devices}) > 5
    assert asked(shop.world) == {"proxy": {"/v2/organizations", "/v2/devices"}}


@pytest.mark.parametrize("name", ["fastapi", "flask", "django"])
def test_a_product_in_python_is_sixty_lines_at_most(name: str) -> None:
    lines = (EXAMPLES / f"{name}_product.py").read_text().splitlines()

    assert len([line for line in lines if line.strip()]) <= 60
