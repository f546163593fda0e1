"""The connect page's form, and from where it may come."""

from dataclasses import replace
from typing import Any

import pytest

from broker.config import Config
from broker.edge.authorize import ConnectForm, authorize_request, is_same_origin, read_form, read_secret
from broker.edge.browser import cookie_name
from broker.edge.http import Request
from broker.errors import InvalidRequest
from broker.model import Client, Host, SessionId
from broker.secret import Secret
from tests.support.events import event
from tests.support.journey import EU
from tools.requirements import req

SESSION = SessionId("ses_" + "a" * 26)
ROUTE = "POST /connect/{session}/authorize"


def sent(headers: dict[str, str] | None = None, cookies: dict[str, str] | None = None, **fields: str) -> Request:
    return Request.from_event(event(ROUTE, session=SESSION, form=fields, headers=headers, cookies=cookies))


def read(config: Config, **fields: Any) -> ConnectForm:
    return read_form(config, sent(**fields))


def test_a_region_is_chosen_by_its_key(config: Config) -> None:
    assert read(config, region="eu") == ConnectForm(EU, None, go_anyway=False, faults=(), typed={"region": "eu"})


def test_a_branded_host_is_chosen_by_its_parts(config: Config) -> None:
    found = read(config, region="branded", subdomain="Acme", suffix="rmmservice.eu")

    assert found.host == Host("branded", "acme.rmmservice.eu")
    assert found.typed == {"region": "branded", "subdomain": "Acme", "suffix": "rmmservice.eu"}


@pytest.mark.parametrize(
    "pasted",
    [
        "acme ",
        "\u3000acme\u3000",
        "\ufeffacme",
        "https://acme.rmmservice.eu/",
        " HTTPS://ACME.rmmservice.EU/#/systemDashboard/overview ",
        "acme.rmmservice.eu",
        "acme.rmmservice.eu.",
        "https://acme.rmmservice.eu:443/ws?x=1",
        "https://x@acme.rmmservice.eu/",
        "//acme.rmmservice.eu",
        "acme:8443",
        "www.acme",
        "acme/",
        "\uff21\uff43\uff4d\uff45",
    ],
)
def test_the_label_is_taken_out_of_what_people_paste(config: Config, pasted: str) -> None:
    suffix = "rmmservice.com" if "rmmservice" in pasted.lower() else "rmmservice.eu"  # an address brings its own

    found = read(config, region="branded", subdomain=pasted, suffix=suffix)

    assert (found.host, found.faults) == (Host("branded", "acme.rmmservice.eu"), ())


def test_the_host_of_a_region_is_named_as_one(config: Config) -> None:
    [fault] = read(config, region="branded", subdomain="https://eu.ninjarmm.com/", suffix="rmmservice.eu").faults

    assert (fault.field, "eu.ninjarmm.com is the host of a region" in fault.message) == ("subdomain", True)


def test_what_came_along_with_a_copied_secret_is_left_out(config: Config) -> None:
    found = read(config, region="eu", client_id="\u200bapp-1\r\n", client_secret="\ufeffs-1\u00a0")

    assert found.client == Client("app-1", Secret("s-1"), customer_app=True)


@pytest.mark.parametrize("pasted", ["\u200es-1\u200f", '"s-1",', "\u201cs-1\u201d"])
def test_a_new_secret_is_read_like_the_first(pasted: str) -> None:
    assert read_secret(sent(client_secret=pasted)) == (Secret("s-1"), ())


def test_what_was_typed_comes_back_but_never_the_secret(config: Config) -> None:
    found = read(config, region="eu", client_id="x" * 500, client_secret="canary secret")

    assert found.typed == {"region": "eu", "client_id": "x" * 300}
    assert "canary" not in repr(found)


def test_the_longest_client_id_comes_back_whole(config: Config) -> None:
    found = read(config, region="eu", client_id="x" * 256, client_secret="a b")

    assert found.typed["client_id"] == "x" * 256


def test_the_person_may_go_anyway(config: Config) -> None:
    assert read(config, region="eu", go_anyway="yes").go_anyway
    assert not read(config, region="eu", go_anyway="on").go_anyway


