"""Events of API Gateway become requests, whatever they lack, and responses become what it takes."""

import base64
from typing import Any

import pytest

from broker.edge.http import BODY_LIMIT, Request, Response, cookie
from broker.secret import Secret
from tests.support.events import CALLER, event
from tools.requirements import req


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


def test_a_body_in_base64_is_read() -> None:
    assert read(body=base64.b64encode(b"\xff{}").decode(), isBase64Encoded=True).body == b"\xff{}"


def test_a_body_as_text_is_read_as_utf_8() -> None:
    assert read(body='{"ä": 1}').body == '{"ä": 1}'.encode()


@pytest.mark.parametrize("size", [BODY_LIMIT, BODY_LIMIT + 1])
@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_is_read_up_to_its_limit(size: int, *, encoded: bool) -> None:
    content = b"x" * size
    text = base64.b64encode(content).decode() if encoded else content.decode()

    body = read(body=text, isBase64Encoded=encoded).body

    assert body == (content if size == BODY_LIMIT else None)


def test_a_body_beyond_all_measure_is_not_decoded() -> None:
    assert read(body="A" * (2 * BODY_LIMIT + 4), isBase64Encoded=True).body is None


@pytest.mark.parametrize("text", ["%%%%", "abc", "ä", "a b="])
def test_a_body_that_is_no_base64_is_none(text: str) -> None:
    assert read(body=text, isBase64Encoded=True).body is None


def test_a_body_that_is_no_text_is_none() -> None:
    assert read(body="\ud800").body is None


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
    ],
)
def test_a_parameter_counts_when_it_was_given_once(query: str, found: str | None) -> None:
    assert read(rawQueryString=query).query_parameter("state") == found


def form(text: str, kind: str = "application/x-www-form-urlencoded") -> dict[str, str]:
    return dict(read(body=text, headers={"Content-Type": kind}).form())


def test_a_form_is_read() -> None:
    assert form("region=eu&client_id=a+b&empty=") == {"region": "eu", "client_id": "a b", "empty": ""}


def test_a_field_given_twice_is_left_out() -> None:
    assert form("region=eu&region=us2&client_id=x") == {"client_id": "x"}


@pytest.mark.parametrize("kind", ["APPLICATION/X-WWW-Form-Urlencoded ; charset=utf-8"])
def test_a_form_is_known_by_its_type_whatever_its_case(kind: str) -> None:
    assert form("a=b", kind) == {"a": "b"}


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_a_body_of_another_type_is_no_form(kind: str) -> None:
    assert form("a=b", kind) == {}


def test_a_body_that_could_not_be_read_is_no_form() -> None:
    assert form("a=" + "b" * BODY_LIMIT) == {}


def test_a_form_of_too_many_fields_is_none() -> None:
    assert form("&".join(f"f{number}=x" for number in range(65))) == {}


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


def test_a_query_is_read_among_whatever_else_it_holds() -> None:
    extra = "&".join(f"utm_{number}=%FC" for number in range(200))

    request = Request.from_event(event("GET /callback/{region}", query=f"{extra}&state=s&x=1&x=2", region="eu"))

    assert [request.query_parameter(name) for name in ("state", "x", "y")] == ["s", None, None]
