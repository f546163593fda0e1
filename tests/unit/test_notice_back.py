"""The button of a notice leads back to the product that opened the session, where that is known."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from broker.edge.browser import cookie_name
from broker.edge.wiring import Broker
from broker.errors import NoRefreshToken
from broker.model import Binding, Client
from functions.authorize.app import handler as authorize
from functions.callback.app import handler as callback
from functions.connect.app import handler as connect
from tests.support.broker_world import Clock, NinjaOneTransport
from tests.support.events import event
from tests.support.invoke import invoke
from tests.support.journey import OWN, Journey

FIRST, SECOND = "https://app.example/return", "https://second.example/back"


def notice(broker: Broker, query: str) -> str:
    asked = event("GET /notice/{notice}", notice="refused-callback", query=query) | {"routeKey": "$default"}
    return str(invoke(connect.bind(broker), asked)["body"])


def leads_to(page: str, address: str) -> bool:
    return f'class="button" href="{address}"' in page


def test_a_link_that_ran_out_leads_to_its_own_return_address(broker: Broker, journey: Journey, clock: Clock) -> None:
    opened = journey.open(return_to="second")
    clock.advance(1801)

    answered = invoke(connect.bind(broker), event("GET /connect/{session}", session=opened.session))

    assert answered["statusCode"] == 410
    assert leads_to(answered["body"], SECOND)


NO_REFRESH_TOKEN = {"access_token": "at", "token_type": "Bearer"}


@pytest.mark.parametrize("app", [None, OWN])
def test_whose_own_app_was_refused_after_they_left_reads_why_at_their_link(
    broker: Broker, journey: Journey, network: NinjaOneTransport, app: Client | None
) -> None:
    """With an approval the person was thanked before the code was sent."""
    opening: dict[str, Any] = {"binding": Binding.APPROVAL, "binding_challenge": "", "customer_app": app is not None}
    session = journey.home(client=app, **opening).session
    network.answer(200, NO_REFRESH_TOKEN)
    broker.complete_unattended(session)

    answered = invoke(connect.bind(broker), event("GET /connect/{session}", session=session))

    assert answered["statusCode"] == 410
    assert (NoRefreshToken.detail in answered["body"]) is (app is not None)


@pytest.mark.parametrize("form", ["authorize", "secret"])
def test_the_address_of_a_form_leads_to_the_page_with_it(broker: Broker, journey: Journey, form: str) -> None:
    session = journey.open().session

    answered = invoke(connect.bind(broker), event(f"GET /connect/{session}/{form}") | {"routeKey": "$default"})

    assert (answered["statusCode"], answered["headers"]["location"]) == (303, f"/connect/{session}")


@pytest.mark.parametrize("path", ["/connect/ses_x/secret", "/connect//evil.example/secret", "/connect/a/b/secret"])
def test_an_address_like_a_form_s_without_a_session_leads_nowhere(broker: Broker, path: str) -> None:
    answered = invoke(connect.bind(broker), event(f"GET {path}") | {"routeKey": "$default"})

    assert answered["statusCode"] == 404


def test_a_link_in_use_elsewhere_leads_to_its_own_return_address(broker: Broker, journey: Journey) -> None:
    opened = journey.open(return_to="second")
    journey.leave(opened)
    asked = event(
        "POST /connect/{session}/authorize",
        session=opened.session,
        form={"region": "eu"},
        headers={"sec-fetch-site": "same-origin"},
    )

    answered = invoke(authorize.bind(broker), asked)

    assert answered["statusCode"] == 409
    assert leads_to(answered["body"], SECOND)


def test_a_callback_that_can_t_be_used_leads_there_by_the_key_alone(broker: Broker, journey: Journey) -> None:
    opened = journey.open(return_to="second")
    leaving = journey.leave(opened)
    cookies = {cookie_name(opened.session): leaving.cookie.reveal()}
    asked: dict[str, Any] = event("GET /callback/{region}", region="app", query=journey.agree(leaving), cookies=cookies)

    location = urlsplit(invoke(callback.bind(broker), asked)["headers"]["location"])

    assert location.path == "/notice/refused-callback"
    assert location.query.endswith("&return_to=second")
    assert leads_to(notice(broker, location.query), SECOND)


@pytest.mark.parametrize("told", ["", "return_to=", "return_to=third", "return_to=https://evil.example"])
def test_a_key_that_is_not_listed_leads_to_the_first(broker: Broker, told: str) -> None:
    page = notice(broker, told)

    assert leads_to(page, FIRST)
    assert "evil" not in page


@pytest.mark.parametrize("behind", [".", ")", ">", ",", "\u201d", " ", "\u200b", "**", ").", '"', "\u3002"])
def test_what_a_mail_program_puts_behind_a_link_is_left_out(broker: Broker, journey: Journey, behind: str) -> None:
    opened = journey.open()

    answered = invoke(connect.bind(broker), event("GET /connect/{session}", session=opened.session + behind))

    assert (answered["statusCode"], answered["headers"]["location"]) == (303, f"/connect/{opened.session}")


@pytest.mark.parametrize("behind", ["/", "//", "/."])
def test_a_slash_behind_a_link_is_left_out(broker: Broker, journey: Journey, behind: str) -> None:
    path = f"/connect/{journey.open().session}"

    answered = invoke(connect.bind(broker), event(f"GET {path}{behind}") | {"routeKey": "$default"})

    assert (answered["statusCode"], answered["headers"]["location"]) == (303, path)


@pytest.mark.parametrize("behind", ["a", "2", ".html", "." * 9])
def test_a_link_with_something_else_behind_it_is_another(broker: Broker, journey: Journey, behind: str) -> None:
    opened = journey.open()

    answered = invoke(connect.bind(broker), event("GET /connect/{session}", session=opened.session + behind))

    assert answered["statusCode"] == 410