@req("A09")
@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({}, "region"),
        ({"region": ""}, "region"),
        ({"region": "mars"}, "region"),
        ({"region": "eu.ninjarmm.com@evil.example"}, "region"),
        ({"region": "eu\r\nx: y"}, "region"),
        ({"region": "branded"}, "subdomain"),
        ({"region": "branded", "subdomain": "acme"}, "subdomain"),
        ({"region": "branded", "subdomain": "acme", "suffix": "evil.example"}, "subdomain"),
        ({"region": "branded", "subdomain": "acme@evil", "suffix": "rmmservice.eu"}, "subdomain"),
        ({"region": "branded", "subdomain": "a.b", "suffix": "rmmservice.eu"}, "subdomain"),
        ({"region": "branded", "subdomain": "acme\u3002evil", "suffix": "rmmservice.eu"}, "subdomain"),
        ({"region": "branded", "subdomain": "https://acme.rmmservice.eu@evil.example/"}, "subdomain"),
        ({"region": "branded", "subdomain": "https://evil.example/acme.rmmservice.eu"}, "subdomain"),
        ({"region": "eu", "client_id": "app-1"}, "client_secret"),
        ({"region": "eu", "client_secret": "s-1"}, "client_id"),
        ({"region": "eu", "client_id": "a b", "client_secret": "s-1"}, "client_id"),
        ({"region": "eu", "client_id": "a", "client_secret": "s" * 257}, "client_secret"),
        ({"region": "eu", "client_id": "a", "client_secret": "ä"}, "client_secret"),
        ({"region": "eu", "client_id": "a\tb", "client_secret": "s-1"}, "client_id"),
        ({"region": "eu", "client_id": "https://eu.ninjarmm.com/?client_id=a", "client_secret": "s-1"}, "client_id"),
        ({"region": "eu", "client_id": "\u200b", "client_secret": "s-1"}, "client_id"),
        ({"region": "eu", "client_id": "a", "client_secret": "'a'"}, "client_secret"),
        ({"region": "branded", "subdomain": "Acme login", "suffix": "rmmservice.eu"}, "subdomain"),
        ({"region": "branded", "subdomain": "\u00e1cme", "suffix": "rmmservice.eu"}, "subdomain"),
    ],
)
def test_a_choice_that_can_not_be_is_a_fault(config: Config, fields: dict[str, str], faulty: str) -> None:
    assert [fault.field for fault in read(config, **fields).faults] == [faulty]


def test_both_halves_of_a_client_app_are_named(config: Config) -> None:
    found = read(config, region="mars", client_id="a b", client_secret="c d")

    assert [fault.field for fault in found.faults] == ["region", "client_id", "client_secret"]
    assert found.client is None


def test_the_browsers_own_cookie_of_this_session_goes_along(config: Config) -> None:
    request = sent(cookies={cookie_name(SESSION): "h" * 43, "other": "x"}, region="eu")

    asked = authorize_request(request, SESSION, read_form(config, request))

    assert (asked.session, asked.host, asked.cookie, asked.check_host) == (SESSION, EU, Secret("h" * 43), True)


@pytest.mark.parametrize("held", ["", "short", "h" * 44, "h" * 42 + "=", "h" * 42 + "."])
def test_a_cookie_of_another_form_counts_as_none(config: Config, held: str) -> None:
    request = sent(cookies={cookie_name(SESSION): held}, region="eu")

    assert authorize_request(request, SESSION, read_form(config, request)).cookie is None


def test_a_departure_without_a_place_is_refused(config: Config) -> None:
    request = sent(region="mars")

    with pytest.raises(InvalidRequest):
        authorize_request(request, SESSION, read_form(config, request))


@req("A11")
@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://connect.example"}, False),
        ({"origin": "https://connect.example"}, True),
        ({"origin": "http://connect.example"}, False),
        ({"origin": "https://connect.example.evil"}, False),
        ({"origin": "null"}, False),
        ({}, False),
        ({"referer": "https://connect.example/connect/x"}, False),
    ],
)
def test_a_form_is_taken_from_our_own_page_alone(config: Config, headers: dict[str, Any], *, ours: bool) -> None:
    nobody_told = replace(config, connect_url="")  # by default the address is AWS's, which every request names

    assert is_same_origin(nobody_told, sent(headers=headers, region="eu")) is ours


@req("A11")
@pytest.mark.parametrize(
    ("origin", "ours"), [("https://connect.acme.example", True), ("https://connect.example", False)]
)
def test_behind_the_firewall_the_page_s_own_domain_counts(config: Config, origin: str, *, ours: bool) -> None:
    """CloudFront asks the API under AWS's name of it, which the browser has never seen."""
    behind = replace(config, connect_url="https://connect.acme.example")

    assert is_same_origin(behind, sent(headers={"origin": origin}, region="eu")) is ours
