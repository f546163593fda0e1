"""The demo product: what its user sees, whatever the broker answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials
from flask import Flask, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from jinja2 import Environment, FileSystemLoader

import local.product
from broker import oauth
from broker.edge.problems import error_response
from broker.errors import BrokerError, ClientAppError
from broker.flows.pause import HeldBy
from broker.ninjaone import BRANDED, REGION_NAMES, REGIONS
from broker.secret import Secret
from local.browser import Browser, words
from local.product import create_app
from local.product.backend import Backend
from local.product.words import TITLES, TO_DO
from ninjaone_emulator import hosts
from ninjaone_emulator.seed import ACCOUNTS
from ninjaone_emulator.wsgi_server import serve


def every(kind: type[BrokerError]) -> list[BrokerError]:
    """One error of every kind that has no kinds below it."""
    below = [error for each in kind.__subclasses__() for error in every(each)]
    return below or [kind(customer_app=True) if issubclass(kind, ClientAppError) else kind.__new__(kind)]


PROBLEMS = [(error.slug(), error_response(error).status) for error in every(BrokerError)]
CONNECTION = "con_" + "a" * 26
FOUND = {
    "connection_id": CONNECTION,
    "label": "Lab",
    "status": "active",
    "reason": None,
    "region": "eu",
    "host": "eu.ninjarmm.com",
    "organizations": [],
    "scopes": ["monitoring"],
    "client": "operator",
    "token_expires_at": 4_000_000_000,
    "refresh_at": 1,
    "consent_ends_at": None,
    "paused": None,
    "probably_same_as": None,
    "version": 1,
}
TEMPLATES = Path(local.product.__file__).parent / "templates"
SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/execute-api/aws4_request, ")


@dataclass
class Script:
    """A server in the broker's place that gives the answers it is told to, and keeps what it was asked.

    Attributes:
        targets: the paths and queries as they were sent, not decoded
        passed: whether the answers are marked as NinjaOne's own
    """

    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    passed: bool = False

    def app(self) -> Flask:
        app = Flask("script")
        app.add_url_rule("/<path:path>", view_func=self.answer, methods=["GET", "POST", "DELETE"])
        return app

    def answer(self, path: str) -> ResponseReturnValue:
        assert SIGNED.match(request.headers["Authorization"])
        self.targets.append(request.environ["REQUEST_URI"])
        self.asked.append((request.method, request.full_path.rstrip("?"), request.get_json(silent=True)))
        status, body = self.answers.pop(0)
        answered = make_response(body if isinstance(body, str) else jsonify(body), status)
        if self.passed:
            answered.headers["x-ninjaone-connect"] = "passed"
        return answered


@dataclass(frozen=True)
class Product:
    """The product in front of a script."""

    url: str
    broker_url: str
    script: Script


@pytest.fixture(scope="module")
def served() -> Iterator[Product]:
    script = Script()
    with serve(script.app()) as broker:
        app = create_app(broker.url, broker.url, Credentials("AKIDEXAMPLE", "secret"))
        with serve(app) as server:
            yield Product(server.url, broker.url, script)


@pytest.fixture
def product(served: Product) -> Product:
    served.script.answers.clear()
    served.script.asked.clear()
    served.script.targets.clear()
    served.script.passed = False
    return served


@pytest.fixture
def ana(product: Product) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open(product.url)
        product.script.answers.append((200, {"connections": [], "cursor": None}))
        browser.submit("Ana")
        browser.arrive()
        product.script.asked.clear()
        yield browser


def problem(slug: str, status: int, **more: object) -> tuple[int, dict[str, Any]]:
    said = {
        "type": f"urn:ninjaone-connect:problem:{slug}",
        "title": f"About {slug}",
        "detail": "What was wrong.",
    }
    return status, {**said, "status": status, "request_id": "req-7", **more}


def test_nobody_sees_anything_before_signing_in(product: Product) -> None:
    with Browser() as browser:
        for path in ("/", "/integrations", f"/connections/{CONNECTION}", f"/connections/{CONNECTION}/state"):
            assert browser.open(product.url + path).heading == "Sign in"

    assert product.script.asked == []


def test_a_return_without_sign_in_uses_nothing_and_says_so(product: Product) -> None:
    with Browser() as browser:
        page = browser.open(f"{product.url}/ninjaone/return?connect_session=ses_x&ticket=t")

        assert "Nobody is signed in here" in page.text
        assert page.url.endswith("connect_session=ses_x&ticket=t"), "the command line completes with this address"
        assert product.script.asked == []
        product.script.answers.append((200, {"connections": [], "cursor": None}))
        browser.submit("Ana")
        assert browser.arrive().heading == "Integrations"


def test_a_return_that_was_not_begun_in_this_browser_is_refused(product: Product, ana: Browser) -> None:
    page = ana.get(f"{product.url}/ninjaone/return?connect_session=ses_x&ticket=t")

    assert (page.status, page.heading) == (403, "This connection was not begun here")
    assert product.script.asked == []


def test_a_return_without_a_session_shows_what_is_connected(product: Product, ana: Browser) -> None:
    """Where the button of the broker's pages leads."""
    ana.get(f"{product.url}/ninjaone/return")

    assert ana.page.location == f"{product.url}/integrations"


