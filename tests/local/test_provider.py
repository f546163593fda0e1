"""The OAuth part against an authorization server that nobody here wrote."""

from collections.abc import Iterator

import httpx
import pytest

from local.browser import Browser
from local.product.backend import Backend
from local.tour import shown
from local.world import World
from ninjaone_emulator.wsgi_server import serve
from tests.local.authority import App, Authority
from tests.support.local_world import still_world

TENANT = "southgate"


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # Authlib wants https; all of this is on loopback
    return Authority(App("an-app", "its-secret", "", frozenset({"monitoring", "offline_access"})))


@pytest.fixture
def world(authority: Authority) -> Iterator[World]:
    with serve(authority.serve()) as other, still_world(provider=other.url) as made:
        authority.app.redirect_uri = f"{made.connect_url}/callback/eu"
        yield made


def connected(world: World) -> str:
    """Connect with the client app that the other server knows; give the connection's id."""
    with Browser() as chloe:
        chloe.open(world.product_url)
        chloe.submit("Chloe")
        chloe.arrive()
        chloe.submit("Connect with your own client app")
        chloe.arrive()
        chloe.submit("Continue to NinjaOne", region="eu", client_id="an-app", client_secret="its-secret")
        assert chloe.arrive().heading == "Consent"
        chloe.submit("Authorize")
        chloe.arrive()
        return shown(chloe)


def organizations(world: World, access_token: str) -> httpx.Response:
    bearer = {"authorization": f"Bearer {access_token}"}
    return httpx.get(f"{world.ninjaone_url}/v2/organizations?pageSize=1", headers=bearer, trust_env=False)


def test_a_code_is_exchanged_and_the_tokens_work(world: World, authority: Authority) -> None:
    connection = connected(world)
    backend = Backend(world.api_url, world.credentials)
    token = backend.token(TENANT, connection)

    assert organizations(world, token["access_token"]).json() == [{"id": 1, "name": "Page of 1"}]
    assert backend.connection(TENANT, connection)["organizations"] == [{"id": 1, "name": "Page of 20"}]
    assert authority.codes == {}
    assert list(world.failures) == []


def test_tokens_are_replaced_before_they_end(world: World, authority: Authority) -> None:
    connection = connected(world)
    first = authority.tokens[-1]
    world.clock.advance(first.expires_at - world.clock.now() - 60)

    world.run_event_sources()

    assert (len(authority.tokens), first.revoked) == (2, True)
    token = Backend(world.api_url, world.credentials).token(TENANT, connection)
    assert token["access_token"] == authority.tokens[-1].access_token
    assert organizations(world, token["access_token"]).status_code == 200
