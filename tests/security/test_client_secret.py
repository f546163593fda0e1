"""The link for a customer's new client secret, attacked over real HTTP: who may use it, and where the secret shows."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.browser import Browser
from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.support.http_flow import Backend, Flow, row_of, slug
from tests.support.person import query_of
from tools.requirements import req

APP = CUSTOMER_APPS["eu"]
BUTTON = "Store the new secret"
OURS = {"Sec-Fetch-Site": "same-origin"}
OpenBrowser = Callable[[], Browser]


@pytest.fixture
def made(world: World, flow: Flow) -> dict[str, Any]:
    """A connection with the customer's own client app."""
    flow.open(client="customer", client_credentials={"client_id": APP.client_id, "client_secret": current(world)},
              region="eu")  # fmt: skip
    return flow.connect()


@pytest.fixture
def secret(world: World, made: dict[str, Any]) -> str:
    """The app's new secret; the old one is worth nothing."""
    return world.ninjaone.admin.rotate_secret(APP.client_id)


@pytest.fixture
def asked(world: World, backend: Backend, browser: OpenBrowser, tenant: str, made: dict[str, Any]) -> Flow:
    """A link that asks for the new secret."""
    again = Flow(world, backend, browser(), tenant)
    return again.open(**wanted(made))


def wanted(made: dict[str, Any]) -> dict[str, Any]:
    return {"purpose": "client_secret", "connection_id": made["connection_id"], "scopes": None}


def current(world: World) -> str:
    return world.ninjaone.app(APP.client_id).secret


def submit(asked: Flow, secret: str, person: Browser | None = None) -> Any:
    """Open the link and send its form."""
    person = person or asked.browser
    person.open(asked.connect_url)
    return person.submit(BUTTON, client_secret=secret)


@req("A10", "G01", "J04", "A08")
def test_the_secret_is_entered_once_and_shows_nowhere(
    world: World, asked: Flow, secret: str, backend: Backend, made: dict[str, Any]
) -> None:
    page = submit(asked, secret)
    assert page.status == 200, page.text
    answer = asked.complete(query_of(page.location)["ticket"])

    assert answer.status_code == 200, answer.text
    assert (answer.json()["connection_id"], answer.json()["version"]) == (made["connection_id"], made["version"])
    world.run_event_sources()
    token = backend.post(f"/v1/tenants/{asked.tenant}/connections/{made['connection_id']}/token").json()
    assert token["version"] > made["version"]
    said = "\n".join([*world.log_lines, *(each.answer.text + str(each.headers) for each in asked.browser.pages)])
    said += "\n".join(each.text + str(each.headers) for each in backend.answers.seen)
    stored = json.dumps([world.aws("dynamodb").scan(TableName=each.name)["Items"] for each in world.template.tables],
                        default=repr)  # fmt: skip
    assert secret not in said + stored + page.location
    assert asked.browser.open(asked.connect_url).status == 410


@req("A10")
def test_a_hundred_looks_at_the_page_change_nothing(world: World, asked: Flow) -> None:
    before = row_of(world, asked.session)

    pages = {asked.browser.get(asked.connect_url).answer.content for _ in range(20)}

    assert len(pages) == 1
    assert row_of(world, asked.session) == before


@req("A11")
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_a_form_from_a_foreign_page_plants_no_secret(world: World, asked: Flow, headers: dict[str, str]) -> None:
    before = row_of(world, asked.session)

    answer = httpx.post(
        f"{asked.connect_url}/secret", data={"client_secret": "planted"}, headers=headers, trust_env=False
    )

    assert (answer.status_code, "set-cookie" in answer.headers) == (400, False)
    assert row_of(world, asked.session) == before


@pytest.mark.parametrize("typed", ["", " ", "x" * 257, "a b", "\x00", "sécret"])
def test_what_can_be_no_secret_is_said_and_asked_for_again(asked: Flow, typed: str) -> None:
    page = submit(asked, typed)

    assert page.status == 400
    assert "Enter the client secret" in page.text
    assert page.form(BUTTON).untouched == {"client_secret": ""}


def test_a_wrong_secret_is_told_and_shown_to_nobody(asked: Flow, secret: str) -> None:
    page = submit(asked, "a-mistyped-one")

    assert (page.status, "NinjaOne refuses this secret" in page.text) == (400, True)
    assert "a-mistyped-one" not in page.answer.text
    assert submit(asked, secret).status == 200


@req("A12")
def test_a_second_browser_enters_nothing(asked: Flow, secret: str, browser: OpenBrowser) -> None:
    submit(asked, secret)

    second = submit(asked, "planted", browser())

    assert (second.status, second.heading) == (409, "This link is in use in another browser")


@req("H02")
def test_another_tenant_opens_no_link_for_it_and_completes_none(
    world: World, asked: Flow, secret: str, backend: Backend, browser: OpenBrowser, made: dict[str, Any]
) -> None:
    foreign = Flow(world, backend, browser(), "globex")
    refused = backend.post("/v1/tenants/globex/connect-sessions", foreign.opening(**wanted(made)))
    assert (refused.status_code, slug(refused)) == (404, "unknown-connection")

    ticket = query_of(submit(asked, secret).location)["ticket"]
    stolen = asked.complete(ticket, tenant="globex")
    assert (stolen.status_code, slug(stolen)) == (403, "binding-mismatch")
    other = asked.complete(ticket, end_user_id="somebody-else")
    assert (other.status_code, slug(other)) == (403, "binding-mismatch")


def test_a_link_does_what_it_was_opened_for_and_nothing_else(
    asked: Flow, world: World, backend: Backend, browser: OpenBrowser, tenant: str
) -> None:
    left = asked.leave("eu", {"client_id": APP.client_id, "client_secret": "any"})
    assert (left.status, left.location) == (400, "")

    connecting = Flow(world, backend, browser(), tenant).open(client="customer")
    page = connecting.browser.post(f"{connecting.connect_url}/secret", {"client_secret": "any"})
    assert (page.status, page.location) == (400, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"binding": "approval", "binding_challenge": None},
        {"connection_id": None},
        {"region": "eu"},
        {"client": "customer"},
        {"scopes": ["monitoring"]},
        {"purpose": "consent"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_link_for_a_secret_is_asked_for_whole_and_with_nothing_else(
    asked: Flow, backend: Backend, made: dict[str, Any], changes: dict[str, Any]
) -> None:
    refused = backend.post(f"/v1/tenants/{asked.tenant}/connect-sessions", asked.opening(**wanted(made) | changes))

    assert (refused.status_code, slug(refused)) == (400, "invalid-request")
    assert next(iter(changes)) in {fault["field"] for fault in refused.json()["faults"]}