def test_a_form_of_another_site_is_refused(product: Product, ana: Browser) -> None:
    page = ana.post(f"{product.url}/ninjaone/connect", {"client": "operator", "form_token": "guessed"})

    assert page.status == 400
    assert product.script.asked == []


def test_an_unknown_name_cannot_sign_in(product: Product) -> None:
    with Browser() as browser:
        token = browser.open(product.url).form("Ana").untouched["form_token"]
        browser.post(f"{product.url}/sign-in", {"form_token": token, "user": "mallory"})

        assert "Choose who you are." in browser.arrive().text


def test_signing_in_forgets_what_was_begun_before(product: Product, ana: Browser) -> None:
    product.script.answers.append((201, {"session_id": "ses_1", "connect_url": product.url + "/x"}))
    ana.submit("Connect NinjaOne")
    ana.open(product.url + "/sign-in")
    product.script.answers.append((200, {"connections": [], "cursor": None}))
    ana.submit("Ana")
    ana.arrive()

    assert ana.get(f"{product.url}/ninjaone/return?connect_session=ses_1&ticket=t").status == 403


def test_a_connect_session_names_the_person_the_tenant_and_the_challenge_of_their_verifier(
    product: Product, ana: Browser
) -> None:
    product.script.answers.append((201, {"session_id": "ses_1", "connect_url": product.url + "/x"}))
    ana.submit("Connect with your own client app", label="Lab", scope="management")
    product.script.answers += [problem("code-refused", 400)]
    ana.get(f"{product.url}/ninjaone/return?connect_session=ses_1&ticket=tick")

    (_, opened, session_request), (_, completed, proof) = product.script.asked
    challenge = session_request.pop("binding_challenge")
    assert opened == "/v1/tenants/northwind/connect-sessions"
    assert session_request == {
        "end_user_id": "ana",
        "tenant_name": "Northwind IT Services",
        "return_to": "main",
        "client": "customer",
        "scopes": ["monitoring", "management"],
        "label": "Lab",
    }
    assert completed == "/v1/tenants/northwind/connect-sessions/ses_1/complete"
    assert oauth.challenge(Secret(proof.pop("binding_verifier"))) == challenge
    assert proof == {"end_user_id": "ana", "ticket": "tick", "confirm_account_change": False}


