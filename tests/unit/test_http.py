"""Events of API Gateway become requests, whatever they lack, and responses become what it takes."""

import base64
from typing import Any

import pytest

from broker.edge.http import BODY_LIMIT, Request, Response, cookie
from broker.secret import Secret
from tests.support.events import CALLER, event
from tools.requirements import req

FULL = b"x" * BODY_LIMIT


def read(**changes: Any) -> Request:
    made = event("POST /connect/{session}/authorize", session="ses_x") | changes
    return Request.from_event(made)


@req("H04")
def test_an_event_becomes_a_request() -> None:
    request = Request.from_event(
        event(
            "GET /callback/{region}",
            query="code=a%20b&state=s",
            cookies={"__Host-flow_1": "c"},
            headers={"Sec-Fetch-Site": "same-origin", "X-Caller": "arn:forged"},
            region="eu",
        )
    )

    assert (request.route, request.method, request.domain) == ("GET /callback/{region}", "GET", "connect.example")
    assert (request.raw_path, request.path_parameters) == ("/callback/eu", {"region": "eu"})
    assert request.raw_query == "code=a%20b&state=s"
    assert request.headers["sec-fetch-site"] == "same-origin"
    assert request.cookies == {"__Host-flow_1": Secret("c")}
    assert (request.caller, request.request_id, request.body) == (CALLER, "request-1", b"")


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"requestContext": None, "headers": None, "pathParameters": None, "cookies": None, "body": None},
        {"requestContext": {"authorizer": None, "http": None}, "rawQueryString": None, "rawPath": None},
        {"requestContext": {"authorizer": {"iam": None}}},
    ],
)
def test_what_an_event_lacks_is_empty(made: dict[str, Any]) -> None:
    request = Request.from_event(made)

    assert request == Request(
        route="", method="", domain="", raw_path="", path_parameters={}, raw_query="", headers={}, cookies={}, body=b"",
        caller="", request_id="",
    )  # fmt: skip


@req("H04")
def test_a_caller_is_whom_api_gateway_verified_and_nobody_else() -> None:
    context = {"authorizer": {"jwt": {"userArn": "arn:forged"}}, "identity": {"userArn": "arn:forged"}}

    assert read(requestContext=context, headers={"userArn": "arn:forged"}).caller == ""


# Bodies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoded", "body"),
    [
        (base64.b64encode(b"\xff{}").decode(), True, b"\xff{}"),
        ('{"ä": 1}', False, '{"ä": 1}'.encode()),
        (base64.b64encode(FULL).decode(), True, FULL),
        (FULL.decode(), False, FULL),
        (base64.b64encode(FULL + b"x").decode(), True, None),
        (FULL.decode() + "x", False, None),
        ("A" * (2 * BODY_LIMIT + 4), True, None),
        *((text, True, None) for text in ("%%%%", "abc", "ä", "a b=")),
        ("\ud800", False, None),
    ],
    ids=["base64", "text", "full base64", "full", "base64 too long", "too long", "beyond all measure",
         "no base64", "cut base64", "base64 of letters", "base64 with a space", "no text"],
)  # fmt: skip
def test_a_body_is_read_up_to_its_limit_or_is_none(text: str, *, encoded: bool, body: bytes | None) -> None:
    assert read(body=text, isBase64Encoded=encoded).body == body


# Cookies --------------------------------------------------------------------------------------------------------------


def test_cookies_are_read_with_equal_signs_in_them_and_spaces_around() -> None:
    assert read(cookies=["a=b=c", " d = e ", "f"]).cookies == {
        "a": Secret("b=c"),
        "d": Secret("e"),
        "f": Secret(""),
    }


@req("B05")
def test_a_cookie_that_came_twice_does_not_count() -> None:
    """A neighbouring domain may have planted one of them."""
    assert read(cookies=["a=1", "b=2", "a=3"]).cookies == {"b": Secret("2")}


def test_a_cookie_does_not_print() -> None:
    assert "hidden" not in repr(read(cookies=["a=hidden"]))


@req("B01", "B04")
def test_a_cookie_is_bound_to_the_host_and_comes_back_on_a_navigation() -> None:
    assert cookie("__Host-flow_1", Secret("v"), life=600) == (
        "__Host-flow_1=v; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
    )


# Queries and forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=a", "a"),
        ("state=a%2Bb+c", "a+b c"),
        ("x=1&state=", ""),
        ("", None),
        ("state=a&state=b", None),
        ("state=a&state=a", None),
        ("x=1&" * 70 + "state=a", "a"),
        ("&".join(f"utm_{number}=%FC" for number in range(200)) + "&state=a&x=1&x=2", "a"),
    ],
)
def test_a_parameter_counts_when_it_was_given_once(query: str, found: str | None) -> None:
    assert read(rawQueryString=query).query_parameter("state") == found


FORM = "application/x-www-form-urlencoded"


def form(text: str, kind: str) -> dict[str, str]:
    return dict(read(body=text, headers={"Content-Type": kind}).form())


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ("region=eu&client_id=a+b&empty=", FORM, {"region": "eu", "client_id": "a b", "empty": ""}),
        ("region=eu&region=us2&client_id=x", FORM, {"client_id": "x"}),
        ("a=b", "APPLICATION/X-WWW-Form-Urlencoded ; charset=utf-8", {"a": "b"}),
        *(("a=b", kind, {}) for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", "")),
        ("a=" + "b" * BODY_LIMIT, FORM, {}),
        ("&".join(f"f{number}=x" for number in range(65)), FORM, {}),
    ],
    ids=[
        "fields",
        "given twice",
        "type in capitals",
        "json",
        "text",
        "parts",
        "no type",
        "too long",
        "too many fields",
    ],
)
def test_a_form_is_its_fields_that_were_given_once(text: str, kind: str, fields: dict[str, str]) -> None:
    assert form(text, kind) == fields


def test_bytes_that_are_no_text_do_not_break_a_form() -> None:
    text = base64.b64encode(b"a=\xff").decode()
    kind = {"content-type": "application/x-www-form-urlencoded"}

    assert read(body=text, isBase64Encoded=True, headers=kind).form() == {"a": "\ufffd"}


def test_a_response_is_written_as_api_gateway_takes_it() -> None:
    response = Response(303, "", {"location": "https://x"}, ("a=b",))

    assert response.to_event() == {
        "statusCode": 303,
        "headers": {"location": "https://x"},
        "cookies": ["a=b"],
        "body": "",
        "isBase64Encoded": False,
    }
