"""The browser behaves as a browser does where the journey depends on it."""

from collections.abc import Iterator

import pytest
from flask import Flask, Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from local.browser import Browser
from ninjaone_emulator.wsgi_server import Server, serve

FORM = """
<h1> A form </h1>
<form method="post" action="/sent">
  <input type="hidden" name="kept" value="1">
  <input name="text" value="old">
  <textarea name="long">two
lines</textarea>
  <select name="choice"><option value="a">A</option><option value="b" selected>B</option></select>
  <input type="checkbox" name="ticked" checked>
  <input type="checkbox" name="unticked" value="x">
  <input type="radio" name="one" value="first"><input type="radio" name="one" value="second" checked>
  <button name="press" value="go">Send it</button> <button name="press" value="no">Leave</button>
</form>
"""
COOKIES = [
    "__Host-good=1; Path=/; Secure; HttpOnly",
    "__Host-insecure=1; Path=/",
    "__Host-deep=1; Path=/deep; Secure",
    "__Host-pathless=1; Secure",
    "__Host-domain=1; Path=/; Secure; Domain=127.0.0.1",
    "__Host-gone=; Path=/; Secure; Max-Age=0",
    "plain=1; Path=/",
    "deep=1; Path=/deep",
]


site = Flask("site")


@site.get("/form")
def form() -> str:
    return FORM


@site.get("/find")
def find() -> str:
    return '<form action="/sent"><input name="q"><button>Find</button></form>'


@site.get("/cookies")
def cookies() -> Response:
    answer = Response("set")
    for cookie in COOKIES:
        answer.headers.add("Set-Cookie", cookie)
    return answer


@site.get("/forget")
def forget() -> Response:
    return Response(headers={"Set-Cookie": "__Host-good=; Path=/; Max-Age=0; Secure"})


@site.get("/leaving")
def leaving() -> str:
    return f'<form method="post" action="/away?to={request.args["to"]}"><button>Go</button></form>'


@site.route("/away", methods=["GET", "POST"])
def away() -> BaseResponse:
    return redirect(request.args["to"], 303)


@site.get("/loop")
def loop() -> BaseResponse:
    return redirect("/loop")


@site.route("/sent", methods=["GET", "POST"])
def sent() -> dict[str, object]:
    said = {name: request.headers.get(name, "") for name in ("Sec-Fetch-Site", "Origin", "Cookie")}
    return said | {"form": request.form.to_dict(), "args": request.args.to_dict()}


@pytest.fixture
def here() -> Iterator[Server]:
    with serve(site) as server:
        yield server


@pytest.fixture
def there() -> Iterator[Server]:
    with serve(site) as server:
        yield server


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def test_a_form_sends_what_a_browser_would_send(here: Server, browser: Browser) -> None:
    browser.open(here.url + "/form")

    sent = browser.submit("Send it", text="new").answer.json()["form"]

    assert browser.pages[0].heading == "A form"
    assert sent == {
        "kept": "1",
        "text": "new",
        "long": "two\nlines",
        "choice": "b",
        "ticked": "on",
        "one": "second",
        "press": "go",
    }


def test_a_search_form_sends_its_fields_in_the_address(here: Server, browser: Browser) -> None:
    browser.open(here.url + "/find")

    assert browser.submit("Find", q="a b").answer.json()["args"] == {"q": "a b"}


def test_a_field_or_button_that_is_not_there_cannot_be_used(here: Server, browser: Browser) -> None:
    browser.open(here.url + "/form")

    with pytest.raises(LookupError, match="no field hidden"):
        browser.submit("Send it", hidden="x")
    with pytest.raises(LookupError, match="no button 'Buy'"):
        browser.submit("Buy")


def test_a_host_cookie_is_kept_only_if_it_keeps_its_rules(here: Server, browser: Browser) -> None:
    browser.get(here.url + "/cookies")

    assert browser.cookies == {"__Host-good": "1", "plain": "1", "deep": "1"}


def test_cookies_go_back_to_every_port_of_the_host_and_only_below_their_path(
    here: Server, there: Server, browser: Browser
) -> None:
    browser.get(here.url + "/cookies")

    assert browser.get(there.url + "/sent").answer.json()["Cookie"] == "__Host-good=1; plain=1"


def test_a_cookie_can_be_taken_back(here: Server, browser: Browser) -> None:
    browser.get(here.url + "/cookies")
    browser.get(here.url + "/forget")

    assert "__Host-good" not in browser.cookies


def test_a_typed_address_comes_from_no_site(here: Server, browser: Browser) -> None:
    assert browser.get(here.url + "/sent").answer.json()["Sec-Fetch-Site"] == "none"


def test_a_form_says_where_it_comes_from(here: Server, browser: Browser) -> None:
    browser.open(here.url + "/form")
    sent = browser.submit("Send it").answer.json()

    assert (sent["Sec-Fetch-Site"], sent["Origin"]) == ("same-origin", here.url)


def test_a_redirect_says_the_farthest_site_on_the_way(here: Server, there: Server, browser: Browser) -> None:
    back = f"{there.url}/away?to={here.url}/sent"
    browser.open(f"{here.url}/leaving?to={back}")
    browser.submit("Go")

    assert browser.page.site == "same-origin"
    assert browser.arrive().answer.json()["Sec-Fetch-Site"] == "same-site"


def test_a_page_that_sends_nowhere_cannot_be_followed_and_a_loop_ends(here: Server, browser: Browser) -> None:
    browser.get(here.url + "/form")
    with pytest.raises(LookupError, match="sends nowhere"):
        browser.follow()
    with pytest.raises(LookupError, match="more than 10"):
        browser.open(here.url + "/loop")