@pytest.mark.parametrize(
    "name",
    ["../../southgate/connections/con_1", "x/../../../southgate", "con_1?limit=1", "con_1#", "%2e%2e%2fsouthgate"],
)
def test_no_id_out_of_a_browser_leads_to_another_tenant(product: Product, ana: Browser, name: str) -> None:
    token = ana.page.form("Connect NinjaOne").untouched["form_token"]
    product.script.targets.clear()
    product.script.answers.append(problem("unknown-connection", 404))

    ana.post(f"{product.url}/ninjaone/connect", {"form_token": token, "connection": name})

    assert product.script.targets == ["/v1/tenants/northwind/connections/" + quote(name, safe="")]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("access_denied", "choose Authorize"),
        ("invalid_scope", "Tick the scopes"),
        ("unauthorized_client", "its platform must be Web"),
        ("server_error", "NinjaOne itself has trouble"),
        ("temporarily_unavailable", "NinjaOne itself has trouble"),
    ],
)
def test_each_reason_not_to_come_back_with_a_ticket_is_told(
    product: Product, ana: Browser, error: str, advice: str
) -> None:
    page = ana.get(f"{product.url}/ninjaone/return?connect_session=ses_1&error={error}")

    assert advice in page.text
    assert ("Access was denied" in page.text) is (error == "access_denied")
    assert product.script.asked == []


@pytest.mark.parametrize(
    ("status", "told"), [("active", "NinjaOne is connected."), ("disconnected", "has been disconnected since")]
)
def test_a_return_opened_again_says_how_the_connection_stands(
    product: Product, ana: Browser, status: str, told: str
) -> None:
    found = FOUND | {"status": status}
    product.script.answers += [
        (201, {"session_id": "ses_1", "connect_url": product.url + "/x"}), (200, found), (200, found)
    ]  # fmt: skip
    ana.submit("Connect NinjaOne")

    page = ana.open(f"{product.url}/ninjaone/return?connect_session=ses_1&ticket=tick")

    assert told in page.text
    assert ("NinjaOne is connected." in page.text) is (status == "active")


@pytest.mark.parametrize("body", ["<html>Sign in to the network</html>", "", [], "null"])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_that_is_not_the_broker_s_is_told_in_words(
    product: Product, ana: Browser, status: int, body: Any
) -> None:
    product.script.answers.append((status, body))

    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert page.status in {502, 503}
    assert page.heading in {"The connection service gives no answer that can be read", "This did not work"}


@pytest.mark.parametrize("answer", [{"resultCode": "FAILURE"}, ["x"], 5, "<html>", None])
def test_an_answer_of_ninjaone_that_is_no_list_is_told_in_words(product: Product, ana: Browser, answer: Any) -> None:
    token = ana.page.form("Connect NinjaOne").untouched["form_token"]
    product.script.passed = True
    product.script.answers.append((200, answer))

    page = ana.post(f"{product.url}/connections/{CONNECTION}/call", {"form_token": token})

    assert (page.status, page.heading) == (502, "NinjaOne gave no answer that can be read")


def test_a_connection_that_was_ended_meanwhile_sends_nobody_to_ninjaone(product: Product, ana: Browser) -> None:
    token = ana.page.form("Connect NinjaOne").untouched["form_token"]
    product.script.answers.append((200, FOUND | {"status": "disconnected"}))

    page = ana.post(f"{product.url}/ninjaone/connect", {"form_token": token, "connection": CONNECTION})

    assert (page.status, page.heading) == (409, "This connection has ended")
    assert [method for method, _, _ in product.script.asked] == ["GET"]


def test_a_name_of_spaces_counts_as_none(product: Product, ana: Browser) -> None:
    product.script.answers.append((201, {"session_id": "ses_1", "connect_url": f"{product.broker_url}/connect/ses_1"}))

    ana.submit("Connect NinjaOne", label=" \u3000 ")

    assert "label" not in product.script.asked[0][2]


@pytest.mark.parametrize(("button", "name"), [("approve", "not-pending"), ("disconnect", "not-active")])
def test_a_button_pressed_twice_shows_the_connection(product: Product, ana: Browser, button: str, name: str) -> None:
    token = ana.page.form("Connect NinjaOne").untouched["form_token"]
    product.script.answers.append(problem(name, 409))

    page = ana.post(f"{product.url}/connections/{CONNECTION}/{button}", {"form_token": token})

    assert (page.status, page.location) == (303, f"{product.url}/connections/{CONNECTION}")


@pytest.mark.parametrize("button", ["approve", "disconnect"])
def test_another_problem_of_a_button_is_told(product: Product, ana: Browser, button: str) -> None:
    token = ana.page.form("Connect NinjaOne").untouched["form_token"]
    product.script.answers.append(problem("unknown-connection", 404))

    assert ana.post(f"{product.url}/connections/{CONNECTION}/{button}", {"form_token": token}).status == 404


@pytest.mark.parametrize(("name", "status"), PROBLEMS)
def test_every_problem_is_told_in_words(product: Product, ana: Browser, name: str, status: int) -> None:
    product.script.answers.append(problem(name, status, retry_after=7))

    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert page.status == status
    assert page.heading == TITLES.get(name, page.heading)
    assert "About" not in page.answer.text, "the broker's title is for developers"
    assert "What was wrong." not in page.answer.text
    assert re.search(r"What to do \S.{15,}", page.text)
    is_passing = name not in TO_DO and status in {429, 503, 504}
    assert ("Try again in 7 seconds." in page.text) == is_passing
    assert ("Wait 7 seconds first." in page.text) == (name in TO_DO)
    assert "in a moment" not in page.text
    assert "Reference req-7" in page.text


def test_what_the_broker_says_to_developers_is_in_the_log(
    product: Product, ana: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [{"field": "scopes", "message": "Pass a list of scopes"}]
    product.script.answers.append(problem("invalid-request", 400, faults=faults))

    page = ana.submit("Connect NinjaOne")

    assert (page.heading, "Pass a list" in page.text) == ("This did not work", False)
    assert "What was wrong." in caplog.text
    assert "Pass a list of scopes" in caplog.text


def test_whatever_has_advice_has_a_title_of_the_product_s_own() -> None:
    assert TITLES.keys() == TO_DO.keys() & {name for name, _ in PROBLEMS}


def test_advice_is_given_only_for_problems_that_exist() -> None:
    assert TO_DO.keys() - {name for name, _ in PROBLEMS} == {
        "ninjaone-fails",
        "ninjaone-refused",
        "400",
        "404",
        "405",
    }  # the product's own


@pytest.mark.parametrize(("method", "path", "status"), [("get", "/no/such/page", 404), ("post", "/integrations", 400)])
def test_the_product_s_own_errors_are_pages_that_say_how_to_go_on(
    ana: Browser, product: Product, method: str, path: str, status: int
) -> None:
    address = product.url + path
    page = ana.get(address) if method == "get" else ana.post(address, {"form_token": "guessed"})

    assert page.status == status
    assert re.search(r"What to do \S.{15,}", page.text)
    assert product.url + "/integrations" in page.links


def test_disconnecting_is_asked_first(product: Product, ana: Browser) -> None:
    """The button stands in a part of the page that is closed until somebody opens it."""
    product.script.answers.append((200, FOUND | {"status": "active"}))
    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    [asked] = page.html.css("details:not([open])")
    assert page.form("Disconnect now").method == "post"
    assert "loses its access at once" in words(asked)
    assert "Disconnect now" in words(asked)


@pytest.mark.parametrize(
    ("status", "held", "first"),
    [
        ("active", (), "Use the token"),
        ("needs_reauth", (), "Reconnect"),
        ("paused", ("host", "http_500"), "Use the token"),
        ("paused", ("customer_app", "invalid_client"), "Enter the new secret"),
        ("paused", ("customer_app", "unauthorized_client"), "Use the token"),
        ("paused", ("customer_app", "unknown_client"), "Reconnect"),
    ],
)
def test_a_connection_leads_with_what_its_customer_has_to_do(
    product: Product, ana: Browser, status: str, held: tuple[str, ...], first: str
) -> None:
    product.script.answers.append((200, FOUND | {"status": status, "paused": pause(*held) if held else None}))
    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert [words(button) for button in page.html.css("button.main")] == [first]
    assert len([form for form in page.html.css("h2") if words(form) == "Reconnect"]) == 1
    assert ("Next renewal" in page.text) == (status == "active")


NOW = 2_000_000_000
DAY = 86_400


@pytest.mark.parametrize(
    ("left", "chip", "sentence"),
    [
        (8 * DAY, "Active", ""),
        (6 * DAY, "Agree again by 24 May 2033", "ends on about 24 May 2033 (an estimate). Agree again before then"),
        (0, "Agree again now", "has probably run out: it was expected to end on 18 May 2033. Agree again."),
    ],
)
def test_a_customer_is_asked_to_agree_again_from_a_week_before_consent_ends(
    later: Product, left: int, chip: str, sentence: str
) -> None:
    found = FOUND | {"consent_ends_at": NOW + left}
    with Browser() as browser:
        browser.open(later.url)
        later.script.answers += [(200, {"connections": [found], "cursor": None}), (200, found), (200, found)]
        browser.submit("Ana")
        listed = browser.arrive()
        page = browser.get(f"{later.url}/connections/{CONNECTION}")
        state = browser.get(f"{later.url}/connections/{CONNECTION}/state").answer.json()["status"]

    chips = [words(each) for shown in (listed, page) for each in shown.html.css(".chip")]
    assert chips == [chip, chip]
    assert json.loads(page.html.css("[data-words]")[0].attributes["data-words"] or "")[state] == chip
    assert sentence in page.text
    assert [words(button) for button in page.html.css("button.main")] == ["Reconnect" if sentence else "Use the token"]
    assert (page.text.find("Agree at NinjaOne once more") < page.text.find("Region")) == bool(sentence)


@pytest.fixture
def later(product: Product) -> Iterator[Product]:
    """The product at an instant that a test knows."""
    app = create_app(product.broker_url, product.broker_url, Credentials("AKIDEXAMPLE", "secret"), now=lambda: NOW)
    with serve(app) as server:
        yield replace(product, url=server.url)


@pytest.mark.parametrize("reason", ["consent_ended", "revoked"])
def test_a_connection_that_needs_its_customer_offers_nothing_that_can_only_fail(
    product: Product, ana: Browser, reason: str
) -> None:
    product.script.answers.append((200, FOUND | {"status": "needs_reauth", "reason": reason}))
    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert not {"Use the token", "Call through NinjaOne Connect"} & {words(each) for each in page.html.css("button")}
    assert ("NinjaOne is asked again" in page.text) == (reason != "consent_ended")


@pytest.mark.parametrize("held_by", HeldBy)
def test_a_customer_reads_why_a_connection_is_paused_in_words_for_them(
    product: Product, ana: Browser, held_by: str
) -> None:
    product.script.answers.append((200, FOUND | {"status": "paused", "paused": pause(held_by, "read_error")}))
    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert "NinjaOne" in words(page.html.css_first(".said.warn"))
    assert "For developers." not in page.answer.text
    assert "read_error" not in page.answer.text


@pytest.mark.parametrize("cause", ["invalid_client", "unauthorized_client", "unknown_client"])
def test_a_customer_reads_why_their_own_app_is_refused_in_words_for_them(
    product: Product, ana: Browser, cause: str
) -> None:
    """What the broker says is for the product's developers: it names a purpose of connect sessions."""
    product.script.answers.append((200, FOUND | {"status": "paused", "paused": pause("customer_app", cause)}))

    page = ana.get(f"{product.url}/connections/{CONNECTION}")

    assert "your client app" in page.text
    assert "For developers." not in page.text


def pause(held_by: str, cause: str) -> dict[str, Any]:
    return {"held_by": held_by, "cause": cause, "until": None, "detail": "For developers."}


def test_a_refused_secret_leads_to_the_link_that_asks_for_the_new_one(product: Product, ana: Browser) -> None:
    refused = pause("customer_app", "invalid_client")
    opened = {"session_id": "ses_n", "connect_url": f"{product.broker_url}/connect/ses_n", "expires_at": 1}
    product.script.answers += [(200, FOUND | {"status": "paused", "paused": refused}), (201, opened)]
    ana.get(f"{product.url}/connections/{CONNECTION}")

    assert ana.submit("Enter the new secret").location == opened["connect_url"]

    _, _, asked = product.script.asked[-1]
    assert (asked["purpose"], asked["connection_id"]) == ("client_secret", CONNECTION)
    assert asked.keys() == {
        "end_user_id", "tenant_name", "return_to", "binding_challenge", "purpose", "connection_id",
    }  # fmt: skip

    other = "con_" + "b" * 26
    product.script.answers += [(200, FOUND | {"probably_same_as": other}), (200, FOUND | {"label": "Branch"})]
    ana.get(f"{product.url}/ninjaone/return?connect_session=ses_n&ticket=t")
    product.script.answers.append((200, FOUND))
    page = ana.follow()
    assert "The new client secret is stored" in page.text
    assert "probably the same NinjaOne account as Branch" in page.text


def test_regions_stand_in_one_order_everywhere() -> None:
    order = [*REGIONS, BRANDED]
    named = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("status.html")

    shown = vars(named.module)["REGION"]
    assert list(shown) == order
    assert list(hosts.REGIONS) == list(REGIONS)
    assert [key for key, _ in groupby(account.region for account in ACCOUNTS)] == order
    assert {key: shown[key] for key in REGIONS} == REGION_NAMES


def test_the_gateway_s_own_refusal_is_told_too(product: Product, ana: Browser) -> None:
    product.script.answers.append((403, {"message": "Forbidden"}))

    page = ana.submit("Connect NinjaOne")

    assert page.status == 403
    assert "This did not work What to do" in page.text


def test_a_broker_that_is_down_is_told_in_words() -> None:
    with serve(Flask("gone")) as gone:
        nowhere = gone.url
    with (
        serve(create_app(nowhere, nowhere, Credentials("AKIDEXAMPLE", "secret"))) as server,
        Browser() as browser,
    ):
        browser.open(server.url)
        browser.submit("Ana")
        page = browser.arrive()

    assert (page.status, page.heading) == (503, "The connection service does not answer")


@pytest.mark.parametrize(
    ("changes", "words", "status"),
    [
        ({}, "Active", "active"),
        ({"token_expires_at": 1}, "Active, no valid token", "without_token"),
        ({"token_expires_at": 0, "status": "pending_approval"}, "Waiting for approval", "pending_approval"),
        ({"token_expires_at": 1, "status": "needs_reauth"}, "Reconnect needed", "needs_reauth"),
    ],
)
def test_a_connection_without_a_valid_token_is_not_simply_called_active(
    product: Product, ana: Browser, changes: dict[str, Any], words: str, status: str
) -> None:
    found = FOUND | changes
    product.script.answers += [(200, found), (200, found)]

    page = ana.get(f"{product.url}/connections/{CONNECTION}")
    live = ana.get(f"{product.url}/connections/{CONNECTION}/state").answer.json()

    assert [chip.text() for chip in page.html.css(".chip")] == [words]
    assert live["status"] == status


def test_the_list_is_read_to_its_end(product: Product) -> None:
    product.script.answers += [
        (200, {"connections": [{"connection_id": "1"}], "cursor": "a/b=="}),
        (200, {"connections": [{"connection_id": "2"}], "cursor": None}),
    ]
    found = Backend(product.broker_url, Credentials("AKIDEXAMPLE", "secret")).connections("northwind")

    assert [each["connection_id"] for each in found] == ["1", "2"]
    assert product.script.asked[1][1] == "/v1/tenants/northwind/connections?limit=100&cursor=a%2Fb%3D%3D"


def test_every_page_closes_what_it_does_not_need(product: Product, ana: Browser) -> None:
    for page in ana.pages:
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
